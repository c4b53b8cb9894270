"""The content of a file to an invocation, or a sentence why not."""

import json
import os.path
from collections.abc import Iterable

from adapters.folder.names import plain
from adapters.port import Attachment, Invocation, Place
from adapters.safety import one_line

_FIELDS = ("text", "author", "channel", "key", "run", "attachments")


class NoInvocation(ValueError):
    """Why a file is no invocation, as a sentence."""


def invocation(name: str, content: bytes) -> Invocation:
    """What the file called `name` asks. Raises `NoInvocation` with a sentence."""
    stem, suffix = os.path.splitext(name)
    try:
        source = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NoInvocation("it is not UTF-8") from None
    fields: dict[str, object] = {"text": source, "author": "folder"}
    if suffix.lower() == ".json":
        fields = _object(source)
    _refuse_unknown(fields, _FIELDS)
    text = _text(fields, "text").strip()
    author = plain(_text(fields, "author").strip())
    if not text or not author:
        raise NoInvocation(f"its {'author' if text else 'text'} is empty")
    return Invocation(
        Place("folder", "local", plain(_text(fields, "channel", "") or "general")),
        author,
        text,
        plain(_text(fields, "key", "") or stem),
        "command",
        _attachments(fields.get("attachments", [])),
        _text(fields, "run", ""),
    )


def _object(source: str) -> dict[str, object]:
    try:
        fields = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise NoInvocation(f"it is not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise NoInvocation('it is not a JSON object such as {"text": "/panel …", "author": "ann"}')
    return fields


def _attachments(value: object) -> tuple[Attachment, ...]:
    if not isinstance(value, list):
        raise NoInvocation('"attachments" is not a list')
    return tuple(map(_attachment, value))


def _attachment(value: object) -> Attachment:
    if not isinstance(value, dict):
        raise NoInvocation('an attachment is not an object such as {"name": "notes.md", "text": "…"}')
    _refuse_unknown(value, ("name", "text"))
    name = _text(value, "name").replace("\\", "/").rpartition("/")[2].lstrip(".")
    return Attachment(plain(name) or "file", _text(value, "text"))


def _text(fields: dict[str, object], field: str, default: str | None = None) -> str:
    value = default if fields.get(field) is None else fields[field]
    if not isinstance(value, str):
        raise NoInvocation(f'"{field}" is missing' if value is None else f'"{field}" is not a text in quotes')
    return value.encode("utf-8", "replace").decode()  # JSON can hold half a character, which no encoding takes


def _refuse_unknown(fields: dict[str, object], known: Iterable[str]) -> None:
    for field in fields:
        if field not in known:
            raise NoInvocation(f'"{one_line(field)[:40]}" means nothing here; it may have {", ".join(known)}')
