"""What there is to see of a network: statistics of its weights, binned for charts."""
