"""What people see of a message: its words, and what in it would alert somebody or open a page. Pure."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
Dialect = Literal["plain", "mrkdwn", "verbatim", "markdown", "live"]

MENTION = re.compile(r"<(?:![a-z]+(?:\^[A-Z0-9]+)?|[@#][A-Z0-9]+)(?:\|[^<>]*)?>")
ANGLE_LINK = re.compile(r"<((?:[a-z][a-z0-9+.-]*://|mailto:|tel:|www\.)[^<>|\s]*)(?:\|[^<>]*)?>", re.IGNORECASE)
LABELLED_LINK = re.compile(r"(?<!\\)!?\[[^\]\n]*\]\(\s*<?([^\s)>]+)")
REFERENCE_LINK = re.compile(r"^ {0,3}\[[^\]\n]+\]:\s*<?([^\s>]+)", re.MULTILINE)
BARE_LINK = re.compile(r"(?<!\w)(?:[a-z][a-z0-9+.-]*://|www\.)[^\s<>|`]+", re.IGNORECASE)
CODE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)|(`+)(?!`).+?(?<!`)\2(?!`)", re.S | re.M)


@dataclass(frozen=True, slots=True)
class Words:
    """One text of a message. `live` words are not text but a mention or a link that was put there as such."""

    text: str
    dialect: Dialect


def of_text(value: Any) -> Iterator[Words]:
    """A text object, or a bare string where a block takes one."""
    if isinstance(value, str):
        yield Words(value, "plain")
    elif isinstance(value, dict):
        if value.get("type") == "mrkdwn":
            yield Words(value.get("text", ""), "verbatim" if value.get("verbatim") else "mrkdwn")
        elif value.get("type") == "rich_text":
            yield from of_rich_text(value)
        else:
            yield Words(str(value.get("text", "")), "plain")


def of_rich_text(block: Json) -> Iterator[Words]:
    for line in block.get("elements", ()):
        if line.get("type") == "rich_text_list":
            yield from of_rich_text(line)
        elif any("text" not in part for part in line["elements"]):
            yield from (of_rich_part(part) for part in line["elements"])
        else:
            yield Words("".join(part["text"] for part in line["elements"]), "plain")
            yield from (of_rich_part(part) for part in line["elements"] if part["type"] == "link")


def of_rich_part(part: Json) -> Words:
    match part["type"]:
        case "user":
            return Words(f"<@{part['user_id']}>", "live")
        case "channel":
            return Words(f"<#{part['channel_id']}>", "live")
        case "usergroup":
            return Words(f"<!subteam^{part['usergroup_id']}>", "live")
        case "broadcast":
            return Words(f"<!{part['range']}>", "live")
        case "link":
            return Words(f"<{part['url']}>", "live")
        case "emoji":
            return Words(f":{part['name']}:", "plain")
        case _:
            return Words(part["text"], "plain")


def of_block(block: Json) -> Iterator[Words]:
    match block["type"]:
        case "markdown":
            yield Words(block["text"], "markdown")
        case "rich_text":
            yield from of_rich_text(block)
        case "table":
            for row in block["rows"]:
                for cell in row:
                    yield from of_text(cell)
        case "context":
            for element in block["elements"]:
                if element["type"] != "image":
                    yield from of_text(element)
        case "plan":
            yield from of_text(block["title"])
            for task in block.get("tasks", ()):
                yield from of_block(task)
        case "carousel":
            for card in block["elements"]:
                yield from of_block(card)
        case "input":
            yield from of_text(block["label"])
            yield from of_text(block.get("hint"))
        case _:
            for key in ("rich_text_title", "title", "subtitle", "text", "body", "details", "output"):
                yield from of_text(block.get(key))
            for part in block.get("fields", ()):
                yield from of_text(part)
            for source in block.get("sources", ()):
                yield Words(source["text"], "plain")
                yield Words(f"<{source['url']}>", "live")
            for child in block.get("child_blocks", ()):
                yield from of_block(child)


def shown(message: Json) -> list[Words]:
    """What the message shows: its blocks, or its text where it has none."""
    blocks = message.get("blocks") or []
    if blocks:
        return [words for block in blocks for words in of_block(block)]
    dialect: Dialect = "plain" if message.get("mrkdwn") is False else "mrkdwn"
    return [Words(message.get("text", ""), dialect)]


def everywhere(message: Json) -> list[Words]:
    """What it shows, and the text beside the blocks, which notifications and screen readers take."""
    words = shown(message)
    if message.get("blocks") and message.get("text"):
        words.append(Words(message["text"], "mrkdwn"))
    return words


def plain(message: Json) -> str:
    """The text a person reads, blocks in order, a line each. Buttons are left out; marks of style stay.

    Slack writes `&amp;`, `&lt;` and `&gt;` for three characters and shows the characters, in plain text too.
    """
    lines = (words.text for words in shown(message) if words.dialect != "live")
    return "\n".join(unescaped(line) for line in lines if line)


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def live_mentions(message: Json) -> list[str]:
    """What would alert somebody or name a person, group or channel. Code marks do not protect: Slack reads these
    before it reads marks."""
    found: list[str] = []
    for words in everywhere(message):
        if words.dialect != "plain":
            found += MENTION.findall(words.text)
    return found


def live_links(message: Json) -> list[str]:
    """Every address that Slack would make a link of or fetch a preview for, here without a sentence's last mark."""
    found: list[str] = []
    for words in everywhere(message):
        found += links(words)
    return found


def links(words: Words) -> list[str]:
    if words.dialect == "plain":
        return []
    text = CODE.sub(" ", words.text) if words.dialect == "markdown" else words.text
    found = ANGLE_LINK.findall(text)
    text = ANGLE_LINK.sub(" ", text)
    if words.dialect == "markdown":
        # An address may be written in entities; Markdown reads them.
        found += [html.unescape(link) for link in LABELLED_LINK.findall(text) + REFERENCE_LINK.findall(text)]
        text = REFERENCE_LINK.sub(" ", LABELLED_LINK.sub(" ", text))
    if words.dialect in ("markdown", "mrkdwn"):
        found += [link.rstrip(".,:;!?") for link in BARE_LINK.findall(CODE.sub(" ", text))]
    return found
