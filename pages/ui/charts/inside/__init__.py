"""The charts of the page Inside."""
