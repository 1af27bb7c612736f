"""The architectures that weights can be loaded into."""
