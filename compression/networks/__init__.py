"""Networks: architectures, the bundled weights, and public checkpoints."""
