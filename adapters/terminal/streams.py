"""What a terminal front end reads from and writes to, and a writer that outlives a reader who leaves."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output


@dataclass(frozen=True, slots=True)
class Streams:
    """The handles of one terminal session. `stdin` None is an input that has ended.

    `keyboard` and `screen` are prompt_toolkit's; without them they are made from `stdin` and `stdout`, where these are
    a terminal. `environ` tells TERM, NO_COLOR, COLUMNS and LINES.
    """

    stdin: TextIO | None
    stdout: TextIO
    environ: Mapping[str, str] = field(default_factory=dict)
    keyboard: "Input | None" = None
    screen: "Output | None" = None

    @classmethod
    def standard(cls) -> "Streams":
        """The streams of this process."""
        return cls(sys.stdin, sys.stdout, dict(os.environ))

    @property
    def live(self) -> bool:
        """Whether what was written can be drawn over: a terminal, and not a dumb one."""
        return self.stdout.isatty() and self.environ.get("TERM", "").lower() not in ("dumb", "unknown")

    @property
    def prompting(self) -> bool:
        """Whether a person can type on a line of their own."""
        return self.live and (self.keyboard is not None or (self.stdin is not None and self.stdin.isatty()))


class Writable(Protocol):
    """As much of a text stream as is written to."""

    def write(self, text: str, /) -> object:
        """Take text."""

    def flush(self) -> object:
        """Pass on what was taken."""


class Paper:
    """A text stream that never raises: once nobody reads it, it says `broken` and takes no more.

    Rich writes from its own thread and leaves the process on a broken pipe, so the fault has to end here. Characters
    that the stream's encoding lacks are written as escapes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._own = stream
        self._stream: Writable = stream
        self.broken = False

    @property
    def encoding(self) -> str:
        """The encoding of the stream."""
        return self._own.encoding or "utf-8"

    def through(self, stream: "Writable | None") -> None:
        """Write through another stream from now on, or again to the own one."""
        self._stream = stream or self._own

    def write(self, text: str) -> int:
        """Write what can be written."""
        if not self.broken:
            try:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except (OSError, ValueError) as error:  # ValueError: the stream was closed
                self._break(error)
        return len(text)

    def flush(self) -> None:
        """Flush, and learn here whether anybody reads."""
        if not self.broken:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._break(error)

    def isatty(self) -> bool:
        """Whether the own stream is a terminal."""
        return not self.broken and self._own.isatty()

    def fileno(self) -> int:
        """The own stream's descriptor, for its size."""
        return self._own.fileno()

    def _break(self, error: OSError | ValueError) -> None:
        self.broken = True
        if isinstance(error, BrokenPipeError):
            # Else Python flushes the rest at exit and complains (docs.python.org, "Note on SIGPIPE").
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._own.fileno())
                os.close(nowhere)
