"""The gate in front of Bolt: what is not Slack's is refused before it is read, and all copies of a delivery are one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from aiohttp import streams, web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from slack_bolt.request.internals import parse_body
from structlog.testing import capture_logs

from adapters.slack.gate import (
    LARGEST,
    REMEMBERED_SECONDS,
    UNSIGNED,
    WINDOW_SECONDS,
    Answer,
    Answers,
    Delivery,
    Gate,
    Stamp,
    admit,
    sign,
    stamp_of,
)
from bot.http import Web

SECRET = "a-signing-secret"
NOW = 1_700_000_000
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
EVENT = json.dumps({"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}}).encode()
COMMAND = urlencode({"command": "/panel", "text": "ünï & <x>", "team_id": "T1"}).encode()
PRESS = urlencode({"payload": json.dumps({"type": "block_actions", "team": {"id": "T1"}})}).encode()
CHALLENGE = json.dumps({"type": "url_verification", "challenge": "3eZb"}).encode()
SSL_CHECK = b"ssl_check=1&token=x"
DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
MALFORMED = [
    (b"[]", JSON),
    (b"null", JSON),
    (b"7", JSON),
    (b'""', JSON),
    (b"", JSON),
    (b"", FORM),
    (b"{", JSON),
    (b"{", FORM),
    (b'{"a": NaN}', JSON),
    (b'{"a": -Infinity}', FORM),
    (DEEP, JSON),
    (DEEP, FORM),
    (b"[" * 100_000, JSON),
    (b'{"a": ' + b"9" * 5_000 + b"}", JSON),
    (b"\xff\xfe", JSON),
    (b'{"a": "\xff"}', JSON),
    (b"command=\xff", FORM),
    (b"payload=", FORM),
    (b"payload=[]", FORM),
    (b"payload=null", FORM),
    (b"payload={notjson", FORM),
    (b"payload=" + quote(DEEP).encode(), FORM),
    (b"payload=%7B%22a%22%3ANaN%7D", FORM),
    (b"a=b", FORM),
    (b"command=", FORM),
    (b"command=/panel" + b"&a=b" * 1_000, FORM),
    (b"ssl_check=0", FORM),
    (b'{"type": "event_callback", "event_id": "Ev1", "event": null}', JSON),
    (b'{"type": "event_callback", "event_id": "Ev1"}', JSON),
    (b'{"type": "event_callback", "event": {}}', JSON),
    (b'{"type": "event_callback", "event_id": 7, "event": {}}', JSON),
    (b'{"type": "url_verification", "challenge": {}}', JSON),
    (b'{"type": "url_verification"}', JSON),
]


RUNNER = asyncio.Runner()
"""One event loop for all examples: making one takes longer than an example."""


@pytest.fixture(scope="module", autouse=True)
def _loop_closed():
    yield
    RUNNER.close()


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


class Work:
    """What stands behind the gate: it notes what is asked of it, and answers as it is told, in turn."""

    def __init__(self, *answers: int | Exception) -> None:
        self.done: list[tuple[str, dict[str, str]]] = []
        self.answers = list(answers)
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def __call__(self, body: str, headers: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        self.done.append((body, headers))
        await self.may_go_on.wait()
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer, f"run {len(self.done)}", {"Content-Type": "text/plain"}


def signed(raw: bytes, content_type: str = JSON, *, at: int = NOW, secret: str = SECRET) -> CIMultiDict[str]:
    return CIMultiDict(
        {
            "X-Slack-Signature": sign(secret, str(at), raw),
            "X-Slack-Request-Timestamp": str(at),
            "Content-Type": content_type,
        }
    )


def received(raw: bytes, headers: CIMultiDict[str]) -> web.Request:
    """A request as aiohttp hands it over, without a socket."""
    protocol = aiohttp.base_protocol.BaseProtocol(asyncio.get_running_loop())
    content = streams.StreamReader(protocol, limit=2**22)
    content.feed_data(raw)
    content.feed_eof()
    return make_mocked_request("POST", "/slack/events", headers=headers, payload=content)


async def sent(gate: Gate, raw: bytes, headers: CIMultiDict[str]) -> web.Response:
    return await gate.handle(received(raw, headers))


def answered(raw: bytes, headers: CIMultiDict[str], work: Work | None = None) -> web.Response:
    """What one new gate answers one request."""

    async def once() -> web.Response:
        return await sent(Gate(SECRET, work or Work(), Clock()), raw, headers)

    return RUNNER.run(once())


@asynccontextmanager
async def listening(gate: Gate) -> AsyncIterator[int]:
    async with Web(dict, [web.post("/slack/events", gate.handle)], 0, host="127.0.0.1") as server:
        yield server.port


async def post(port: int, raw: bytes, headers: CIMultiDict[str]) -> int:
    address = f"http://127.0.0.1:{port}/slack/events"
    async with aiohttp.ClientSession() as session, session.post(address, data=raw, headers=headers) as response:
        return response.status


async def raw_post(port: int, head: str, body: bytes = b"", *, rest: bytes = b"", ends: bool = False) -> bytes:
    """The first line that comes back for bytes that no client library would send. `rest` is sent when it is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST /slack/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n".encode() + body)
    if ends:
        writer.write_eof()
    async with asyncio.timeout(10):
        line = await reader.readline()
        if rest:
            writer.write(rest)
            await reader.read()
    writer.close()
    return line


