"""Frozen values as plain JSON and back: what a step records, an event stream prints, a store keeps."""

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


def dump(value: object) -> dict[str, Any]:
    """A frozen dataclass as JSON-ready dicts, lists, strings and numbers; times as ISO 8601."""
    plain: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json")
    return plain


def load(kind: type[T], plain: Any) -> T:
    """The value that `dump` made `plain` from. Raises `pydantic.ValidationError` when it does not fit `kind`."""
    return _adapter(kind).validate_python(plain)
