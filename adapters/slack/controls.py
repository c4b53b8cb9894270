"""Buttons: what a press carries, and the command that a press means. The payload is hostile until it is read here.

Whether the presser may do it, and whether there is such a run, is for whoever knows the runs.
"""

import json
import re
from typing import Any, Literal

from adapters.port import Control, Subject

STOP, RETRY, RATE, FORM = "panelist.stop", "panelist.retry", "panelist.rate", "panelist.form"
RATE_UP, RATE_DOWN = "panelist.rate.up", "panelist.rate.down"

VALUE = 2_000
"""Characters of a button's `value` (Slack's pages "Button element" and "Feedback buttons element")."""

_RUN = re.compile(r"[!-~]{1,200}")
_PART = re.compile(r"[^\s\x00-\x20\x7f\ud800-\udfff]{0,200}")
_CHOICES = {RATE: ("up", "down"), RATE_UP: ("up",), RATE_DOWN: ("down",)}


def value_of(subject: Subject, choice: str = "") -> str:
    """What a button about `subject` carries, as compact JSON. ValueError where that is over Slack's limit."""
    said = {"run": subject.run, "part": subject.part, "choice": choice}
    value = json.dumps({name: text for name, text in said.items() if text}, ensure_ascii=False, separators=(",", ":"))
    if len(value) > VALUE:
        raise ValueError(f"a button's value takes {VALUE} characters, not {len(value)}: run {subject.run[:40]}…")
    return value


def command_of(action: dict[str, Any]) -> tuple[str, str] | None:
    """The command and the run, if it is about one, of one `action` of a block_actions payload; None where it is none of
    ours or damaged."""
    name = action.get("action_id") if isinstance(action, dict) else None
    if name == FORM:
        return "/panel", ""
    said = _said(action.get("value")) if isinstance(name, str) else None
    if said is None:
        return None
    run, part, choice = said
    match name:
        case "panelist.stop" if not choice:
            return "/panel stop", run
        case "panelist.retry" if not choice:
            return "/panel retry", run
        case "panelist.rate" | "panelist.rate.up" | "panelist.rate.down" if choice in _CHOICES[name]:
            return f"/panel rate {choice} {part}".rstrip(), run
        case _:
            return None


def control_blocks(
    controls: tuple[Control, ...], subject: Subject | None, style: Literal["rich", "plain"]
) -> tuple[dict[str, Any], ...]:
    """The buttons under a post, for the end of its blocks; none of those whose press could not say what it is about."""
    blocks: list[dict[str, Any]] = []
    buttons: list[dict[str, Any]] = []
    for control in dict.fromkeys(controls):
        if control == "form":
            buttons.append(_button("More options", FORM))
            continue
        if subject is None or not _RUN.fullmatch(subject.run) or not _PART.fullmatch(subject.part):
            continue
        match control:
            case "stop":
                buttons.append(_button("Stop", STOP, value_of(subject)) | {"style": "danger"})
            case "retry":
                buttons.append(_button("Retry failed", RETRY, value_of(subject)))
            case "rate" if style == "rich":
                blocks.append({"type": "context_actions", "elements": [_feedback(subject)]})
            case "rate":
                buttons.append(_button("👍", RATE_UP, value_of(subject, "up")))
                buttons.append(_button("👎", RATE_DOWN, value_of(subject, "down")))
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    return tuple(blocks)


def _said(value: object) -> tuple[str, str, str] | None:
    """The run, part and choice that a button carried."""
    if not isinstance(value, str) or len(value) > VALUE:
        return None
    try:
        said = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not said.keys() <= {"run", "part", "choice"}:
        return None
    run, part, choice = said.get("run"), said.get("part", ""), said.get("choice", "")
    if not isinstance(run, str) or not isinstance(part, str) or not isinstance(choice, str):
        return None
    return (run, part, choice) if _RUN.fullmatch(run) and _PART.fullmatch(part) else None


def _button(text: str, action: str, value: str = "") -> dict[str, Any]:
    button = {"type": "button", "text": {"type": "plain_text", "text": text}, "action_id": action}
    return button | ({"value": value} if value else {})


def _feedback(subject: Subject) -> dict[str, Any]:
    return {
        "type": "feedback_buttons",
        "action_id": RATE,
        "positive_button": _opinion("Good answer", value_of(subject, "up")),
        "negative_button": _opinion("Bad answer", value_of(subject, "down")),
    }


def _opinion(text: str, value: str) -> dict[str, Any]:
    return {"text": {"type": "plain_text", "text": text}, "value": value, "accessibility_label": text}