def lines(headers: CIMultiDict[str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


# Genuine deliveries


@pytest.mark.parametrize(("raw", "content_type"), [(EVENT, JSON), (COMMAND, FORM), (PRESS, FORM)])
async def test_slack_a_signed_delivery_reaches_the_work_with_its_body_and_comes_back_with_its_answer(raw, content_type):
    work = Work()
    answer = await sent(Gate(SECRET, work, Clock()), raw, signed(raw, content_type))
    assert (answer.status, answer.body) == (200, b"run 1")
    assert answer.content_type == "text/plain"
    assert "X-Slack-No-Retry" not in answer.headers
    ((body, headers),) = work.done
    assert body == raw.decode()
    assert headers["Content-Type"] == content_type


async def test_slack_headers_that_no_signature_covers_are_not_handed_on():
    work = Work()
    headers = signed(EVENT)
    headers.update({"X-Slack-Bolt-Lazy-Only": "1", "X-Slack-Retry-Num": "2", "Cookie": "a=b"})
    await sent(Gate(SECRET, work, Clock()), EVENT, headers)
    assert set(work.done[0][1]) == {
        "X-Slack-Signature",
        "X-Slack-Request-Timestamp",
        "X-Slack-Retry-Num",
        "Content-Type",
    }


def test_slack_the_signature_is_that_of_slacks_documentation():
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
        b"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    assert sign("8f742231b10e8888abcd99yyyzzz85a5", "1531420618", body) == (
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    )


# 1 and 2: what is not signed


@pytest.mark.parametrize("name", ["X-Slack-Signature", "X-Slack-Request-Timestamp"])
@pytest.mark.parametrize("change", ["missing", "empty", "twice"])
def test_fault_01_slack_a_stamp_that_is_missing_empty_or_there_twice_is_refused(name, change):
    work = Work()
    headers = signed(EVENT)
    if change == "missing":
        del headers[name]
    elif change == "empty":
        headers[name] = ""
    else:
        headers.add(name, headers[name])
    answer = answered(EVENT, headers, work)
    assert (answer.status, answer.body, work.done) == (401, b"", [])
    assert answer.headers["X-Slack-No-Retry"] == "1"


def test_fault_01_slack_of_all_changed_signatures_none_gets_a_body_parsed():
    # A body that would be refused in another way, had it been looked into.
    raw, letters = b"[]", [chr(code) for code in range(128)]
    right = sign(SECRET, str(NOW), raw)
    changed = {right[:place] + letter + right[place + 1 :] for place in range(68) for letter in letters}
    changed |= {right[:place] + letter + right[place:] for place in range(68) for letter in letters}
    changed |= {right[:place] for place in range(67)} | {right[:place] + right[place + 1 :] for place in range(67)}
    changed -= {right}
    assert len(changed) > 10_000
    for signature in changed:
        stamp = stamp_of(CIMultiDict({**signed(raw), "X-Slack-Signature": signature}), NOW)
        assert stamp is None or admit(raw, stamp, SECRET, JSON) is UNSIGNED


@given(st.text(min_size=1), st.binary(max_size=200))
def test_fault_01_slack_another_secret_or_another_body_is_refused(secret, raw):
    if secret.encode(errors="surrogatepass") != SECRET.encode():
        assert admit(raw, Stamp(sign(secret, str(NOW), raw), str(NOW)), SECRET, FORM) is UNSIGNED
    assert admit(raw + b"x", Stamp(sign(SECRET, str(NOW), raw), str(NOW)), SECRET, FORM) is UNSIGNED
    assert admit(raw, Stamp(sign(SECRET, str(NOW), raw), str(NOW + 1)), SECRET, FORM) is UNSIGNED


ODD = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=100),
    st.sampled_from(["1e9", "٣" * 10, "1" * 400, "1" * 5_000, "-1", "+1", " 1", "0x1", "1_0", "v0=" + "é" * 64, "v0="]),
    st.integers().map(str),
    st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "ignore").translate({10: None, 13: None, 0: None})),
)


