"""Measurements of the project on this machine: `python -m bench`. Loopback only, without any model."""
