"""What the pages compute, each answer cached by its spec. The only package that uses Streamlit's caches.

A cached value is never mutated: all sessions share it.
"""
