"""The steps of one round of a run: recorded durably, paid from its purse, and none begun while the process pauses."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bot.receipts import Purse
from bot.runs import Reservation, StepRecord
from teams.failures import CallFailure
from teams.model import FailureKind
from teams.steps import Json
from teams.usage import Usage
from teams.wire import dump, load

UNPAID = ("heard", "tool:", "check")
"""Steps that ask no model."""


class RunSteps:
    """`teams.steps.Steps` over a durable record. `kept` are results of earlier rounds, `before` of this round before
    the process that ran it ended."""

    def __init__(self, record: StepRecord, purse: Purse, kept: dict[str, str], before: dict[str, Json]) -> None:
        self._record, self._purse = record, purse
        self._kept, self._before = kept, before
        self._reserved: dict[str, Reservation] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._to_replay = set(before)
        self.replayed = asyncio.Event()
        self.in_flight = 0
        self.results: dict[str, str] = dict(kept)
        if not before:
            self.replayed.set()

    def hold(self) -> None:
        """Begin no step from now on; those under way go on."""
        self._open.clear()

    def plan(self, keys: Sequence[str]) -> None:
        """Reserve these keys, in this order."""
        twice = [key for key in keys if key in self._reserved]
        if twice:
            raise ValueError(f"step {twice[0]!r} is planned twice; give every step a name of its own")
        self._reserved |= {key: self._record.reserve() for key in keys}

    def recorded(self, key: str) -> Json | None:
        """See `Steps.recorded`."""
        return self._before.get(key) or (json.loads(self._kept[key]) if key in self._kept else None)

    async def step(self, key: str, fn: Callable[..., Awaitable[Json]], *args: Any) -> Json:
        """See `Steps.step`. A call that its purse has no room for is a failure that is recorded like any other."""
        if key in self._kept:
            return json.loads(self._kept[key])  # type: ignore[no-any-return]
        reserved = self._reserved.pop(key, None) or self._record.reserve()
        result = self._before.get(key)
        if result is None:
            await self._open.wait()
            self.in_flight += 1
            try:
                result = await reserved.record(key, await self._paid(key, fn, args))
            finally:
                self.in_flight -= 1
        self.results[key] = json.dumps(result)
        if "usage" in result:
            self._purse.settle(key, load(Usage, result["usage"]))
        self._to_replay.discard(key)
        if not self._to_replay:
            self.replayed.set()
        return result

    async def _paid(self, key: str, fn: Callable[..., Awaitable[Json]], args: Any) -> Json:
        if key.startswith(UNPAID):
            return await fn(*args)
        refusal = self._purse.refusal(key)
        if refusal is None:
            try:
                return await fn(*args)
            except asyncio.CancelledError:
                # It was on its way, and may be charged for; nobody will ever tell.
                self._purse.settle(key, Usage(calls=1, unmetered=1), last=False)
                raise
        return {"failure": dump(CallFailure(FailureKind.REFUSED, refusal, 0, 0.0))}
