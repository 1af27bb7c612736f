"""Results of compressed networks: costs, where results are kept, what is committed, tables and fronts."""
