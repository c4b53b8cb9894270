"""Composes teams and adapters; the only package that knows both sides."""
