"""The engine on the wire: pooled, limited, mapped by DSPy's own adapters, and silent about secrets."""

import asyncio
import json

import pytest
from aiohttp import web
from llmock import pytest_plugin
from pydantic import SecretStr

from teams.transport import LARGEST_ANSWER
from teams.events import ExpertAnswered, ExpertFailed, SynthesisWritten
from teams.lms import close_pools, make_lm
from teams.model import PanelInputs, PanelSpec, Perspective
from teams.panel import ExpertPanel
from teams.scripted import chat_text, expert_reply
from teams.tiers import ModelChoice
from tests.model_server import answering, completion, error, hang, model_server

KEYS = ("economist", "neighbour", "baker", "lawyer", "contrarian", "customer")
SPEC = PanelSpec(
    "test",
    "Test panel",
    "for tests",
    tuple(Perspective(key, key.title(), f"Judge as {key}.") for key in KEYS),
    expert_seconds=15.0,
    run_seconds=60.0,
    synthesis_seconds=15.0,
)
KEY = "sk-CANARY-of-our-own"


@pytest.fixture
async def lms():
    """Makes models on a base URL and closes their connections."""
    made = []

    def make(base: str, **given):
        choice = ModelChoice("openai/mock", SecretStr(KEY), base, **given)
        made.append(make_lm(choice))
        return made[-1]

    yield make
    await close_pools(*made)


async def run(panel: ExpertPanel) -> list:
    async with panel.run(PanelInputs("Open on Sundays?")) as events:
        return [event async for event in events]


def failures(events: list) -> dict:
    return {event.perspective: event.failure for event in events if isinstance(event, ExpertFailed)}


async def test_a_whole_panel_answers_over_http_with_our_key_and_one_connection_pool(lms):
    async with model_server() as server:
        lm = lms(server.base)
        events = await run(ExpertPanel(lm, lms(server.base), spec=SPEC))

    assert len([event for event in events if isinstance(event, ExpertAnswered)]) == 6
    assert any(isinstance(event, SynthesisWritten) for event in events)
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("handler", "kind", "calls"),
    [
        (error(429, **{"Retry-After": "0.05"}), "rate_limited", 3),
        (error(500), "unavailable", 3),
        (error(503), "unavailable", 3),
        (error(401), "refused", 1),
        (error(403), "refused", 1),
        (error(404), "refused", 1),
        (error(413), "too_long", 1),
        (answering("CANARY, not an answer"), "unreadable", 1),
        (answering(""), "unreadable", 1),
        (answering(chat_text(expert_reply("CANARY")), "length"), "cut_off", 1),
        (answering("", "content_filter"), "refused", 1),
        (hang, "timed_out", 1),
    ],
)
async def test_fault_24_each_fault_of_a_server_costs_one_expert_and_says_why(lms, handler, kind, calls):
    async with model_server() as server:
        server.faults["contrarian"] = handler
        spec = PanelSpec("t", "T", "d", SPEC.perspectives, expert_seconds=10.0 if handler is not hang else 0.5)
        events = await run(ExpertPanel(lms(server.base), lms(server.base), spec=spec))
        answered = server.calls["contrarian"]

    assert {key: failure.kind.value for key, failure in failures(events).items()} == {"contrarian": kind}
    assert answered == calls
    assert any(isinstance(event, SynthesisWritten) for event in events)
    assert "CANARY" not in str(failures(events))


async def test_fault_25_an_answer_at_the_length_limit_is_cut_off_and_no_success(lms):
    async with model_server() as server:
        server.faults["baker"] = answering(chat_text(expert_reply("whole but truncated")), "length")
        events = await run(ExpertPanel(lms(server.base), lms(server.base), spec=SPEC))

    assert failures(events)["baker"].sentence == "the answer broke off at the model's length limit"


async def test_cancelling_reaches_the_server(lms):
    async with model_server() as server:
        server.faults = dict.fromkeys(KEYS, hang)
        task = asyncio.create_task(ExpertPanel(lms(server.base), spec=SPEC).acall(topic="x"))
        async with asyncio.timeout(5):
            while server.in_flight < 6:
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])
            while server.in_flight:
                await asyncio.sleep(0.01)
    assert sum(server.aborted.values()) == 6


async def test_a_hundred_panels_at_once_on_one_model_peak_at_the_limit_and_none_fails(lms):
    async with model_server() as server:
        server.hold_until = 150
        panel = ExpertPanel(lms(server.base, max_parallel_requests=150), spec=SPEC)
        results = await asyncio.gather(*(panel.acall(topic=f"topic {index}") for index in range(100)))

    assert [result.failed for result in results] == [[]] * 100
    assert sum(len(result.expert_analyses) for result in results) == 600
    assert server.most_in_flight == 150


