"""The short way sends what DSPy's way sends, gives what it gives, fails as it fails, and is taken."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import dspy
import pytest
from aiohttp import web
from dspy import lm15
from dspy.utils.callback import BaseCallback
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from teams.agent import SteppedReAct
from teams.engine import PooledEngine
from teams.fanout import asked
from teams.lms import close_pools, make_lm
from teams.panel import ExpertPanel
from teams.quick import Quick
from teams.scripted import chat_text, expert_reply, scripted_lm
from teams.signatures import (
    AnalysisSignature,
    EvidenceSignature,
    ExpertSignature,
    IdeaSignature,
    ResearchAnalysisSignature,
    ResearchSynthesisSignature,
    SearchSignature,
    SynthesisSignature,
    without_empty,
)
from teams.templates import CHAT, template_of
from teams.tiers import ModelChoice
from teams.transport import Arrived, with_outcome
from teams.usage import metering
from tests.model_server import model_server

KEY = "sk-CANARY-of-our-own"


def completion(text: Any = "text", finish: Any = "stop", *, usage: Any = None, **message: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15} if usage is None else usage
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


@dataclass
class Recorder:
    """A server that answers everything alike and keeps what it was sent."""

    reply: Callable[[], web.Response] = lambda: web.json_response(completion())
    base: str = ""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, dict(request.headers), await request.read()))
        return self.reply()


@pytest.fixture
async def recorder():
    server = Recorder()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield server
    await runner.cleanup()


@asynccontextmanager
async def a_model(base: str, **given: Any):
    lm = make_lm(ModelChoice(given.pop("model", "openai/mock"), given.pop("key", SecretStr(KEY)), base, **given))
    try:
        yield lm
    finally:
        await close_pools(lm)


class Watched(BaseCallback):
    """A callback that does nothing: with it, a call goes DSPy's way."""


async def met(module: Any, lm: Any, *, watched: bool, **inputs: Any) -> tuple[Any, ...]:
    """What a call gives or raises, and what it consumed."""
    callbacks = [Watched()] if watched else []
    with metering() as meter, dspy.context(callbacks=callbacks):
        try:
            answer = await Quick(module, lm).acall(lm=lm, **inputs)
        except Exception as error:  # noqa: BLE001 - whatever it is, it has to be the same
            told = {name: getattr(error, name, None) for name in ("status", "retry_after", "code", "provider_code")}
            return type(error), str(error), told, type(error.__cause__), meter.usage
    return answer, answer.completions.items(), meter.usage


async def both_ways(recorder: Recorder, module: Any, lm: Any, **inputs: Any) -> tuple[Any, ...]:
    """The outcome of a call, the same on both ways, with the same request."""
    recorder.requests.clear()
    short = await met(module, lm, watched=False, **inputs)
    sent = list(recorder.requests)
    recorder.requests.clear()
    assert short == await met(module, lm, watched=True, **inputs)
    assert sent == recorder.requests
    return short


