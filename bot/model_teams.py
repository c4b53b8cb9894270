"""The teams that do the work of runs, on the two models of this process."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from bot.brief import Brief
from teams.events import RunEvent
from teams.model import PanelSpec
from teams.sources.kit import ResearchKit
from teams.steps import Steps

if TYPE_CHECKING:
    from teams.fanout import Stream
    from teams.panel import ExpertPanel


class Teams(Protocol):
    """What does the work of a run."""

    def events(
        self, brief: Brief, steps: Steps, run_id: str, stop: asyncio.Event
    ) -> "AbstractAsyncContextManager[Stream[RunEvent]]":
        """The run as a stream of events."""


class ModelTeams:
    """Teams on the two models of this process. Panels are built once and shared by all runs.

    `patience` stretches every deadline, for models that are slow by nature; `kit` is what research can search.
    """

    def __init__(self, patience: float = 1.0, kit: ResearchKit = ResearchKit()) -> None:
        self._patience, self._kit = patience, kit

    def events(
        self, brief: Brief, steps: Steps, run_id: str, stop: asyncio.Event
    ) -> "AbstractAsyncContextManager[Stream[RunEvent]]":
        """See `Teams.events`."""
        # DSPy takes most of a second to import: it is first needed here.
        from teams.lms import get_flash_lm, get_pro_lm
        from teams.research import STAGE_LIMITS, ResearchTeam

        if brief.team == "research":
            limits = replace(STAGE_LIMITS, seconds=STAGE_LIMITS.seconds * self._patience)
            kit, linked, models = self._kit, brief.linked, (get_flash_lm(), get_pro_lm())
            team = ResearchTeam(*models, sources=brief.sources, kit=kit, limits=limits, linked=linked)
            return team.run(brief.topic, steps, run_id=run_id, stop=stop)
        assert brief.panel is not None, "a panel's brief names its panel"
        return self._panel(brief.panel).run(brief.inputs, steps, run_id=run_id, stop=stop)

    @lru_cache(maxsize=64)  # noqa: B019 - one object per process
    def _panel(self, spec: PanelSpec) -> "ExpertPanel":
        from teams.lms import get_flash_lm, get_pro_lm
        from teams.panel import ExpertPanel

        return ExpertPanel(get_flash_lm(), get_pro_lm(), spec=spec.stretched(self._patience))
