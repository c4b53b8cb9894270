"""ExpertPanel: one question, N experts at once, then a synthesis by a stronger model."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import dspy

from teams.answers import answer_fields, expert_result, quoted_answers, synthesis_from
from teams.catalog import load_catalog
from teams.events import (
    ExpertStarted,
    RunEvent,
    RunStarted,
    SynthesisFailed,
    SynthesisStarted,
    SynthesisWritten,
)
from teams.failures import CallFailure
from teams.fanout import Job, Settling, Stream, all_failed, asked, failed_entry, fan_out, stream
from teams.lms import close_pools, same_model
from teams.model import ExpertResult, PanelInputs, PanelSpec, Perspective, Seat, panel_confidence
from teams.retry import CallLimits
from teams.run import Run, run_to_end
from teams.signatures import ExpertSignature, SynthesisSignature, without_empty
from teams.steps import Json, MemorySteps, Steps
from teams.wire import dump, load

SYNTHESIS_SHARE = 2 / 3
"""The part of the time left that the strong model may use for the synthesis; the rest is kept for a stand-in."""


class ExpertPanel(dspy.Module):
    """Fans one question out to the perspectives of a panel and has the answers brought together.

    `spec=None` is the marketing panel of six. Without `pro_lm` there is no synthesis. Raises `ValueError` when
    `shared_lm` is None, and for a pro seat in a panel that does not say `allow_pro_fanout`.
    """

    def __init__(self, shared_lm: Any, pro_lm: Any = None, *, spec: PanelSpec | None = None) -> None:
        if shared_lm is None:
            raise ValueError("shared_lm required")
        super().__init__()
        self.lm = shared_lm
        self.pro_lm = pro_lm
        self.spec = spec or load_catalog(None).get("marketing")
        dear = [seat.key for seat in self.spec.perspectives if seat.tier == "pro"]
        if dear and not self.spec.allow_pro_fanout:
            raise ValueError(
                f"{dear[0]} is to be asked on the pro model, one of many at once; allow_pro_fanout allows it"
            )
        self.expert = dspy.ChainOfThought(ExpertSignature)
        self.expert.set_lm(shared_lm)
        self.synthesizer = dspy.ChainOfThought(SynthesisSignature)
        self.synthesizer.set_lm(pro_lm or shared_lm)
        self.perspectives = [(seat.key, seat.instructions) for seat in self.spec.perspectives]

    async def aforward(
        self, research_docs: str = "", entity_profile: str = "", content_pillars: str = "", *, topic: str = ""
    ) -> dspy.Prediction:
        """Ask all experts, then for the synthesis.

        `expert_analyses`: one prediction per success in panel order, with `perspective`; `failed`: `{perspective, kind,
        error, attempts}`; `error` when nobody answered; `synthesis`: a `Synthesis`, or None.
        """
        run = PanelRun(self, PanelInputs(topic, research_docs, entity_profile, content_pillars), MemorySteps())
        await run.work()
        answers = [dspy.Prediction(perspective=key, **run.answers[key]) for key in run.heard]
        failed = [failed_entry("perspective", key, run.failures[key]) for key in run.missing if key in run.failures]
        return dspy.Prediction(
            expert_analyses=answers, failed=failed, error=all_failed(answers, failed), synthesis=run.synthesis
        )

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """`aforward` for callers without an event loop, such as DSPy's optimisers. Raises `RuntimeError` inside one."""
        return run_blocking(self, inputs)

    def run(
        self, inputs: PanelInputs, steps: Steps | None = None, *, run_id: str = "run", stop: asyncio.Event | None = None
    ) -> AbstractAsyncContextManager[Stream[RunEvent]]:
        """The same work as events: `async with panel.run(inputs) as events: async for event in events`.

        `steps` records every model call; `stop`, once set, ends the run with what has come back.
        """

        async def conduct(tell: Callable[[RunEvent], None]) -> None:
            await run_to_end(PanelRun(self, inputs, steps or MemorySteps(), run_id=run_id, tell=tell), stop)

        return stream(conduct)


