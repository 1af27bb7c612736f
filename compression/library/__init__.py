"""All networks that can be used by name: bundled ones, public ones that were fetched, and recovered ones."""
