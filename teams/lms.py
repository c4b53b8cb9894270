"""The two language models of the process: made once, on first use, shared by every panel."""

import os
import threading
from functools import lru_cache
from typing import Any

import dspy

from teams.engine import BlockingEngine, PooledEngine
from teams.gauges import of_tier
from teams.model import Tier
from teams.structured import SchemaAdapter
from teams.templates import CHAT
from teams.tiers import ModelChoice, Models, ModelSettings, default_models


class _Process:
    """What is one per process. A class so that nothing is rebound at module level."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.models: Models | None = None
        self.lms: dict[str, dspy.LM] = {}

    def lm(self, tier: Tier) -> dspy.LM:
        with self.lock:
            if tier not in self.lms:
                self.models = self.models or default_models(ModelSettings())
                self.lms[tier] = of_tier(make_lm(self.models.flash if tier == "flash" else self.models.pro), tier)
            return self.lms[tier]


_process = _Process()


def use_models(models: Models) -> None:
    """Say which models the first use will make. Raises `RuntimeError` when they are made already."""
    with _process.lock:
        if _process.lms:
            raise RuntimeError("the models of this process are in use already; call use_models before the first panel")
        _process.models = models


def get_flash_lm() -> dspy.LM:
    """The fast model: experts, search, extraction. The same object on every call."""
    return _process.lm("flash")


def get_pro_lm() -> dspy.LM:
    """The strong model: syntheses. The same object on every call."""
    return _process.lm("pro")


def get_shared_lm() -> dspy.LM:
    """The model that experts share: the fast one."""
    return get_flash_lm()


async def forget_lms() -> None:
    """Close this loop's connections of both models and forget them; the next use makes new ones."""
    with _process.lock:
        lms, _process.lms, _process.models = list(_process.lms.values()), {}, None
    await close_pools(*lms)


def make_lm(choice: ModelChoice) -> dspy.LM:
    """A `dspy.LM` on our engine. DSPy's cache is off (it replays one tenant's answer to another) and so are its
    retries (ours are in `call_with_retry`). Raises `ValueError` for a model name that cannot be one."""
    # DSPy would otherwise fetch a price list from the network on first use.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    pooled = PooledEngine(choice)
    return dspy.LM(
        choice.model,
        engine=BlockingEngine(choice, pooled),
        async_engine=pooled,
        cache=False,
        num_retries=0,
        max_tokens=choice.max_tokens,
        temperature=choice.temperature,
    )


def same_model(one: Any, other: Any) -> bool:
    """Whether two LM objects ask the same model at the same place."""
    bases = [getattr(getattr(getattr(lm, "engine", None), "choice", None), "api_base", None) for lm in (one, other)]
    return one is other or (one.model == other.model and bases[0] == bases[1])


async def close_pools(*lms: Any) -> None:
    """Close the connections that these models hold on the running loop. Models on other engines are left alone."""
    for lm in lms:
        if isinstance(getattr(lm, "engine", None), BlockingEngine):
            await lm.engine.pooled.aclose()


def adapter_for(lm: Any) -> dspy.Adapter:
    """The adapter that fits the model: schema-constrained servers need JSON, all others get DSPy's chat format."""
    choice = getattr(getattr(lm, "engine", None), "choice", None)
    if choice is not None and choice.answer_format == "json_schema":
        return _schema_adapter(choice.longest_string, choice.longest_list)
    return CHAT


@lru_cache(maxsize=16)
def _schema_adapter(longest_string: int, longest_list: int) -> SchemaAdapter:
    return SchemaAdapter(longest_string, longest_list)
