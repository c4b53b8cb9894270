"""The words of MCP servers: which there are, what their tools say of themselves, how they fail. Pure."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

DEFINITION_LIMIT = 16_384
"""The longest definition in characters of JSON: an admin is to read it, and every turn of an agent carries it."""

MOST_TOOLS = 500
"""Tools of one server that are judged: one that lists more describes a catalogue, and no agent can choose from it."""

_TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DEEPEST = 24
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# What DSPy calls its own parameters where an agent's arguments go through: such an argument could not be handed on.
_TAKEN = frozenset({"self", "instance"})


@dataclass(frozen=True, slots=True)
class StdioServer:
    """A server that is a program on this machine. `env` names the variables it is given; it runs in `folder`."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the environment variables whose values it gets."""
        return self.env


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A server behind a URL. `headers` are pairs: a header's name, and the variable that holds its value."""

    name: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the environment variables whose values it gets."""
        return tuple(variable for _, variable in self.headers)


Server = StdioServer | HttpServer


@dataclass(frozen=True, slots=True)
class Definition:
    """What a server says of one of its tools. All of it may reach a model, so all of it is approved or none."""

    name: str
    description: str
    input_schema: Mapping[str, Any] = field(hash=False)
    output_schema: Mapping[str, Any] | None = field(default=None, hash=False)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
        }

    @property
    def sha256(self) -> str:
        """The hash of all that it says, the same however its keys were ordered."""
        return sha256(_canonical(self.plain()).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def unfit(self) -> str | None:
        """Why no agent may be given this tool, whoever approves it; None if one may."""
        if not _TOOL_NAME.fullmatch(self.name):
            return "its name is not made of at most 64 letters, digits and _ . -"
        try:
            length = len(_canonical(self.plain()))
            schemas = list(_parts([self.input_schema, self.output_schema]))
        except (RecursionError, ValueError):
            return "its schemas are nested too deep"
        if length > DEFINITION_LIMIT:
            return f"its definition has {length:,} characters, and {DEFINITION_LIMIT:,} is the most"
        # A library that follows such a reference would fetch whatever the server names.
        if any(not str(part[key]).startswith("#") for part in schemas for key in _REFERENCES if key in part):
            return "its schemas refer to something outside of them"
        properties = self.input_schema.get("properties", {})
        if not isinstance(properties, dict) or not all(isinstance(each, dict) for each in properties.values()):
            return "its schema does not say what arguments it has"
        if taken := _TAKEN & properties.keys():
            return f"an argument cannot be called {min(taken)!r}"
        if not all(isinstance(self.input_schema.get(place, {}), dict) for place in ("$defs", "definitions")):
            return "its schema does not say what arguments it has"
        return None


def _canonical(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _parts(plain: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Every mapping in a schema. Raises `ValueError` where it is nested too deep."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(plain, dict):
        yield plain
    inner = plain.values() if isinstance(plain, dict) else plain if isinstance(plain, list) else ()
    for part in inner:
        yield from _parts(part, depth + 1)


# --- Arguments

_MOST_PARTS = 2_000
# A pattern of the server's may take forever here, and the server checks its arguments anyway.
_ONLY_THE_SERVERS = frozenset(
    {"pattern", "patternProperties", "format", "$schema", "$id", "$defs", "definitions", "$dynamicRef", "$recursiveRef"}
)


def arguments_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of each argument, with references written out as far as that is short: one may name itself, or double
    each time. What could make checking an argument slow is left out."""
    known = {
        f"#/{place}/{name}": each for place in ("$defs", "definitions") for name, each in schema.get(place, {}).items()
    }
    left = _MOST_PARTS

    def plain(part: Any, within: tuple[str, ...] = ()) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            return {}
        if isinstance(part, list):
            return [plain(each, within) for each in part]
        if not isinstance(part, dict):
            return part
        name = part.get("$ref")
        if isinstance(name, str):
            return {} if name in within else plain(known.get(name, {}), (*within, name))
        return {
            key: {name: plain(each, within) for name, each in value.items()}
            if key == "properties" and isinstance(value, dict)
            else plain(value, within)
            for key, value in part.items()
            if key not in _ONLY_THE_SERVERS
        }

    return {name: plain(each) for name, each in schema.get("properties", {}).items()}


# --- Answers


@dataclass(frozen=True, slots=True)
class Said:
    """What a tool gave: its texts, and what else there was, by kind. `error` is the tool's own word that it failed."""

    text: str = field(repr=False)
    left_out: tuple[str, ...] = ()
    error: bool = False


class ServerGone(Exception):
    """The connection ended: the server crashed, was killed, or hung up."""


class ServerGarbled(Exception):
    """The server answered with something that the protocol does not have, or that is not read. The message says what,
    behind the server's name; without one it is a form that nobody knows."""


class ServerRefused(Exception):
    """The server answered a request with an error. What it wrote is for nobody: it may be anything."""


# --- Approval

State = Literal["approved", "new", "changed", "unfit", "gone"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One tool, and whether an agent may have it. `sentence` says why not; `before` is what was approved."""

    definition: Definition
    state: State
    sentence: str = ""
    before: Definition | None = None


def judged(listed: tuple[Definition, ...], approved: Mapping[str, Definition]) -> tuple[Judged, ...]:
    """Every tool that a server lists, and every approved one that it does not list any more."""
    alike = Counter(each.name.casefold() for each in listed)
    there = {each.name for each in listed}
    found = [_judged(each, approved.get(each.name), alike[each.name.casefold()] > 1) for each in listed]
    return (*found, *(_gone(each) for name, each in approved.items() if name not in there))


def judged_now(listed: tuple[Definition, ...], approved: Definition) -> Judged:
    """One approved tool against what a server lists: the others are not looked into."""
    name = approved.name.casefold()
    alike = [each for each in listed if each.name.casefold() == name]
    now = next((each for each in alike if each.name == approved.name), None)
    return _gone(approved) if now is None else _judged(now, approved, len(alike) > 1)


def _gone(approved: Definition) -> Judged:
    return Judged(approved, "gone", "the server does not have it any more", approved)


def _judged(definition: Definition, before: Definition | None, alike: bool) -> Judged:
    if alike:
        return Judged(definition, "unfit", "the server lists more than one tool of that name", before)
    if definition.unfit is not None:
        return Judged(definition, "unfit", definition.unfit, before)
    if before is None:
        return Judged(definition, "new", "it was not approved")
    if before.sha256 != definition.sha256:
        return Judged(definition, "changed", "its definition is not the one that was approved", before)
    return Judged(definition, "approved", "", before)
