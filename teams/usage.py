"""What model calls consume: counted where a response arrives, gathered around the step that asked for it."""

from contextvars import ContextVar, Token
from dataclasses import dataclass


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
    """Gathers the usage of one block: `with metering() as meter`."""

    def __init__(self) -> None:
        self._model = ""
        self._calls = self._input_tokens = self._output_tokens = self._unmetered = 0
        self._token: Token[Meter | None] | None = None

    @property
    def usage(self) -> Usage:
        """What was gathered so far."""
        return Usage(self._model, self._calls, self._input_tokens, self._output_tokens, self._unmetered)

    def sent(self, model: str) -> None:
        """A call left for the model; until its response tells otherwise, it is unmetered."""
        self._model = self._model or model
        self._calls += 1
        self._unmetered += 1

    def told(self, input_tokens: int | None, output_tokens: int | None) -> None:
        """The response of a call said what it consumed; None is what it did not say."""
        if input_tokens is None or output_tokens is None:
            return
        self._input_tokens += input_tokens
        self._output_tokens += output_tokens
        self._unmetered -= 1

    def __enter__(self) -> "Meter":
        self._token = _meter.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _meter.reset(self._token)


_meter: ContextVar[Meter | None] = ContextVar("meter", default=None)


def metering() -> Meter:
    """A meter for all model calls of a `with` block, those of tasks begun in it included."""
    return Meter()


def current_meter() -> Meter:
    """The meter of the block under way; one that nobody reads where there is none. Engines call this."""
    return _meter.get() or Meter()
