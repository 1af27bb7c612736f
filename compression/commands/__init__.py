"""The commands of `python -m compression`. `arguments` has all options; each other file has a `run(options)`."""
