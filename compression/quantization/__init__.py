"""Tensor -> integers -> tensor: quantization of weights and of the inputs of layers."""
