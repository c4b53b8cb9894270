"""Questions in DSPy's chat format and their answers: as DSPy's adapter has them, at a fraction of its cost.

What is the same for all questions of a signature is written once, by DSPy. Most of the time that its adapter takes goes
into writing it again for every call, and into building a validator for every field.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dspy
import orjson
from dspy.adapters.chat_adapter import field_header_pattern

Reader = Callable[[str], Any]
"""A field's text to its value. Raises `ValueError` for text that DSPy has to make sense of."""

MARKS = "<<CUSTOM-TYPE-"
"""Begins the marks that DSPy's own types (`dspy.Image`) leave in a text, to be taken apart when it is sent."""

LARGEST_WHOLE = 2**53
"""Up to here every whole number is a float."""

CHAT = dspy.ChatAdapter(use_json_adapter_fallback=False)
"""One request per call: DSPy's default asks, and pays, a second time for an answer it cannot read."""


@dataclass(frozen=True, slots=True)
class Template:
    """What all questions of one signature have in common. `readers` is empty where an output needs DSPy to read it."""

    signature: Any
    system: str
    headers: dict[str, str]
    ending: str
    readers: dict[str, Reader]

    def user(self, inputs: dict[str, Any]) -> str | None:
        """The user's message, or None where these are not exactly the inputs of the signature, each of them a text."""
        parts = [""]
        for name, header in self.headers.items():
            value = inputs.get(name)
            if type(value) is not str:
                return None
            parts.append(header + value)
        parts += (self.ending, "")
        text = "\n\n".join(parts).strip()
        return text if len(inputs) == len(self.headers) and MARKS not in text else None

    def fields(self, answer: str) -> dict[str, Any]:
        """The outputs in an answer. Raises `AdapterParseError`."""
        found = _read(self.readers, answer) if self.readers else None
        fields: dict[str, Any] = CHAT.parse(self.signature, answer) if found is None else found
        return fields


def template_of(signature: Any) -> Template | None:
    """The template of a signature; None where DSPy has to format the question: with types of its own among the fields.

    A signature whose fields are changed in place after its first use keeps its template; DSPy makes a new one instead.
    """
    # DSPy lets the instructions be set on a signature that was used before.
    return _template(signature, signature.__doc__)


# There are as many as signatures, times the combinations of absent inputs.
@lru_cache(maxsize=256)
def _template(signature: Any, instructions: str) -> Template | None:
    inputs, outputs = signature.input_fields, signature.output_fields
    if any(_is_special(field) for field in (*inputs.values(), *outputs.values())):
        return None
    readers = {name: _reader(field.annotation) for name, field in outputs.items()}
    return Template(
        signature,
        CHAT.format_system_message(signature),
        {name: f"[[ ## {name} ## ]]\n" for name in inputs},
        CHAT.user_message_output_requirements(signature),
        {name: read for name, read in readers.items() if read is not None} if all(readers.values()) else {},
    )


def _is_special(field: Any) -> bool:
    """Whether DSPy treats a field of this type apart, or would: `dspy.History`, `dspy.Tool`, `dspy.Image`, …"""
    types = dspy.Type.extract_custom_type_from_annotation(field.rebuild_annotation())
    return bool(types) or field.annotation is dspy.History or any(isinstance(mark, type) for mark in field.metadata)


def _read(readers: dict[str, Reader], answer: str) -> dict[str, Any] | None:
    """The fields of an answer that is in order, or None."""
    lines: list[str] = []
    sections: dict[str, list[str]] = {}
    for line in answer.splitlines():
        # DSPy's own pattern and cut, asked only where a header can be.
        header = field_header_pattern.match(line.strip()) if "[[ ## " in line else None
        if header is None:
            lines.append(line)
            continue
        rest = line[header.end() :].strip()
        lines = [rest] if rest else []
        sections.setdefault(header[1], lines)
    try:
        return {name: read("\n".join(sections[name]).strip()) for name, read in readers.items()}
    except (KeyError, ValueError):
        return None


def _strings(text: str) -> list[str]:
    value = orjson.loads(text)
    if type(value) is not list or not all(type(item) is str for item in value):
        raise ValueError("no list of strings")
    return value


def _number(text: str) -> float:
    value = orjson.loads(text)
    if type(value) is float or (type(value) is int and abs(value) < LARGEST_WHOLE):
        return float(value)
    raise ValueError("no number")


def _reader(annotation: Any) -> Reader | None:
    if annotation is str:
        return str
    if annotation is float:
        return _number
    return _strings if annotation == list[str] else None
