"""Trains the bundled networks from scratch."""
