"""Steps: recorded once, as plain JSON, planned where they run side by side."""

import asyncio

import pytest

from teams.steps import MemorySteps


async def value(result):
    return result


async def test_a_recorded_step_is_not_done_again():
    steps = MemorySteps()
    calls = 0

    async def count():
        nonlocal calls
        calls += 1
        return {"calls": calls}

    assert await steps.step("a", count) == {"calls": 1}
    assert await steps.step("a", count) == {"calls": 1}
    assert calls == 1


async def test_results_make_a_json_round_trip():
    steps = MemorySteps()
    assert await steps.step("a", value, {"items": (1, 2)}) == {"items": [1, 2]}
    for unserialisable in ({"x": object()}, {"x": float("nan")}):
        with pytest.raises((TypeError, ValueError)):
            await steps.step("b", value, unserialisable)
    assert "b" not in steps.results


async def test_steps_side_by_side_must_be_planned():
    steps = MemorySteps()
    gate = asyncio.Event()

    async def wait():
        await gate.wait()
        return {}

    steps.plan(["a", "b"])
    running = [asyncio.create_task(steps.step(key, wait)) for key in ("a", "b")]
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="was not planned"):
        await steps.step("c", value, {})
    gate.set()
    await asyncio.gather(*running)
    assert await steps.step("c", value, {"alone": True}) == {"alone": True}


def test_a_key_is_planned_once():
    steps = MemorySteps()
    steps.plan(["a"])
    steps.plan(["b"])
    with pytest.raises(ValueError, match="'a' is planned twice"):
        steps.plan(["a"])
    with pytest.raises(ValueError, match="'c' is planned twice"):
        steps.plan(["c", "c"])


async def test_a_step_that_raises_is_not_recorded():
    steps = MemorySteps()

    async def broken():
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await steps.step("a", broken)
    assert await steps.step("a", value, {"x": 1}) == {"x": 1}
