"""Words said to the bot, as a line of the one grammar of every front end. Pure."""

_ALONE = frozenset({"stop", "retry", "list", "settings", "help", "delete"})
_SECOND_WORDS = frozenset({"settings", "rate"})


def command_line(text: str) -> str:
    """A mention's or direct message's words as a line of the one grammar."""
    words = text.split(None, 2)
    first = words[0].casefold().lstrip("/") if words else "help"
    if first in ("panel", "research"):
        return text if text.startswith("/") else f"/{text}"
    if (first in _ALONE and len(words) == 1) or not words or (first in _SECOND_WORDS and len(words) > 1):
        return f"/panel {text or 'help'}"
    return text
