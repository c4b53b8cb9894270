"""Usage: every try of a call is counted, what the provider told is summed, what nobody told is known to be missing."""

import asyncio
import json
from contextlib import suppress

import pytest
from aiohttp import web
from pydantic import SecretStr

from teams.failures import CallFailed
from teams.lms import close_pools, make_lm
from teams.model import PanelInputs, PanelSpec, Perspective
from teams.panel import ExpertPanel
from teams.retry import CallLimits, call_with_retry
from teams.scripted import Prompt, chat_text, expert_reply, scripted_lm, synthesis_reply
from teams.steps import MemorySteps
from teams.tiers import ModelChoice
from teams.usage import Meter, Usage, current_meter, metering
from tests.model_server import answering, completion, error, hang, model_server

MODEL = "openai/mock"
AT_ONCE = CallLimits(seconds=20.0, draw=lambda: 0.0)
SPEC = PanelSpec(
    "test",
    "Test panel",
    "for tests",
    tuple(Perspective(key, key.title(), f"Judge as {key}.") for key in ("economist", "baker", "lawyer")),
    expert_seconds=15.0,
)


def call(model: str = "m", into: int | None = 10, out: int | None = 5) -> None:
    """A call as an engine tells it."""
    meter = current_meter()
    meter.sent(model)
    meter.told(into, out)


# Meters


def test_usages_add_up_under_the_first_model():
    first, second = Usage("a", 1, 10, 5, 1), Usage("b", 2, 20, 7, 0)
    assert first.plus(second) == Usage("a", 3, 30, 12, 1)
    assert Usage().plus(second) == second


@pytest.mark.parametrize(("into", "out"), [(None, None), (10, None), (None, 5)])
def test_a_call_is_unmetered_until_its_response_tells_both_counts(into, out):
    meter = Meter()
    meter.sent("m")
    assert meter.usage == Usage("m", 1, 0, 0, 1)
    meter.told(into, out)
    assert meter.usage == Usage("m", 1, 0, 0, 1)
    meter.told(10, 5)
    assert meter.usage == Usage("m", 1, 10, 5, 0)


def test_a_meter_counts_the_calls_of_its_block_and_no_others():
    call()
    with metering() as meter:
        call()
        call(into=1, out=2)
    call()
    assert meter.usage == Usage("m", 2, 11, 7, 0)


def test_without_a_meter_calls_are_counted_for_nobody():
    call()
    assert current_meter().usage == Usage()


def test_after_a_block_inside_a_block_the_outer_one_counts_again():
    with metering() as outer:
        call()
        with metering() as inner:
            call(into=100)
        call()
    assert inner.usage == Usage("m", 1, 100, 5, 0)
    assert current_meter() is not outer
    assert outer.usage.input_tokens in (20, 120)
    assert outer.usage.calls in (2, 3)


def test_a_block_that_breaks_gives_its_meter_back():
    with metering() as outer:
        with pytest.raises(KeyError), metering():
            raise KeyError
        call()
    assert outer.usage.calls == 1


async def test_tasks_side_by_side_each_have_a_meter_of_their_own():
    everyone = asyncio.Barrier(5)

    async def task(number: int) -> Usage:
        with metering() as meter:
            for _ in range(number):
                await asyncio.sleep(0)
                call(f"m{number}", number, number)
            await everyone.wait()
        return meter.usage

    used = await asyncio.gather(*map(task, range(1, 6)))
    assert used == [Usage(f"m{n}", n, n * n, n * n, 0) for n in range(1, 6)]


async def test_a_meter_counts_the_calls_of_tasks_that_its_block_began():
    async def task() -> None:
        await asyncio.sleep(0)
        call()

    with metering() as meter:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(task())
    assert meter.usage == Usage("m", 3, 30, 15, 0)


# The engine


@pytest.fixture
async def server():
    async with model_server() as server:
        yield server


@pytest.fixture
async def lm(server):
    lm = make_lm(ModelChoice(MODEL, SecretStr("sk-of-our-own"), server.base, timeout=10.0))
    yield lm
    await close_pools(lm)


def in_turn(*handlers):
    """A handler that is another one each time."""
    left = list(handlers)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await left.pop(0)(request)

    return handle


async def metered(lm, limits: CallLimits = AT_ONCE) -> Usage:
    """What one call with its tries used, whether it succeeded or not."""
    with metering() as meter, suppress(CallFailed):
        await call_with_retry(lm, "test", limits=limits, prompt="hello")
    return meter.usage


async def test_an_answer_is_metered_as_the_provider_told_it(lm):
    assert await metered(lm) == Usage(MODEL, 1, 10, 5, 0)


async def test_the_tries_of_a_call_are_summed(lm, server):
    server.faults["synthesis"] = in_turn(error(500), error(429), answering("ready"))
    assert await metered(lm) == Usage(MODEL, 3, 10, 5, 0)


@pytest.mark.parametrize(("status", "calls"), [(500, 3), (503, 3), (429, 3), (401, 1), (413, 1)])
async def test_an_error_that_the_server_answers_with_is_a_call_of_known_usage(lm, server, status, calls):
    server.faults["synthesis"] = error(status)
    assert await metered(lm) == Usage(MODEL, calls, 0, 0, 0)


