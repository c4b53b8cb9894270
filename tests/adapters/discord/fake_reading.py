"""What people see of a message: its words, buttons and files, and what in it would alert somebody or open a page."""

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

USER, ROLE, EVERYONE = re.compile(r"<@!?(\d+)>"), re.compile(r"<@&(\d+)>"), re.compile(r"@(everyone|here)")
CHIP = re.compile(r"<(?:@[!&]?|#)\d+>|<(?:id:\w+|/[\w -]+:\d+|t:-?\d+(?::\w)?|a?:\w+:\d+)>")
LABELLED = re.compile(r"(?<!\\)\[([^\]\n]*)\]\(\s*<?([^\s)>]+)[^)]*\)")
BARE = re.compile(r"(?<![\w\\])(?:https?|discord|steam)://[^\s<>`]+", re.IGNORECASE)
FENCE = re.compile(r"```(?:[^\s`]*\n)?.*?```", re.DOTALL)
INLINE = re.compile(r"(?<!\\)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
SMALL = re.compile(r"^-# ", re.MULTILINE)
TEXT_DISPLAY, BUTTON = 10, 2


def walked(components: list[Json]) -> Iterator[Json]:
    for one in components:
        yield one
        yield from walked(one.get("components") or [])


def texts(message: Json) -> list[str]:
    """Every text that Discord reads as Markdown, in order."""
    found = [message["content"]] if message.get("content") else []
    found += [one["content"] for one in walked(message.get("components") or []) if one["type"] == TEXT_DISPLAY]
    for embed in message.get("embeds") or ():
        found += [embed[key] for key in ("title", "description") if embed.get(key)]
        found += [part[key] for part in embed.get("fields") or () for key in ("name", "value")]
    return found


def parts(text: str) -> Iterator[tuple[str, bool]]:
    """The text in order, cut where code begins and ends; true for code."""
    at = 0
    for fence in FENCE.finditer(text):
        yield from inline_parts(text[at : fence.start()])
        yield fence[0], True
        at = fence.end()
    yield from inline_parts(text[at:])


def inline_parts(text: str) -> Iterator[tuple[str, bool]]:
    at = 0
    for code in INLINE.finditer(text):
        yield text[at : code.start()], False
        yield code[0], True
        at = code.end()
    yield text[at:], False


def plain(message: Json) -> str:
    """The text a person reads, a line for each text and button. What is escaped is shown bare; marks of style stay."""
    return "\n".join(unescaped(text) for text in texts(message))


def unescaped(text: str) -> str:
    return "".join(part if code else SMALL.sub("", ESCAPE.sub(r"\1", part)) for part, code in parts(text))


def buttons(message: Json) -> dict[str, str]:
    """The buttons that can be pressed: their custom_ids by label."""
    every = walked(message.get("components") or [])
    return {one.get("label", ""): one["custom_id"] for one in every if one["type"] == BUTTON and "custom_id" in one}


def alerts(found: list[str], allowed: Json | None, replied: str = "") -> list[str]:
    """Who is alerted: ids of people, `&` and ids of roles, everyone, here ("Allowed Mentions Object"). Code marks are
    taken not to protect."""
    text = "\n".join(found)
    users, roles, all_of_them = USER.findall(text), ROLE.findall(text), EVERYONE.findall(text)
    if allowed is None:
        return list(
            dict.fromkeys([*users, *(f"&{role}" for role in roles), *all_of_them, *([replied] if replied else [])])
        )
    parse = allowed.get("parse") or []
    named = {str(one) for one in allowed.get("users") or ()}, {str(one) for one in allowed.get("roles") or ()}
    alerted = [user for user in users if "users" in parse or user in named[0]]
    alerted += [f"&{role}" for role in roles if "roles" in parse or role in named[1]]
    alerted += all_of_them if "everyone" in parse else []
    alerted += [replied] if replied and allowed.get("replied_user") else []
    return list(dict.fromkeys(alerted))


def chips(message: Json) -> list[str]:
    """What is shown as a mention, channel, command, time or emoji and not as the text it was written as."""
    return [
        found[0]
        for text in texts(message)
        for part, code in parts(text)
        if not code
        for found in CHIP.finditer(part)
        if not part[: found.start()].endswith("\\")
    ]


def live_links(message: Json) -> list[str]:
    """Every address that can be pressed, here without a sentence's last mark."""
    found: list[str] = []
    for text in texts(message):
        for part, code in parts(text):
            if not code:
                found += [link for _, link in LABELLED.findall(part)]
                found += [link.rstrip(".,:;!?)") for link in BARE.findall(LABELLED.sub(" ", part))]
    return found