@settings(max_examples=1_000, deadline=None)
@given(ODD, ODD, ODD, st.binary(max_size=100))
def test_fault_02_slack_no_header_makes_the_gate_fail(signature, timestamp, content_type, raw):
    headers = CIMultiDict(
        {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": timestamp, "Content-Type": content_type}
    )
    assert answered(raw, headers).status == 401
    headers.update(signed(raw, content_type))
    assert answered(raw, headers).status in (200, 400)


@settings(max_examples=1_000, deadline=None)
@given(st.binary(max_size=100), st.binary(max_size=100))
def test_fault_02_slack_bytes_that_are_no_text_are_no_stamp(signature, timestamp):
    # This is how aiohttp hands over header bytes that are not UTF-8.
    odd = CIMultiDict(
        {
            "X-Slack-Signature": signature.decode("utf-8", "surrogateescape"),
            "X-Slack-Request-Timestamp": timestamp.decode("utf-8", "surrogateescape"),
        }
    )
    assert stamp_of(odd, NOW) is None


@pytest.mark.parametrize("timestamp", [b"abc", b"1e9", b"9" * 400, b"9" * 5_000, "٣".encode(), b"\xff\xfe"])
async def test_fault_02_slack_odd_headers_on_a_real_connection_are_401(timestamp):
    async with listening(Gate(SECRET, Work(), Clock())) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stamp = b"X-Slack-Signature: v0=\xc3\xa9\r\nX-Slack-Request-Timestamp: " + timestamp + b"\r\n"
        writer.write(b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + stamp + b"\r\n")
        async with asyncio.timeout(10):
            assert b" 401 " in await reader.readline()
        writer.close()


# 3: what is signed and is nothing of Slack's


@pytest.mark.parametrize(("raw", "content_type"), MALFORMED)
def test_fault_03_slack_a_malformed_body_is_401_unsigned_and_400_signed(raw, content_type):
    work = Work()
    unsigned = signed(raw, content_type, secret="another")
    assert answered(raw, unsigned, work).status == 401
    assert answered(raw, signed(raw, content_type), work).status == 400
    assert not work.done


@settings(max_examples=1_000, deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=100).map(lambda text: ("payload=" + quote(text)).encode())),
    st.sampled_from([JSON, FORM, "text/plain", "multipart/form-data", ""]),
)
def test_fault_03_slack_no_body_makes_the_gate_fail(raw, content_type):
    admitted = admit(raw, Stamp(sign(SECRET, str(NOW), raw), str(NOW)), SECRET, content_type)
    assert isinstance(admitted, Delivery) or admitted.status in (200, 400)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
NAMES = st.sampled_from(["type", "challenge", "event", "event_id", "ssl_check", "command", "payload"])
KINDS = st.sampled_from(["url_verification", "event_callback", "block_actions", "1"])


@settings(max_examples=1_000, deadline=None)
@given(st.dictionaries(NAMES, KINDS | JSON_VALUES, max_size=5), st.booleans())
def test_fault_03_slack_no_object_makes_the_gate_fail(payload, form):
    raw = json.dumps(payload).encode()
    if form:
        raw = urlencode({"payload": raw}).encode()
    admitted = admit(raw, Stamp(sign(SECRET, str(NOW), raw), str(NOW)), SECRET, FORM if form else JSON)
    assert isinstance(admitted, Delivery) or admitted.status in (200, 400)


