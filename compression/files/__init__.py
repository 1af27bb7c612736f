"""The packed file: counting its bytes, encoding weights, writing the file, and reading it back without loss."""
