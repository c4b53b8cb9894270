"""Answers parsed: what a model gave, as the values of `teams/model.py`. Pure."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from teams.model import HEADLINE_LIMIT, Disagreement, ExpertResult, Position, Synthesis
from teams.steps import Json


def answer_fields(prediction: Any) -> Json:
    """A prediction's fields as plain JSON."""
    return {name: _plain(value) for name, value in prediction.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _sendable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return _plain(value.model_dump()) if hasattr(value, "model_dump") else value


def _sendable(text: str) -> str:
    # Half a surrogate pair, which JSON can spell, is no text: it could be neither sent on nor written anywhere.
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def expert_result(perspective: str, recorded: Json) -> ExpertResult:
    """The expert's answer out of its recorded step. A headline over the limit moves whole into the analysis."""
    fields = recorded["fields"]
    headline, overflow = _headline(_text(fields.get("headline")))
    return ExpertResult(
        perspective=perspective,
        headline=headline,
        analysis="\n\n".join(filter(None, [overflow, _text(fields.get("analysis"))])),
        key_points=tuple(filter(None, map(_text, fields.get("key_points") or []))),
        recommendation=_text(fields.get("recommendation")),
        confidence=clamped(fields.get("confidence")),
        model=recorded["model"],
        seconds=recorded["seconds"],
    )


def _text(value: Any) -> str:
    return _sendable(str(value)).strip() if value is not None else ""


def _headline(text: str) -> tuple[str, str]:
    line = " ".join(text.split())
    if len(line) <= HEADLINE_LIMIT:
        return line, ""
    short = line[: HEADLINE_LIMIT - 1].rsplit(" ", 1)[0]
    return f"{short[: HEADLINE_LIMIT - 1]}…", line


def clamped(value: Any) -> float:
    """A model's confidence as a number from 0 to 1; what is no number is no confidence."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return min(1.0, max(0.0, number)) if math.isfinite(number) else 0.0


def quoted_answers(answers: Sequence[ExpertResult]) -> str:
    """The answers as the synthesis sees them: one JSON list, so that no text in it can pass for anything else."""
    fields = ("perspective", "headline", "analysis", "key_points", "recommendation", "confidence")
    return json.dumps([{name: getattr(answer, name) for name in fields} for answer in answers], ensure_ascii=False)


def synthesis_from(
    recorded: Json,
    heard: tuple[str, ...],
    missing: tuple[str, ...],
    speakers: Mapping[str, str],
    confidence: float,
    stand_in: bool,
) -> Synthesis:
    """The synthesis out of its recorded step. Who was heard is set here; the model's word on it does not count.

    `speakers` maps every name under which a position may stand to the key that it is shown under.
    """
    fields = recorded["fields"]
    return Synthesis(
        summary=_text(fields.get("summary")),
        recommendation=_text(fields.get("recommendation")),
        agreements=tuple(filter(None, map(_text, fields.get("agreements") or []))),
        disagreements=_disagreements(fields.get("disagreements") or [], speakers),
        heard=heard,
        missing=missing,
        model=recorded["model"],
        seconds=recorded["seconds"],
        confidence=confidence,
        stand_in=stand_in,
    )


def _disagreements(given: list[Any], speakers: Mapping[str, str]) -> tuple[Disagreement, ...]:
    known = {name.casefold(): key for name, key in speakers.items()}
    found = []
    for item in given:
        positions = tuple(
            Position(known[position["perspective"].strip().casefold()], _text(position["says"]))
            for position in item["positions"]
            if position["perspective"].strip().casefold() in known
        )
        # A position of somebody who was not heard is the model's invention: a failed expert disagrees with nobody.
        if len({position.perspective for position in positions}) > 1:
            found.append(Disagreement(_text(item["claim"]), positions, _text(item["would_settle"])))
    return tuple(found)
