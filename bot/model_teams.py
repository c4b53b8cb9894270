"""The teams that do the work of runs, on the two models of this process.

DSPy takes half a second to import. A thread does that, so that questions are taken in meanwhile; runs wait for it.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from bot.brief import Brief
from bot.errors import sole
from teams.events import RunEvent
from teams.model import PanelSpec
from teams.sources.kit import ResearchKit
from teams.steps import Steps
from teams.tiers import Models

if TYPE_CHECKING:
    from teams.fanout import Stream
    from teams.panel import ExpertPanel


class Teams(Protocol):
    """What does the work of a run."""

    async def load(self) -> None:
        """Have ready whatever a run needs. Called again it waits for the same."""

    def events(
        self, brief: Brief, steps: Steps, run_id: str, stop: asyncio.Event
    ) -> "AbstractAsyncContextManager[Stream[RunEvent]]":
        """The run as a stream of events."""


@asynccontextmanager
async def loading(teams: Teams) -> AsyncIterator[None]:
    """Have the teams loaded beside the block. Where that fails the block is cancelled, and the error raised."""
    try:
        async with asyncio.TaskGroup() as beside:
            beside.create_task(teams.load(), name="load teams")
            yield
    except BaseExceptionGroup as group:
        # What the block itself raises goes on as it was.
        raise sole(group) from group


class ModelTeams:
    """Teams on the two models of this process, or on those that `teams.lms` was told of. Panels are built once and
    shared by all runs. `kit` is what research can search.

    As a block: the models' connections are closed when it ends.
    """

    def __init__(self, models: Models | None = None, kit: ResearchKit = ResearchKit()) -> None:
        self._models, self._kit = models, kit
        # Stretches every deadline, for models that are slow by nature.
        self._patience = 1.0 if models is None else models.patience
        self._loading: Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loading is not None and self._loading.done() and self._loading.exception() is None:
            from teams.lms import forget_lms

            await forget_lms()

    async def load(self) -> None:
        """Have DSPy imported and the models made, once. Raises what the import raises."""
        if self._loading is None:
            # A thread of its own: the loop's are ended with the run database.
            pool = ThreadPoolExecutor(1, thread_name_prefix="load")
            self._loading = pool.submit(_load, self._models)
            pool.shutdown(wait=False)
        # Shielded: whoever waits no more takes it from nobody else.
        await asyncio.shield(asyncio.wrap_future(self._loading))

    @asynccontextmanager
    async def events(
        self, brief: Brief, steps: Steps, run_id: str, stop: asyncio.Event
    ) -> "AsyncIterator[Stream[RunEvent]]":
        """See `Teams.events`."""
        await self._loaded()
        async with self._team(brief, steps, run_id, stop) as events:
            yield events

    async def _loaded(self) -> None:
        try:
            await self.load()
        except Exception:  # noqa: BLE001 - raised by `loading`
            # The process ends with it, and puts the run off as all others: it must not end as if it were at fault.
            await asyncio.Event().wait()

    def _team(
        self, brief: Brief, steps: Steps, run_id: str, stop: asyncio.Event
    ) -> "AbstractAsyncContextManager[Stream[RunEvent]]":
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


def _load(models: Models | None) -> None:
    from teams import panel, research  # noqa: F401 - the first run finds them there
    from teams.lms import get_flash_lm, get_pro_lm, use_models

    if models is not None:
        use_models(models)
    get_flash_lm()
    get_pro_lm()
    # All of it stays: the garbage collector need never look at it.
    gc.freeze()
