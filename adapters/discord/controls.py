"""Buttons: what a press carries in its `custom_id`, and the command that a press means. Pure; an id is hostile until it
is read here.

Whether the presser may do it, and whether there is such a run, is for whoever knows the runs.
"""

import re
from dataclasses import dataclass
from typing import Literal

from adapters.port import Control, Subject

CUSTOM_ID = 100
"""Characters of a component's `custom_id` (Discord's page "Component Reference")."""

PREFIX = "panelist:"
FORM = f"{PREFIX}form"
FORM_ALONE = f"{FORM}:p"
"""The form of somebody who asked to be answered alone."""

_RUN = r"[!-9;-~]{1,64}"
_PART = r"expert/[a-z0-9_]{1,40}|synthesis"

CONTROL_ID = re.compile(
    rf"{PREFIX}(?:(?P<form>form(?::p)?)|(?P<verb>stop|retry):(?P<run>{_RUN})"
    rf"|(?P<verdict>up|down):(?P<rated>{_RUN})(?::(?P<part>{_PART}))?)"
)
"""Every `custom_id` of a button of ours, whole."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button under a message."""

    label: str
    custom_id: str
    style: Literal["grey", "red", "blurple"] = "grey"


def buttons_of(controls: tuple[Control, ...], subject: Subject | None, *, alone: bool = False) -> tuple[Button, ...]:
    """The buttons for `controls`; none of those whose press could not say what it is about. `alone`: what their presses
    ask for is for the presser alone."""
    buttons: list[Button] = []
    run = "" if subject is None else subject.run
    part = f":{subject.part}" if subject is not None and subject.part else ""
    for control in dict.fromkeys(controls):
        match control:
            case "form":
                buttons.append(Button("More options", FORM_ALONE if alone else FORM))
            case "stop":
                buttons.append(Button("Stop", f"{PREFIX}stop:{run}", "red"))
            case "retry":
                buttons.append(Button("Retry failed", f"{PREFIX}retry:{run}"))
            case "rate":
                buttons.append(Button("👍", f"{PREFIX}up:{run}{part}"))
                buttons.append(Button("👎", f"{PREFIX}down:{run}{part}"))
    return tuple(button for button in buttons if command_of(button.custom_id) is not None)


def command_of(custom_id: str) -> tuple[str, str] | None:
    """The command, and the run if it is about one; None where the id is none of ours or damaged."""
    said = CONTROL_ID.fullmatch(custom_id) if len(custom_id) <= CUSTOM_ID else None
    if said is None:
        return None
    if said["form"]:
        return "/panel", ""
    if said["verb"]:
        return f"/panel {said['verb']}", said["run"]
    return f"/panel rate {said['verdict']} {said['part'] or ''}".rstrip(), said["rated"]