async def test_a_thousand_calls_are_in_flight_at_once(lms):
    everyone = asyncio.Barrier(1000)

    async def together(_: web.Request) -> web.Response:
        await everyone.wait()
        return completion("ready")

    async with model_server() as server:
        server.faults["synthesis"] = together
        lm = lms(server.base, timeout=60.0)
        answers = await asyncio.gather(*(lm.acall(f"question {index}") for index in range(1000)))

    assert answers == [["ready"]] * 1000
    assert server.most_in_flight == 1000


async def test_waiting_for_a_slot_does_not_count_as_the_call_taking_time(lms):
    async with model_server(delay=0.2) as server:
        lm = lms(server.base, max_parallel_requests=1, timeout=0.5)
        answers = await asyncio.gather(*(lm.acall(f"question {index}") for index in range(5)))
    assert len(answers) == 5


async def test_a_server_that_takes_too_long_for_one_call_is_timed_out(lms):
    async with model_server() as server:
        server.faults["contrarian"] = hang
        events = await run(ExpertPanel(lms(server.base, timeout=0.1), spec=SPEC))
    failure = failures(events)["contrarian"]
    assert (failure.kind.value, failure.attempts) == ("timed_out", 3)


async def test_nothing_listening_is_said_in_one_sentence(lms, unused_tcp_port):
    result = await ExpertPanel(lms(f"http://127.0.0.1:{unused_tcp_port}/v1"), spec=SPEC).acall(topic="x")
    assert {failed["error"] for failed in result.failed} == {"the model's server could not be reached"}
    assert result.error == "All 6 modules failed"


