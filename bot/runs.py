"""Runs of this process: what was asked, what it recorded, how it stands, and how to stop or continue it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from bot.progress import Progress
from teams.events import RunEvent, Team
from teams.model import PanelInputs, PanelSpec, Source
from teams.quoting import quoted, quoted_lines
from teams.steps import MemorySteps, Steps

if TYPE_CHECKING:
    from teams.fanout import Stream
    from teams.panel import ExpertPanel


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a run is asked: by whichever command, from whichever front end."""

    team: Team
    topic: str
    panel: PanelSpec | None = None
    sources: tuple[Source, ...] = field(default=(), repr=False)
    profile: str = ""
    pillars: str = ""

    @property
    def inputs(self) -> PanelInputs:
        """What every expert is given."""
        return PanelInputs(self.topic, quoted(self.sources), quoted_lines(self.profile), self.pillars)


class Teams(Protocol):
    """What does the work of a run."""

    def events(
        self, brief: Brief, steps: Steps, run_id: str, stop: asyncio.Event
    ) -> "AbstractAsyncContextManager[Stream[RunEvent]]":
        """The run as a stream of events."""


class ModelTeams:
    """Teams on the two models of this process. Panels are built once and shared by all runs.

    `patience` stretches every deadline, for models that are slow by nature.
    """

    def __init__(self, patience: float = 1.0) -> None:
        self._patience = patience

    def events(
        self, brief: Brief, steps: Steps, run_id: str, stop: asyncio.Event
    ) -> "AbstractAsyncContextManager[Stream[RunEvent]]":
        """See `Teams.events`."""
        # DSPy takes most of a second to import: it is first needed here.
        from teams.lms import get_flash_lm, get_pro_lm
        from teams.research import STAGE_LIMITS, ResearchTeam

        if brief.team == "research":
            limits = replace(STAGE_LIMITS, seconds=STAGE_LIMITS.seconds * self._patience)
            team = ResearchTeam(get_flash_lm(), get_pro_lm(), sources=brief.sources, limits=limits)
            return team.run(brief.topic, steps, run_id=run_id, stop=stop)
        assert brief.panel is not None, "a panel's brief names its panel"
        return self._panel(brief.panel).run(brief.inputs, steps, run_id=run_id, stop=stop)

    @lru_cache(maxsize=64)  # noqa: B019 - one object per process
    def _panel(self, spec: PanelSpec) -> "ExpertPanel":
        from teams.lms import get_flash_lm, get_pro_lm
        from teams.panel import ExpertPanel

        return ExpertPanel(get_flash_lm(), get_pro_lm(), spec=spec.stretched(self._patience))


class LiveRun:
    """One run and how it stands. A retry continues it: the same run, thread and record, one round further."""

    def __init__(self, run_id: str, brief: Brief, recorded: dict[str, str] | None = None, round_: int = 1) -> None:
        self.run_id = run_id
        self.brief = brief
        self.round = round_
        self.steps = MemorySteps(recorded)
        self.stop = asyncio.Event()
        self.progress = Progress()

    @asynccontextmanager
    async def events(self, teams: Teams) -> AsyncIterator[AsyncIterator[RunEvent]]:
        """The run's events; each is folded into `progress` before it is given out."""
        async with teams.events(self.brief, self.steps, self.run_id, self.stop) as told:
            yield self._folded(told)

    async def _folded(self, told: "Stream[RunEvent]") -> AsyncIterator[RunEvent]:
        async for event in told:
            self.progress = self.progress.after(event)
            yield event

    @property
    def running(self) -> bool:
        """Whether its last event is still to come."""
        return not self.progress.ended

    def key(self, part: str) -> str:
        """The key of one of its posts. An expert's answer is said once, whatever the round."""
        once = self.round == 1 or part.startswith("expert/")
        return f"{self.run_id}/{part}" if once else f"{self.run_id}/{part}/{self.round}"

    def continued(self) -> "LiveRun":
        """The next round: what succeeded stays recorded, what failed is asked again, the synthesis is written anew."""
        kept = {key: json for key, json in self.steps.recorded.items() if _succeeded(key, json)}
        return LiveRun(self.run_id, self.brief, kept, self.round + 1)


def _succeeded(key: str, recorded: str) -> bool:
    return not key.startswith(("synthesis", "heard")) and not recorded.startswith('{"failure"')
