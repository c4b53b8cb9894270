"""Chat completions that are one plain text, read at once; everything else is for DSPy's provider adapter to read."""

from dataclasses import dataclass
from typing import Any

import orjson

from teams.transport import Arrived


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    """A whole answer of text and what it consumed; None is what the server did not say."""

    text: str
    input_tokens: int | None
    output_tokens: int | None


# Whatever of these a message has, it is more than its text.
_BESIDE_TEXT = ("reasoning_content", "reasoning", "refusal", "tool_calls")


def plain_answer(arrived: Arrived) -> PlainAnswer | None:
    """The answer of OpenAI's chat completions, or None where there is anything in the reply but one finished text."""
    if arrived.status != 200:
        return None
    try:
        reply = orjson.loads(arrived.body)
        (choice,) = reply["choices"]
        message = choice["message"]
        text = message["content"]
        usage = reply.get("usage") or {}
        whole = choice.get("finish_reason") == "stop" and not choice.get("logprobs") and not reply.get("error")
        counted = all(map(_is_count, _counts(usage)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not whole or not counted or type(text) is not str or not text or any(message.get(name) for name in _BESIDE_TEXT):
        return None
    return PlainAnswer(text, usage.get("prompt_tokens"), usage.get("completion_tokens"))


def _counts(usage: dict[str, Any]) -> list[Any]:
    asked, answered = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    details = (
        asked.get("cached_tokens"),
        asked.get("cache_write_tokens"),
        asked.get("audio_tokens"),
        answered.get("reasoning_tokens"),
        answered.get("audio_tokens"),
    )
    return [usage.get("prompt_tokens"), usage.get("completion_tokens"), usage.get("total_tokens"), *details]


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 0)
