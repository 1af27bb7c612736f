"""What single flipped bits of the stored weights and of the packed file cost."""
