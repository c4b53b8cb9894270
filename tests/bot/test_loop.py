"""The loop of a process that serves: uvloop, Python's own where there is none, and whole runs on it."""

import asyncio

import pytest

from bot.loop import run_serving, uvloops
from tests.house import SEATS, served


async def kind() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def missing():
    raise ImportError("there is no such loop for this system")


def test_what_serves_runs_on_uvloop_where_it_is_installed():
    pytest.importorskip("uvloop")
    assert run_serving(kind()) == "uvloop"


def test_without_uvloop_it_runs_on_pythons_own_loop():
    assert run_serving(kind(), missing) == "asyncio"


async def a_panel(home) -> list[str]:
    async with served(folder=home) as (front, house, _):
        await front.say("/panel Open?")
        await house.intake.settled()
        return front.shown(front.threads()[0])


@pytest.mark.parametrize("fast", [pytest.param(uvloops, id="uvloop"), pytest.param(missing, id="asyncio")])
def test_a_panel_is_asked_recorded_and_told_whole_on_either_loop(fast, tmp_path):
    if fast is uvloops:
        pytest.importorskip("uvloop")
    shown = run_serving(a_panel(tmp_path), fast)
    assert len(shown) == 9
    assert all(any(f"{seat} speaks" in text for text in shown) for seat in SEATS)
    assert "from 6 of 6" in shown[-1]
