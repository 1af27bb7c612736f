"""The page Quantization: two quantizers side by side."""
