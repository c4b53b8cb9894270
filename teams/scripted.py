"""Experts from a script: a `dspy.LM` without any model, for tests and rehearsals."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dspy
from dspy import lm15

from teams.usage import current_meter

_FIELD = re.compile(r"^\[\[ ## (\w+) ## \]\]$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One call as the model sees it: the input fields of the last message by name, and all of its text."""

    fields: Mapping[str, str]
    text: str = field(repr=False)

    @property
    def perspective(self) -> str:
        """The expert asked, or the empty string when it is another task."""
        return self.fields.get("expert_perspective", "")


Reply = Mapping[str, Any] | str
"""Output fields by name, written as DSPy's chat format; or the raw text of an answer."""

Script = Callable[[Prompt], Awaitable[Reply]]
"""What the scripted model does with a prompt. It raises `dspy.lm15` errors for a provider's, and may wait."""


class ScriptedEngine:
    """An async engine that plays a script, and remembers what it was asked and how much at once."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Prompt] = []
        self.cancelled: list[Prompt] = []
        self.in_flight = 0
        self.most_in_flight = 0

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """One call: the script's reply to the prompt of `request`."""
        prompt = _prompt(request)
        self.asked.append(prompt)
        meter = current_meter()
        meter.sent(request.model)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            reply = await self.script(prompt)
        except asyncio.CancelledError:
            self.cancelled.append(prompt)
            raise
        finally:
            self.in_flight -= 1
        text = reply if isinstance(reply, str) else chat_text(reply)
        message = lm15.Message.assistant(text or " ")
        usage = lm15.Usage(input_tokens=len(prompt.text) // 4, output_tokens=len(text) // 4)
        meter.told(usage.input_tokens, usage.output_tokens)
        return lm15.Response(id=None, model=request.model, message=message, finish_reason="stop", usage=usage)


class _NoBlockingCalls:
    """The sync half of the engine pair: scripts are async."""

    def __init__(self, scripted: ScriptedEngine) -> None:
        self.scripted = scripted

    def complete(self, request: lm15.Request) -> lm15.Response:
        raise lm15.UnsupportedFeatureError("a scripted model answers async calls only", feature="sync")


def scripted_lm(script: Script, model: str = "scripted/flash") -> dspy.LM:
    """A `dspy.LM` that plays `script`; `played(lm)` is its engine."""
    engine = ScriptedEngine(script)
    return dspy.LM(model, engine=_NoBlockingCalls(engine), async_engine=engine, cache=False, num_retries=0)


def played(lm: dspy.LM) -> ScriptedEngine:
    """The engine of a scripted model, with what it was asked."""
    engine: ScriptedEngine = lm.engine.scripted
    return engine


def chat_text(fields: Mapping[str, Any]) -> str:
    """Output fields as DSPy's chat format writes them."""
    import json

    parts = (
        f"[[ ## {name} ## ]]\n{value if isinstance(value, str) else json.dumps(value)}"
        for name, value in fields.items()
    )
    return "\n\n".join([*parts, "[[ ## completed ## ]]"])


def expert_reply(headline: str, confidence: float = 0.7, **fields: Any) -> dict[str, Any]:
    """A whole expert's answer around its headline."""
    return {
        "reasoning": "Thought through.",
        "headline": headline,
        "analysis": f"The case: {headline}",
        "key_points": ["first point", "second point"],
        "recommendation": "Try it for six weeks.",
        "confidence": confidence,
    } | fields


def synthesis_reply(summary: str, **fields: Any) -> dict[str, Any]:
    """A whole synthesis around its summary."""
    return {
        "reasoning": "Weighed.",
        "summary": summary,
        "recommendation": "Start small.",
        "agreements": ["it costs little to try"],
        "disagreements": [],
    } | fields


def _prompt(request: lm15.Request) -> Prompt:
    texts = ["".join(part.text for part in message.parts if hasattr(part, "text")) for message in request.messages]
    system = request.system if isinstance(request.system, str) else str(request.system or "")
    parts = _FIELD.split(texts[-1] if texts else "")
    # DSPy ends its last message with what the answer has to look like; it stands behind the last field.
    fields = {
        name: value.split("\n\nRespond with")[0].strip() for name, value in zip(parts[1::2], parts[2::2], strict=True)
    }
    return Prompt(fields, "\n".join([system, *texts]))
