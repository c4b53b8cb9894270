"""Foreign text quoted for a prompt: every line marked, so that none can pass for ours or for another source. Pure."""

from collections.abc import Iterable

from teams.model import Source


def quoted_lines(text: str) -> str:
    """The text with every line marked as quoted."""
    return "\n".join(f"> {line}" for line in text.splitlines())


def quoted(sources: Iterable[Source]) -> str:
    """The sources one after the other, each under its name."""
    return "\n\n".join(f"Document {source.name!r}:\n" + quoted_lines(source.text) for source in sources)
