"""The documents say what the code does: every name in them exists, and every name that users meet is in them."""

import ast
import json
import re
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from teams.events import RunEvent, event_to_json
from teams.model import FailureKind
from teams.wire import load

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EVENTS = {kind.__name__: kind for kind in typing.get_args(RunEvent)}
MODULES = sorted(path for package in ("bot", "teams", "adapters") for path in (ROOT / package).rglob("*.py"))

UNWANTED = (
    *("/tmp/", "/home/", "/root/", "/Users/", "C:\\"),  # paths of somebody's machine
    *("TODO", "TBD", "FIXME", "lorem ipsum"),
    *("blazing", "seamless", "cutting-edge", "state-of-the-art", "effortless", "revolutionary"),
)


def read(name: str) -> str:
    return (DOCS / name).read_text()


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {heading}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no heading {heading!r}"
    return found[1]


def fields_in_tables(text: str) -> set[str]:
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def parts_of(kind: object) -> set[type]:
    """The dataclasses among the types of a dataclass's fields, however deep."""
    found = set()
    for hint in typing.get_type_hints(kind).values():
        for each in (hint, *typing.get_args(hint)):
            if is_dataclass(each):
                found |= {each} | parts_of(each)
    return found


def examples(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("{")]


def module_name(path: Path) -> str:
    """A module as the documents name it: its path, or the folder for a package's own file."""
    return (path.parent if path.name == "__init__.py" else path).relative_to(ROOT).as_posix()


def defined_tests() -> set[str]:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_documented_with_all_its_fields_and_no_other(name):
    named = fields_in_tables(section(read("events.md"), name))
    of_parts = {each.name for part in parts_of(EVENTS[name]) for each in fields(part)}
    own = {each.name for each in fields(EVENTS[name])}

    assert own - {"at"} <= named
    assert named <= own | of_parts
    assert fields_in_tables(read("events.md")) >= {"event", "at"}


@pytest.mark.parametrize("part", sorted(set().union(*map(parts_of, EVENTS.values())), key=lambda part: part.__name__))
def test_every_value_inside_an_event_is_documented_with_all_its_fields(part):
    holders = [section(read("events.md"), name) for name, kind in EVENTS.items() if part in parts_of(kind)]
    names = [each.name for each in fields(part)]

    assert any(all(re.search(rf"\b{name}\b", text) for name in names) for text in holders)


@pytest.mark.parametrize("name", EVENTS)
def test_every_example_is_the_event_it_stands_under(name):
    (line,) = examples(section(read("events.md"), name))
    plain = json.loads(line)

    event = load(EVENTS[name], {key: value for key, value in plain.items() if key != "event"})

    assert event_to_json(event) == plain
    assert list(plain) == ["event", *(each.name for each in fields(EVENTS[name]))]


def test_no_example_stands_elsewhere():
    assert len(examples(read("events.md"))) == len(EVENTS)


def test_the_failure_kinds_are_documented_all_and_no_other():
    kinds = {kind.value for kind in FailureKind}

    assert fields_in_tables(section(read("events.md"), "Failure kinds")) == kinds
    assert kinds <= set(re.findall(r"`(\w+)`", section(read("design.md"), "Words")))


def test_every_test_named_in_a_document_exists():
    named = {test for path in DOCS.glob("*.md") for test in re.findall(r"`(test_\w+)`", path.read_text())}

    assert len(named) > 40
    assert named <= defined_tests()


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_every_module_is_named_in_the_design(path):
    assert re.search(rf"`{re.escape(module_name(path))}/?`", read("design.md"))


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_every_file_named_in_a_document_exists(path):
    named = re.findall(r"`((?:bot|teams|adapters|tests)/[\w/]*(?:\.\w+)?)`", path.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.name)
def test_no_document_says_what_belongs_to_a_machine_or_to_an_advertisement(path):
    text = path.read_text().lower()

    assert [word for word in UNWANTED if word.lower() in text] == []
