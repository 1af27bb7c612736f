"""A search for the best setting of each layer, by one half of the test images; the other half judges its result."""
