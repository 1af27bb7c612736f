"""The page Networks: every network with its layers and the ranges of its channels."""
