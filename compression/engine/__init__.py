"""Where and when work runs: Dask, its workers, their tasks, and the evaluator that all sessions share."""
