"""The commands of `python -m compression`. `shared.arguments` has all options; each other file or package has a
`run(options)`."""
