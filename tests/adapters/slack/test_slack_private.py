"""What one person alone is told: unseen by others, directly where only that helps, and after a wait if it has to be."""

import asyncio

import aiohttp
import pytest
from structlog.testing import capture_logs

from adapters.port import Doc, Invocation, Markdown, Place, RateLimited, Receipt
from adapters.slack.frontend import SlackFrontEnd
from bot.courier import Courier
from bot.tries import Patience
from tests.adapters.slack.fake_client import TENANT, FakeClient, front_end, refusal

PLACE = Place("slack", TENANT, "C1")
NOTICE = Doc("What you can ask", controls=("form",))


def asked(key: str = "key", channel: str = "C1") -> Invocation:
    return Invocation(Place("slack", TENANT, channel), "U0ANN", "/panel help", key, "mention")


def limited(seconds: float) -> Exception:
    return refusal("ratelimited", 429, **{"Retry-After": str(seconds)})


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def front(client) -> SlackFrontEnd:
    return front_end(client)


def told(client: FakeClient) -> int:
    return len(client.asked("chat_postEphemeral"))


MENDED = [
    "not_in_channel",
    "channel_not_found",
    "user_not_in_channel",
    "is_archived",
    "restricted_action",
    "thread_not_found",
    "method_not_supported_for_channel_type",
]
"""What a direct message is free of."""


@pytest.mark.parametrize("code", MENDED)
async def test_slack_what_a_direct_message_mends_is_told_directly(front, client, code):
    client.script("chat_postEphemeral", refusal(code))
    client.script("conversations_open", {"channel": {"id": "D9"}})
    assert (await front.notify(asked(), NOTICE)).outcome == "sent"
    assert [posted["channel"] for posted in client.asked("chat_postMessage")] == ["D9"]


@pytest.mark.parametrize(
    ("failure", "outcome", "kind"),
    [
        (limited(7), "failed", "RateLimited"),
        (aiohttp.ConnectionTimeoutError(), "failed", "NotDispatched"),
        (refusal("msg_too_long"), "failed", "TooLarge"),
        (refusal("internal_error"), "unknown", "Unknown"),
        (aiohttp.ServerDisconnectedError(), "unknown", "Unknown"),
    ],
    ids=["limited", "not sent", "too long", "broken", "no answer"],
)
async def test_slack_what_a_direct_message_does_not_mend_is_reported_as_it_was(front, client, failure, outcome, kind):
    client.script("chat_postEphemeral", failure)
    receipt = await front.notify(asked(), NOTICE)
    assert (receipt.outcome, type(receipt.error).__name__) == (outcome, kind)
    assert [said.method for said in client.said] == ["chat_postEphemeral"]


async def test_slack_a_notice_of_which_only_a_part_was_shown_says_so(front, client):
    client.script("chat_postEphemeral", {}, limited(7))
    receipt = await front.notify(asked(), Doc("Long", (Markdown("word " * 5_000),)))
    assert receipt == Receipt("partial", parts=1, error=RateLimited(7.0))


# With the courier, who waits


def courier(front: SlackFrontEnd, seconds: float = 5.0) -> Courier:
    # No notice is in the outbox.
    return Courier({"slack": front}, None, patience=Patience(notice=seconds))  # type: ignore[arg-type]


@pytest.mark.parametrize("channel", ["C1", "D1"])
async def test_fault_38_slack_a_notice_that_is_to_wait_is_told_after_that(front, client, channel):
    method = "chat_postEphemeral" if channel == "C1" else "chat_postMessage"
    client.script(method, limited(0.05), limited(0.05))
    began = asyncio.get_running_loop().time()
    receipt = await courier(front).notify(asked(channel=channel), NOTICE)
    assert receipt.outcome == "sent"
    assert asyncio.get_running_loop().time() - began > 0.09
    assert [said.method for said in client.said] == [method] * 3


async def test_fault_38_slack_whoever_is_waited_for_does_not_wait_with_a_notice(front, client):
    client.script("chat_postEphemeral", limited(0.05))
    begun: list[asyncio.Task[Receipt]] = []
    receipt = await courier(front).notify(asked(), NOTICE, lambda work, name: begun.append(asyncio.ensure_future(work)))
    assert (receipt.error, told(client)) == (RateLimited(0.05), 1)
    [telling] = begun
    assert (await telling).outcome == "sent"
    assert told(client) == 2


@pytest.mark.parametrize("seconds", [60, float("inf")])
async def test_fault_38_slack_a_wait_that_is_too_long_is_not_begun_and_the_log_has_it(front, client, seconds):
    client.script("chat_postEphemeral", limited(seconds))
    with capture_logs() as logs:
        receipt = await courier(front).notify(asked("run-1"), NOTICE)
    assert (receipt.outcome, told(client)) == ("failed", 1)
    assert [(line["event"], line["key"], line["error"]) for line in logs] == [
        ("notice.not_shown", "run-1", "RateLimited")
    ]


async def test_fault_38_slack_a_notice_is_not_tried_for_ever(front, client):
    client.script("chat_postEphemeral", *[limited(0)] * 50)
    with capture_logs() as logs:
        receipt = await courier(front).notify(asked(), NOTICE)
    assert receipt.outcome == "failed"
    assert told(client) == 4
    assert len(logs) == 1


@pytest.mark.parametrize(
    ("then", "outcome"), [(refusal("internal_error"), "unknown"), (refusal("invalid_arguments"), "failed")]
)
async def test_slack_what_becomes_of_a_notice_after_its_wait_is_not_tried_again(front, client, then, outcome):
    client.script("chat_postEphemeral", limited(0.01), then)
    client.script("conversations_open", then)
    assert (await courier(front).notify(asked(), NOTICE)).outcome == outcome
    assert told(client) == 2


async def test_slack_of_a_notice_that_was_shown_in_part_nothing_is_shown_twice(front, client):
    client.script("chat_postEphemeral", {}, limited(0.01))
    receipt = await courier(front).notify(asked(), Doc("Long", (Markdown("word " * 5_000),)))
    assert (receipt.outcome, told(client)) == ("partial", 2)


class Narrow(FakeClient):
    """Lets one notice through in `each` seconds and refuses what comes in between, as a bucket that is empty."""

    def __init__(self, each: float) -> None:
        super().__init__()
        self._each, self._free, self.refused, self.shown = each, 0.0, 0, 0

    async def chat_postEphemeral(self, **_: object) -> object:
        now = asyncio.get_running_loop().time()
        if now < self._free:
            self.refused += 1
            raise limited(self._free - now)
        self._free = now + self._each
        self.shown += 1
        return await super().__getattr__("chat_postEphemeral")()


async def test_fault_38_slack_notices_that_were_refused_together_are_told_one_after_the_other_and_none_is_lost():
    client = Narrow(0.02)
    bringing = courier(front_end(client))
    receipts = await asyncio.gather(*(bringing.notify(asked(f"key-{n}"), NOTICE) for n in range(30)))
    assert {receipt.outcome for receipt in receipts} == {"sent"}
    assert client.shown == 30
    assert client.refused <= 2 * 29, "all at once again and again it would be hundreds"
