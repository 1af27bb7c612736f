"""Shared by tests: networks, hostile files, a file server, and the served app."""
