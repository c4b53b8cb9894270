"""A short way for plain questions: a predictor's prompt to our own engine and its answer back, without DSPy's detours.

On DSPy's way a call copies its settings four times, crosses into worker threads twice, and builds, checks and takes
apart a request and a response of many parts: ten times the work of the bare exchange. The short way sends the same
bytes and gives the same prediction. Whatever is not plain, in what is asked, in what comes back, or in who watches,
goes DSPy's way; a reply that is there already is then mapped by DSPy and not asked for again, so that errors and odd
answers come out as ever.
"""

from contextvars import Context
from typing import Any

import dspy

from teams.engine import BlockingEngine, PooledEngine, Settings
from teams.frames import Frame
from teams.lms import adapter_for
from teams.templates import CHAT, Template, template_of
from teams.transport import Arrived, with_outcome

PLAIN_SETTINGS = frozenset({"temperature", "max_tokens", "max_completion_tokens"})
"""Settings of a model whose effect ends with the request: an answer is read the same with and without them."""

_OF_DSPY = ("lm", "signature")
"""Arguments that DSPy takes beside the inputs. With any other the number of inputs is not the signature's."""


class Quick:
    """A module, asked the short way where that can make no difference. Has DSPy's `acall`."""

    def __init__(self, module: Any, lm: Any) -> None:
        self._module, self._lm = module, lm

    def predictors(self) -> list[Any]:
        """See `dspy.Module`."""
        return self._module.predictors() if hasattr(self._module, "predictors") else []

    async def acall(self, **inputs: Any) -> Any:
        """What `module.acall(**inputs)` gives and raises, in the settings of all our calls."""
        template = self._template(inputs)
        outcome = None if template is None else await self._sent(template, inputs)
        if template is None or outcome is None:
            return await self._asked(inputs)
        text = await self._lm.engine.pooled.text_of(outcome) if isinstance(outcome, Arrived) else None
        if text is not None:
            return dspy.Prediction.from_completions([template.fields(text)], signature=template.signature)
        with with_outcome(outcome):
            return await self._asked(inputs)

    def _template(self, inputs: dict[str, Any]) -> Template | None:
        """What a plain question is written into; None where this is none."""
        predictor = _predictor(self._module)
        if predictor is None or not _is_plain_model(self._lm) or _is_watched(self._module, predictor, self._lm):
            return None
        return template_of(inputs.get("signature") or predictor.signature)

    async def _sent(self, template: Template, inputs: dict[str, Any]) -> Arrived | Exception | None:
        """What became of the request; None where there is none to send that DSPy would not write otherwise."""
        engine: PooledEngine = self._lm.engine.pooled
        frame = await engine.frame(_settings(self._lm))
        # The body alone is held while the model works, not the texts that it was made of.
        body = None if frame is None else _body(frame, template, inputs)
        if frame is None or body is None:
            return None
        try:
            return await engine.exchange(frame, body)
        except Exception as error:  # noqa: BLE001 - DSPy is given it to map
            return error

    async def _asked(self, inputs: dict[str, Any]) -> Any:
        # History and a trace would keep everyone's prompts in memory; type warnings would print parts of them.
        with dspy.context(
            adapter=adapter_for(self._lm), disable_history=True, warn_on_type_mismatch=False, trace=_trace()
        ):
            return await self._module.acall(**inputs)


def _body(frame: Frame, template: Template, inputs: dict[str, Any]) -> bytes | None:
    user = template.user({name: value for name, value in inputs.items() if name not in _OF_DSPY})
    try:
        return None if user is None else frame.body(template.system, user)
    except TypeError:
        return None  # half a surrogate pair, of which DSPy says what is wrong with it


def _settings(lm: Any) -> Settings:
    return tuple((name, type(value), value) for name, value in lm.kwargs.items() if value is not None)


def _predictor(module: Any) -> dspy.Predict | None:
    """The predictor that alone answers for this module, when it asks without examples and settings of its own."""
    predictor = module.predict if type(module) is dspy.ChainOfThought else module
    if type(predictor) is not dspy.Predict:
        return None
    # Modules of DSPy look into the caller at each attribute that is read.
    own = vars(predictor)
    return None if own.get("demos") or own.get("config") or own.get("fields") else predictor


def _is_plain_model(lm: Any) -> bool:
    return (
        type(lm) is dspy.LM
        and isinstance(lm.engine, BlockingEngine)
        and adapter_for(lm) is CHAT
        and lm.model_type == "chat"
        and not lm.cache
        and not lm.num_retries
        and all(name in PLAIN_SETTINGS or value is None for name, value in lm.kwargs.items())
    )


def _is_watched(*parts: Any) -> bool:
    """Whether anybody wants to see the call as DSPy shows it: a callback, a listener, a tracker of usage, a trace."""
    settings = dspy.settings
    return bool(
        settings.callbacks
        or any(getattr(part, "callbacks", None) for part in parts)
        or settings.send_stream is not None
        or settings.usage_tracker is not None
        or settings.track_usage
        or _trace() is not None
    )


def _trace() -> Any:
    """The trace that a `dspy.context` asked for, as optimisers do. DSPy's own list, which the whole process shares, is
    none of them: nobody asked for it, and it would hold the prompts of everybody."""
    trace = dspy.settings.trace
    return None if trace is None or trace is Context().run(lambda: dspy.settings.trace) else trace
