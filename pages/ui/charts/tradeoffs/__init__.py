"""The charts of the page Trade-offs."""
