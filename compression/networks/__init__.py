"""What a network is and where networks come from: architectures, bundled weights, public checkpoints."""
