"""ResearchTeam: a fast agent searches, a fast model analyses, a strong model answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import dspy

from teams.agent import SteppedReAct
from teams.answers import answer_fields, expert_result, synthesis_from
from teams.events import (
    ExpertStarted,
    RunEvent,
    RunStarted,
    SynthesisFailed,
    SynthesisStarted,
    SynthesisWritten,
)
from teams.failures import CallFailed, CallFailure
from teams.fanout import Stream, asked, stream
from teams.library import DocumentIndex
from teams.model import FailureKind, Seat, Source
from teams.panel import run_blocking
from teams.quoting import quoted
from teams.retry import CallLimits
from teams.run import Run, run_to_end
from teams.signatures import (
    ResearchAnalysisSignature,
    ResearchSynthesisSignature,
    SearchSignature,
    without_empty,
)
from teams.steps import Json, MemorySteps, Steps
from teams.wire import load

STAGE_LIMITS = CallLimits(seconds=120.0, also_retried=frozenset({FailureKind.UNREADABLE}))
"""Stages follow one another: there is nobody else to hear, so an unreadable answer is worth a second try."""

SEARCHER, ANALYST = "searcher", "analyst"
TITLES = {SEARCHER: "Searcher", ANALYST: "Analyst"}


class ResearchTeam(dspy.Module):
    """Search, analysis and answer to one question. Raises `ValueError` unless both models are given.

    `sources` are the documents that the search tool looks in; `limits` bound each stage, and each turn of the agent.
    """

    def __init__(
        self, flash_lm: Any, pro_lm: Any, *, sources: Sequence[Source] = (), limits: CallLimits = STAGE_LIMITS
    ) -> None:
        if flash_lm is None or pro_lm is None:
            raise ValueError("Both flash_lm and pro_lm required")
        super().__init__()
        self.limits = limits
        self.speakers = {source.name: source.name for source in sources}
        self.search_agent = SteppedReAct(signature=SearchSignature, tools=[search_tool(sources)], max_iters=5)
        self.search_agent.set_lm(flash_lm)
        self.analyzer = dspy.Predict(ResearchAnalysisSignature)
        self.analyzer.set_lm(flash_lm)
        self.synthesizer = dspy.ChainOfThought(ResearchSynthesisSignature)
        self.synthesizer.set_lm(pro_lm)

    async def aforward(self, query: str) -> dspy.Prediction:
        """The synthesizer's prediction. Raises `CallFailed` when a stage fails for good."""
        run = ResearchRun(self, query, MemorySteps())
        await run.work()
        if run.failed is not None:
            raise run.failed
        return dspy.Prediction(**run.answers["synthesis"])

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """`aforward` for callers without an event loop. Raises `RuntimeError` inside one."""
        return run_blocking(self, inputs)

    def run(
        self, query: str, steps: Steps | None = None, *, run_id: str = "run", stop: asyncio.Event | None = None
    ) -> AbstractAsyncContextManager[Stream[RunEvent]]:
        """The same work as events, as `ExpertPanel.run`; the stages are seats on the board."""

        async def conduct(tell: Callable[[RunEvent], None]) -> None:
            await run_to_end(ResearchRun(self, query, steps or MemorySteps(), run_id=run_id, tell=tell), stop)

        return stream(conduct)


def search_tool(sources: Sequence[Source]) -> dspy.Tool:
    """The tool that searches the given documents."""
    index = DocumentIndex(sources)

    async def search_documents(query: str) -> str:
        found = await asyncio.to_thread(index.search, query)
        if not found:
            return "Nothing was found." if index.names else "No documents were given, so there is nothing to search."
        return quoted(found)

    names = ", ".join(index.names) or "none"
    return dspy.Tool(search_documents, desc=f"Search the documents handed in ({names}) by words; gives passages.")


def format_analysis(analysis: Any) -> str:
    """The analysis as the synthesizer reads it: findings, then gaps, as lists."""
    findings = "\n".join(f"- {finding}" for finding in analysis.findings) or "- none"
    gaps = "\n".join(f"- {gap}" for gap in analysis.gaps) or "- none"
    return f"Findings:\n{findings}\n\nGaps:\n{gaps}"


