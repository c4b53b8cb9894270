"""Answers constrained by a JSON schema, for servers that can force a model into one (llama.cpp, Ollama, LM Studio)."""

from functools import lru_cache
from typing import Any

import dspy
import pydantic


class SchemaAdapter(dspy.JSONAdapter):
    """DSPy's JSON adapter with the signature's schema sent along; its strings and lists are bounded.

    DSPy sends a schema only for model names it knows, and never a bound, without which a small model does not stop.
    """

    def __init__(self, longest_string: int, longest_list: int) -> None:
        super().__init__(use_native_function_calling=False)
        self._longest = (longest_string, longest_list)

    def __call__(self, lm: Any, lm_kwargs: dict[str, Any], *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """See `dspy.Adapter`."""
        answer: list[dict[str, Any]] = super().__call__(lm, self._constrained(lm_kwargs, args, kwargs), *args, **kwargs)
        return answer

    async def acall(self, lm: Any, lm_kwargs: dict[str, Any], *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """See `dspy.Adapter`."""
        kwargs_of_lm = self._constrained(lm_kwargs, args, kwargs)
        answer: list[dict[str, Any]] = await super().acall(lm, kwargs_of_lm, *args, **kwargs)
        return answer

    def format_field_structure(self, signature: type[dspy.Signature]) -> str:
        """See `dspy.Adapter`. The schema forces the form; a template of it would only be copied by a small model."""
        return f"Answer with one JSON object that has the fields {', '.join(signature.output_fields)}."

    def _constrained(self, lm_kwargs: dict[str, Any], args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        signature = kwargs["signature"] if "signature" in kwargs else args[0]
        schema = answer_schema(signature, *self._longest)
        named = {"name": "answer", "schema": schema, "strict": True}
        return {**lm_kwargs, "response_format": {"type": "json_schema", "json_schema": named}}


@lru_cache(maxsize=256)
def answer_schema(signature: type[dspy.Signature], longest_string: int, longest_list: int) -> dict[str, Any]:
    """The JSON schema of a signature's outputs: all required, nothing else allowed, every string and list bounded."""
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in signature.output_fields.items()}
    model = pydantic.create_model("Answer", __config__=pydantic.ConfigDict(extra="forbid"), **fields)
    schema: dict[str, Any] = _bounded(model.model_json_schema(), longest_string, longest_list)
    schema["required"] = list(fields)
    return schema


def _bounded(part: Any, longest_string: int, longest_list: int) -> Any:
    def bounded(inner: Any) -> Any:
        return _bounded(inner, longest_string, longest_list)

    if isinstance(part, list):
        return [bounded(item) for item in part]
    if not isinstance(part, dict):
        return part
    named = {"properties", "$defs"} & part.keys()  # below these, keys are names and not words of the schema language
    limited = {key: bounded(value) for key, value in part.items() if key not in _NOISE | named}
    limited |= {key: {name: bounded(value) for name, value in part[key].items()} for key in named}
    if limited.get("type") == "string" and "enum" not in limited and "const" not in limited:
        limited["maxLength"] = min(longest_string, limited.get("maxLength", longest_string))
    if limited.get("type") == "number" and {"minimum", "maximum"} <= limited.keys():
        # A number has no longest form: a small model may write digits without end.
        return {"enum": _tenths(limited["minimum"], limited["maximum"])}
    if limited.get("type") == "array":
        limited["maxItems"] = min(longest_list, limited.get("maxItems", longest_list))
    return limited


def _tenths(lowest: float, highest: float) -> list[float]:
    return [round(lowest + (highest - lowest) * tenth / 10, 6) for tenth in range(11)]


# DSPy writes its own field data into the schema; none of it constrains anything.
_NOISE = frozenset({"__dspy_field_type", "desc", "prefix", "format", "title", "description"})
