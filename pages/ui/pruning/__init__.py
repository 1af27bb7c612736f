"""The page Pruning: scores, what pruning removes, and the removal of zero filters."""