async def test_a_redirect_is_not_followed_with_the_key(lms):
    async with model_server() as server, model_server() as elsewhere:

        async def redirect(_: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect(f"{elsewhere.base}/chat/completions")

        server.faults["contrarian"] = redirect
        events = await run(ExpertPanel(lms(server.base), spec=SPEC))
        assert elsewhere.calls.total() == 0
    failure = failures(events)["contrarian"]
    assert (failure.kind.value, failure.attempts) == ("refused", 1)


async def test_an_endless_response_is_given_up(lms):
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(LARGEST_ANSWER // 1_000_000 + 4):
            await response.write(b"x" * 1_000_000)
        return response

    async with model_server() as server:
        server.faults["contrarian"] = endless
        spec = PanelSpec("t", "T", "d", SPEC.perspectives, expert_seconds=20.0)
        events = await run(ExpertPanel(lms(server.base), spec=spec))
    failure = failures(events)["contrarian"]
    assert (failure.kind.value, failure.attempts) == ("cut_off", 1)


async def test_a_foreign_server_never_gets_the_key_of_a_provider(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY-meant-for-openai")
    async with model_server() as server:
        lm = make_lm(ModelChoice("openai/mock", None, server.base))
        await lm.acall("hello")
        await close_pools(lm)
    assert "CANARY" not in json.dumps(server.headers)


def test_the_sync_engine_answers_scripts_and_notebooks():
    async def serve(ready, release):
        async with model_server() as server:
            ready.set_result(server.base)
            await release.wait()

    async def main():
        ready, release = asyncio.get_running_loop().create_future(), asyncio.Event()
        task = asyncio.create_task(serve(ready, release))
        lm = make_lm(ModelChoice("openai/mock", None, await ready))
        answer = await asyncio.to_thread(lm, "hello")
        release.set()
        await task
        return answer

    (answer,) = asyncio.run(main())
    assert "all in all" in answer


async def test_a_panel_outlives_the_faults_of_llmock_and_is_judged_resilient(llmock: pytest_plugin.LLMock, lms):
    llmock.rate_limit(times=2, retry_after=0.3).fail(500, times=2).delay(0.2, times=1)
    lm = lms(llmock.base_url("openai"), answer_format="json_schema")

    events = await run(ExpertPanel(lm, lms(llmock.base_url("openai"), answer_format="json_schema"), spec=SPEC))

    assert failures(events) == {}
    assert any(isinstance(event, SynthesisWritten) for event in events)
    llmock.assert_resilient(strict=True)


async def test_a_stream_that_breaks_off_is_asked_again_and_no_half_answer_is_taken(llmock: pytest_plugin.LLMock, lms):
    lm = lms(llmock.base_url("openai"), answer_format="json_schema", streamed=True)
    llmock.truncate(after_chunks=2, times=2)
    assert (await ExpertPanel(lm, spec=SPEC).acall(topic="x")).failed == []
    llmock.assert_resilient()

    llmock.truncate(after_chunks=2, times=None)
    result = await ExpertPanel(lm, spec=SPEC).acall(topic="y")
    assert [(failed["kind"], failed["attempts"]) for failed in result.failed] == [("cut_off", 3)] * 6


async def test_a_refused_key_is_not_tried_again_as_llmock_sees_it(llmock: pytest_plugin.LLMock, lms):
    llmock.fail(401, times=None)
    events = await run(ExpertPanel(lms(llmock.base_url("openai")), spec=SPEC))
    assert {failure.kind.value for failure in failures(events).values()} == {"refused"}
    assert len(llmock.requests) == 6
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize(("provider", "path"), [("anthropic", "/v1"), ("gemini", "/v1beta")])
async def test_other_providers_speak_their_own_wire_format(llmock: pytest_plugin.LLMock, provider, path):
    from dspy import lm15

    from teams.transport import AiohttpTransport

    transport = AiohttpTransport()
    config = lm15.RouterConfig(
        transport=transport, api_keys={provider: "k"}, base_urls={provider: llmock.base_url(provider) + path}
    )
    router = lm15.AsyncLMRouter(config)
    request = lm15.Request(model=f"{provider}:some-model", messages=(lm15.Message.user("hello"),))
    response = await router.complete(request)
    await transport.aclose()
    assert response.finish_reason == "stop"
    assert response.text


async def test_a_name_that_no_provider_has_is_called_unknown():
    lm = make_lm(ModelChoice("nosuch/thing"))
    patient = SPEC.stretched(20)  # litellm, which is asked last, takes seconds to import
    result = await ExpertPanel(lm, spec=patient).acall(topic="x")
    assert {failed["error"] for failed in result.failed} == {"the provider does not know the model (404)"}


@pytest.mark.filterwarnings("error::ResourceWarning")
async def test_a_model_without_a_key_opens_no_connection(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    lm = make_lm(ModelChoice("openai/gpt"))
    result = await ExpertPanel(lm, spec=SPEC).acall(topic="x")
    assert {failed["kind"] for failed in result.failed} == {"refused"}
    assert all("no key is set" in failed["error"] for failed in result.failed)


async def test_a_prompt_for_this_machine_never_goes_through_a_proxy_and_no_login_of_netrc_is_sent(
    lms, monkeypatch, tmp_path
):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password CANARY\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with model_server() as server, model_server() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base)
        monkeypatch.setenv("http_proxy", proxy.base)
        result = await ExpertPanel(lms(server.base), spec=SPEC).acall(topic="x")
        assert proxy.calls.total() == 0
    assert result.failed == []
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}


def test_other_machines_are_reached_through_the_proxy_that_is_set(monkeypatch):
    from teams.proxies import proxy_for

    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "internal.example")
    assert proxy_for("https://api.example/v1") == "http://proxy:3128"
    for direct in ("https://internal.example/v1", "https://127.0.0.1/v1", "https://localhost:1/v1", "https://[::1]/v1"):
        assert proxy_for(direct) is None


async def test_time_in_our_own_queue_speaks_against_nobody(lms):
    async with model_server() as server:
        server.faults = dict.fromkeys(KEYS, hang)
        lm = lms(server.base, max_parallel_requests=1)
        hurried = SPEC.stretched(1 / 50)
        first = await ExpertPanel(lm, spec=hurried).acall(topic="x")
        server.faults = {}
        second = await ExpertPanel(lm, spec=SPEC).acall(topic="x")
    queued = [failed for failed in first.failed if "waiting for other calls to end" in failed["error"]]
    assert len(queued) == 5
    assert second.failed == []


async def test_calls_of_a_model_whose_connections_were_closed_fail_and_leak_nothing(lms):
    async with model_server() as server:
        server.faults = dict.fromkeys(KEYS, hang)
        lm = lms(server.base)
        task = asyncio.create_task(ExpertPanel(lm, spec=SPEC.stretched(1 / 10)).acall(topic="x"))
        async with asyncio.timeout(10):
            while server.in_flight < 6:
                await asyncio.sleep(0.01)
            await close_pools(lm)
            result = await task
    assert {failed["kind"] for failed in result.failed} <= {"unavailable", "timed_out"}
    assert len(result.failed) == 6
