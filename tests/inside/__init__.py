"""Tests of `compression.inside`."""
