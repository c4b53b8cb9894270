"""The one grammar of every front end: a line of text to a command. Pure."""

import re
from dataclasses import dataclass
from typing import Literal, cast

Verdict = Literal["up", "down"]
"""What somebody thinks of an answer."""

Setting = Literal["profile", "pillars"]
"""What a place remembers: who asks, and what a synthesis must serve."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a panel. `panel=None` is the default panel; an empty topic is for the front end to ask for."""

    topic: str
    panel: str | None = None


@dataclass(frozen=True, slots=True)
class Research:
    """Have a question researched."""

    question: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the run of this place or thread."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask the experts that failed again."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Take a run's posts away, and all that is kept of it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Say what one thinks of a part of a run: `expert/<perspective>` or `synthesis`."""

    verdict: Verdict
    part: str


@dataclass(frozen=True, slots=True)
class Panels:
    """List the panels."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Show what is set here; with `name`, set that for this place to `value`, or clear it where that is empty."""

    name: Setting | None = None
    value: str = ""


@dataclass(frozen=True, slots=True)
class Help:
    """Show the commands. `instead_of` is the line that was none."""

    instead_of: str = ""


Command = Ask | Research | Stop | Retry | Delete | Rate | Panels | Settings | Help

_WORDS: dict[str, Command] = {
    "stop": Stop(),
    "retry": Retry(),
    "delete": Delete(),
    "list": Panels(),
    "settings": Settings(),
    "help": Help(),
}
_LINE = re.compile(r"\s*/?(panel|research)(?:\s+(.*))?\s*", re.IGNORECASE | re.DOTALL)
_RATE = re.compile(r"rate\s+(up|down)\s+(expert/[^\s/]+|synthesis)", re.IGNORECASE)
_SET = re.compile(r"settings\s+(profile|pillars)(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)
_PANEL = re.compile(r"--panel(?:=|\s+)(\"[^\"]*\"|'[^']*'|\S+)\s*", re.DOTALL)


def parse(text: str) -> Command:
    """The command that a line means.

    `/panel [--panel NAME] <topic>`, `/research <question>`, `/panel stop|retry|delete|list|settings|help`,
    `/panel rate up|down <part>`, `/panel settings profile|pillars <text>`; the slash may be left out. A word such as
    `stop` is a command only when it stands alone, and the longer ones only in just these forms; after `--` everything
    is topic.
    """
    line = _LINE.fullmatch(text)
    if line is None:
        return Help(instead_of=text.strip())
    rest = (line[2] or "").strip()
    if line[1].lower() == "research":
        return Research(rest)
    if (word := _WORDS.get(rest.lower())) is not None:
        return word
    if (rated := _RATE.fullmatch(rest)) is not None:
        return Rate(cast(Verdict, rated[1].lower()), rated[2])
    if (named := _SET.fullmatch(rest)) is not None:
        value = (named[2] or "").strip()
        return Settings(cast(Setting, named[1].lower()), "" if value == "-" else value)
    panel = None
    if (named := _PANEL.match(rest)) is not None:
        panel, rest = named[1].strip("\"'"), rest[named.end() :]
    if rest == "--" or rest.startswith("-- "):
        rest = rest[2:]
    return Ask(rest.strip(), panel)
