"""The commands of `python -m compression`: each file has HELP, `add_arguments(parser)` and `run(options)`."""
