"""What stands in front of Bolt in HTTP mode: size, signature, form, and one piece of work for all copies of a delivery.

Bolt alone parses before it verifies, answers odd headers with 500 and runs every copy again. What a delivery asks is
not known here. Names and limits are those of Slack's "Verifying requests from Slack" and "Events API".
"""

import asyncio
import hashlib
import hmac
import json
import re
import time
import traceback
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from multidict import MultiMapping

LARGEST = 1_048_576
"""Bytes of one body. Slack's own are far below; it documents no limit."""
BODY_SECONDS = 5.0
"""How long one body may take to arrive."""
WINDOW_SECONDS = 300
"""How far a timestamp may be from now, either way ("Verifying requests from Slack")."""
REMEMBERED_SECONDS = 900.0
"""How long an answer is kept: over the window of a replay (600 s) and Slack's third retry (after 5 min)."""
REMEMBERED = 20_000
"""How many answers are kept at most; the oldest go first. Slack delivers 30,000 events an hour per workspace."""
_MOST_FIELDS = 200
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
# The only headers that are handed on. Bolt obeys others, which no signature covers (x-slack-bolt-lazy-only).
_HANDED_ON = ("X-Slack-Signature", "X-Slack-Request-Timestamp", "X-Slack-Retry-Num", "X-Slack-Retry-Reason")

Dispatch = Callable[[str, dict[str, str]], Awaitable[tuple[int, str, dict[str, str]]]]
"""Does the work of one delivery: its body and headers to the status, body and headers of the answer."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stamp:
    """The two headers that vouch for a body."""

    signature: str
    timestamp: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A genuine, well-formed request. `key` is the same for all its copies, and for Slack's retries of one event."""

    key: str
    body: str = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered. `why` is for the log; it quotes nothing that was received."""

    status: int
    body: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    why: str = ""


UNSIGNED = Answer(401, why="the signature is missing, odd, stale or wrong; check SLACK_SIGNING_SECRET and the clock")
MALFORMED = Answer(400, why="the body is signed but is nothing that Slack sends")
TOO_LARGE = Answer(413, why="the body is larger than 1 MiB")
TOO_SLOW = Answer(408, why="the body did not arrive in time")
BROKEN_OFF = Answer(400, why="the body broke off")
ENCODED = Answer(415, why="the body is compressed, which Slack's never are")
NOT_DONE = Answer(503, why="the work was cut off")
FAILED = Answer(500, why="the work failed")


def stamp_of(headers: MultiMapping[str], now: float) -> Stamp | None:
    """The stamp of a request, if there is exactly one, it has the right form and its time is within the window."""
    signatures = headers.getall("X-Slack-Signature", [])
    timestamps = headers.getall("X-Slack-Request-Timestamp", [])
    if len(signatures) != 1 or len(timestamps) != 1:
        return None
    stamp = Stamp(signatures[0], timestamps[0])
    if not _SIGNATURE.fullmatch(stamp.signature) or not _TIMESTAMP.fullmatch(stamp.timestamp):
        return None
    return stamp if abs(now - int(stamp.timestamp)) <= WINDOW_SECONDS else None


def sign(secret: str, timestamp: str, raw: bytes) -> str:
    """The signature that Slack gives a body."""
    return "v0=" + hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + raw, hashlib.sha256).hexdigest()


def admit(raw: bytes, stamp: Stamp, secret: str, content_type: str) -> Delivery | Answer:
    """What a body is, once it is known to be Slack's: a delivery to work on, or what is answered without any work."""
    if not hmac.compare_digest(stamp.signature, sign(secret, stamp.timestamp, raw)):
        return UNSIGNED
    try:
        text = raw.decode()
        # Bolt tells the two apart in the same way.
        form = content_type != _JSON and not text.startswith("{")
        payload = _form(text) if form else _object(text)
    except (ValueError, RecursionError):
        return MALFORMED
    match payload:
        case {"type": "url_verification", "challenge": str(challenge)}:
            return Answer(200, json.dumps({"challenge": challenge}), {"Content-Type": _JSON})
        case {"ssl_check": "1"}:
            return Answer(200)
        case {"type": "event_callback", "event": dict(), "event_id": str(event_id)} if event_id:
            key = f"event {event_id}"
        case {"type": "url_verification" | "event_callback"}:
            return MALFORMED
        case _:
            key = f"{stamp.timestamp} {stamp.signature}"
    return Delivery(key, text, _FORM if form else _JSON)


def _form(text: str) -> dict[str, object]:
    """An interaction's payload, or the fields of a slash command or a check. Raises ValueError."""
    fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    if "payload" in fields:
        return _object(fields["payload"])
    if not fields.get("command") and fields.get("ssl_check") != "1":
        raise ValueError("no form of Slack's")
    return dict(fields)


