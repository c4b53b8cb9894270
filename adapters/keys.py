"""Keys of gestures: the same for every delivery of one gesture, and different for every other one. Pure."""

import hashlib


def key_of(*parts: str) -> str:
    """The key of a gesture, from all that tells it from every other one."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]
