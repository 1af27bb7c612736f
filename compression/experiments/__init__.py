"""Many evaluations for one question: scans of layers, sweeps over specs, and the search for the best setting."""
