"""What model calls consume: counted where a response arrives, gathered around the step that asked for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Usage:
    """What calls to one model consumed. `calls` counts every try; `unmetered` those whose tokens nobody told.

    A call that brought no response (a timeout, an error) is unmetered: its provider may charge for it all the same.
    """

    model: str = ""
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unmetered: int = 0

    def plus(self, other: "Usage") -> "Usage":
        """Both together, under this one's model, or the other's where this has none."""
        return Usage(
            self.model or other.model,
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.unmetered + other.unmetered,
        )


class Meter:
    """Gathers the usage of one block."""

    def __init__(self) -> None:
        self.usage = Usage()

    def sent(self, model: str) -> None:
        """A call left for the model; until its response tells otherwise, it is unmetered."""
        self.usage = self.usage.plus(Usage(model, calls=1, unmetered=1))

    def told(self, input_tokens: int | None, output_tokens: int | None) -> None:
        """The response of a call said what it consumed; None is what it did not say."""
        if input_tokens is None or output_tokens is None:
            return
        usage = self.usage
        self.usage = replace(
            usage,
            input_tokens=usage.input_tokens + input_tokens,
            output_tokens=usage.output_tokens + output_tokens,
            unmetered=usage.unmetered - 1,
        )


_meter: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metering() -> Iterator[Meter]:
    """A meter for all model calls of the block, those of tasks begun in it included."""
    meter = Meter()
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)


def current_meter() -> Meter:
    """The meter of the block under way; one that nobody reads where there is none. Engines call this."""
    return _meter.get() or Meter()
