"""Ways to have panel runs carried out and shown: by the durable house, and by nothing but a loop over the events.

Imports stay inside, so that the process of one does not carry the weight of the other.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.front import CountingFrontEnd

TEXT = "/panel Should a bakery with four shops open on Sundays, and what would show in three months that it was right?"
FLASH_LIMIT, PRO_LIMIT = 12_000, 2_000
"""Calls in flight at most: 3,000 runs of 75 s a stage have 9,000 experts and 1,500 syntheses under way."""

AskRun = Callable[[str], Awaitable[None]]
"""Asks for one run under its key, and returns once its last post was shown."""

Asker = Callable[[Any, CountingFrontEnd], AbstractAsyncContextManager[AskRun]]
"""From teams and a front end to a way to ask. When its block ends, all that was asked for is over."""


@asynccontextmanager
async def durable(teams: Any, front: CountingFrontEnd) -> AsyncIterator[AskRun]:
    """The whole house on SQLite: intake, DBOS, outbox. A run that the database does not have as finished is not whole
    to the front end either."""
    import sqlite3

    from bot.house import Plan, open_house
    from bot.runs_at import InFolder
    from teams.catalog import load_catalog

    with tempfile.TemporaryDirectory(prefix="bench-runs-") as name:
        folder = Path(name)
        async with open_house(Plan(folder, teams, load_catalog(None)), {front.name: front}) as house:

            async def ask(key: str) -> None:
                await house.intake.take(front.invocation(key, TEXT))
                await front.runs[key].over

            yield ask
            await house.intake.settled()
        database = sqlite3.connect(InFolder(folder).file)
        for (key,) in database.execute("SELECT id FROM runs WHERE status != 'finished'").fetchall():
            front.runs[key].settled = False
        database.close()


@asynccontextmanager
async def memory(teams: Any, front: CountingFrontEnd) -> AsyncIterator[AskRun]:
    """The same events, progress, documents and posts, without workflow, database or outbox."""
    from bot import notices, render
    from bot.asking import brief_for
    from bot.commands import Ask, parse
    from bot.progress import Progress
    from teams.catalog import load_catalog
    from teams.steps import MemorySteps

    catalog = load_catalog(None)

    async def ask(key: str) -> None:
        invocation, command = front.invocation(key, TEXT), parse(TEXT)
        assert isinstance(command, Ask)
        brief, progress = brief_for(command, catalog), Progress()
        thread: Any = await front.open_thread(invocation, notices.root(brief.title, ()), key=f"{key}/root")
        async with teams.events(brief, MemorySteps(), key, asyncio.Event()) as events:
            async for event in events:
                progress = progress.after(event)
                for post in render.posts(event, progress, render.FIRST):
                    await front.post(thread, post.doc, key=render.post_key(key, post.part, 1))
                await front.board(thread, render.board(progress, key, brief.title), revision=1)

    yield ask


ASKERS: dict[str, Asker] = {"durable": durable, "memory": memory}


@asynccontextmanager
async def served_teams(base: str) -> AsyncIterator[Any]:
    """The teams of the bot on a model server."""
    from pydantic import SecretStr

    from bot.model_teams import ModelTeams
    from teams.lms import forget_lms, use_models
    from teams.tiers import ModelChoice, Models

    key = SecretStr("bench")
    flash = ModelChoice("openai/bench-flash", key, base, max_parallel_requests=FLASH_LIMIT)
    use_models(Models(flash, ModelChoice("openai/bench-pro", key, base, max_parallel_requests=PRO_LIMIT)))
    try:
        yield ModelTeams()
    finally:
        await forget_lms()


@asynccontextmanager
async def scripted_teams(delay: float) -> AsyncIterator[Any]:
    """The same panels on models in this process that answer after `delay` seconds: no HTTP, so less noise."""
    from teams.panel import ExpertPanel
    from teams.scripted import Prompt, Reply, expert_reply, scripted_lm, synthesis_reply

    async def script(prompt: Prompt) -> Reply:
        await asyncio.sleep(delay)
        return expert_reply("A trial of six weeks") if prompt.perspective else synthesis_reply("All in all: try it.")

    flash, pro = scripted_lm(script), scripted_lm(script, "scripted/pro")

    class ScriptedTeams:
        def __init__(self) -> None:
            self.panel = lru_cache(maxsize=8)(lambda spec: ExpertPanel(flash, pro, spec=spec))

        def events(self, brief: Any, steps: Any, run_id: str, stop: asyncio.Event) -> Any:
            return self.panel(brief.panel).run(brief.inputs, steps, run_id=run_id, stop=stop)

    yield ScriptedTeams()