@settings(max_examples=1_000, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=100),
        st.text(max_size=50).map(lambda text: f"command=/panel&text={text}&payload".encode()),
        st.dictionaries(NAMES, KINDS | JSON_VALUES, max_size=5).map(lambda value: json.dumps(value).encode()),
    ),
    st.sampled_from([JSON, FORM, "text/plain", ""]),
)
def test_fault_03_slack_what_the_gate_lets_in_bolt_can_parse(raw, content_type):
    admitted = admit(raw, Stamp(sign(SECRET, str(NOW), raw), str(NOW)), SECRET, content_type)
    if isinstance(admitted, Delivery):
        assert isinstance(parse_body(admitted.body, admitted.content_type), dict)


# 4: time


@pytest.mark.parametrize(("skew", "status"), [(-299, 200), (299, 200), (-301, 401), (301, 401), (-86_400, 401)])
def test_fault_04_slack_a_stale_or_future_timestamp_is_refused(skew, status):
    assert answered(EVENT, signed(EVENT, at=NOW + skew)).status == status


@given(st.integers(0, 10**12 - 1))
def test_fault_04_slack_only_the_window_is_let_in(at):
    assert (stamp_of(signed(b"", at=at), NOW) is not None) == (abs(at - NOW) <= WINDOW_SECONDS)


# 5: replays


@pytest.mark.parametrize(("raw", "content_type"), [(EVENT, JSON), (COMMAND, FORM), (PRESS, FORM)])
async def test_fault_05_slack_a_hundred_replays_are_one_piece_of_work_and_one_answer(raw, content_type):
    clock, work = Clock(), Work()
    gate = Gate(SECRET, work, clock)
    headers = signed(raw, content_type)
    for _ in range(100):
        answer = await sent(gate, raw, headers)
        assert (answer.status, answer.body) == (200, b"run 1")
        clock.now += 2.9
    assert len(work.done) == 1


async def test_fault_05_slack_a_hundred_copies_at_once_are_one_piece_of_work():
    work = Work()
    work.may_go_on.clear()
    gate = Gate(SECRET, work, Clock())
    async with asyncio.TaskGroup() as group:
        copies = [group.create_task(sent(gate, COMMAND, signed(COMMAND, FORM))) for _ in range(100)]
        await asyncio.wait(copies, timeout=0.05)
        work.may_go_on.set()
    assert {(copy.result().status, copy.result().body) for copy in copies} == {(200, b"run 1")}
    assert len(work.done) == 1


async def test_fault_05_slack_a_copy_that_leaves_takes_the_answer_from_nobody():
    work = Work()
    work.may_go_on.clear()
    gate = Gate(SECRET, work, Clock())
    first, second, third = [asyncio.create_task(sent(gate, EVENT, signed(EVENT))) for _ in range(3)]
    await asyncio.wait([second], timeout=0.05)
    second.cancel()
    work.may_go_on.set()
    assert [(await each).status for each in (first, third)] == [200, 200]
    assert len(work.done) == 1


async def test_fault_05_slack_the_same_command_asked_twice_is_two_pieces_of_work():
    work = Work()
    gate = Gate(SECRET, work, Clock())
    for at in (NOW, NOW + 1):
        assert (await sent(gate, COMMAND, signed(COMMAND, FORM, at=at))).status == 200
    assert len(work.done) == 2


async def test_fault_05_slack_a_replay_can_never_outlive_what_is_remembered():
    clock, work = Clock(), Work()
    gate = Gate(SECRET, work, clock)
    headers = signed(COMMAND, FORM)
    clock.now = NOW - WINDOW_SECONDS
    statuses = []
    while clock.now < NOW + REMEMBERED_SECONDS:
        statuses.append((await sent(gate, COMMAND, headers)).status)
        clock.now += 50
    assert statuses == [200] * 13 + [401] * (len(statuses) - 13)
    assert len(work.done) == 1


async def test_slack_what_is_remembered_is_bounded_in_number_and_time():
    clock = Clock()
    answers = Answers(clock, seconds=60, most=50)
    runs = []

    async def work() -> Answer:
        runs.append(clock.now)
        return Answer(200)

    for number in range(200):
        await answers.once(f"key {number}", work)
        clock.now += 0.1
    assert len(answers) == 50
    await answers.once("key 199", work)
    await answers.once("key 0", work)
    assert len(runs) == 201
    clock.now += 61
    await answers.once("key 199", work)
    assert len(answers) == 1
    assert len(runs) == 202