def threads_used(loop: Any) -> Callable[[], int]:
    """How many pieces of work went into the loop's threads from now on."""
    submitted = []

    class Counted(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            submitted.append(args)
            return super().submit(*args, **kwargs)

    loop.set_default_executor(Counted(2))
    return lambda: len(submitted)


async def read_page(url: str) -> str:
    """Read a page."""
    return url


AGENT = SteppedReAct(SearchSignature, [read_page], max_iters=2)
ITEM = {"claim": "c", "source": "S1", "quote": "q"}
POSITION = {"claim": "c", "positions": [{"perspective": "p", "says": "s"}], "would_settle": "w"}
REPLIES = {
    "key_points": '["one", "two"]',
    "confidence": "0.7",
    "agreements": "[]",
    "disagreements": json.dumps([POSITION]),
    "findings": json.dumps([ITEM]),
    "gaps": "['single', 'quotes']",
    "ideas": '["an idea"]',
    "evidence": '["some"]',
    "next_tool_name": "read_page",
    "next_tool_args": '{"url": "https://x.example"}',
}
MODULES = {
    **{
        signature.__name__: dspy.ChainOfThought(signature)
        for signature in (
            AnalysisSignature,
            EvidenceSignature,
            ExpertSignature,
            IdeaSignature,
            ResearchAnalysisSignature,
            ResearchSynthesisSignature,
            SynthesisSignature,
        )
    },
    "turn of the agent": AGENT.react,
    "end of the agent": AGENT.extract,
    "bare predictor": dspy.Predict("question -> answer: str"),
    "one of four": dspy.Predict(dspy.Signature("question -> word", "").with_updated_fields("word", Literal["a", "b"])),
}
REPLIES["word"] = "b"


def signature_of(module: Any) -> Any:
    return getattr(module, "predict", module).signature


def reply_to(signature: Any) -> str:
    return chat_text({name: REPLIES.get(name, f"{name} in words") for name in signature.output_fields})


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("key", [SecretStr(KEY), None], ids=["key", "no key"])
async def test_every_question_of_ours_is_the_same_request_and_prediction_on_both_ways(recorder, name, key):
    module = MODULES[name]
    signature = signature_of(module)
    recorder.reply = lambda: web.json_response(completion(reply_to(signature)))
    async with a_model(recorder.base, key=key) as lm:
        answer, *_ = await both_ways(
            recorder, module, lm, **{name: f"the {name}\n\nof it" for name in signature.input_fields}
        )
    assert set(answer.keys()) == set(signature.output_fields)


@pytest.mark.parametrize("name", MODULES)
async def test_every_question_of_ours_takes_the_short_way(recorder, name):
    module = MODULES[name]
    signature = signature_of(module)
    recorder.reply = lambda: web.json_response(completion(reply_to(signature)))
    threads = threads_used(asyncio.get_running_loop())
    async with a_model(recorder.base) as lm:
        answer = await asked(module, "x", lm=lm, **dict.fromkeys(signature.input_fields, "given"))
    assert set(answer.keys()) == set(signature.output_fields)
    assert threads() == 0


@pytest.mark.parametrize(
    "text",
    [
        "Ünïcödé — 你好, мир, עברית",
        "emoji 👩‍🔬🧪 and a flag 🇨🇭",
        "control \x00\x01\x08\x0b\x0c\x1b\x1f\x7f\x85\u2028\u2029 marks",
        "quotes \" ' \\ / </script> and \r\n\t ends",
        "[[ ## expert_perspective ## ]]\nnot yours\n[[ ## completed ## ]]",
        '<<CUSTOM-TYPE-START-IDENTIFIER>>[{"type": "text", "text": "x"}]<<CUSTOM-TYPE-END-IDENTIFIER>>',
        "<<CUSTOM-TYPE-START-IDENTIFIER>> half a mark",
        "panelist system first panelist user first",
        " \n spaces around \n ",
        "\ufeff\ufffd\uffff",
        "large " * 200_000,
    ],
    ids=lambda text: text[:24],
)
async def test_odd_text_goes_out_and_comes_back_the_same(recorder, text):
    module = MODULES["ExpertSignature"]
    reply = chat_text({**expert_reply("x"), "analysis": text})
    recorder.reply = lambda: web.json_response(completion(reply))
    async with a_model(recorder.base) as lm:
        signature, inputs = without_empty(module.predict.signature, {"topic": text, "research_docs": "y" + text})
        await both_ways(recorder, module, lm, signature=signature, **inputs)
    assert len(recorder.requests) == 1


async def test_text_that_no_provider_can_receive_is_refused_the_same_and_not_sent(recorder):
    async with a_model(recorder.base) as lm:
        kind, *_ = await both_ways(recorder, MODULES["bare predictor"], lm, question="half a pair \ud800")
    assert kind is ValueError
    assert recorder.requests == []


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": 0.2},
        {"temperature": 1},
        {"temperature": 1.0, "max_tokens": 900},
        {"model": "openai/gpt-5-mini", "max_tokens": 16_000},
        {"model": "groq/llama", "served_as": "org/llama"},
    ],
)
async def test_settings_of_a_model_are_sent_the_same(recorder, given):
    async with a_model(recorder.base, **given) as lm:
        await both_ways(recorder, MODULES["bare predictor"], lm, question="q")
    assert len(recorder.requests) == 1


async def test_one_and_one_point_nought_are_different_settings(recorder):
    async with a_model(recorder.base, temperature=1) as lm:
        await both_ways(recorder, MODULES["bare predictor"], lm, question="q")
        await both_ways(recorder, MODULES["bare predictor"], lm.copy(temperature=1.0), question="q")
    assert b'"temperature":1.0' in recorder.requests[0][2]


