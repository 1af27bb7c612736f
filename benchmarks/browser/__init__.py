"""Measurements in a real browser, beside `benchmarks.journey`."""
