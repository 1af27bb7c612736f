"""The widgets that say how to compress a network, and the spec that they select."""
