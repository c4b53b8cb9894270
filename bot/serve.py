"""Serving: front ends and runs until the process is told to end, and then an end in good order."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

from adapters.port import FrontEnd
from bot.conduct import PAUSE_SECONDS
from bot.house import Open, Plan, open_house
from bot.model_teams import loading

log = structlog.get_logger()

CLOSING_SECONDS = 2.0
"""What of the grace is kept for closing the databases."""


async def serve(
    plan: Plan,
    fronts: Mapping[str, FrontEnd],
    grace: float,
    opened: Callable[[Open], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT, until no front end has more to give, or until one of them fails. `opened` is told
    the house before anything is taken in.

    Then intake stops, calls under way get what is left of `grace` seconds, and the threads of runs that are not over
    are told that they will go on. A second signal ends the process at once. Raises `StoreUnusable` and, once all that
    was done, `FrontEndFailed`, or what keeps the teams from being loaded.
    """
    ending = asyncio.Event()
    with _told_to_end(ending, grace):
        async with open_house(plan, fronts) as house:
            opened(house)
            # Not before: two that want Python's lock would keep each other from it, and the house would open later.
            async with loading(plan.teams):
                try:
                    await _until(ending, house, fronts)
                finally:
                    house.line.drain()
                    await house.conductor.pause(max(0.0, grace - PAUSE_SECONDS - CLOSING_SECONDS))
    for front in fronts.values():
        await front.close()


async def _until(ending: asyncio.Event, house: Open, fronts: Mapping[str, FrontEnd]) -> None:
    serving = [asyncio.create_task(front.serve(house.intake.take), name=name) for name, front in fronts.items()]
    told = asyncio.create_task(ending.wait())
    try:
        waiting = {told, *serving}
        while told in waiting and len(waiting) > 1:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        if told in waiting:
            settled = asyncio.create_task(house.intake.settled())
            serving.append(settled)
            await asyncio.wait({told, settled}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (told, *serving):
            task.cancel()
        await asyncio.wait({told, *serving})


@contextmanager
def _told_to_end(ending: asyncio.Event, grace: float) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def told(number: int) -> None:
        if ending.is_set():
            # Whoever asks twice wants no good order. What was committed is safe.
            os._exit(128 + number)
        # A database that never answers would hold its threads, and they the process: its time is over all the same.
        last = threading.Timer(grace, os._exit, (0,))
        last.daemon = True
        last.start()
        sys.stderr.write("panelist: ending; runs under way go on at the next start (again: end at once)\n")
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
