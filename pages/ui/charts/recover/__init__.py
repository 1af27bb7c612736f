"""The charts of the page Recover."""
