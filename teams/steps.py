"""Steps: the port through which a run records its paid work, so that a finished step is never done again."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

Json = dict[str, Any]
"""What a step returns: plain JSON, so that any store can keep it."""

# `json.dumps` makes an encoder for every call that is not told its defaults.
_ENCODE = json.JSONEncoder(allow_nan=False).encode


class Steps(Protocol):
    """Where a run records its steps.

    Steps that run side by side must be planned first, all of them, in an order that is the same on every replay.
    A step that runs alone needs no plan. `plan` may be called again for a later batch.
    """

    def plan(self, keys: Sequence[str]) -> None:
        """Reserve these keys, in this order."""

    def recorded(self, key: str) -> Json | None:
        """What was recorded under `key` before this run was begun or taken up again; None where there was nothing."""

    async def step(self, key: str, fn: Callable[..., Awaitable[Json]], *args: Any) -> Json:
        """The recorded result of `key`; when there is none, `await fn(*args)`, recorded.

        `fn` turns expected failures into values: an exception that leaves it is not recorded.
        """


class MemorySteps:
    """Steps kept in memory, as strict as a durable store: results make a JSON round trip, unplanned steps run alone."""

    def __init__(self, recorded: dict[str, str] | None = None) -> None:
        self.results: dict[str, str] = {} if recorded is None else recorded
        self._before = dict(self.results)
        self._planned: set[str] = set()
        self._in_flight: set[str] = set()

    def plan(self, keys: Sequence[str]) -> None:
        """Reserve these keys. Raises `ValueError` for a key that is planned already."""
        twice = [key for key in keys if key in self._planned] or [key for key in keys if list(keys).count(key) > 1]
        if twice:
            raise ValueError(f"step {twice[0]!r} is planned twice; give every step a name of its own")
        self._planned.update(keys)

    def recorded(self, key: str) -> Json | None:
        """See `Steps.recorded`."""
        return json.loads(self._before[key]) if key in self._before else None

    async def step(self, key: str, fn: Callable[..., Awaitable[Json]], *args: Any) -> Json:
        """See `Steps.step`. Raises `ValueError` for an unplanned step beside another, or one already in flight."""
        if key in self._in_flight or (self._in_flight and key not in self._planned):
            raise ValueError(f"step {key!r} runs beside {sorted(self._in_flight)} and was not planned; plan it first")
        if key not in self.results:
            self._in_flight.add(key)
            try:
                self.results[key] = _ENCODE(await fn(*args))
            finally:
                self._in_flight.discard(key)
        result: Json = json.loads(self.results[key])
        return result
