"""Compresses a network: `compress(model, spec, evidence) -> CompressedModel`, and the evidence that it may need."""