async def test_a_call_that_timed_out_may_be_charged_and_nobody_knows_how_much(server):
    server.faults["synthesis"] = in_turn(hang, hang, answering("ready"))
    lm = make_lm(ModelChoice(MODEL, None, server.base, timeout=0.2))
    assert await metered(lm) == Usage(MODEL, 3, 10, 5, 2)
    await close_pools(lm)


async def test_a_call_that_its_deadline_cut_off_is_unmetered(lm, server):
    server.faults["synthesis"] = hang
    assert await metered(lm, CallLimits(seconds=0.3)) == Usage(MODEL, 1, 0, 0, 1)


async def test_a_connection_that_breaks_off_is_unmetered(lm, server):
    async def break_off(request: web.Request) -> web.StreamResponse:
        request.transport.abort()
        return web.Response()

    server.faults["synthesis"] = break_off
    assert await metered(lm, CallLimits(tries=1)) == Usage(MODEL, 1, 0, 0, 1)


async def test_an_answer_without_usage_is_unmetered(lm, server):
    async def silent(_: web.Request) -> web.StreamResponse:
        whole = json.loads(completion("ready").body)
        del whole["usage"]
        return web.json_response(whole)

    server.faults["synthesis"] = silent
    assert await metered(lm) == Usage(MODEL, 1, 0, 0, 1)


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
async def test_an_answer_that_is_none_was_paid_for_all_the_same(lm, server, finish_reason):
    server.faults["synthesis"] = answering("rea", finish_reason)
    assert await metered(lm) == Usage(MODEL, 1, 10, 5, 0)


async def test_a_body_that_nobody_can_read_is_not_taken_for_a_free_one(lm, server):
    async def garbled(_: web.Request) -> web.StreamResponse:
        return web.Response(text='{"choices": [', content_type="application/json")

    server.faults["synthesis"] = garbled
    usage = await metered(lm, CallLimits(tries=1))
    assert usage == Usage(MODEL, 1, 0, 0, 1)


async def test_a_redirect_is_an_answer_that_cost_nothing(lm, server):
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/")

    server.faults["synthesis"] = elsewhere
    assert await metered(lm) == Usage(MODEL, 1, 0, 0, 0)


async def test_calls_that_wait_for_a_slot_and_never_leave_are_not_counted(server):
    server.faults["synthesis"] = hang
    lm = make_lm(ModelChoice(MODEL, None, server.base, max_parallel_requests=1))
    first = asyncio.create_task(metered(lm, CallLimits(seconds=10.0)))
    async with asyncio.timeout(5):
        while not server.in_flight:
            await asyncio.sleep(0.01)
    assert await asyncio.gather(*(metered(lm, CallLimits(seconds=0.2)) for _ in range(3))) == [Usage()] * 3
    first.cancel()
    await asyncio.wait([first])
    await close_pools(lm)


# Steps


async def steps_of(panel: ExpertPanel, steps: MemorySteps) -> dict[str, dict]:
    async with panel.run(PanelInputs("Open on Sundays?"), steps) as events:
        async for _ in events:
            pass
    return {key: json.loads(result) for key, result in steps.results.items()}


async def test_each_step_of_a_panel_keeps_the_usage_of_its_own_call_with_all_its_tries(lm, server):
    good = answering(chat_text(expert_reply("baker speaks")))
    server.faults["baker"] = in_turn(error(429, **{"Retry-After": "0"}), good)
    server.faults["lawyer"] = error(401)
    steps = await steps_of(ExpertPanel(lm, lm, spec=SPEC), MemorySteps())

    used = {key: step["usage"] for key, step in steps.items() if "usage" in step}
    one = {"model": MODEL, "calls": 1, "input_tokens": 10, "output_tokens": 5, "unmetered": 0}
    assert used == {
        "expert:economist": one,
        "expert:baker": one | {"calls": 2},
        "expert:lawyer": one | {"input_tokens": 0, "output_tokens": 0},
        "synthesis": one,
    }
    assert "failure" in steps["expert:lawyer"]
    assert server.calls.total() == sum(usage["calls"] for usage in used.values())


async def test_a_stand_in_and_the_one_it_stands_in_for_are_metered_apart():
    async def play(prompt: Prompt):
        return expert_reply("x") if prompt.perspective else synthesis_reply("all in all")

    async def silent(_: Prompt):
        return "no synthesis at all"

    panel = ExpertPanel(scripted_lm(play), scripted_lm(silent, "scripted/pro"), spec=SPEC)
    steps = await steps_of(panel, MemorySteps())
    assert steps["synthesis"]["usage"]["model"] == "scripted/pro"
    assert "failure" in steps["synthesis"]
    assert steps["synthesis"]["usage"]["input_tokens"] > 0
    assert steps["synthesis:stand-in"]["usage"]["model"] == "scripted/flash"
    assert {step["usage"]["calls"] for step in steps.values() if "usage" in step} == {1}


async def test_a_step_that_is_replayed_keeps_the_usage_of_when_it_was_paid_for(lm, server):
    first = await steps_of(ExpertPanel(lm, lm, spec=SPEC), steps := MemorySteps())
    called = server.calls.total()
    assert await steps_of(ExpertPanel(lm, lm, spec=SPEC), MemorySteps(dict(steps.results))) == first
    assert server.calls.total() == called
