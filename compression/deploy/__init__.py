"""ONNX and other files for use elsewhere, verified and timed on this machine.

This package must not import torch, because the process that measures latencies starts without it.
"""
