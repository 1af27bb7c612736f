"""The page Deploy: files that run elsewhere, checked and timed on this machine."""
