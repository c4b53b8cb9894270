"""ResearchTeam: a fast agent searches, a fast model analyses, code checks, a strong model answers from what held."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import dspy
import structlog

from teams.agent import SteppedReAct
from teams.answers import answer_fields, expert_result, synthesis_from
from teams.events import (
    ExpertStarted,
    RunEvent,
    RunStarted,
    SeatProgressed,
    SourceLost,
    SynthesisFailed,
    SynthesisStarted,
    SynthesisWritten,
)
from teams.evidence.answer import CheckedAnswer, checked_answer, unanswered
from teams.evidence.claims import CheckedClaim
from teams.evidence.export import evidence_as_json
from teams.evidence.weighing import Desk
from teams.failures import CallFailed, CallFailure
from teams.fanout import Stream, asked, stream
from teams.findings import checked_finding, findings_text, passages_of, speakers_of
from teams.model import CODE, Disagreement, FailureKind, Seat, Source, Synthesis
from teams.panel import run_blocking
from teams.research_posts import analyst_post, checker_post, gaps_of, searcher_post
from teams.retry import CallLimits
from teams.run import Run, run_to_end
from teams.search_tools import DOCUMENTS, LIBRARY, NO_LINKS, PAGES, WEB, Documents, SearchTools
from teams.signatures import (
    ResearchAnalysisSignature,
    ResearchSynthesisSignature,
    SearchSignature,
    without_empty,
)
from teams.sources.kit import ForeignTool, OpenTools, ResearchKit
from teams.sources.port import SourceFailed
from teams.steps import Json, MemorySteps, Steps
from teams.trail import CHECK, Look, Trail, look_from
from teams.wire import dump, load

log = structlog.get_logger()

STAGE_LIMITS = CallLimits(seconds=120.0, also_retried=frozenset({FailureKind.UNREADABLE}))
"""Stages follow one another: there is nobody else to hear, so an unreadable answer is worth a second try."""

SEARCHER, ANALYST, CHECKER = "searcher", "analyst", "checker"
TITLES = {SEARCHER: "Searcher", ANALYST: "Analyst", CHECKER: "Checker"}

USABLE = ("supported", "qualified", "contradicted")
"""What an answer may be made from: claims whose words were found, the contradicted ones marked as such."""

MOST_FINDINGS = 40


class ResearchTeam(dspy.Module):
    """Search, analysis, check and answer to one question. Raises `ValueError` unless both models are given.

    `sources` are the documents of the run and `kit` is what else can be searched, with the caps on it; `limits` bound
    each stage, and each turn of the agent. `linked` are links of the question that are among the documents, each with
    its document's name.
    """

    def __init__(
        self,
        flash_lm: Any,
        pro_lm: Any,
        *,
        sources: Sequence[Source] = (),
        kit: ResearchKit | None = None,
        limits: CallLimits = STAGE_LIMITS,
        linked: Mapping[str, str] = NO_LINKS,
    ) -> None:
        if flash_lm is None or pro_lm is None:
            raise ValueError("Both flash_lm and pro_lm required")
        super().__init__()
        self.limits, self.kit, self.linked = limits, kit or ResearchKit(), linked
        self.documents = Documents(sources) if sources else None
        self.search_agent = SteppedReAct(signature=SearchSignature, tools=self.tools_for("").tools(), max_iters=5)
        self.search_agent.set_lm(flash_lm)
        self.analyzer = dspy.Predict(ResearchAnalysisSignature)
        self.analyzer.set_lm(flash_lm)
        self.synthesizer = dspy.ChainOfThought(ResearchSynthesisSignature)
        self.synthesizer.set_lm(pro_lm)

    def tools_for(self, query: str) -> SearchTools:
        """The tools of one run: each has its own caps, and its own sources under ids of their own."""
        return SearchTools(self.kit, self.documents, query, self.linked)

    async def aforward(self, query: str) -> dspy.Prediction:
        """The synthesizer's outputs as they may be shown, and the `evidence` they rest on. Raises `CallFailed` when a
        stage fails for good."""
        run = ResearchRun(self, query, MemorySteps())
        await run.work()
        if run.failed is not None:
            raise run.failed
        return dspy.Prediction(**run.answers["synthesis"], evidence=evidence_as_json(run.trail.ledger, run.claims))

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


def format_analysis(analysis: Any) -> str:
    """The analysis as the synthesizer reads it: findings, then gaps, as lists."""
    findings = "\n".join(f"- {finding}" for finding in analysis.findings) or "- none"
    gaps = "\n".join(f"- {gap}" for gap in analysis.gaps) or "- none"
    return f"Findings:\n{findings}\n\nGaps:\n{gaps}"


class ResearchRun(Run):
    """One run of a research team: stages in a row, each depending on the one before."""

    def __init__(
        self,
        team: ResearchTeam,
        query: str,
        steps: Steps,
        *,
        run_id: str = "run",
        tell: Callable[[RunEvent], None] | None = None,
    ) -> None:
        super().__init__([SEARCHER, ANALYST, CHECKER], tell)
        self.team, self.query, self.steps, self.run_id = team, query, steps, run_id
        self.failed: CallFailed | None = None
        self.tools = team.tools_for(query)
        self.claims: tuple[CheckedClaim, ...] = ()
        self.gaps: tuple[str, ...] = ()

    @property
    def trail(self) -> Trail:
        """What was searched and found so far."""
        return self.tools.trail

    def begun(self) -> RunStarted:
        """The first event."""
        flash, pro = self.team.analyzer.lm.model, self.team.synthesizer.predict.lm.model
        seats = tuple(Seat(key, TITLES[key], CODE if key == CHECKER else flash) for key in self.seats)
        return RunStarted(self.now(), self.run_id, "research", self.query, "research", seats, len(seats), pro)

    async def work(self) -> None:
        """Search, analyse, check, answer. A stage that fails ends the run, and is told with what it would have fed."""
        try:
            found = await self._stage(SEARCHER, self._search)
            analysis = await self._stage(ANALYST, self._analyse, found["raw_results"])
            await self._stage(CHECKER, self._check, analysis)
            await self._answer()
        except CallFailed as failed:
            self.failed = failed

    async def _stage(self, key: str, work: Callable[..., Awaitable[Json]], *args: Any) -> Json:
        self.tell(ExpertStarted(self.now(), key))
        began = self.elapsed()
        try:
            done = await work(*args)
        except CallFailed as failed:
            # The whole stage's time, of which the call that failed was the last part.
            self.seat_failed(key, replace(failed.failure, seconds=round(self.elapsed() - began, 3)))
            sentence = f"no answer: the {TITLES[key].lower()} failed, and what follows depends on it"
            self.tell(SynthesisFailed(self.now(), None, sentence, 0))
            raise
        seconds = done.get("seconds", round(self.elapsed() - began, 3))
        shown = {"fields": done["post"], "model": done["model"], "seconds": seconds}
        self.seat_answered(key, done["fields"], expert_result(key, shown))
        fields: Json = done["fields"]
        return fields

    # --- Searching

    async def _search(self) -> Json:
        raw_results, trajectory, model = "", {}, CODE
        async with AsyncExitStack() as stack:
            foreign = await self._foreign(stack)
            if tools := self.tools.tools(foreign):
                agent = self.team.search_agent.with_tools(tools, self.tools.deadlines(foreign))
                prediction = await agent.acall(
                    query=self.query, steps=self.steps, limits=self.team.limits, observed=self._took
                )
                raw_results, trajectory = str(prediction.raw_results), prediction.trajectory
                model = self.team.analyzer.lm.model
        log.info("research.searched", turns=sum(name.startswith("thought_") for name in trajectory))
        await self._ask_ourselves()
        fields = {"raw_results": raw_results, "searches": self.trail.searches, "pages": self.trail.pages}
        return {"fields": fields, "model": model, "post": searcher_post(self.trail, self.tools.names)}

    async def _foreign(self, stack: AsyncExitStack) -> Sequence[ForeignTool]:
        """The tools of other servers, their connections kept open by `stack`. A replay of the whole search has none."""
        box, opened = self.team.kit.tools, OpenTools()
        if box is None:
            return ()
        if self.steps.recorded("extract") is None:
            try:
                opened = await stack.enter_async_context(box.opened())
            except Exception as error:  # noqa: BLE001 - a server may break in its own way, and the run goes on without it
                log.warning("source.broke", source="tools", error=type(error).__name__)
                why = "the tools could not be had, for a reason that was not foreseen"
                opened = OpenTools(lost=(SourceFailed("tools", FailureKind.UNAVAILABLE, why),))
        await self._look("servers", _given(Look("", lost=opened.lost)))
        return opened.tools

    async def _ask_ourselves(self) -> None:
        """Where the agent brought nothing, search for the question itself before saying that nothing was found."""
        for name in (DOCUMENTS, LIBRARY, WEB, PAGES):
            if not self.trail.ledger.all and self.tools.unasked(name):
                await self._look(name, partial(self.tools.ask, name))

    async def _look(self, name: str, look: Callable[[], Awaitable[Look]]) -> None:
        async def recorded() -> Json:
            return dump(await look())

        self._took(await self.steps.step(f"tool:{name}", recorded))

    def _took(self, recorded: Json) -> None:
        """Go on from a tool call, and tell what came of it."""
        look, known = look_from(recorded), set(self.trail.lost)
        self.tools.took(look)
        for lost in self.trail.lost:
            if lost not in known:
                self.tell(SourceLost(self.now(), lost.what, lost.sentence))
        if look.searched or look.calls or look.pages:
            self.tell(SeatProgressed(self.now(), SEARCHER, self.trail.counted))

    # --- Analysing

    async def _analyse(self, raw_results: str) -> Json:
        if not self.trail.shown:
            fields: Json = {"findings": [], "gaps": []}
            return {"fields": fields, "model": CODE, "post": analyst_post(fields, ())}
        data = passages_of(self.trail, raw_results, self.team.kit.characters)
        recorded = await self._step("analysis", self.team.analyzer, data=data)
        fields = recorded["fields"]
        self.gaps = await asyncio.to_thread(gaps_of, fields, self.trail.ledger)
        return {**recorded, "post": analyst_post(fields, self.gaps)}

    # --- Checking

    async def _check(self, analysis: Json) -> Json:
        findings = analysis["findings"][:MOST_FINDINGS]

        async def check() -> Json:
            desk, checked = Desk(self.trail.ledger), []
            for number, finding in enumerate(findings, start=1):
                # Long texts take some time, in which others have their turn.
                checked.append(await asyncio.to_thread(checked_finding, finding, self.trail, desk))
                self.tell(SeatProgressed(self.now(), CHECKER, f"{number} of {len(findings)} claims checked"))
            return {"claims": [dump(each) for each in checked]}

        recorded = await self.steps.step(CHECK, check)
        self.claims = tuple(load(CheckedClaim, each) for each in recorded["claims"])
        unchecked = len(analysis["findings"]) - len(findings)
        post = await asyncio.to_thread(checker_post, self.trail.ledger, self.claims, unchecked)
        return {"fields": recorded, "model": CODE, "post": post}

    # --- Answering

    async def _answer(self) -> None:
        usable = [claim for claim in self.claims if claim.verdict in USABLE]
        if not usable:
            none = await asyncio.to_thread(unanswered, self.query, self.trail.ledger, self.claims, self.trail.tried)
            written = Synthesis(self._with_reach(none), "", (), (), self.heard, self.missing, CODE, 0.0, 0.0)
        else:
            written = await self._synthesise(usable)
        self.synthesis = written
        self.answers["synthesis"] = {
            "summary": written.summary,
            "recommendation": written.recommendation,
            "agreements": list(written.agreements),
            "disagreements": [dump(each) for each in written.disagreements],
        }
        self.tell(SynthesisWritten(self.now(), written))

    async def _synthesise(self, usable: Sequence[CheckedClaim]) -> Synthesis:
        lm = self.team.synthesizer.predict.lm
        self.tell(SynthesisStarted(self.now(), lm.model))
        findings = findings_text(usable, self.trail.ledger)
        told = format_analysis(dspy.Prediction(findings=findings, gaps=[" ".join(gap.split()) for gap in self.gaps]))
        try:
            recorded = await self._step("synthesis", self.team.synthesizer, topic=self.query, analysis=told)
        except CallFailed as failed:
            outcome = failed.failure
            self.tell(SynthesisFailed(self.now(), outcome.kind, outcome.sentence, outcome.attempts))
            raise
        raw = synthesis_from(recorded, self.heard, self.missing, speakers_of(self.trail), 0.0, False)
        texts = _texts(raw)
        checked = await asyncio.to_thread(
            checked_answer, raw.summary, self.trail.ledger, self.claims, self.trail.tried, texts, self.query
        )
        return replace(_retold(raw, checked.others), summary=self._with_reach(checked))

    def _with_reach(self, checked: CheckedAnswer) -> str:
        """The checked answer, and how far the search went."""
        lines = [f"Searched: {', '.join(self.tools.names) or 'nothing, for there is no source'}; {self.tools.told}."]
        lines += [f"Not reached: {lost.sentence}." for lost in self.trail.lost]
        return "\n\n".join([checked.markdown.rstrip(), *lines])

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


def _given(look: Look) -> Callable[[], Awaitable[Look]]:
    async def give() -> Look:
        return look

    return give


def _texts(synthesis: Synthesis) -> list[str]:
    """All that is shown beside the summary. What a source is said to say is held against that source."""
    texts = [synthesis.recommendation, *synthesis.agreements]
    for each in synthesis.disagreements:
        texts += [each.claim, each.would_settle]
        texts += [f"{position.says} [{position.perspective}]" for position in each.positions]
    return texts


def _retold(synthesis: Synthesis, texts: Sequence[str]) -> Synthesis:
    """The synthesis with these texts in the places of its own."""
    told = iter(texts)
    recommendation = next(told)
    agreements = tuple(filter(None, [next(told) for _ in synthesis.agreements]))
    disagreements = []
    for each in synthesis.disagreements:
        claim, settles = next(told), next(told)
        # Behind each stood the source that it is a word of, for the check alone: who says it is said before it.
        positions = tuple(
            replace(position, says=next(told).replace(f" [{position.perspective}]", "", 1))
            for position in each.positions
        )
        disagreements.append(Disagreement(claim, positions, settles))
    return replace(synthesis, recommendation=recommendation, agreements=agreements, disagreements=tuple(disagreements))
