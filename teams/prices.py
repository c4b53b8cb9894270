"""What models cost: the price set for them, else the public list price that litellm ships; None where nobody knows."""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PRICE = r"^\s*\d+(\.\d+)?\s*,\s*\d+(\.\d+)?\s*$"
"""A price as a setting: US dollars for a million tokens in, then out, as in `0.30, 2.50`."""

_LIST = "model_prices_and_context_window_backup.json"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one token in and one token out."""

    input: float
    output: float

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost."""
        return self.input * input_tokens + self.output * output_tokens


def parsed_price(text: str) -> Price:
    """The price that a setting in the form of `PRICE` names."""
    into, out = (float(part) / 1_000_000 for part in text.split(","))
    return Price(into, out)


def list_prices(models: frozenset[str]) -> Mapping[str, Price]:
    """The public list prices of those of the models that have one. Reads a file of 2 MB; imports nothing."""
    spec = importlib.util.find_spec("litellm")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        return {}
    try:
        listed = json.loads((Path(next(iter(folders))) / _LIST).read_bytes())
    except (OSError, ValueError):
        return {}
    found = {}
    for model in models:
        entry = listed.get(model) or listed.get(model.partition("/")[2]) or {}
        into, out = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
        if isinstance(into, int | float) and isinstance(out, int | float):
            found[model] = Price(float(into), float(out))
    return found
