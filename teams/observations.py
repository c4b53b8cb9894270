"""What a tool call tells the agent: foreign text quoted, bounded, and without what a person would not see. Pure."""

from teams.quoting import quoted_lines
from teams.reading import DOUBTFUL_TEXT, PARTIAL_TEXT, REMOVED_CHARACTERS, REMOVED_TEXT, without_hidden_characters

FLAGS = (REMOVED_CHARACTERS, REMOVED_TEXT, DOUBTFUL_TEXT, PARTIAL_TEXT)


def flags(text: str) -> tuple[str, ...]:
    """What its reader pointed to in the first lines of a text."""
    first = text.split("\n", len(FLAGS))[: len(FLAGS)]
    return tuple(flag for flag in FLAGS if flag in first)


def seen(text: str) -> str:
    """A text without what a person would not see, which is said."""
    shown = without_hidden_characters(text)
    return shown if shown == text else f"{REMOVED_CHARACTERS}\n{shown}"


class Observation:
    """What one tool call tells, with room for so many characters of foreign text."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._parts: list[str] = []
        self._left_out = 0

    @property
    def text(self) -> str:
        """All of it."""
        return "\n\n".join(self._parts)

    def add(self, ours: str) -> None:
        """A sentence of ours."""
        self._parts.append(ours)

    def fitting(self, passage: str) -> str | None:
        """As much of a passage as there is room for, and None where that is not worth it."""
        if len(passage) <= self._room:
            self._room -= len(passage)
            return passage
        if self._room < 200:
            self._left_out += 1
            return None
        cut, self._room = passage[: self._room], 0
        return cut.rsplit(" ", 1)[0] + " …"

    def passage(self, source: str, title: str, passage: str) -> None:
        """A passage of a source, quoted."""
        self._parts.append(passage_block(source, title, passage))

    def say_left_out(self) -> None:
        """Say how many passages there was no room for."""
        if self._left_out:
            self._parts.append(f"{self._left_out} more passages did not fit here and were left out")
        self._left_out = 0


def passage_block(source: str, title: str, passage: str) -> str:
    """A passage as models are shown it: under the id of its source, every line of it quoted."""
    return f"[{source}] {line(title)!r}:\n{quoted_lines(passage)}"


def line(text: str) -> str:
    """A foreign title as one line of bounded length."""
    return " ".join(without_hidden_characters(text).split())[:200]
