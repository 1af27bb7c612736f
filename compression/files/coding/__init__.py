"""Lossless coders: numbers to as few bytes as possible, and back."""
