"""Reconstructs the outputs of layers after their weights were pruned or rounded, from unlabelled images, untrained."""