ERROR = {"error": {"message": "words of the server", "type": "x", "code": None}}


def refusal(status: int, body: Any = ERROR, **headers: str) -> Callable[[], web.Response]:
    text = body if isinstance(body, str) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: web.Response(status=status, text=text, headers=named)


def coded(status: int, code: str, kind: str = "invalid_request_error") -> Callable[[], web.Response]:
    return refusal(status, {"error": {"message": "m", "type": kind, "code": code}})


def answer(*args: Any, **kwargs: Any) -> Callable[[], web.Response]:
    return lambda: web.json_response(completion(*args, **kwargs))


GOOD = chat_text({"answer": "yes"})
ODD_REPLIES: dict[str, Callable[[], web.Response]] = {
    **{
        str(status): refusal(status)
        for status in (400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 500, 502, 503, 529)
    },
    "429 with a date to wait for": refusal(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
    "429 with seconds": refusal(429, Retry_After="7", x_request_id="r-1"),
    "503 with seconds": refusal(503, Retry_After="0.5"),
    "no money": coded(429, "insufficient_quota", "insufficient_quota"),
    "too long": coded(400, "context_length_exceeded"),
    "too long for llama.cpp": coded(400, "exceed_context_size_error"),
    "no such model": coded(404, "model_not_found"),
    "a page of a gateway": refusal(502, "<html>bad gateway</html>", Content_Type="text/html"),
    "an empty error": refusal(500, ""),
    "201": refusal(201, completion(GOOD)),
    "204": lambda: web.Response(status=204),
    "301": refusal(301, Location="/elsewhere"),
    "304": lambda: web.Response(status=304),
    "no JSON": refusal(200, "<html>"),
    "a list": refusal(200, []),
    "null": refusal(200, "null"),
    "no number": refusal(200, '{"choices": [], "usage": {"prompt_tokens": NaN}}'),
    "an error in a good reply": refusal(200, ERROR),
    "an error beside an answer": refusal(200, completion(GOOD) | ERROR),
    "no choice": refusal(200, completion() | {"choices": []}),
    "two choices": refusal(200, completion(GOOD) | {"choices": completion(GOOD)["choices"] * 2}),
    "a choice that is none": refusal(200, completion() | {"choices": ["x"]}),
    "cut off": answer(GOOD, "length"),
    "filtered": answer(GOOD, "content_filter"),
    "a call of a tool": answer(GOOD, "tool_calls"),
    "an unknown end": answer(GOOD, "because"),
    "no end": answer(GOOD, None),
    "an empty end": answer(GOOD, ""),
    "refused": answer(None, refusal="no"),
    "refused in words": answer(GOOD, refusal="no"),
    "thoughts": answer(GOOD, reasoning_content="hm"),
    "thoughts under another name": answer(GOOD, reasoning="hm"),
    "tools": answer(None, tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
    "parts": answer([{"type": "text", "text": GOOD}]),
    "nothing": answer(""),
    "null as text": answer(None),
    "a number as text": answer(7),
    "spaces": answer(" \n "),
    "no usage": refusal(200, {k: v for k, v in completion(GOOD).items() if k != "usage"}),
    "usage in part": answer(GOOD, usage={"prompt_tokens": 3}),
    "usage of another kind": answer(GOOD, usage={"prompt_tokens": "3", "completion_tokens": 2.5}),
    "less than no tokens": answer(GOOD, usage={"prompt_tokens": -3, "completion_tokens": 2}),
    "a usage that is none": answer(GOOD, usage=[1]),
    "usage in detail": answer(
        GOOD,
        usage={
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    ),
    "details that are none": answer(
        GOOD, usage={"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": 5}
    ),
    "half a pair": refusal(200, json.dumps(completion(chat_text({"answer": "half \ud800"})))),
    "no text of ours": answer("words in no form"),
    "no model": refusal(200, {k: v for k, v in completion(GOOD).items() if k != "model"}),
    "bytes that are no text": lambda: web.Response(body=b'{"choices": "\xff"}'),
    "a reply in pieces": answer(chat_text({"answer": "long " * 100_000})),
}


@pytest.mark.parametrize("name", ODD_REPLIES)
async def test_every_odd_reply_comes_out_the_same_and_is_asked_for_once(recorder, name):
    recorder.reply = ODD_REPLIES[name]
    async with a_model(recorder.base) as lm:
        await both_ways(recorder, MODULES["bare predictor"], lm, question="q")
    assert len(recorder.requests) == 1


async def test_a_server_that_is_not_there_or_hangs_up_fails_the_same(recorder, unused_tcp_port):
    def hang_up() -> web.Response:
        raise ConnectionResetError

    async with a_model(f"http://127.0.0.1:{unused_tcp_port}/v1") as lm:
        kind, *_, usage = await both_ways(recorder, MODULES["bare predictor"], lm, question="q")
    assert (kind.__name__, usage.calls, usage.unmetered) == ("LMTransportError", 1, 1)


async def test_a_panel_of_experts_uses_no_thread(recorder):
    recorder.reply = lambda: web.json_response(completion(chat_text(expert_reply("x"))))
    threads = threads_used(asyncio.get_running_loop())
    async with a_model(recorder.base) as lm:
        result = await ExpertPanel(lm).acall(topic="Open on Sundays?")
    assert len(result.expert_analyses) == 6
    assert threads() == 0


async def question(lm: Any, module: Any = None, **given: Any) -> int:
    """How many pieces of work for threads one question is."""
    threads = threads_used(asyncio.get_running_loop())
    await Quick(module or MODULES["bare predictor"], lm).acall(lm=lm, question="q", **given)
    return threads()


async def test_whoever_watches_is_shown_the_call_by_dspy(recorder):
    recorder.reply = answer(GOOD)
    seen: list[str] = []

    class Notes(BaseCallback):
        def on_lm_start(self, call_id: Any, instance: Any, inputs: Any) -> None:
            seen.append("lm")

        def on_adapter_parse_end(self, call_id: Any, outputs: Any, exception: Any = None) -> None:
            seen.append(outputs["answer"])

    async with a_model(recorder.base) as lm:
        assert await question(lm) == 0
        with dspy.context(callbacks=[Notes()]):
            assert await question(lm) > 0
        assert seen == ["lm", "yes"]
        with dspy.track_usage() as tracker:
            assert await question(lm) > 0
        assert tracker.get_total_tokens()["openai/mock"]["prompt_tokens"] == 10
        with dspy.context(trace=[]):
            assert await question(lm) > 0
            ((predictor, inputs, prediction),) = dspy.settings.trace
        assert (predictor, inputs, prediction.answer) == (MODULES["bare predictor"], {"question": "q"}, "yes")


async def test_the_trace_that_the_whole_process_shares_is_left_alone(recorder):
    recorder.reply = answer(GOOD)
    before = len(dspy.settings.trace)
    async with a_model(recorder.base) as lm:
        await question(lm)
        with dspy.context(callbacks=[Watched()]):
            await question(lm)
    assert len(dspy.settings.trace) == before


async def test_what_is_not_plain_goes_the_way_of_dspy(recorder):
    recorder.reply = answer(GOOD)
    exemplary = dspy.Predict("question -> answer")
    exemplary.demos = [dspy.Example(question="1", answer="2")]
    warmer = dspy.Predict("question -> answer", temperature=0.3)
    async with a_model(recorder.base) as lm:
        assert await question(lm, exemplary) > 0
        assert b'"1"' not in recorder.requests[-1][2]
        assert b"## answer ## ]]\\n2" in recorder.requests[-1][2]
        assert await question(lm, warmer) > 0
        assert b'"temperature":0.3' in recorder.requests[-1][2]
        assert await question(lm, config={"seed": 7}) > 0
        assert b'"seed":7' in recorder.requests[-1][2]
        assert await question(lm.copy(seed=8)) > 0
        assert b'"seed":8' in recorder.requests[-1][2]
        assert await question(lm, dspy.Predict("question: list[str] -> answer")) == 0
        assert await question(lm, dspy.Predict("question, image: dspy.Image -> answer")) > 0
        assert await question(lm, dspy.Predict("question, more -> answer")) > 0


async def test_a_model_bound_by_a_schema_goes_the_way_of_dspy(recorder):
    recorder.reply = answer('{"answer": "yes"}')
    async with a_model(recorder.base, answer_format="json_schema") as lm:
        assert await question(lm) > 0
    assert b'"json_schema"' in recorder.requests[-1][2]


async def test_a_scripted_model_goes_the_way_of_dspy():
    async def script(_: Any) -> dict[str, str]:
        return {"answer": "yes"}

    assert await question(scripted_lm(script)) > 0


# Other providers than OpenAI's kind.

CHOICES = {
    "gemini": ModelChoice("gemini/gemini-2.5-flash", SecretStr("k"), temperature=0.5),
    "anthropic": ModelChoice("anthropic/claude-haiku-4-5", SecretStr("k"), max_tokens=900),
    "openai-chat": ModelChoice("openai/gpt-4o-mini", SecretStr("k")),
    "groq": ModelChoice("groq/llama", SecretStr("k"), max_tokens=50),
}


class Kept(Exception):
    pass


class Keeper:
    """A transport that keeps a request and goes no further."""

    request: Any

    @asynccontextmanager
    async def stream(self, request: Any):
        self.request = request
        raise Kept
        yield


@pytest.mark.parametrize("provider", CHOICES)
async def test_a_frame_makes_the_bytes_that_the_adapter_of_its_provider_makes(provider):
    choice = CHOICES[provider]
    given = {name: getattr(choice, name) for name in ("temperature", "max_tokens") if getattr(choice, name) is not None}
    frame = await PooledEngine(choice).frame(tuple((name, type(value), value) for name, value in given.items()))
    keeper = Keeper()
    router = lm15.AsyncLMRouter(lm15.RouterConfig(transport=keeper, api_keys={provider: "k"}))
    messages = [{"role": "system", "content": 'sys "tem" 你\x07'}, {"role": "user", "content": "us\u2028er \\ 🇨🇭"}]
    model = choice.model.partition("/")[2]
    request = lm15.request_from_openai_chat({"model": model, "messages": messages, **given})
    with pytest.raises(Kept):
        await router.lm(f"{provider}:{model}").complete(request)

    assert frame is not None
    assert frame.body(messages[0]["content"], messages[1]["content"]) == keeper.request.body
    assert str(frame.address.url) == keeper.request.url
    assert list(frame.address.headers.items()) == keeper.request.headers
    assert "k" not in repr(frame.address)[1:].partition(" at ")[2]


GEMINI = {
    "candidates": [{"content": {"parts": [{"text": "yes"}], "role": "model"}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 9},
}
CLAUDE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "yes"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 7},
}


@pytest.mark.parametrize(("provider", "reply"), [("gemini", GEMINI), ("anthropic", CLAUDE)])
async def test_replies_of_other_providers_are_read_by_their_adapter_without_a_thread(provider, reply):
    threads = threads_used(asyncio.get_running_loop())
    engine = PooledEngine(CHOICES[provider])
    arrived = Arrived(200, "OK", {}, json.dumps(reply).encode())
    with metering() as meter:
        assert await engine.text_of(arrived) == "yes"
    request = lm15.Request(model=CHOICES[provider].model, messages=(lm15.Message.user("q"),))
    with metering() as by_dspy, with_outcome(arrived):
        response = await engine.complete(request)
    assert response.message.text == "yes"
    told = (meter.usage.input_tokens, meter.usage.output_tokens)
    assert told == (by_dspy.usage.input_tokens, by_dspy.usage.output_tokens) == (3, 2)
    assert threads() == 0


@pytest.mark.parametrize(
    ("provider", "reply"),
    [
        ("gemini", GEMINI | {"candidates": [GEMINI["candidates"][0] | {"finishReason": "MAX_TOKENS"}]}),
        ("gemini", GEMINI | {"candidates": []}),
        ("gemini", {"promptFeedback": {"blockReason": "SAFETY"}}),
        ("anthropic", CLAUDE | {"stop_reason": "max_tokens"}),
        ("anthropic", CLAUDE | {"content": [{"type": "thinking", "thinking": "hm"}, *CLAUDE["content"]]}),
        ("anthropic", CLAUDE | {"stop_reason": "refusal"}),
    ],
)
async def test_odd_replies_of_other_providers_are_left_to_dspy(provider, reply):
    with metering() as meter:
        assert await PooledEngine(CHOICES[provider]).text_of(Arrived(200, "OK", {}, json.dumps(reply).encode())) is None
    assert meter.usage.input_tokens == 0


@pytest.mark.parametrize(
    "choice",
    [
        ModelChoice("openai/gpt-4o-mini"),
        ModelChoice("openai/x", SecretStr("k"), "http://127.0.0.1:9/v1", streamed=True),
        ModelChoice("nosuch/thing", SecretStr("k")),
    ],
    ids=["a key that may change", "streamed", "litellm"],
)
async def test_there_is_no_frame_where_requests_are_not_ours_to_make(choice):
    assert await PooledEngine(choice).frame(()) is None


# The chat format.

NAMES = st.sampled_from(["a", "b", "answer", "Größe", "x_1", "reasoning"])
TYPES = st.sampled_from([str, float, list[str], int, bool, dict[str, Any], str | None, Literal["a", "b"], list[int]])
LINES = st.one_of(
    st.text(),
    st.sampled_from(
        ["[[ ## a ## ]]", "  [[ ## b ## ]] tail", "[[ ## answer ## ]] 0.5", "[[ ## a", "[[ ## completed ## ]]", ""]
    ),
)
VALUES = st.one_of(
    st.text(),
    st.floats().map(str),
    st.integers().map(str),
    st.lists(st.text()).map(json.dumps),
    st.lists(st.one_of(st.text(), st.integers(), st.none())).map(str),
    st.sampled_from(["null", "1e400", "[", '["a",]', "0.5 (sure)", '```json\n["a"]\n```', '"x"', "True", "-0", "1_0"]),
)


@st.composite
def signatures(draw: Any) -> Any:
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    cut = draw(st.integers(1, len(names) - 1))
    fields = {
        name: (draw(TYPES), dspy.InputField(desc="d") if index < cut else dspy.OutputField())
        for index, name in enumerate(names)
    }
    return dspy.Signature(fields, draw(st.sampled_from(["Do it.", "  Do\n    it.\n", "你"])))


@settings(max_examples=60, deadline=None)
@given(signatures(), st.data())
def test_questions_in_the_chat_format_are_those_of_dspy(signature, data):
    inputs = {name: data.draw(st.text()) for name in signature.input_fields}
    template = template_of(signature)
    assert template is not None
    user = template.user(inputs)
    assert user is not None
    assert CHAT.format(signature, [], inputs) == [
        {"role": "system", "content": template.system},
        {"role": "user", "content": user},
    ]


def parsed(parse: Callable[[], dict[str, Any]]) -> Any:
    try:
        found = parse()
    except Exception as error:  # noqa: BLE001 - whatever it is, it has to be the same
        return type(error), str(error)
    return [(name, type(value), repr(value)) for name, value in found.items()]


@settings(max_examples=200, deadline=None)
@given(signatures(), st.data())
def test_answers_in_the_chat_format_are_read_as_dspy_reads_them(signature, data):
    wild = data.draw(st.booleans())
    lines = data.draw(st.lists(LINES, max_size=3)) if wild else []
    for name in signature.output_fields:
        lines += [f"[[ ## {name} ## ]]", data.draw(VALUES)]
    reply = data.draw(st.sampled_from(["\n", "\n\n", "\r\n", "\x85"])).join(lines)
    template = template_of(signature)
    assert parsed(lambda: template.fields(reply)) == parsed(lambda: CHAT.parse(signature, reply))


def test_instructions_set_on_a_signature_after_its_first_use_are_asked():
    signature = dspy.Signature("a -> b", "First.")
    assert "First." in template_of(signature).system
    signature.instructions = "Second."
    assert template_of(signature).system == CHAT.format_system_message(signature)
    assert "Second." in template_of(signature).system


async def test_a_run_of_a_panel_is_the_same_for_those_who_watch():
    async with model_server() as server, a_model(server.base) as lm:
        panel = ExpertPanel(lm)
        plain = await panel.acall(topic="x")
        with dspy.context(callbacks=[Watched()]):
            watched = await panel.acall(topic="x")
    assert [answer.toDict() for answer in plain.expert_analyses] == [a.toDict() for a in watched.expert_analyses]