class ResearchRun(Run):
    """One run of a research team: three stages, each depending on the one before."""

    def __init__(
        self,
        team: ResearchTeam,
        query: str,
        steps: Steps,
        *,
        run_id: str = "run",
        tell: Callable[[RunEvent], None] | None = None,
    ) -> None:
        super().__init__([SEARCHER, ANALYST], tell)
        self.team, self.query, self.steps, self.run_id = team, query, steps, run_id
        self.failed: CallFailed | None = None

    def begun(self) -> RunStarted:
        """The first event."""
        flash, pro = self.team.analyzer.lm, self.team.synthesizer.predict.lm
        seats = tuple(Seat(key, TITLES[key], flash.model) for key in self.seats)
        return RunStarted(self.now(), self.run_id, "research", self.query, "research", seats, len(seats), pro.model)

    async def work(self) -> None:
        """Search, analyse, answer. A stage that fails ends the run, and is told with what it would have fed."""
        try:
            found = await self._stage(SEARCHER, self._search)
            analysis = await self._stage(ANALYST, self._analyse, found["raw_results"])
            await self._answer(format_analysis(dspy.Prediction(**analysis)))
        except CallFailed as failed:
            self.failed = failed

    async def _stage(self, key: str, work: Callable[..., Awaitable[Json]], *args: Any) -> Json:
        self.tell(ExpertStarted(self.now(), key))
        began = self.elapsed()
        try:
            recorded = await work(*args)
        except CallFailed as failed:
            # The whole stage's time, of which the call that failed was the last part.
            self.seat_failed(key, replace(failed.failure, seconds=round(self.elapsed() - began, 3)))
            sentence = f"no answer: the {TITLES[key].lower()} failed, and what follows depends on it"
            self.tell(SynthesisFailed(self.now(), None, sentence, 0))
            raise
        shown = {
            "fields": _as_answer(key, recorded),
            "model": self.team.analyzer.lm.model,
            "seconds": recorded["seconds"],
        }
        self.seat_answered(key, recorded["fields"], expert_result(key, shown))
        fields: Json = recorded["fields"]
        return fields

    async def _search(self) -> Json:
        began = self.elapsed()
        prediction = await self.team.search_agent.acall(query=self.query, steps=self.steps, limits=self.team.limits)
        searches = sum(
            name.startswith("tool_name_") and tool != "finish" for name, tool in prediction.trajectory.items()
        )
        fields = {"raw_results": str(prediction.raw_results), "searches": searches}
        return {"fields": fields, "seconds": round(self.elapsed() - began, 3)}

    async def _analyse(self, data: str) -> Json:
        return await self._step("analysis", self.team.analyzer, data=data)

    async def _answer(self, analysis: str) -> None:
        lm = self.team.synthesizer.predict.lm
        self.tell(SynthesisStarted(self.now(), lm.model))
        try:
            recorded = await self._step("synthesis", self.team.synthesizer, topic=self.query, analysis=analysis)
        except CallFailed as failed:
            outcome = failed.failure
            self.tell(SynthesisFailed(self.now(), outcome.kind, outcome.sentence, outcome.attempts))
            raise
        self.answers["synthesis"] = recorded["fields"]
        self.synthesis = synthesis_from(recorded, self.heard, self.missing, self.team.speakers, 0.0, False)
        self.tell(SynthesisWritten(self.now(), self.synthesis))

    async def _step(self, key: str, module: Any, **inputs: Any) -> Json:
        predictor = module.predictors()[0]
        signature, given = without_empty(predictor.signature, inputs)

        async def ask() -> Json:
            call = asked(module, key, limits=self.team.limits, signature=signature, **given)
            return await self.recorded(predictor.lm, call, answer_fields)

        recorded = await self.steps.step(key, ask)
        if "failure" in recorded:
            raise CallFailed(key, load(CallFailure, recorded["failure"]))
        return recorded


def _as_answer(key: str, recorded: Json) -> Json:
    fields = recorded["fields"]
    if key == SEARCHER:
        count = fields["searches"]
        return {"headline": f"{count} search{'' if count == 1 else 'es'} made", "analysis": fields["raw_results"]}
    return {
        "headline": f"{len(fields['findings'])} findings, {len(fields['gaps'])} gaps",
        "analysis": format_analysis(dspy.Prediction(**fields)),
    }
