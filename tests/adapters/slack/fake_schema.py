"""Rules for JSON, small ones put together to large ones. Each gives all that is wrong, in Slack's words."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Json = dict[str, Any]
Problems = Iterator[str]
Rule = Callable[[Any, str], Problems]
"""Given a value and its JSON pointer, everything that is wrong with it."""


def problem(said: str, pointer: str) -> str:
    return f"{said} [json-pointer:{pointer}]"


def string(most: int, least: int = 1) -> Rule:
    def rule(value: Any, at: str) -> Problems:
        if not isinstance(value, str):
            yield problem("must be a string", at)
        elif len(value) > most:
            yield problem(f"must be less than {most + 1} characters", at)
        elif len(value) < least:
            yield problem(f"must be more than {least - 1} characters", at)

    return rule


def boolean(value: Any, at: str) -> Problems:
    if not isinstance(value, bool):
        yield problem("must be a boolean", at)


def number(least: float, most: float) -> Rule:
    def rule(value: Any, at: str) -> Problems:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            yield problem(f"must be a number from {least} to {most}", at)

    return rule


def one_of(*values: str) -> Rule:
    def rule(value: Any, at: str) -> Problems:
        if value not in values:
            yield problem(f"must be one of {', '.join(values)}", at)

    return rule


def anything(value: Any, at: str) -> Problems:
    yield from ()


def array(item: Rule, most: int, least: int = 1) -> Rule:
    def rule(value: Any, at: str) -> Problems:
        if not isinstance(value, list):
            yield problem("must be an array", at)
            return
        if len(value) > most:
            yield problem(f"no more than {most} items allowed", at)
        if len(value) < least:
            yield problem(f"no fewer than {least} items allowed", at)
        for index, each in enumerate(value):
            yield from item(each, f"{at}/{index}")

    return rule


def shape(needed: Mapping[str, Rule], allowed: Mapping[str, Rule], *also: Rule) -> Rule:
    """An object with no other keys. `also` judges it whole, once its parts are right."""

    def rule(value: Any, at: str) -> Problems:
        if not isinstance(value, dict):
            yield problem("must be an object", at)
            return
        wrong = [problem(f"missing required field: {key}", at) for key in needed if key not in value]
        for key, each in value.items():
            part = needed.get(key) or allowed.get(key)
            if part is None:
                wrong.append(problem(f"additional property `{key}` is not allowed", at))
            else:
                wrong += part(each, f"{at}/{key}")
        yield from wrong
        if not wrong:
            for whole in also:
                yield from whole(value, at)

    return rule


def kinds(shapes: Mapping[str, Rule], *names: str) -> Rule:
    """An object told by its `type`. With `names`, only those types."""

    def rule(value: Any, at: str) -> Problems:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind not in (names or shapes):
            yield problem(f"unsupported type: {kind}", f"{at}/type")
        else:
            yield from shapes[kind](value, at)

    return rule


def text(most: int, *types: str) -> Rule:
    plain = shape({"type": anything, "text": string(most)}, {"emoji": boolean})
    mrkdwn = shape({"type": anything, "text": string(most)}, {"verbatim": boolean})
    return kinds({"plain_text": plain, "mrkdwn": mrkdwn}, *types)


def plain(most: int) -> Rule:
    return text(most, "plain_text")


def walk(value: Any) -> Iterator[Json]:
    """Every object in a payload, outermost first."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from walk(each)
