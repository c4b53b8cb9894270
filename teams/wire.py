"""Frozen values as plain JSON and back: what a step records, an event stream prints, a store keeps."""

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(type, kind))


def dump(value: object) -> dict[str, Any]:
    """A frozen dataclass as JSON-ready dicts, lists, strings and numbers; times as ISO 8601."""
    plain: dict[str, Any] = _adapter(cast(Hashable, type(value))).dump_python(value, mode="json")
    return plain


def load(kind: type[T], plain: Any) -> T:
    """The value that `dump` made `plain` from. Raises `pydantic.ValidationError` when it does not fit `kind`."""
    return cast(T, _adapter(cast(Hashable, kind)).validate_python(plain))
