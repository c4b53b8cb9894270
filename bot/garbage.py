"""How seldom Python's garbage collector looks, in a process that has thousands of calls in flight."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (50_000, 20, 50)
"""How many objects more than before come together before it looks, and in how many looks it looks at older ones too;
Python's own are 700, 10 and 10."""


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Have it look seldom, and never at what was there before: with hundreds of runs in flight it otherwise walks over
    all of them again and again. Reference counts free nearly everything all the same."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
