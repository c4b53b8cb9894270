"""What Slack refuses in whole payloads: messages, streams, metadata and views. Pure, like the rules for blocks."""

import json
from dataclasses import dataclass
from typing import Any

from tests.adapters.slack.fake_blocks import (
    BLOCKS,
    IN_VIEWS,
    MOST_BLOCKS,
    MOST_MARKDOWN,
    MOST_VIEW_BLOCKS,
    TASK_STATES,
    URL_SOURCE,
    block_problems,
    block_text,
)
from tests.adapters.slack.fake_schema import (
    Json,
    Rule,
    anything,
    array,
    boolean,
    kinds,
    one_of,
    plain,
    problem,
    shape,
    string,
    walk,
)

MOST_BLOCK_TEXT = 13_200
"""Reported in slackapi/bolt-js#2509, documented nowhere."""
MOST_TEXT, MOST_UPDATED_TEXT = 40_000, 4_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer with `ok: false`. `problems` point into the payload, as Slack's `response_metadata.messages` do."""

    error: str
    problems: tuple[str, ...] = ()


def blocks_refusal(blocks: Any) -> Refusal | None:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return Refusal("invalid_blocks_format")
    # No blocks at all is the same as none given.
    if blocks and (wrong := block_problems(blocks)):
        return Refusal("invalid_blocks", tuple(wrong))
    if block_text(blocks) > MOST_BLOCK_TEXT:
        return Refusal("msg_blocks_too_long")
    return None


def metadata_refusal(metadata: Any) -> Refusal | None:
    """`event_payload` is flat: strings, numbers, booleans, or lists of them (message metadata's reference)."""
    flat = str | int | float | bool
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
        return Refusal("invalid_metadata_schema")
    kind, payload = metadata["event_type"], metadata["event_payload"]
    if not isinstance(kind, str) or not kind or not isinstance(payload, dict):
        return Refusal("invalid_metadata_schema")
    for value in payload.values():
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, flat):
                return Refusal("invalid_metadata_schema")
    # The documented size is that of the whole message's metadata.
    return Refusal("metadata_too_large") if len(json.dumps(metadata)) > 16_000 else None


def message_refusal(body: Json, *, most_text: int = MOST_TEXT) -> Refusal | None:
    """For chat.postMessage, chat.postEphemeral, chat.update and response_url posts alike."""
    words, blocks, markdown = body.get("text"), body.get("blocks"), body.get("markdown_text")
    if markdown and (words or blocks):
        return Refusal("markdown_text_conflict")
    if not ((words or "").strip() or blocks or (markdown or "").strip() or body.get("attachments")):
        return Refusal("no_text")
    if len(words or "") > most_text or len(markdown or "") > MOST_MARKDOWN:
        return Refusal("msg_too_long")
    refusal = blocks_refusal(blocks) if blocks is not None else None
    if refusal is None and body.get("metadata") is not None:
        refusal = metadata_refusal(body["metadata"])
    return refusal


CHUNKS: dict[str, Rule] = {
    "markdown_text": shape({"type": anything, "text": string(MOST_MARKDOWN)}, {}),
    "plan_update": shape({"type": anything, "title": string(3000)}, {}),
    "task_update": shape(
        {"type": anything, "id": string(255), "title": string(3000), "status": one_of(*TASK_STATES)},
        {"details": string(3000, 0), "output": string(3000, 0), "sources": array(URL_SOURCE, 100, 0)},
    ),
    "blocks": shape({"type": anything, "blocks": array(kinds(BLOCKS), MOST_BLOCKS)}, {}),
}


def stream_refusal(body: Json, *, needs_words: bool) -> Refusal | None:
    """For chat.startStream, chat.appendStream and chat.stopStream."""
    markdown, chunks = body.get("markdown_text"), body.get("chunks")
    if needs_words and not markdown and not chunks:
        return Refusal("no_text")
    if len(markdown or "") > MOST_MARKDOWN:
        return Refusal("msg_too_long")
    wrong = list(array(kinds(CHUNKS), 1000)(chunks, "/chunks")) if chunks is not None else []
    if wrong:
        return Refusal("invalid_chunks", tuple(wrong))
    held = [block for chunk in chunks or () if chunk["type"] == "blocks" for block in chunk["blocks"]]
    for blocks in (held, body.get("blocks") or []):
        if refusal := blocks_refusal(blocks):
            return refusal
    return metadata_refusal(body["metadata"]) if body.get("metadata") is not None else None


VIEW = shape(
    {"type": one_of("modal"), "title": plain(24), "blocks": anything},
    {
        "submit": plain(24),
        "close": plain(24),
        "private_metadata": string(3000, 0),
        "callback_id": string(255),
        "external_id": string(255),
        "clear_on_close": boolean,
        "notify_on_close": boolean,
        "submit_disabled": boolean,
    },
)


def view_refusal(view: Any) -> Refusal | None:
    """For views.open and views.update, which say `invalid_arguments` and not `invalid_blocks`."""
    wrong = list(VIEW(view, "/view"))
    if isinstance(view, dict):
        wrong += block_problems(view.get("blocks"), "/view/blocks", MOST_VIEW_BLOCKS, IN_VIEWS)
        if any(part.get("type") == "input" for part in walk(view.get("blocks"))) and "submit" not in view:
            wrong.append(problem("submit is needed with an input block", "/view"))
    return Refusal("invalid_arguments", tuple(wrong)) if wrong else None
