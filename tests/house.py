"""A whole house in this process: a memory front end, the durable runs, scripted models."""

import asyncio
import tempfile
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from adapters.memory import MemoryFrontEnd
from bot.house import Plan, open_house
from bot.model_teams import ModelTeams
from bot.runs_at import InPostgres
from teams.catalog import load_catalog
from teams.panel import ExpertPanel
from teams.scripted import Prompt, expert_reply, scripted_lm, synthesis_reply

SEATS = {
    "option_finder",
    "precedent_researcher",
    "cost_examiner",
    "people_advocate",
    "feasibility_planner",
    "failure_examiner",
}


class ScriptedTeams(ModelTeams):
    """The real teams on scripted models."""

    def __init__(self, script) -> None:
        self.flash, self.pro = scripted_lm(script), scripted_lm(script, "scripted/pro")

    def events(self, brief, steps, run_id, stop):
        return ExpertPanel(self.flash, self.pro, spec=brief.panel).run(brief.inputs, steps, run_id=run_id, stop=stop)


async def good(prompt: Prompt):
    return expert_reply(f"{prompt.perspective} speaks") if prompt.perspective else synthesis_reply("all in all")


class Held:
    """A script whose experts wait until they are let go; `waiting` are those that were asked."""

    def __init__(self, *who: str) -> None:
        self.who, self.waiting, self.go = set(who) or SEATS, [], asyncio.Event()

    async def __call__(self, prompt: Prompt):
        if prompt.perspective in self.who:
            self.waiting.append(prompt.perspective)
            await self.go.wait()
        return await good(prompt)


async def until(there) -> None:
    async with asyncio.timeout(20):
        while not there():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def served(script=good, *, folder=None, at=None, front=None, teams=None, seconds=30, **plan):
    """`(front, house, teams)` until the block ends; what is under way then stays so in `folder`, or where runs are
    kept else."""
    if isinstance(at, InPostgres):
        plan["database"] = at.url
    elif at is not None:
        folder = at.folder
    front, teams = front or MemoryFrontEnd(), teams or ScriptedTeams(script)
    with tempfile.TemporaryDirectory() as temporary:
        whole = Plan(Path(folder or temporary), teams, load_catalog(None), status=("experts: scripted",))
        async with asyncio.timeout(seconds), open_house(replace(whole, **plan), {front.name: front}) as house:
            serving = asyncio.create_task(front.serve(house.intake.take))
            try:
                yield front, house, teams
            finally:
                serving.cancel()
