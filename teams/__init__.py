"""Experts and their work. Knows DSPy; has never heard of chat."""
