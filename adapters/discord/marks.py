"""What a post carries of its key, so that it is found again and shown once. Pure.

Discord keeps the `id` of each component of a message as it was sent (its page "Component Reference"), so the text of a
post is numbered with a hash of its key: whoever reads the thread later knows which part of which post it is.
"""

from collections.abc import Iterable
from hashlib import sha256

MOST_MESSAGES = 10
"""Messages of one post; what is longer goes along as a file."""

_SMALLEST = 10_000
_LARGEST = 2**31 - 1
_NONCE = 24


def mark_of(key: str, number: int, of: int) -> int:
    """The id of the first text of message `number` (from 1) of `of`. Small numbers are left to Discord, which gives
    them to components that have none."""
    hashed = int.from_bytes(sha256(f"{number}/{of} {key}".encode()).digest()[:8])
    return _SMALLEST + hashed % (_LARGEST - _SMALLEST + 1)


def found_in(ids: Iterable[int], key: str) -> tuple[int, int] | None:
    """Which message of the post with this key has one of these ids: its number, and of how many."""
    seen = frozenset(ids)
    for of in range(1, MOST_MESSAGES + 1):
        for number in range(1, of + 1):
            if mark_of(key, number, of) in seen:
                return number, of
    return None


def nonce_of(key: str, number: int) -> str:
    """What makes Discord show message `number` of a post once, sent however often within a few minutes: at most 25
    characters (its page "Create Message")."""
    return sha256(f"{number} {key}".encode()).hexdigest()[:_NONCE]
