"""What research may say: sources as they were read, quotes looked up in them, claims and answers checked by code.

Everything here is pure: no model, no network, no file.
"""
