"""Accuracy given back by training: a network, a spec and a recipe become a new, compressed network with a lineage."""
