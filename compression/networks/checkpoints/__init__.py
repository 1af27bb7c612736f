"""Reads checkpoints from elsewhere safely, and recognises their architecture by their tensors."""