def _object(text: str) -> dict[str, object]:
    """A JSON object. Raises ValueError or RecursionError."""
    value = json.loads(text, parse_constant=_refuse)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


class Answers:
    """The answers that were given, each for a while, and what is being worked on: one piece of work for each key."""

    def __init__(self, clock: Callable[[], float], *, seconds: float, most: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._kept: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[Answer]] = {}

    async def once(self, key: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer for a key: the one that was given, the one that is on its way, or that of `work`. Only success is
        kept, so that what failed is worked on again."""
        if (kept := self._kept_for(key)) is not None:
            return kept
        if (under_way := self._under_way.get(key)) is not None:
            # Whoever waits along may leave without taking the answer from the others.
            return await asyncio.shield(under_way)
        self._under_way[key] = shared = asyncio.get_running_loop().create_future()
        answer = NOT_DONE
        try:
            answer = await work()
            if 200 <= answer.status < 300:
                self._keep(key, answer)
            return answer
        finally:
            del self._under_way[key]
            shared.set_result(answer)

    def __len__(self) -> int:
        return len(self._kept) + len(self._under_way)

    def _kept_for(self, key: str) -> Answer | None:
        at, answer = self._kept.get(key, (0.0, None))
        return answer if abs(self._clock() - at) <= self._seconds else None

    def _keep(self, key: str, answer: Answer) -> None:
        now = self._clock()
        self._kept[key] = now, answer
        self._kept.move_to_end(key)
        while len(self._kept) > self._most or abs(now - next(iter(self._kept.values()))[0]) > self._seconds:
            self._kept.popitem(last=False)


class Gate:
    """Lets in what Slack signed, once. `dispatch` does the work; its 503 makes Slack deliver again."""

    def __init__(
        self,
        signing_secret: str,
        dispatch: Dispatch,
        clock: Callable[[], float] = time.time,
        *,
        body_seconds: float = BODY_SECONDS,
        remembered: int = REMEMBERED,
    ) -> None:
        self._secret = signing_secret
        self._dispatch = dispatch
        self._clock = clock
        self._body_seconds = body_seconds
        self._answers = Answers(clock, seconds=REMEMBERED_SECONDS, most=remembered)
        self._refused: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request of `POST /slack/events`."""
        answer = await self._answer(request)
        headers = dict(answer.headers)
        # What is refused is so for good, but for a body that was slow: that may be the network.
        if 400 <= answer.status < 500 and answer.status != TOO_SLOW.status:
            headers["X-Slack-No-Retry"] = "1"
        return web.Response(status=answer.status, body=answer.body.encode(), headers=headers)

    async def _answer(self, request: web.Request) -> Answer:
        admitted = await self._admitted(request)
        if isinstance(admitted, Answer):
            self._note(admitted)
            return admitted
        headers = {name: request.headers[name] for name in _HANDED_ON if name in request.headers}
        headers["Content-Type"] = admitted.content_type
        return await self._answers.once(admitted.key, lambda: self._work(admitted.body, headers))

    async def _admitted(self, request: web.Request) -> Delivery | Answer:
        if (request.content_length or 0) > LARGEST:
            return TOO_LARGE
        stamp = stamp_of(request.headers, self._clock())
        if stamp is None:
            return UNSIGNED
        if "Content-Encoding" in request.headers:
            return ENCODED
        try:
            async with asyncio.timeout(self._body_seconds):
                raw = await _body(request)
        except TimeoutError:
            return TOO_SLOW
        except (web.RequestPayloadError, ConnectionError):
            return BROKEN_OFF
        return TOO_LARGE if raw is None else admit(raw, stamp, self._secret, request.content_type)

    async def _work(self, body: str, headers: dict[str, str]) -> Answer:
        try:
            status, text, answered = await self._dispatch(body, headers)
        except Exception as error:  # noqa: BLE001 - the edge: Slack is told, and delivers again
            # Neither message nor traceback: they may quote what was asked.
            log.error("slack.dispatch_failed", error=type(error).__name__, at=_where(error))
            return FAILED
        return Answer(status, text, answered)

    def _note(self, answer: Answer) -> None:
        """Log a refusal: the first, the second, the fourth and so on, for anybody can cause them."""
        if not answer.why:
            return
        self._refused[answer.why] += 1
        times = self._refused[answer.why]
        if times & (times - 1) == 0:
            log.warning("slack.delivery_refused", status=answer.status, why=answer.why, times=times)


async def _body(request: web.Request) -> bytes | None:
    """The body of a request; None if it is too large, of which no more is read."""
    raw = bytearray()
    async for chunk in request.content.iter_any():
        raw += chunk
        if len(raw) > LARGEST:
            return None
    return bytes(raw)


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
