"""Pruning: which weights become zero, merging of filters, removal of zero filters, and its proof."""
