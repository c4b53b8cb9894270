"""The terminal as a platform: threads shown one below the other, a board at the bottom, a line to type in."""

from adapters.terminal.frontend import TerminalFrontEnd
from adapters.terminal.streams import Streams

__all__ = ["Streams", "TerminalFrontEnd"]
