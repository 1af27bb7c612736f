"""Figures of accuracy, counted on all test images; nothing here is timed beside the usual way."""
