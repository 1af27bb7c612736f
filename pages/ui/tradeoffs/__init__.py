"""The page Trade-offs: measured specs on one chart, searches, sweeps and comparisons."""
