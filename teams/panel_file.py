"""One panel from its YAML file: what a file may hold, and what is wrong with it, by line and with the fix.

Knows no folder and no other panel. YAML is read as its grammar alone: what a scalar means is decided here.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from yaml.composer import ComposerError
from yaml.reader import ReaderError

from teams.model import PanelSpec, Perspective, Tier

T = TypeVar("T")

FILE_LIMIT = 256 * 1024
"""The largest panel file in bytes."""

INSTRUCTIONS_LIMIT = 4_000
"""The longest instructions in characters, of a perspective as of the synthesis."""

LINE_LIMIT = 200
"""The longest title or description in characters."""

NAME_LIMIT = 40
"""The longest panel name or perspective key in characters."""

FEWEST, MOST = 2, 12
"""How many perspectives a panel has."""

_TIMES = ("expert_seconds", "run_seconds", "synthesis_seconds")
PERSPECTIVE_KEYS = ("key", "title", "instructions", "tier")
PANEL_KEYS = ("name", "title", "description", "perspectives", "synthesis", "quorum", "allow_pro_fanout", *_TIMES)

_DEEPEST = 8
_ONE_LINE = f"one line of at most {LINE_LIMIT} characters"
_DEFAULTS = {each.name: each.default for each in fields(PanelSpec)}
_TIERS: dict[str, Tier] = {"flash": "flash", "pro": "pro"}
_NULL = "tag:yaml.org,2002:null"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class BrokenPanel(ValueError):
    """A file that is no panel, as one sentence: file, line, what is wrong and the fix."""

    def __init__(self, origin: str, line: int, fault: str) -> None:
        super().__init__(f"{origin}, line {line}: {fault}")


def load_panel(text: str, origin: str) -> PanelSpec:
    """The panel that the YAML `text` describes; without a name it is called like the file `origin`.

    Raises `BrokenPanel`. The schema and its limits are in docs/panels.md.
    """
    if len(text.encode(errors="replace")) > FILE_LIMIT:
        raise BrokenPanel(origin, 1, f"the file is larger than {FILE_LIMIT // 1024} KiB; shorten its instructions")
    panel = _section(_composed(text, origin), "a panel", PANEL_KEYS)
    pro_allowed = panel.read("allow_pro_fanout", {"false": False, "true": True}.get, "true or false", "false")
    seats = _perspectives(panel, pro_allowed)
    most = len(seats)
    quorum = None
    if "quorum" in panel.values:
        quorum = panel.read("quorum", _up_to(most), f"a whole number from 2 to {most}")
    expert, run, synthesis = (
        panel.read(key, _seconds, "a number of seconds above 0", str(_DEFAULTS[key])) for key in _TIMES
    )
    if run <= synthesis:
        at = "run_seconds" if "run_seconds" in panel.values else "synthesis_seconds"
        fault = f"run_seconds ({run:g}) leaves the experts no time beside synthesis_seconds ({synthesis:g})"
        raise panel.broken(at, f"{fault}; make run_seconds the larger")
    return PanelSpec(
        name=panel.read("name", _slug("-_"), f"at most {NAME_LIMIT} of a-z 0-9 - _, a letter first", Path(origin).stem),
        title=panel.read("title", _one_line, _ONE_LINE),
        description=panel.read("description", _one_line, _ONE_LINE),
        perspectives=seats,
        synthesis_instructions=panel.text("synthesis") if "synthesis" in panel.values else "",
        quorum=quorum,
        expert_seconds=expert,
        run_seconds=run,
        synthesis_seconds=synthesis,
        allow_pro_fanout=pro_allowed,
    )


def _perspectives(panel: "_Section", pro_allowed: bool) -> tuple[Perspective, ...]:
    node = panel.required("perspectives")
    if not isinstance(node, yaml.SequenceNode):
        fault = f"perspectives has to be a list, not {_shown(node)}"
        raise panel.broken("perspectives", f"{fault}; begin each perspective with '- key:'")
    count = len(node.value)
    if not FEWEST <= count <= MOST:
        raise panel.broken("perspectives", f"there are {count} perspectives; list {FEWEST} to {MOST} of them")
    seats: list[Perspective] = []
    taken: set[str] = set()
    for number, entry in enumerate(node.value, 1):
        section = _section(entry, f"perspective {number}", PERSPECTIVE_KEYS)
        seat = _perspective(section)
        # A synthesis may name a perspective by its key or its title, so neither may be another's.
        for name, value in (("key", seat.key), ("title", seat.title)):
            if value.casefold() in taken:
                fault = f"the {name} {quoted(value)} is another perspective's too"
                raise section.broken(name, f"{fault}; change one of them")
        if seat.tier == "pro" and not pro_allowed:
            why = f"up to {count} calls of the pro model at once are slow and dear"
            fix = "remove the tier, or set 'allow_pro_fanout: true' to accept that"
            raise section.broken("tier", f"{section.what} asks for the tier 'pro', but {why}; {fix}")
        taken |= {seat.key.casefold(), seat.title.casefold()}
        seats.append(seat)
    return tuple(seats)


def _perspective(section: "_Section") -> Perspective:
    return Perspective(
        key=section.read("key", _slug("_"), f"at most {NAME_LIMIT} of a-z 0-9 _, a letter first"),
        title=section.read("title", _one_line, _ONE_LINE),
        instructions=section.text("instructions"),
        tier=section.read("tier", _TIERS.get, "flash or pro", "flash"),
    )


def _slug(joints: str) -> Callable[[str], str | None]:
    pattern = re.compile(rf"(?=.{{1,{NAME_LIMIT}}}\Z)[a-z][a-z0-9]*(?:[{joints}][a-z0-9]+)*")
    return lambda written: written if pattern.fullmatch(written) else None


def _one_line(written: str) -> str | None:
    return written if len(written) <= LINE_LIMIT and len(written.splitlines()) == 1 else None


def _up_to(most: int) -> Callable[[str], int | None]:
    return {str(number): number for number in range(2, most + 1)}.get


def _seconds(written: str) -> float | None:
    try:
        value = float(written)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


@dataclass(frozen=True, slots=True)
class _Section:
    """A mapping of the file: the value and the line of each key."""

    origin: str
    line: int
    what: str
    values: dict[str, yaml.Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def broken(self, key: str, fault: str) -> BrokenPanel:
        return BrokenPanel(self.origin, self.lines.get(key, self.line), fault)

    def required(self, key: str) -> yaml.Node:
        if key not in self.values:
            raise self.broken(key, f"{self.what} has no {key}; add '{key}:'")
        return self.values[key]

    def text(self, key: str) -> str:
        node = self.required(key)
        if not isinstance(node, yaml.ScalarNode):
            raise self.broken(key, f"{key} has to be text, not {_shown(node)}; put it in quotes or indented below '|'")
        value: str = node.value.strip()
        if not value or node.tag == _NULL:
            raise self.broken(key, f"{key} is empty; write something or remove the line")
        if len(value) > INSTRUCTIONS_LIMIT:
            raise self.broken(key, f"{key} has {len(value):,} characters; shorten it to {INSTRUCTIONS_LIMIT:,}")
        if unprintable := _UNPRINTABLE.search(value):
            raise self.broken(key, f"{key} holds the control character {unprintable[0]!r}; remove it")
        return value

    def read(self, key: str, meaning: Callable[[str], T | None], wanted: str, default: str | None = None) -> T:
        """What the text under `key` means; a text without a meaning is refused."""
        written = default if default is not None and key not in self.values else self.text(key)
        value = meaning(written)
        if value is None:
            raise self.broken(key, f"{key} cannot be {quoted(written)}; write {wanted} after '{key}:'")
        return value


def _section(node: yaml.Node, what: str, known: tuple[str, ...]) -> _Section:
    section = _Section(node.start_mark.name, node.start_mark.line + 1, what)
    if not isinstance(node, yaml.MappingNode):
        raise section.broken("", f"{what} is made of 'key: value' lines, not {_shown(node)}; begin with '{known[0]}:'")
    for key_node, value in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else _shown(key_node)
        earlier = section.lines.get(key)
        section.lines[key] = key_node.start_mark.line + 1
        if earlier is not None:
            raise section.broken(key, f"{key} is on line {earlier} already; remove one of the two")
        if key not in known:
            fix = f"remove it or write one of {', '.join(known)}"
            raise section.broken(key, f"{quoted(key)} is no key of {what}{meant(key, known)}; {fix}")
        section.values[key] = value
    return section


class _Composer(yaml.SafeLoader):
    """YAML without its powers: anchors, aliases, tags and deep nesting are refused where they stand."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark, tag = event.start_mark, getattr(event, "tag", None)
        if event.anchor is not None:
            raise ComposerError(None, None, f"anchors and aliases are not read ({event.anchor})", mark)
        if tag is not None:
            raise ComposerError(None, None, f"tags are not read ({tag})", mark)
        if self.depth == _DEEPEST:
            raise ComposerError(None, None, f"nesting more than {_DEEPEST} deep is not read", mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _composed(text: str, origin: str) -> yaml.Node:
    try:
        composer = _Composer(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        fault = f"the character {chr(error.character)!r} is not text; remove it and save the file as UTF-8"
        raise BrokenPanel(origin, line, fault) from error
    composer.name = origin
    fix = "write 'key: value' lines, and text with signs such as : # & * ! [ in quotes"
    try:
        node = composer.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or composer.get_mark()
        since = f"{error.context} from line {error.context_mark.line + 1}, " if error.context_mark else ""
        raise BrokenPanel(origin, mark.line + 1, f"this cannot be read: {since}{error.problem}; {fix}") from error
    except (ValueError, OverflowError) as error:
        # PyYAML leaves an escape or a version that Python cannot hold untranslated.
        line = composer.get_mark().line + 1
        raise BrokenPanel(origin, line, f"this cannot be read: a number is too large; {fix}") from error
    if node is None:
        raise BrokenPanel(origin, 1, "the file is empty; begin with 'title:'")
    return node


def meant(given: str, known: tuple[str, ...]) -> str:
    """The known word that `given` may have been meant as, in brackets for the end of a sentence; else nothing."""
    close = get_close_matches(given[:NAME_LIMIT].lower(), known, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def quoted(value: str) -> str:
    """A value of a file for a sentence: in quotes, escaped, and not endless."""
    return repr(value) if len(value) <= NAME_LIMIT else f"{value[:NAME_LIMIT]!r}…"


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return quoted(node.value) if node.value else "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