# 6: retries


def retry(number: int, clock: Clock) -> CIMultiDict[str]:
    """Slack signs a retry anew."""
    headers = signed(EVENT, at=int(clock.now))
    headers.update({"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": "http_timeout"})
    return headers


@pytest.mark.parametrize("wait", [0, 60, 299])
async def test_fault_06_slack_three_retries_of_a_done_event_are_no_work(wait):
    clock, work = Clock(), Work()
    gate = Gate(SECRET, work, clock)
    await sent(gate, EVENT, signed(EVENT))
    for number in (1, 2, 3):
        clock.now += wait
        assert (await sent(gate, EVENT, retry(number, clock))).body == b"run 1"
    assert len(work.done) == 1


@pytest.mark.parametrize("failure", [503, 500, 404, RuntimeError("canary"), ConnectionError("canary")])
async def test_fault_06_slack_the_retry_of_an_event_that_was_not_committed_is_worked_on_once(failure):
    clock, work = Clock(), Work(failure)
    gate = Gate(SECRET, work, clock)
    statuses = [(await sent(gate, EVENT, signed(EVENT))).status]
    for number in (1, 2, 3):
        clock.now += 60
        statuses.append((await sent(gate, EVENT, retry(number, clock))).status)
    assert statuses == [failure if isinstance(failure, int) else 500, 200, 200, 200]
    assert len(work.done) == 2


async def test_fault_06_slack_the_retry_of_an_event_whose_work_was_killed_is_worked_on_once():
    clock, work = Clock(), Work()
    work.may_go_on.clear()
    gate = Gate(SECRET, work, clock)
    killed, waiting = [asyncio.create_task(sent(gate, EVENT, signed(EVENT))) for _ in range(2)]
    await asyncio.wait([killed], timeout=0.05)
    killed.cancel()
    with suppress(asyncio.CancelledError):
        await killed
    assert (await waiting).status == 503
    work.may_go_on.set()
    assert [(await sent(gate, EVENT, retry(number, clock))).status for number in (1, 2)] == [200, 200]
    assert len(work.done) == 2


async def test_fault_06_slack_the_retry_that_comes_while_the_work_goes_on_waits_for_it():
    clock, work = Clock(), Work()
    work.may_go_on.clear()
    gate = Gate(SECRET, work, clock)
    first = asyncio.create_task(sent(gate, EVENT, signed(EVENT)))
    await asyncio.wait([first], timeout=0.05)
    clock.now += 3
    second = asyncio.create_task(sent(gate, EVENT, retry(1, clock)))
    await asyncio.wait([second], timeout=0.05)
    work.may_go_on.set()
    assert [(await each).body for each in (first, second)] == [b"run 1", b"run 1"]


async def test_slack_a_refusal_of_the_work_is_passed_on_so_that_slack_delivers_again():
    answer = await sent(Gate(SECRET, Work(503), Clock()), EVENT, signed(EVENT))
    assert answer.status == 503
    assert "X-Slack-No-Retry" not in answer.headers


async def test_slack_a_bug_is_told_once_and_without_what_was_asked():
    with capture_logs() as logs:
        answer = await sent(Gate(SECRET, Work(ValueError(f"canary {SECRET}")), Clock()), EVENT, signed(EVENT))
    assert (answer.status, answer.body) == (500, b"")
    (entry,) = logs
    assert entry["event"] == "slack.dispatch_failed"
    assert entry["error"] == "ValueError"
    assert entry["at"].startswith("test_slack_gate.py:")
    assert not any(each in json.dumps(logs) for each in ("canary", SECRET, "app_mention", "v0="))


async def test_slack_refusals_are_logged_ever_more_rarely():
    gate = Gate(SECRET, Work(), Clock())
    with capture_logs() as logs:
        for _ in range(1_000):
            await sent(gate, EVENT, signed(EVENT, secret="another"))
    assert [entry["times"] for entry in logs] == [2**power for power in range(10)]
    assert "SLACK_SIGNING_SECRET" in logs[0]["why"]
    assert not any(each in json.dumps(logs) for each in ("app_mention", "v0=", "another"))


# 9: size and slowness


