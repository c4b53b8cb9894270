"""Links in what is asked: which there are, and which are read. Pure."""

import re
from dataclasses import dataclass

MOST_LINKS = 5
"""Links of one question that are read."""

_LINK = re.compile(r"https?://[^\s<>\"`|\\^{}]+", re.IGNORECASE)
_BEHIND = ".,;:!?'*_~”’»›…。，、；：！？）」』"
_PAIRS = {")": "(", "]": "["}


@dataclass(frozen=True, slots=True)
class Link:
    """A link in what is asked. With `source` it was read, as the document of that name; a `problem` says why not."""

    url: str
    source: str = ""
    problem: str = ""

    @property
    def waits(self) -> bool:
        """Whether nobody has tried to read it yet."""
        return not self.source and not self.problem


def links_in(text: str) -> tuple[Link, ...]:
    """The links to the web in a text, each once, in their order. Those beyond the first few are not read."""
    found = (_whole(match[0]) for match in _LINK.finditer(text))
    urls = dict.fromkeys(url for url in found if not url.endswith("://"))
    why = f"only the first {MOST_LINKS} links are read; ask about the others by themselves"
    return tuple(Link(url, problem=why if number >= MOST_LINKS else "") for number, url in enumerate(urls))


def _whole(found: str) -> str:
    """A link without what a sentence, or Markdown, puts behind it."""
    url = found.rstrip(_BEHIND)
    # A bracket belongs to the address when it is opened there, as in …/wiki/Bread_(food).
    while url and (opened := _PAIRS.get(url[-1])) is not None and url.count(url[-1]) > url.count(opened):
        url = url[:-1].rstrip(_BEHIND)
    return url
