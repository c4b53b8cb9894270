"""The form for a question, as one of Discord's modals, and what comes back from it. What comes back is hostile.

A modal takes five inputs. One about a message shows that message in the place of the file input, for Discord does not
hand out a message's text a second time. What it carries stands in its id, so that it can be sent off after a restart of
the bot too.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import discord

from adapters.port import AskForm, Attachment, Invocation
from adapters.safety import one_line, visible

INPUT = 4_000
"""Characters of a text input (Discord's page "Component Reference")."""
OPTIONS, OPTION_TEXT = 25, 100
"""Choices of a menu, and the characters of each text (Discord's page "Component Reference")."""
DESCRIPTION = 100
"""Characters below a label (the same page)."""
FILES = 10
"""Files of one input (the same page)."""

ASK_ID = re.compile(r"panelist:ask:(?P<private>[p-])(?::(?P<message>\d{1,20}):(?P<files>\d{1,2}))?")

_MESSAGE = re.compile(r'\{"message": "(\d{1,20})"\}')


@dataclass(frozen=True, slots=True)
class Carried:
    """What a form carries in its id: whether its answers are for one person alone, and which message it is about, with
    the number of its files."""

    private: bool = False
    message: str = ""
    files: int = 0


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was put into a form."""

    filename: str
    url: str
    size: int
    content_type: str


@dataclass(frozen=True, slots=True)
class Submission:
    """What a form was filled in with. `panel` is empty where none was chosen."""

    topic: str
    panel: str = ""
    documents: str = ""
    files: tuple[Upload, ...] = ()
    profile: str = ""
    pillars: str = ""


def ask_id(carried: Carried) -> str:
    """The `custom_id` of a form."""
    about = f":{carried.message}:{carried.files}" if carried.message else ""
    return f"panelist:ask:{'p' if carried.private else '-'}{about}"


def carried_in(custom_id: str) -> Carried | None:
    """What a form carries; None for one that is not the bot's."""
    said = ASK_ID.fullmatch(custom_id)
    return None if said is None else Carried(said["private"] == "p", said["message"] or "", int(said["files"] or 0))


def about(message: int) -> str:
    """What the attachment that holds a message is known by."""
    return json.dumps({"message": str(message)})


def ask_view(form: AskForm, invocation: Invocation) -> discord.ui.Modal:
    """The modal. It is about a message where one came with the invocation."""
    message, quoted, files = _about(invocation.attachments)
    carried = Carried("/" in invocation.place.channel, message, len(files) if message else 0)
    modal = discord.ui.Modal(title="Ask a panel", custom_id=ask_id(carried))
    modal.add_item(_label("Topic", _typed("topic", form.topic, required=True)))
    menu = _menu(form)
    if menu is not None:
        what = "" if len(form.panels) <= OPTIONS else f"{OPTIONS} of {len(form.panels)}; /panel panel: knows them all"
        modal.add_item(_label("Panel", menu, what))
    if message:
        if len(visible(quoted)) <= INPUT:
            what = "Discord shows me no text in it: paste what matters" if not quoted else ""
        else:
            what = f"it is over {INPUT:,} characters: paste what matters"
        modal.add_item(_label("The message", _typed("documents", quoted), what))
    who, serve = "Who is asking: organisation, brand, product", "Pillars: what every answer should serve"
    modal.add_item(_label(who, _typed("profile", form.profile), _for_once("profile", form.profile)))
    modal.add_item(_label(serve, _typed("pillars", form.pillars), _for_once("pillars", form.pillars)))
    if not message:
        upload: discord.ui.FileUpload[Any]
        upload = discord.ui.FileUpload(custom_id="files", required=False, min_values=0, max_values=FILES)
        again = f"A form cannot take files over: attach {', '.join(files)} here again" if files else ""
        modal.add_item(_label("Documents", upload, again))
    # What is sent off is recognised by its id; the library would keep a modal that is not over until it ends.
    modal.stop()
    return modal


def submission_of(gesture: discord.Interaction[Any]) -> Submission | None:
    """What a submitted modal holds; None where it holds no topic."""
    data: Mapping[str, Any] = gesture.data if isinstance(gesture.data, Mapping) else {}
    filled = _filled(data.get("components"))
    topic = _string(filled.get("topic", {}).get("value"))
    if not topic.strip():
        return None
    panel = _strings(filled.get("panel", {}).get("values"))
    return Submission(
        topic,
        panel[0] if panel else "",
        _string(filled.get("documents", {}).get("value")),
        _uploaded(data, _strings(filled.get("files", {}).get("values"))),
        _string(filled.get("profile", {}).get("value")),
        _string(filled.get("pillars", {}).get("value")),
    )


def _about(attachments: tuple[Attachment, ...]) -> tuple[str, str, list[str]]:
    """The id and the text of the message that came with an invocation, and the names of the files."""
    message, text, files = "", "", []
    for each in attachments:
        found = _MESSAGE.fullmatch(each.ref)
        if found is None:
            files.append(each.name)
        else:
            message, text = found[1], each.text
    return message, text, files


def _for_once(name: str, kept: str) -> str:
    if len(visible(kept)) > INPUT:
        return "The text kept for this channel is too long to show here; yours replaces it for this panel"
    return f"For this panel; /panel settings {name} keeps it for this channel"


def _label(text: str, component: discord.ui.Item[Any], description: str = "") -> discord.ui.Label[Any]:
    return discord.ui.Label(text=text, component=component, description=_fitting(description, DESCRIPTION) or None)


def _typed(name: str, initial: str, *, required: bool = False) -> discord.ui.TextInput[Any]:
    shown = visible(initial)
    return discord.ui.TextInput(
        custom_id=name,
        style=discord.TextStyle.paragraph,
        required=required,
        max_length=INPUT,
        default=shown if 0 < len(shown) <= INPUT else None,
    )


def _menu(form: AskForm) -> discord.ui.Select[Any] | None:
    """The panels to choose from; the default one is always among them. None where there are no panels to name."""
    named = [(name, title) for name, title in form.panels if 0 < len(name) <= OPTION_TEXT]
    named.sort(key=lambda each: each[0] != form.panel)
    options = [
        discord.SelectOption(label=_fitting(title or name, OPTION_TEXT) or "…", value=name, default=name == form.panel)
        for name, title in named[:OPTIONS]
    ]
    return discord.ui.Select(custom_id="panel", options=options, required=False, min_values=0) if options else None


def _fitting(text: str, limit: int) -> str:
    line = one_line(text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _filled(components: object) -> dict[str, Mapping[str, Any]]:
    """The inputs by their ids, out of the labels and rows that hold them."""
    found: dict[str, Mapping[str, Any]] = {}
    for each in components if isinstance(components, list) else []:
        if not isinstance(each, Mapping):
            continue
        held = each.get("components")
        inner = [each.get("component"), *(held if isinstance(held, list) else [])]
        found |= {
            component["custom_id"]: component
            for component in inner
            if isinstance(component, Mapping) and isinstance(component.get("custom_id"), str)
        }
    return found


def _uploaded(data: Mapping[str, Any], ids: tuple[str, ...]) -> tuple[Upload, ...]:
    resolved = data.get("resolved")
    described = resolved.get("attachments") if isinstance(resolved, Mapping) else None
    if not isinstance(described, Mapping):
        return ()
    files = [described[each] for each in ids if isinstance(described.get(each), Mapping)]
    return tuple(
        Upload(
            _string(file.get("filename")) or "file",
            _string(file.get("url")),
            file["size"] if isinstance(file.get("size"), int) else 0,
            _string(file.get("content_type")),
        )
        for file in files
    )


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _strings(values: object) -> tuple[str, ...]:
    return tuple(each for each in values if isinstance(each, str)) if isinstance(values, list) else ()