async def test_fault_09_slack_a_large_body_is_refused_by_its_length_and_while_it_is_read():
    work = Work()
    raw = b"x" * (LARGEST + 1)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(raw), 2**16):
            yield raw[start : start + 2**16]

    async with listening(Gate(SECRET, work, Clock())) as port:
        assert b" 413 " in await raw_post(port, f"{lines(signed(raw))}Content-Length: {2**40}\r\n")
        assert b" 413 " in await raw_post(port, f"Content-Length: {LARGEST + 1}\r\n")
        assert await post(port, raw, signed(raw)) == 413
        assert await post(port, pieces(), signed(raw)) == 413
        fits = b"{" + b" " * (LARGEST - 2) + b"}"
        assert await post(port, fits, signed(fits)) == 200
    assert len(work.done) == 1


async def test_fault_09_slack_a_compressed_body_is_refused_unread():
    headers = signed(EVENT)
    headers["Content-Encoding"] = "gzip"
    async with listening(Gate(SECRET, Work(), Clock())) as port:
        assert b" 415 " in await raw_post(port, f"{lines(headers)}Content-Length: 2\r\n", b"\x1f\x8b")


async def test_fault_09_slack_a_body_that_does_not_come_is_given_up_and_slack_may_deliver_it_again():
    work = Work()
    gate = Gate(SECRET, work, Clock(), body_seconds=0.05)
    headers = f"{lines(signed(EVENT))}Content-Length: {len(EVENT)}\r\n"
    async with listening(gate) as port:
        assert b" 408 " in await raw_post(port, headers, EVENT[:-1], rest=EVENT[-1:])
    assert not work.done


@pytest.mark.parametrize("kind", ["length", "chunks", "junk"])
async def test_fault_09_slack_a_body_that_breaks_off_is_no_failure_of_ours(kind):
    work = Work()
    framing = f"Content-Length: {len(EVENT)}" if kind == "length" else "Transfer-Encoding: chunked"
    body = {"length": EVENT[:9], "chunks": b"5\r\nab", "junk": b"zz\r\nab\r\n"}[kind]
    with capture_logs() as logs:
        async with listening(Gate(SECRET, work, Clock(), body_seconds=0.5)) as port:
            line = await raw_post(port, f"{lines(signed(EVENT))}{framing}\r\n", body, ends=True)
            assert await post(port, EVENT, signed(EVENT)) == 200
    assert b" 50" not in line
    assert not [entry for entry in logs if entry["log_level"] == "error"]
    assert len(work.done) == 1


async def test_fault_09_slack_beside_two_hundred_slow_senders_a_good_request_is_answered():
    work = Work()
    gate = Gate(SECRET, work, Clock(), body_seconds=30)
    async with listening(gate) as port:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        for number, (_, writer) in enumerate(slow):
            raw = EVENT + b" " * number
            head = f"{lines(signed(raw))}Content-Length: {len(raw)}\r\n\r\n" if number % 2 else "X-Slack-Sig"
            writer.write(f"POST /slack/events HTTP/1.1\r\nHost: x\r\n{head}".encode())
        # All of them are being read before the good one comes: the drip of one more byte says so.
        for _, writer in slow:
            await writer.drain()
        async with asyncio.timeout(5):
            for number in range(20):
                raw = json.dumps({"type": "event_callback", "event_id": f"Ev{number}", "event": {}}).encode()
                assert await post(port, raw, signed(raw)) == 200
                slow[number][1].write(b"x")
        for _, writer in slow:
            writer.transport.abort()
    assert len(work.done) == 20


# 11: checks


@pytest.mark.parametrize(
    ("raw", "content_type", "said"), [(CHALLENGE, JSON, {"challenge": "3eZb"}), (SSL_CHECK, FORM, None)]
)
def test_fault_11_slack_checks_are_answered_only_when_they_are_signed(raw, content_type, said):
    work = Work()
    good = answered(raw, signed(raw, content_type), work)
    assert good.status == 200
    assert (json.loads(good.body) if said else good.body or None) == said
    bad = answered(raw, signed(raw, content_type, secret="another"), work)
    bare = answered(raw, CIMultiDict({"Content-Type": content_type}), work)
    assert [(each.status, each.body) for each in (bad, bare)] == [(401, b"")] * 2
    assert not work.done
