"""Longer texts of the guide."""
