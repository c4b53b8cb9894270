"""One load of the project, or of what it is held against, in this process. `python -m bench.load '{…}'`."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench import loops
from bench.contenders import CONTENDERS
from bench.peers.measuring import AskPanel, Contender, Load, many_files, measure, run_on
from bot.garbage import collected_seldom


def as_served(contender: Contender) -> Contender:
    """The contender under the garbage collector as `panelist serve` sets it: this project, and what it is held against
    on its own ground. Peers are measured as they come."""

    @asynccontextmanager
    async def served(base: str, limit: int) -> AsyncIterator[AskPanel]:
        async with contender(base, limit) as ask:
            with collected_seldom():
                yield ask

    return served


if __name__ == "__main__":
    many_files()
    load = Load(**json.loads(sys.argv[1]))
    measuring = measure(load, as_served(CONTENDERS[load.contender]))
    print(json.dumps(run_on(load.loop, measuring) if load.loop else loops.run(measuring)))
