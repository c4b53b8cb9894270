"""The form for a question, as one of Slack's modals, and what comes back from it. What comes back is hostile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.markdown import fitting, size
from adapters.port import AskForm
from adapters.safety import visible
from adapters.slack.text import plain

CALLBACK = "panelist.ask"

INPUT = 3_000
"""Characters of a text input (Slack's page "Plain-text input element")."""
OPTIONS, OPTION_TEXT, OPTION_VALUE = 100, 75, 150
"""Choices of a menu, and the characters of each (Slack's pages "Select menu element" and "Option object")."""
FILES = 10
"""Files of one input (Slack's page "File input element")."""
FILE_TYPES = ("txt", "md", "pdf", "docx", "pptx", "xlsx", "csv", "html")

_VALUE = "value"
"""The action id of every input: the block id tells them apart."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a form was filled in with. `panel` is empty where none was chosen; `files` are Slack's own descriptions."""

    topic: str
    panel: str = ""
    documents: str = ""
    files: tuple[dict[str, Any], ...] = ()
    profile: str = ""
    pillars: str = ""
    remember: bool = False


def ask_view(form: AskForm, metadata: str) -> dict[str, Any]:
    """The modal for `views.open`; `metadata` comes back as it is (at most 3,000 characters, Slack's page "Views")."""
    menu = _menu(form)
    remember = {"text": _text("Remember profile and pillars for this channel"), "value": "remember"}
    files = {"type": "file_input", "filetypes": [*FILE_TYPES], "max_files": FILES}
    profile = _typed(form.profile, multiline=True)
    blocks = [
        _input("topic", "Topic", _typed(form.topic, multiline=True)),
        *([_input("panel", "Panel", menu)] if menu else []),
        _input("documents", "Documents, pasted", _typed(form.documents, multiline=True), optional=True),
        _input("files", "Files", files, optional=True),
        _input("profile", "Who is asking: organisation, brand, product", profile, optional=True),
        _input("pillars", "Pillars: what every answer should serve", _typed(form.pillars), optional=True),
        _input("remember", "For next time", {"type": "checkboxes", "options": [remember]}, optional=True),
    ]
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "title": _text("Ask a panel"),
        "submit": _text("Ask"),
        "close": _text("Cancel"),
        "private_metadata": metadata,
        "blocks": blocks,
    }


def submission_of(view: dict[str, Any]) -> Submission | None:
    """What a submitted view holds; None where it is not this form or holds no topic."""
    topic = _entered(view, "topic")
    if not topic.strip():
        return None
    return Submission(
        topic,
        _string(_at(view, "panel", "selected_option", "value")),
        _entered(view, "documents"),
        _objects(_at(view, "files", "files"))[:FILES],
        _entered(view, "profile"),
        _entered(view, "pillars"),
        any(each.get("value") == "remember" for each in _objects(_at(view, "remember", "selected_options"))),
    )


def _menu(form: AskForm) -> dict[str, Any] | None:
    """The panels to choose from; none where there are no panels to name."""
    named = {name: title for name, title in form.panels if 0 < len(name) <= OPTION_VALUE}
    options = [
        {"text": _text(fitting(title or name, OPTION_TEXT, plain) or "…"), "value": name}
        for name, title in list(named.items())[:OPTIONS]
    ]
    if not options:
        return None
    chosen = next((option for option in options if option["value"] == form.panel), None)
    return {"type": "static_select", "options": options} | ({"initial_option": chosen} if chosen else {})


def _typed(initial: str, *, multiline: bool = False) -> dict[str, Any]:
    element: dict[str, Any] = {"type": "plain_text_input", "multiline": multiline, "max_length": INPUT}
    shown = visible(initial)
    return element | ({"initial_value": shown} if 0 < size(shown) <= INPUT else {})


def _input(block: str, label: str, element: dict[str, Any], *, optional: bool = False) -> dict[str, Any]:
    return {
        "type": "input",
        "block_id": block,
        "label": _text(label),
        "element": element | {"action_id": _VALUE},
        "optional": optional,
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def _at(view: object, block: str, *path: str) -> object:
    """What stands in the view's state under a block and the names that follow; None where anything is missing."""
    value = view
    for name in ("state", "values", block, _VALUE, *path):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _entered(view: object, block: str) -> str:
    return _string(_at(view, block, "value"))


def _objects(listed: object) -> tuple[dict[str, Any], ...]:
    return tuple(each for each in listed if isinstance(each, dict)) if isinstance(listed, list) else ()