def run_blocking(module: Any, inputs: dict[str, Any]) -> Any:
    """`module.aforward` in an event loop of its own. Raises `RuntimeError` when one is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_and_close(module, inputs))
    raise RuntimeError(
        f"{type(module).__name__}() cannot be called inside a running event loop: await .acall() instead"
    )


async def _and_close(module: Any, inputs: dict[str, Any]) -> Any:
    try:
        return await module.aforward(**inputs)
    finally:
        await close_pools(*{id(found.lm): found.lm for found in module.predictors()}.values())


class PanelRun(Run):
    """One run of a panel: asks the experts side by side, then for the synthesis, and tells what happens."""

    def __init__(
        self,
        panel: ExpertPanel,
        inputs: PanelInputs,
        steps: Steps,
        *,
        run_id: str = "run",
        tell: Callable[[RunEvent], None] | None = None,
    ) -> None:
        super().__init__([seat.key for seat in panel.spec.perspectives], tell)
        self.panel, self.inputs, self.steps, self.run_id = panel, inputs, steps, run_id
        self.spec = panel.spec
        self.late = False
        # The models are read from the predictors, not from the panel: an optimiser may have given them others.
        self._flash = panel.expert.predict.lm or panel.lm
        self._pro = panel.synthesizer.predict.lm or panel.pro_lm
        self._signature = panel.expert.predict.signature
        self._given = dump(inputs)
        # A replay is given every answer at once: who came too late for the synthesis was decided then, not now.
        before = steps.recorded("heard")
        self._heard_before: list[str] | None = None if before is None else before["heard"]

    def begun(self) -> RunStarted:
        """The first event."""
        return RunStarted(
            self.now(),
            self.run_id,
            "panel",
            self.inputs.topic,
            self.spec.name,
            tuple(Seat(seat.key, seat.title, self._lm_of(seat).model) for seat in self.spec.perspectives),
            self.spec.needed,
            self._pro.model if self.panel.pro_lm is not None else None,
        )

    async def work(self) -> None:
        """Ask everyone; the synthesis begins when all have settled, or when only its reserve of time is left."""
        self.steps.plan([*(f"expert:{key}" for key in self.seats), "heard", "synthesis", "synthesis:stand-in"])
        for key in self.seats:
            self.tell(ExpertStarted(self.now(), key))
        jobs: dict[str, Job[Json]] = {seat.key: self._job(seat) for seat in self.spec.perspectives}
        async with fan_out(jobs, self._settled) as experts:
            await self._synthesise_in_time(experts)

    async def _synthesise_in_time(self, experts: Settling) -> None:
        if self.panel.pro_lm is None:
            return
        # Below the quorum there is nothing that the reserve could be used for: then the others are waited for.
        patience = self.spec.run_seconds - self.spec.synthesis_seconds
        if self._heard_before is None:
            await experts.within(patience, lambda: len(self.heard) >= self.spec.needed)
        else:
            before = set(self._heard_before)
            await experts.within(0.0, lambda: before <= set(self.heard))
        # Who was heard is recorded: a replay, to which all answers are there at once, must not decide otherwise.
        recorded = await self.steps.step("heard", self._heard_so_far)
        answers = [self.results[key] for key in recorded["heard"]]
        if len(answers) < self.spec.needed:
            count = f"{len(answers)} of {len(self.seats)} experts answered and {self.spec.needed} are needed"
            self.tell(SynthesisFailed(self.now(), None, f"no synthesis: {count}", 0))
            return
        self.late = True
        await self._synthesise(answers)

    async def _heard_so_far(self) -> Json:
        return {"heard": list(self.heard)}

    def _job(self, seat: Perspective) -> Job[Json]:
        return lambda: self.steps.step(f"expert:{seat.key}", self._ask, seat)

    async def _ask(self, seat: Perspective) -> Json:
        inputs = {
            "expert_perspective": seat.key,
            "perspective_instructions": seat.instructions,
            **self._given,
        }
        signature, given = without_empty(self._signature, inputs)
        # The deadline that bounds the run bounds each expert too, so that a late answer has somewhere to go.
        limits = CallLimits(seconds=min(self.spec.expert_seconds, self.spec.run_seconds))
        lm = self._lm_of(seat)
        return await self.recorded(
            lm, asked(self.panel.expert, seat.key, limits=limits, lm=lm, signature=signature, **given), answer_fields
        )

    def _lm_of(self, seat: Perspective) -> Any:
        return self._pro if seat.tier == "pro" and self.panel.pro_lm is not None else self._flash

    def _settled(self, key: str, recorded: Json) -> None:
        if "failure" in recorded:
            self.seat_failed(key, load(CallFailure, recorded["failure"]))
            return
        self.seat_answered(key, recorded["fields"], expert_result(key, recorded), late=self._is_late(key))

    def _is_late(self, key: str) -> bool:
        return self.late if self._heard_before is None else key not in self._heard_before

    async def _synthesise(self, answers: list[ExpertResult]) -> None:
        left = max(self.spec.synthesis_seconds, self.spec.run_seconds - self.elapsed())
        heard = tuple(answer.perspective for answer in answers)
        missing = tuple(key for key in self.seats if key not in heard)
        attempts = [("synthesis", self._pro, left * SYNTHESIS_SHARE, False)]
        if not same_model(self._flash, self._pro):
            attempts.append(("synthesis:stand-in", self._flash, left * (1 - SYNTHESIS_SHARE), True))
        for key, lm, seconds, stand_in in attempts:
            self.tell(SynthesisStarted(self.now(), lm.model, stand_in))
            recorded = await self.steps.step(key, partial(self._ask_synthesis, answers, lm, seconds))
            if "failure" not in recorded:
                confidence = panel_confidence([answer.confidence for answer in answers], len(self.seats))
                self.synthesis = synthesis_from(recorded, heard, missing, self._speakers(heard), confidence, stand_in)
                self.tell(SynthesisWritten(self.now(), self.synthesis))
                return
        failure = load(CallFailure, recorded["failure"])
        self.tell(SynthesisFailed(self.now(), failure.kind, failure.sentence, failure.attempts))

    def _speakers(self, heard: tuple[str, ...]) -> dict[str, str]:
        seats = [seat for seat in self.spec.perspectives if seat.key in heard]
        return {name: seat.key for seat in seats for name in (seat.key, seat.title)}

    async def _ask_synthesis(self, answers: list[ExpertResult], lm: Any, seconds: float) -> Json:
        inputs = {
            "topic": self.inputs.topic,
            "synthesis_instructions": self.spec.synthesis_instructions,
            "expert_answers": quoted_answers(answers),
        }
        signature, given = without_empty(self.panel.synthesizer.predict.signature, inputs)
        call = asked(
            self.panel.synthesizer, "synthesis", limits=CallLimits(seconds=seconds), lm=lm, signature=signature, **given
        )
        return await self.recorded(lm, call, answer_fields)
