"""Holds the fake Slack to its word, with Slack's own SDK at the other end and recorded answers beside it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_blocks import block_problems
from tests.adapters.slack.fake_faults import Answer, Broken, Cut, Hang, Limited, Lost, Page, Slow
from tests.adapters.slack.fake_limits import TIER_3, Limits
from tests.adapters.slack.fake_rules import message_refusal, metadata_refusal, view_refusal
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import ANN, ANN_IM, BOB, GENERAL, HOME, OUTSIDE, SECRET, Channel, Json, Workspace

SHAPES = Path(__file__).parents[4] / "shared/data/slack-responses"


class HandClock:
    """A clock that a test moves."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def slack(clock: HandClock) -> AsyncIterator[FakeSlack]:
    async with FakeSlack(clock) as fake:
        yield fake


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def web(slack: FakeSlack, session: aiohttp.ClientSession) -> AsyncWebClient:
    """Without any handler that would try again behind a test's back."""
    return AsyncWebClient("xoxb-home", base_url=slack.url, session=session, retry_handlers=[], timeout=5)


async def error_of(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


def section(text: str = "words", **more: Any) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def words(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def button(text: str = "Go", action_id: str = "go", **more: Any) -> Json:
    return {"type": "button", "text": words(text), "action_id": action_id, **more}


def bin_button(action_id: str) -> Json:
    return {"type": "icon_button", "icon": "trash", "text": words("Bin"), "action_id": action_id}


def modal(*blocks: Json, **more: Any) -> Json:
    return {"type": "modal", "title": words("Ask"), "submit": words("Send"), "blocks": [*blocks], **more}


def asking(element: Json, **more: Any) -> Json:
    return {"type": "input", "label": words("What?"), "element": element, **more}


def option(text: str = "One", value: str = "1") -> Json:
    return {"text": words(text), "value": value}


# Answers have the shapes of Slack's

OPAQUE = {"blocks", "event_payload", "shares", "state", "title_blocks"}
"""What is posted comes back, in kinds the recorded answers are too old for; shares are keyed by channel."""

EXTRAS: dict[str, str] = {
    "chat.stopStream/channel": "on the method's page and in node-slack-sdk's response types",
    "chat.stopStream/ts": "the same",
    "chat.stopStream/message": "the same",
    "files.info/response_metadata": "cursor pagination is on the method's page",
    "conversations.replies/messages/client_msg_id": "people's messages have it, those on record are a bot's",
}
"""Keys of ours that the recorded answers lack, and why Slack has them all the same."""
ESSENTIAL: dict[str, set[str]] = {
    "auth.test": {"ok", "url", "team", "user", "team_id", "user_id", "bot_id", "is_enterprise_install"},
    "chat.postMessage": {"ok", "channel", "ts", "message"},
    "chat.update": {"ok", "channel", "ts", "text", "message"},
    "chat.delete": {"ok", "channel", "ts"},
    "chat.postEphemeral": {"ok", "message_ts"},
    "chat.getPermalink": {"ok", "channel", "permalink"},
    "chat.startStream": {"ok", "channel", "ts"},
    "chat.appendStream": {"ok", "channel", "ts"},
    "chat.stopStream": {"ok"},
    "conversations.replies": {"ok", "messages", "has_more"},
    "conversations.history": {"ok", "messages", "has_more"},
    "conversations.info": {"ok", "channel"},
    "conversations.open": {"ok", "channel"},
    "users.info": {"ok", "user"},
    "team.info": {"ok", "team"},
    "bots.info": {"ok", "bot"},
    "views.open": {"ok", "view"},
    "views.update": {"ok", "view"},
    "files.getUploadURLExternal": {"ok", "upload_url", "file_id"},
    "files.completeUploadExternal": {"ok", "files"},
    "files.info": {"ok", "file"},
    "reactions.add": {"ok"},
    "reactions.remove": {"ok"},
    "assistant.threads.setStatus": {"ok"},
    "apps.connections.open": {"ok", "url"},
}
INSIDE: dict[tuple[str, str], set[str]] = {
    ("chat.postMessage", "message"): {"type", "user", "ts", "bot_id", "app_id", "text", "team", "bot_profile"},
    ("chat.update", "message"): {"type", "user", "bot_id", "app_id", "text", "team", "bot_profile", "edited"},
    ("users.info", "user"): {"id", "team_id", "name", "deleted", "real_name", "profile", "is_bot"},
    ("files.info", "file"): {"id", "name", "mimetype", "size", "url_private", "shares", "file_access"},
    ("views.open", "view"): {"id", "team_id", "type", "title", "blocks", "private_metadata", "callback_id", "hash"},
}


def invented(answer: Any, shape: Any, at: str) -> list[str]:
    """The keys of an answer that the recorded one does not have."""
    if isinstance(answer, list):
        return [key for each in answer for key in invented(each, shape[0] if shape else {}, at)]
    # An empty object in the records is one that nobody looked into.
    if not isinstance(answer, dict) or not isinstance(shape, dict) or not shape:
        return []
    found = [f"{at}/{key}" for key in answer if key not in shape]
    for key, value in answer.items():
        if key in shape and key not in OPAQUE:
            found += invented(value, shape[key], f"{at}/{key}")
    return found


async def ask_everything(slack: FakeSlack, web: AsyncWebClient) -> dict[str, Json]:
    """One good answer of each method that was recorded."""
    at, thread = GENERAL.id, slack.say(ANN.id, GENERAL.id, "Hello?")["ts"]
    told: dict[str, Any] = {"auth.test": await web.auth_test(), "team.info": await web.team_info()}
    told["users.info"], told["bots.info"] = await web.users_info(user=ANN.id), await web.bots_info(bot=HOME.bot_id)
    posted = await web.chat_postMessage(
        channel=at,
        thread_ts=thread,
        text="hi",
        blocks=[section()],
        metadata={"event_type": "panel", "event_payload": {"key": "k"}},
    )
    ts = posted["ts"]
    told["chat.postMessage"] = posted
    told["chat.update"] = await web.chat_update(channel=at, ts=ts, text="hello")
    told["chat.postEphemeral"] = await web.chat_postEphemeral(channel=at, user=ANN.id, text="psst")
    told["chat.getPermalink"] = await web.chat_getPermalink(channel=at, message_ts=ts)
    told["reactions.add"] = await web.reactions_add(channel=at, timestamp=ts, name="eyes")
    told["reactions.remove"] = await web.reactions_remove(channel=at, timestamp=ts, name="eyes")
    told["conversations.replies"] = await web.conversations_replies(channel=at, ts=thread, include_all_metadata=True)
    told["conversations.history"] = await web.conversations_history(channel=at, limit=1)
    told["conversations.info"] = await web.conversations_info(channel=at)
    told["conversations.open"] = await web.conversations_open(users=ANN.id)
    told["chat.startStream"] = begun = await web.chat_startStream(
        channel=at, thread_ts=thread, recipient_team_id=HOME.team_id, recipient_user_id=ANN.id
    )
    told["chat.appendStream"] = await web.chat_appendStream(channel=at, ts=begun["ts"], markdown_text="a")
    told["chat.stopStream"] = await web.chat_stopStream(channel=at, ts=begun["ts"])
    told["assistant.threads.setStatus"] = await web.assistant_threads_setStatus(
        channel_id=at, thread_ts=thread, status="is thinking"
    )
    opened = await web.views_open(trigger_id=slack.gesture().trigger_id, view=modal(section()))
    told["views.open"] = opened
    told["views.update"] = await web.views_update(view_id=opened["view"]["id"], view=modal(section("other")))
    told["files.getUploadURLExternal"] = await web.files_getUploadURLExternal(filename="a.md", length=2)
    uploaded = await web.files_upload_v2(filename="a.md", content="hi", channel=at, thread_ts=thread)
    told["files.completeUploadExternal"] = slack.asked("files.completeUploadExternal")[0].answered
    told["files.info"] = await web.files_info(file=uploaded["file"]["id"])
    told["apps.connections.open"] = await web.apps_connections_open(app_token=slack.app_token)
    told["chat.delete"] = await web.chat_delete(channel=at, ts=ts)
    return {name: answer if isinstance(answer, dict) else answer.data for name, answer in told.items()}


async def test_slack_answers_have_the_keys_of_recorded_answers_and_no_others(
    slack: FakeSlack, web: AsyncWebClient
) -> None:
    if not SHAPES.is_dir():
        pytest.skip("the recorded answers are not beside this checkout")

    answers = await ask_everything(slack, web)

    assert set(answers) == set(ESSENTIAL)
    for method, answer in answers.items():
        shape = json.loads((SHAPES / f"{method}.json").read_text())
        assert set(invented(answer, shape, method)) <= set(EXTRAS), method


async def test_slack_answers_have_what_an_adapter_lives_on(slack: FakeSlack, web: AsyncWebClient) -> None:
    answers = await ask_everything(slack, web)

    for method, keys in ESSENTIAL.items():
        assert keys <= set(answers[method]), method
    for (method, key), keys in INSIDE.items():
        assert keys <= set(answers[method][key]), method


async def test_slack_tells_a_tokens_scopes_in_a_header(slack: FakeSlack, web: AsyncWebClient) -> None:
    answer = await web.auth_test()

    assert answer.headers["x-oauth-scopes"].split(",") == list(HOME.scopes)
    assert "x-accepted-oauth-scopes" in answer.headers


async def test_slack_records_every_call(slack: FakeSlack, web: AsyncWebClient) -> None:
    await web.chat_postMessage(channel=GENERAL.id, text="hi")

    (call,) = slack.asked("chat.postMessage")
    assert (call.token, call.body["text"], call.at) == ("xoxb-home", "hi", 1_700_000_000.0)
    assert call.answered is not None
    assert call.answered["ok"] is True


# Tokens, scopes, places


async def test_slack_refuses_bad_tokens_and_unknown_methods(slack: FakeSlack, web: AsyncWebClient) -> None:
    assert await error_of(web.api_call("chat.shout")) == "unknown_method"
    assert await error_of(web.auth_test(token="xoxb-other")) == "invalid_auth"
    assert await error_of(web.chat_postMessage(channel=GENERAL.id, text="a", token=slack.app_token)) == (
        "not_allowed_token_type"
    )
    assert await error_of(web.apps_connections_open(app_token="xoxb-home")) == "not_allowed_token_type"
    await web.auth_revoke()
    assert await error_of(web.auth_test()) == "token_revoked"
    web.token = None
    assert await error_of(web.auth_test()) == "not_authed"


async def test_slack_names_the_scope_that_is_missing(slack: FakeSlack, web: AsyncWebClient) -> None:
    slack.add(replace(HOME, scopes=("chat:write", "users:read")))

    with pytest.raises(SlackApiError) as caught:
        await web.conversations_replies(channel=ANN_IM.id, ts="1.1")

    assert caught.value.response["error"] == "missing_scope"
    assert caught.value.response["needed"] == "im:history"
    assert caught.value.response["provided"] == "chat:write,users:read"
    assert await error_of(web.chat_postMessage(channel=GENERAL.id, text="a", username="Eve")) == "missing_scope"


async def test_slack_lets_the_bot_post_only_where_it_is(slack: FakeSlack, web: AsyncWebClient) -> None:
    slack.add(replace(GENERAL, id="C0OLD", archived=True))

    assert await error_of(web.chat_postMessage(channel="C0NONE", text="a")) == "channel_not_found"
    assert await error_of(web.chat_postMessage(channel=SECRET.id, text="a")) == "channel_not_found"
    assert await error_of(web.chat_postMessage(channel=OUTSIDE.id, text="a")) == "not_in_channel"
    assert await error_of(web.chat_postMessage(channel="C0OLD", text="a")) == "is_archived"
    slack.add(replace(HOME, scopes=(*HOME.scopes, "chat:write.public")))
    assert (await web.chat_postMessage(channel=OUTSIDE.id, text="a"))["ok"]
    assert await error_of(web.chat_postEphemeral(channel=OUTSIDE.id, user=ANN.id, text="a")) == "not_in_channel"


async def test_slack_keeps_workspaces_apart(slack: FakeSlack, web: AsyncWebClient) -> None:
    away = Workspace("T0AWAY", "Away", "xoxb-away", "U0AWAYBOT", "B0AWAY", enterprise_id="E0GRID")
    slack.add(away, Channel("C0AWAY", "away", team_id="T0AWAY"))

    assert (await web.auth_test(token="xoxb-away"))["enterprise_id"] == "E0GRID"
    assert await error_of(web.chat_postMessage(channel="C0AWAY", text="a")) == "channel_not_found"
    assert (await web.chat_postMessage(channel="C0AWAY", text="a", token="xoxb-away"))["message"]["bot_id"] == "B0AWAY"


async def test_slack_gives_a_token_for_a_code_once(slack: FakeSlack, web: AsyncWebClient) -> None:
    slack.codes["code-1"] = HOME.team_id
    known = {"client_id": slack.client_id, "client_secret": slack.client_secret}

    answer = await web.oauth_v2_access(code="code-1", **known)

    assert (answer["access_token"], answer["team"]["id"]) == ("xoxb-home", "T0HOME")
    assert await error_of(web.oauth_v2_access(code="code-1", **known)) == "invalid_code"
    assert await error_of(web.oauth_v2_access(code="c", client_id="x", client_secret="y")) == "invalid_client_id"


# What a payload may be

TOO_MUCH: dict[str, list[Json]] = {
    "51 blocks": [{"type": "divider"}] * 51,
    "no words": [section("")],
    "long section": [section("x" * 3001)],
    "neither text nor fields": [{"type": "section"}],
    "11 fields": [{"type": "section", "fields": [words("f")] * 11}],
    "long field": [{"type": "section", "fields": [words("f" * 2001)]}],
    "long header": [{"type": "header", "text": words("h" * 151)}],
    "styled header": [{"type": "header", "text": {"type": "mrkdwn", "text": "h"}}],
    "11 in a context": [{"type": "context", "elements": [words("c")] * 11}],
    "empty context": [{"type": "context", "elements": []}],
    "26 actions": [{"type": "actions", "elements": [button(action_id=f"a{n}") for n in range(26)]}],
    "same action_id": [{"type": "actions", "elements": [button(), button()]}],
    "6 context actions": [{"type": "context_actions", "elements": [bin_button(f"a{n}") for n in range(6)]}],
    "button among context actions": [{"type": "context_actions", "elements": [button()]}],
    "long button": [{"type": "actions", "elements": [button("x" * 76)]}],
    "long value": [{"type": "actions", "elements": [button(value="x" * 2001)]}],
    "long action_id": [{"type": "actions", "elements": [button(action_id="x" * 256)]}],
    "styled button": [{"type": "actions", "elements": [button(style="warning")]}],
    "button without words": [{"type": "actions", "elements": [{"type": "button", "action_id": "a"}]}],
    "long block_id": [section(block_id="x" * 256)],
    "same block_id": [section(block_id="b"), section(block_id="b")],
    "unknown block": [{"type": "marquee"}],
    "unknown element": [{"type": "actions", "elements": [{"type": "lever", "action_id": "a"}]}],
    "unknown key": [section(colour="red")],
    "markdown over all": [{"type": "markdown", "text": "x" * 7000}] * 2,
    "long markdown": [{"type": "markdown", "text": "x" * 12_001}],
    "101 rows": [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]] * 101}],
    "21 columns": [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 21]}],
    "empty cell": [{"type": "table", "rows": [[{"type": "raw_text", "text": ""}]]}],
    "file field in a message": [asking({"type": "file_input", "action_id": "f"})],
    "11 children": [{"type": "container", "title": words("t"), "child_blocks": [section()] * 11}],
    "no children": [{"type": "container", "title": words("t"), "child_blocks": []}],
    "no title": [{"type": "container", "child_blocks": [section()]}],
    "long title": [{"type": "container", "title": words("t" * 151), "child_blocks": [section()]}],
    "title that is a string": [{"type": "container", "title": "t", "child_blocks": [section()]}],
    "collapsed for ever": [
        {"type": "container", "title": words("t"), "child_blocks": [section()], "default_collapsed": True}
    ],
    "container in a container": [
        {
            "type": "container",
            "title": words("t"),
            "child_blocks": [{"type": "container", "title": words("t"), "child_blocks": [section()]}],
        }
    ],
    "markdown in a container": [
        {"type": "container", "title": words("t"), "child_blocks": [{"type": "markdown", "text": "m"}]}
    ],
}
JUST_RIGHT: list[list[Json]] = [
    [{"type": "divider"}] * 50,
    [section("x" * 3000, accessory=button("x" * 75, value="x" * 2000))],
    [{"type": "section", "fields": [words("f" * 1000)] * 10}],
    [{"type": "header", "text": words("h" * 150)}, {"type": "markdown", "text": "x" * 12_000}],
    [{"type": "context", "elements": [words("c")] * 9 + [{"type": "image", "image_url": "u", "alt_text": "a"}]}],
    [{"type": "actions", "elements": [button(action_id=f"a{n}", style="danger") for n in range(25)]}],
    [
        {
            "type": "context_actions",
            "elements": [
                {
                    "type": "feedback_buttons",
                    "action_id": "f",
                    "positive_button": {"text": words("Good"), "value": "1"},
                    "negative_button": {"text": words("Bad"), "value": "0"},
                }
            ],
        }
    ],
    [
        {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 20] * 100, "column_settings": [None]},
        {"type": "alert", "level": "error", "text": words("No")},
    ],
    [
        {
            "type": "container",
            "title": words("t" * 150),
            "subtitle": {"type": "mrkdwn", "text": "s"},
            "is_collapsible": True,
            "default_collapsed": True,
            "child_blocks": [section()] * 9 + [{"type": "actions", "elements": [button()]}],
        }
    ],
    [{"type": "actions", "elements": [{"type": "overflow", "action_id": "o", "options": [option()]}]}],
    [
        {
            "type": "plan",
            "title": "Panel",
            "tasks": [{"type": "task_card", "task_id": "1", "title": "Ask", "status": "pending"}],
        }
    ],
]


@pytest.mark.parametrize("blocks", TOO_MUCH.values(), ids=TOO_MUCH)
async def test_slack_refuses_blocks_that_are_too_much(
    slack: FakeSlack, web: AsyncWebClient, blocks: list[Json]
) -> None:
    assert await error_of(web.chat_postMessage(channel=GENERAL.id, text="t", blocks=blocks)) == "invalid_blocks"
    assert slack.messages(GENERAL.id) == []


@pytest.mark.parametrize("blocks", JUST_RIGHT)
def test_slack_takes_blocks_up_to_the_limit(blocks: list[Json]) -> None:
    assert block_problems(blocks) == []


async def test_slack_points_at_what_is_wrong_in_a_block(slack: FakeSlack, web: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        await web.chat_postMessage(channel=GENERAL.id, text="t", blocks=[section("x" * 3001)])

    assert caught.value.response["response_metadata"]["messages"] == [
        "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    ]


@pytest.mark.parametrize(
    ("error", "body"),
    [
        ("no_text", {}),
        ("no_text", {"text": "", "blocks": []}),
        ("no_text", {"text": " \n"}),
        ("msg_too_long", {"text": "x" * 40_001}),
        ("msg_too_long", {"markdown_text": "x" * 12_001}),
        ("markdown_text_conflict", {"markdown_text": "a", "text": "b"}),
        ("markdown_text_conflict", {"markdown_text": "a", "blocks": [section()]}),
        ("msg_blocks_too_long", {"text": "t", "blocks": [section("x" * 3000)] * 5}),
        ("invalid_blocks_format", {"text": "t", "blocks": "[{"}),
        ("invalid_metadata_schema", {"text": "t", "metadata": {"event_type": "a"}}),
        ("invalid_metadata_schema", {"text": "t", "metadata": {"event_type": "a", "event_payload": {"b": {"c": 1}}}}),
        ("invalid_metadata_schema", {"text": "t", "metadata": {"event_type": "a", "event_payload": {"b": None}}}),
        ("thread_not_found", {"text": "t", "thread_ts": "1.000001"}),
    ],
)
async def test_slack_refuses_messages_with_the_errors_of_its_reference(
    slack: FakeSlack, web: AsyncWebClient, error: str, body: Json
) -> None:
    assert await error_of(web.api_call("chat.postMessage", json={"channel": GENERAL.id, **body})) == error


def test_slack_takes_flat_metadata() -> None:
    assert metadata_refusal({"event_type": "a", "event_payload": {"b": "c", "n": 1, "l": ["x"]}}) is None
    assert message_refusal({"text": "x" * 40_000}) is None


TOO_MUCH_TO_ASK: dict[str, Json] = {
    "long title": modal(section(), title=words("t" * 25)),
    "long submit": modal(section(), submit=words("s" * 25)),
    "long close": modal(section(), close=words("c" * 25)),
    "101 blocks": modal(*[{"type": "divider"}] * 101),
    "no blocks": modal(),
    "markdown": modal({"type": "markdown", "text": "m"}),
    "long private_metadata": modal(section(), private_metadata="x" * 3001),
    "long callback_id": modal(section(), callback_id="x" * 256),
    "long label": modal(asking({"type": "plain_text_input", "action_id": "a"}, label=words("x" * 2001))),
    "no options": modal(asking({"type": "static_select", "action_id": "a", "options": []})),
    "101 options": modal(asking({"type": "static_select", "action_id": "a", "options": [option()] * 101})),
    "long option": modal(asking({"type": "static_select", "action_id": "a", "options": [option("x" * 76)]})),
    "long option value": modal(
        asking({"type": "static_select", "action_id": "a", "options": [option("x", "v" * 151)]})
    ),
    "a choice not offered": modal(
        asking({"type": "static_select", "action_id": "a", "options": [option()], "initial_option": option("Two")})
    ),
    "11 boxes": modal(asking({"type": "checkboxes", "action_id": "a", "options": [option()] * 11})),
    "field for 3001": modal(asking({"type": "plain_text_input", "action_id": "a", "max_length": 3001})),
    "more words than fit": modal(
        asking({"type": "plain_text_input", "action_id": "a", "max_length": 3, "initial_value": "four"})
    ),
    "11 files": modal(asking({"type": "file_input", "action_id": "a", "max_files": 11})),
    "no way to send": {
        "type": "modal",
        "title": words("Ask"),
        "blocks": [asking({"type": "plain_text_input", "action_id": "a"})],
    },
    "unknown key": modal(section(), colour="red"),
}


@pytest.mark.parametrize("view", TOO_MUCH_TO_ASK.values(), ids=TOO_MUCH_TO_ASK)
async def test_slack_refuses_views_that_are_too_much(slack: FakeSlack, web: AsyncWebClient, view: Json) -> None:
    assert await error_of(web.views_open(trigger_id=slack.gesture().trigger_id, view=view)) == "invalid_arguments"
    assert slack.views == {}


def test_slack_takes_a_form_with_everything_in_it() -> None:
    assert (
        view_refusal(
            modal(
                asking({"type": "plain_text_input", "action_id": "a", "multiline": True, "max_length": 3000}),
                asking({"type": "static_select", "action_id": "b", "options": [option()], "initial_option": option()}),
                asking({"type": "checkboxes", "action_id": "c", "options": [option()]}, optional=True),
                asking({"type": "file_input", "action_id": "d", "max_files": 10, "filetypes": ["md"]}),
                private_metadata="x" * 3000,
                callback_id="ask",
            )
        )
        is None
    )


async def test_slack_opens_a_view_once_within_three_seconds(
    slack: FakeSlack, web: AsyncWebClient, clock: HandClock
) -> None:
    used, late = slack.gesture().trigger_id, slack.gesture().trigger_id

    opened = await web.views_open(trigger_id=used, view=modal(section()))

    assert slack.views[opened["view"]["id"]].user == ANN.id
    assert await error_of(web.views_open(trigger_id=used, view=modal(section()))) == "exchanged_trigger_id"
    clock.now += 3.1
    assert await error_of(web.views_open(trigger_id=late, view=modal(section()))) == "expired_trigger_id"
    assert await error_of(web.views_open(trigger_id="1.2.x", view=modal(section()))) == "invalid_trigger_id"
    assert await error_of(web.views_update(view_id="V0", view=modal(section()))) == "not_found"


# Messages over time


async def test_slack_keeps_metadata_over_an_update_and_shows_it_only_when_asked(
    slack: FakeSlack, web: AsyncWebClient
) -> None:
    told = {"event_type": "panel", "event_payload": {"key": "k1"}}
    ts = (await web.chat_postMessage(channel=GENERAL.id, text="a", blocks=[section()], metadata=told))["ts"]

    await web.chat_update(channel=GENERAL.id, ts=ts, text="b")

    (quiet,) = (await web.conversations_replies(channel=GENERAL.id, ts=ts))["messages"]
    (full,) = (await web.conversations_replies(channel=GENERAL.id, ts=ts, include_all_metadata=True))["messages"]
    assert "metadata" not in quiet
    assert full["metadata"] == told
    assert slack.plain(full) == "b"


async def test_slack_lets_an_app_change_its_own_messages_alone(slack: FakeSlack, web: AsyncWebClient) -> None:
    theirs = slack.say(ANN.id, GENERAL.id, "mine")["ts"]
    ours = (await web.chat_postMessage(channel=GENERAL.id, text="a"))["ts"]

    assert await error_of(web.chat_update(channel=GENERAL.id, ts=theirs, text="b")) == "cant_update_message"
    assert await error_of(web.chat_delete(channel=GENERAL.id, ts=theirs)) == "cant_delete_message"
    assert await error_of(web.chat_update(channel=GENERAL.id, ts="1.1", text="b")) == "message_not_found"
    assert await error_of(web.chat_update(channel=GENERAL.id, ts=ours, text="x" * 4001)) == "msg_too_long"
    await web.chat_delete(channel=GENERAL.id, ts=ours)
    assert await error_of(web.chat_delete(channel=GENERAL.id, ts=ours)) == "message_not_found"
    assert [message["ts"] for message in slack.messages(GENERAL.id)] == [theirs]


async def test_slack_leaves_a_stone_where_a_root_with_replies_was(slack: FakeSlack, web: AsyncWebClient) -> None:
    root = (await web.chat_postMessage(channel=GENERAL.id, text="a"))["ts"]
    await web.chat_postMessage(channel=GENERAL.id, thread_ts=root, text="b")

    await web.chat_delete(channel=GENERAL.id, ts=root)

    assert [message.get("subtype") for message in slack.messages(GENERAL.id, root)] == ["tombstone", None]


async def test_slack_gives_a_thread_page_by_page(slack: FakeSlack, web: AsyncWebClient) -> None:
    root = slack.say(ANN.id, GENERAL.id, "root")["ts"]
    sent = [(await web.chat_postMessage(channel=GENERAL.id, thread_ts=root, text=f"{n}"))["ts"] for n in range(5)]
    seen: list[str] = []

    async for answer in await web.conversations_replies(channel=GENERAL.id, ts=root, limit=2):
        assert answer["messages"][0]["ts"] == root
        seen += [message["ts"] for message in answer["messages"][1:]]

    assert seen == sent
    assert answer["messages"][0]["reply_count"] == 5
    assert await error_of(web.conversations_replies(channel=GENERAL.id, ts="1.1")) == "thread_not_found"
    assert await error_of(web.conversations_replies(channel=GENERAL.id, ts=root, cursor="x")) == "invalid_cursor"
    newest = await web.conversations_history(channel=GENERAL.id, limit=1)
    assert [message["ts"] for message in newest["messages"]] == [root]


async def test_slack_may_not_let_a_thread_be_read(slack: FakeSlack, web: AsyncWebClient, clock: HandClock) -> None:
    root = slack.say(ANN.id, GENERAL.id, "root")["ts"]
    for n in range(20):
        slack.say(BOB.id, GENERAL.id, f"{n}", root)

    slack.history = "not_allowed"
    assert await error_of(web.conversations_replies(channel=GENERAL.id, ts=root)) == "not_allowed_token_type"
    slack.history = "one_a_minute"
    few = await web.conversations_replies(channel=GENERAL.id, ts=root, limit=200)
    assert len(few["messages"]) == 1 + 15
    with pytest.raises(SlackApiError) as caught:
        await web.conversations_replies(channel=GENERAL.id, ts=root)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "60"
    clock.now += 60
    assert (await web.conversations_replies(channel=GENERAL.id, ts=root))["ok"]


# Streams


async def begin(web: AsyncWebClient, channel: str, thread_ts: str, **more: Any) -> str:
    to = {"recipient_team_id": HOME.team_id, "recipient_user_id": ANN.id}
    return str((await web.chat_startStream(channel=channel, thread_ts=thread_ts, **to, **more))["ts"])


async def test_slack_streams_text_and_tasks_into_one_message(slack: FakeSlack, web: AsyncWebClient) -> None:
    root = slack.say(ANN.id, ANN_IM.id, "Ask")["ts"]
    ts = await begin(web, ANN_IM.id, root, task_display_mode="plan")
    task = {"type": "task_update", "id": "1", "title": "Ann"}

    await web.chat_appendStream(
        channel=ANN_IM.id, ts=ts, chunks=[{"type": "plan_update", "title": "Panel"}, {**task, "status": "in_progress"}]
    )
    await web.chat_appendStream(channel=ANN_IM.id, ts=ts, markdown_text="one ")
    assert await error_of(web.chat_update(channel=ANN_IM.id, ts=ts, text="x")) == "streaming_state_conflict"
    await web.chat_stopStream(
        channel=ANN_IM.id, ts=ts, markdown_text="two", chunks=[{**task, "status": "complete"}], blocks=[section("end")]
    )

    message = slack.messages(ANN_IM.id, root)[-1]
    assert slack.plain(message) == "Panel\nAnn\none two\nend"
    assert message["blocks"][0]["tasks"][0]["status"] == "complete"
    for call in (web.chat_appendStream, web.chat_stopStream):
        assert await error_of(call(channel=ANN_IM.id, ts=ts, markdown_text="x")) == "message_not_in_streaming_state"
    assert (await web.chat_update(channel=ANN_IM.id, ts=ts, text="all"))["ok"]


async def test_slack_refuses_what_a_stream_may_not_be(slack: FakeSlack, web: AsyncWebClient) -> None:
    at, root = GENERAL.id, slack.say(ANN.id, GENERAL.id, "Ask")["ts"]
    start: Callable[..., Any] = web.chat_startStream

    assert await error_of(start(channel=at, thread_ts=root)) == "missing_recipient_team_id"
    assert await error_of(start(channel=at, thread_ts=root, recipient_team_id="T")) == "missing_recipient_user_id"
    ts = await begin(web, at, root)
    bad = [{"type": "task_update", "id": "1", "title": "t", "status": "late"}]
    assert await error_of(web.chat_appendStream(channel=at, ts=ts, chunks=bad)) == "invalid_chunks"
    assert await error_of(web.chat_appendStream(channel=at, ts=ts)) == "no_text"
    assert await error_of(web.chat_appendStream(channel=at, ts=ts, markdown_text="x" * 12_001)) == "msg_too_long"
    assert await error_of(web.chat_stopStream(channel=at, ts=ts, blocks=[{"type": "lever"}])) == "invalid_blocks"


async def test_slack_ends_a_stream_by_itself_and_at_a_persons_wish(
    slack: FakeSlack, web: AsyncWebClient, clock: HandClock
) -> None:
    root = slack.say(ANN.id, ANN_IM.id, "Ask")["ts"]
    old, new = await begin(web, ANN_IM.id, root), ""

    clock.now += slack.stream_seconds
    assert await error_of(web.chat_appendStream(channel=ANN_IM.id, ts=old, markdown_text="x")) == (
        "message_not_in_streaming_state"
    )
    new = await begin(web, ANN_IM.id, root)
    assert slack.stop_by_user(ANN_IM.id, root) == [new]
    assert await error_of(web.chat_appendStream(channel=ANN_IM.id, ts=new, markdown_text="x")) == "stopped_by_user"
    assert (await web.agents_sessions_setStatus(channel_id=ANN_IM.id, thread_ts=root, status="active"))["ok"]
    assert slack.sessions[ANN_IM.id, root] == "active"


async def test_slack_shows_a_task_as_failed_that_was_open_at_the_end(slack: FakeSlack, web: AsyncWebClient) -> None:
    root = slack.say(ANN.id, ANN_IM.id, "Ask")["ts"]
    task = {"type": "task_update", "id": "1", "title": "Ann", "status": "in_progress"}
    ts = await begin(web, ANN_IM.id, root, chunks=[task])

    await web.chat_stopStream(channel=ANN_IM.id, ts=ts)

    assert slack.messages(ANN_IM.id)[-1]["blocks"][0]["tasks"][0]["status"] == "error"


# Faults


async def test_slack_goes_wrong_as_scripted_and_then_right_again(slack: FakeSlack, web: AsyncWebClient) -> None:
    def post() -> Any:
        return web.chat_postMessage(channel=GENERAL.id, text="hi")

    slack.script("chat.postMessage", Answer("fatal_error"), Limited(7), Broken(503), Page(), Slow(0.01))

    assert await error_of(post()) == "fatal_error"
    with pytest.raises(SlackApiError) as limited:
        await post()
    assert (limited.value.response.status_code, limited.value.response.headers["Retry-After"]) == (429, "7")
    with pytest.raises(SlackApiError):
        await post()
    with pytest.raises(SlackApiError):
        await post()
    assert slack.messages(GENERAL.id) == []
    assert (await post())["ok"]


async def test_slack_may_lose_an_answer_but_not_the_message(slack: FakeSlack, web: AsyncWebClient) -> None:
    slack.script("chat.postMessage", Lost(), Cut())

    with pytest.raises(aiohttp.ClientError):
        await web.chat_postMessage(channel=GENERAL.id, text="kept")
    with pytest.raises(aiohttp.ClientError):
        await web.chat_postMessage(channel=GENERAL.id, text="never seen")

    assert [message["text"] for message in slack.messages(GENERAL.id)] == ["kept"]
    assert [call.answered for call in slack.asked("chat.postMessage")] == [None, None]


async def test_slack_may_never_answer(slack: FakeSlack, web: AsyncWebClient) -> None:
    slack.script("auth.test", Hang())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await web.auth_test()

    assert (await web.auth_test())["ok"]


# Limits


async def test_slack_limits_by_method_workspace_and_channel(
    slack: FakeSlack, web: AsyncWebClient, clock: HandClock
) -> None:
    slack.limits = Limits.real()

    for _ in range(5):
        await web.chat_postMessage(channel=GENERAL.id, text="hi")

    with pytest.raises(SlackApiError) as caught:
        await web.chat_postMessage(channel=GENERAL.id, text="hi")
    assert caught.value.response.data == {"ok": False, "error": "ratelimited"}
    assert caught.value.response.headers["Retry-After"] == "1"
    assert (await web.chat_postMessage(channel=ANN_IM.id, text="hi"))["ok"]
    clock.now += 1
    assert (await web.chat_postMessage(channel=GENERAL.id, text="hi"))["ok"]
    assert len(slack.messages(GENERAL.id)) == 6


def test_slack_lets_through_who_waits_as_told() -> None:
    limits, now, calls = Limits.real(), 0.0, 0

    while now < 600:
        if wait := limits.wait("chat.update", "T", "C", now):
            now += wait
            assert limits.wait("chat.update", "T", "C", now) == 0
        calls += 1

    assert calls == pytest.approx(TIER_3.burst + 600 * TIER_3.per_minute / 60, rel=0.05)
    assert limits.wait("chat.update", "T2", "C", now) == 0


# Files


async def test_slack_takes_a_file_and_gives_it_back(slack: FakeSlack, web: AsyncWebClient) -> None:
    root = slack.say(ANN.id, GENERAL.id, "root")["ts"]

    answer = await web.files_upload_v2(
        filename="notes.md", content="# Notes", channel=GENERAL.id, thread_ts=root, initial_comment="here"
    )

    file = (await web.files_info(file=answer["file"]["id"]))["file"]
    assert answer["file"]["shares"] == {}
    assert file["shares"]["public"][GENERAL.id][0]["thread_ts"] == root
    assert slack.messages(GENERAL.id, root)[-1]["files"][0]["id"] == file["id"]
    assert slack.plain(slack.messages(GENERAL.id, root)[-1]) == "here"
    assert slack.files[file["id"]].content == b"# Notes"
    assert await error_of(web.files_info(file="F0")) == "file_not_found"


async def test_slack_lets_an_app_delete_its_own_file_and_leaves_a_stone(slack: FakeSlack, web: AsyncWebClient) -> None:
    theirs = slack.add_file("theirs.md", b"x")
    ours = (await web.files_upload_v2(filename="a.md", content="hi", channel=GENERAL.id))["file"]["id"]

    assert await error_of(web.files_delete(file=theirs["id"])) == "cant_delete_file"
    assert (await web.files_delete(file=ours))["ok"]
    assert await error_of(web.files_info(file=ours)) == "file_not_found"
    assert slack.messages(GENERAL.id)[-1]["files"] == [{"id": ours, "mode": "tombstone"}]


async def test_slack_refuses_an_upload_of_another_length(
    slack: FakeSlack, web: AsyncWebClient, session: aiohttp.ClientSession
) -> None:
    begun = await web.files_getUploadURLExternal(filename="a.md", length=5)

    async with session.post(begun["upload_url"], data=b"longer") as answer:
        assert answer.status == 400
    assert await error_of(web.files_completeUploadExternal(files=[{"id": begun["file_id"]}])) == "file_not_found"


async def test_slack_shows_a_page_to_who_may_not_have_a_file(slack: FakeSlack, session: aiohttp.ClientSession) -> None:
    file = slack.add_file("notes.md", b"# Notes", "text/markdown")

    async def fetch(token: str) -> tuple[int, str, bytes]:
        async with session.get(file["url_private"], headers={"Authorization": f"Bearer {token}"}) as answer:
            return answer.status, answer.content_type, await answer.read()

    assert await fetch("xoxb-home") == (200, "text/markdown", b"# Notes")
    assert (await fetch("xoxb-other"))[:2] == (200, "text/html")
    slack.add(replace(HOME, scopes=("chat:write",)))
    assert (await fetch("xoxb-home"))[:2] == (200, "text/html")


async def test_slack_gives_a_shared_channels_file_as_a_stub(slack: FakeSlack, web: AsyncWebClient) -> None:
    stub = slack.add_file("notes.md", b"# Notes", stub=True)

    assert stub["file_access"] == "check_file_info"
    assert "url_private" not in stub
    assert (await web.files_info(file=stub["id"]))["file"]["url_private"]


# Socket Mode


class Connected:
    """Slack's own client, which acknowledges with the payload it was told to."""

    def __init__(self, slack: FakeSlack, ping_interval: float = 0.05) -> None:
        web = AsyncWebClient(base_url=slack.url)
        self.client = SocketModeClient(slack.app_token, web_client=web, ping_interval=ping_interval)
        self.client.socket_mode_request_listeners.append(self.listen)
        self.seen: list[SocketModeRequest] = []
        self.payload: Json | None = None
        self.silent = False

    async def listen(self, client: Any, request: SocketModeRequest) -> None:
        self.seen.append(request)
        if not self.silent:
            await client.send_socket_mode_response(SocketModeResponse(request.envelope_id, self.payload))

    async def __aenter__(self) -> "Connected":
        await self.client.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.client.close()


async def test_slack_sends_an_envelope_and_gives_its_acknowledgement(slack: FakeSlack) -> None:
    async with Connected(slack, 5) as app:
        mention = payloads.app_mention(slack.gesture(), slack.say(ANN.id, GENERAL.id, "<@U0PANEL> ask"))
        assert await slack.send_envelope(mention, retry_attempt=1, retry_reason="timeout") == {}
        app.payload = {"text": "on it"}
        command = payloads.slash_command(slack.gesture(), "ask")
        assert await slack.send_envelope(command, type="slash_commands") == {"text": "on it"}
        app.silent = True
        assert await slack.send_envelope(mention, timeout=0.02) is None

    first, second, _ = app.seen
    assert (first.type, first.retry_attempt, first.retry_reason) == ("events_api", 1, "timeout")
    assert first.payload["event"]["text"] == "<@U0PANEL> ask"
    assert second.accepts_response_payload is True


async def test_slack_spreads_envelopes_over_the_sockets(slack: FakeSlack) -> None:
    async with Connected(slack, 5) as one, Connected(slack, 5) as two:
        await slack.connected(2)
        for n in range(4):
            await slack.send_envelope({"n": n})

    assert [len(one.seen), len(two.seen)] == [2, 2]


@pytest.mark.parametrize(("reason", "close"), [("refresh_requested", False), ("warning", False), ("", True)])
async def test_slack_makes_a_client_connect_anew(slack: FakeSlack, reason: str, close: bool) -> None:
    async with Connected(slack) as app:
        await slack.connected()
        await slack.disconnect(reason, close=close)
        async with asyncio.timeout(3):
            while slack.sockets.made < 2 or len(slack.sockets.live) != 1:
                await asyncio.sleep(0.005)

        assert await slack.send_envelope({"again": True}) == {}

    assert app.seen[-1].payload == {"again": True}


async def test_slack_answers_no_ping_when_muted(slack: FakeSlack) -> None:
    async with Connected(slack) as app:
        await slack.connected()
        slack.mute_pongs = True
        app.client.auto_reconnect_enabled = False
        async with asyncio.timeout(3):
            while not await app.client.is_ping_pong_failing():
                await asyncio.sleep(0.02)


async def test_slack_takes_ten_sockets_and_no_more(slack: FakeSlack, session: aiohttp.ClientSession) -> None:
    open_sockets = [await session.ws_connect(f"{slack.origin}/socket/{n}") for n in range(10)]
    hello = await open_sockets[-1].receive_json()
    one_more = await session.ws_connect(f"{slack.origin}/socket/11")

    assert (hello["type"], hello["num_connections"]) == ("hello", 10)
    assert (await one_more.receive_json())["reason"] == "too_many_websockets"


# Deliveries


async def test_slack_signs_what_it_delivers_so_that_bolt_takes_it(slack: FakeSlack) -> None:
    client = AsyncWebClient("xoxb-home", base_url=slack.url)
    app = AsyncApp(signing_secret=slack.signing_secret, client=client)
    seen: list[str] = []

    @app.command("/panel")
    async def command(ack: Any, body: Json) -> None:
        seen.append(body["text"])
        await ack("on it")

    @app.event("app_mention")
    async def mention(event: Json, request: Any) -> None:
        seen.append(f"{event['text']} {request.headers.get('x-slack-retry-num')}")

    @app.action("stop")
    async def stop(ack: Any, action: Json) -> None:
        seen.append(action["value"])
        await ack()

    async def entry(request: aiohttp.web.Request) -> aiohttp.web.Response:
        return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))

    async with Served(entry) as url:
        message = slack.say(ANN.id, GENERAL.id, "<@U0PANEL> ask")
        acked = await slack.deliver(url, payloads.slash_command(slack.gesture(), "ask & tell"), "command")
        event = payloads.app_mention(slack.gesture(), message)
        assert (await slack.deliver(url, event, retry=2)).status == 200
        pressed = payloads.block_actions(slack.gesture(), payloads.button("stop", "run-1"), message)
        assert (await slack.deliver(url, pressed, "interaction")).status == 200
        assert (await slack.deliver(url, event, secret="other")).status == 401
        assert (await slack.deliver(url, event, at=1_000)).status == 401

    assert (acked.status, acked.body) == (200, "on it")
    assert sorted(seen) == ["<@U0PANEL> ask ['2']", "ask & tell", "run-1"]


class Served:
    """An HTTP server with one handler, for as long as the block."""

    def __init__(self, handler: Any) -> None:
        app = aiohttp.web.Application()
        app.router.add_post("/slack/events", handler)
        self.runner = aiohttp.web.AppRunner(app, shutdown_timeout=0.1)

    async def __aenter__(self) -> str:
        await self.runner.setup()
        await aiohttp.web.TCPSite(self.runner, "127.0.0.1", 0).start()
        host, port = self.runner.addresses[0][:2]
        return f"http://{host}:{port}/slack/events"

    async def __aexit__(self, *exc: object) -> None:
        await self.runner.cleanup()


async def test_slack_takes_five_posts_to_a_response_url_in_half_an_hour(slack: FakeSlack, clock: HandClock) -> None:
    first, second = slack.gesture(channel=OUTSIDE), slack.gesture()
    hook = AsyncWebhookClient(first.response_url)

    await hook.send(text="for you")
    await hook.send(text="for all", response_type="in_channel")
    wrong = await hook.send(text="t", blocks=[{"type": "lever"}])
    for _ in range(2):
        assert (await hook.send(text="again")).status_code == 200
    sixth = await hook.send(text="too many")

    assert (wrong.status_code, sixth.status_code) == (400, 404)
    assert [post.body["text"] for post in slack.responses] == ["for you", "for all", "t", "again", "again"]
    assert slack.ephemerals[0].message["text"] == "for you"
    assert [message["text"] for message in slack.messages(OUTSIDE.id)] == ["for all"]
    clock.now += 1801
    assert (await AsyncWebhookClient(second.response_url).send(text="late")).status_code == 404


def test_slack_payloads_are_told_apart_by_what_their_reference_says() -> None:
    gesture = payloads.Gesture()
    message = {"type": "message", "user": ANN.id, "text": "hi", "ts": "1700000000.000100", "thread_ts": "1.1"}
    direct = payloads.message_event(payloads.Gesture(channel=ANN_IM), message)
    gone = payloads.message_deleted(gesture, message, "1700000001.000100")
    told = payloads.view_submission(gesture, {"id": "V1"}, {"b": {"a": payloads.typed("x")}})

    assert direct["event"]["channel_type"] == "im"
    assert payloads.app_mention(gesture, message)["event_id"] != payloads.message_event(gesture, message)["event_id"]
    assert gone["event"]["deleted_ts"] == message["ts"]
    assert payloads.message_changed(gesture, message, "ho", "2.1")["event"]["message"]["text"] == "ho"
    assert payloads.tokens_revoked(HOME, "1.1", bot=["U0PANEL"])["event"]["tokens"] == {"oauth": [], "bot": ["U0PANEL"]}
    assert payloads.app_uninstalled(HOME, "1.1")["event"]["type"] == "app_uninstalled"
    assert payloads.message_shortcut(gesture, message, "ask")["message_ts"] == message["ts"]
    assert payloads.agent_session_stopped(gesture, "1.1", "2.1", ["1.2"])["event"]["streaming_message_ts"] == ["1.2"]
    assert told["view"]["state"]["values"]["b"]["a"]["value"] == "x"


# Reading


def test_slack_shows_the_words_of_every_block_and_no_buttons() -> None:
    message = {
        "text": "for notifications",
        "blocks": [
            {"type": "header", "text": words("R&amp;D")},
            section("a &lt; b &amp;lt; c", accessory=button("not read")),
            {"type": "markdown", "text": "**bold**"},
            {"type": "context", "elements": [words("small")]},
            {
                "type": "container",
                "title": words("Ann"),
                "child_blocks": [{"type": "table", "rows": [[{"type": "raw_text", "text": "cell"}]]}],
            },
            {"type": "actions", "elements": [button("Stop")]},
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "rich"}]}],
            },
        ],
    }

    assert FakeSlack.plain(message).split("\n") == [
        "R&D",
        "a < b &lt; c",
        "**bold**",
        "small",
        "Ann",
        "cell",
        "rich",
    ]
    assert FakeSlack.plain({"text": "no blocks &gt;"}) == "no blocks >"


@pytest.mark.parametrize(
    "token", ["<!channel>", "<!here>", "<!everyone>", "<!subteam^S01>", "<@U01>", "<@U01|ann>", "<#C01>", "<#C01|gen>"]
)
def test_slack_makes_mentions_live_outside_plain_text(token: str) -> None:
    for block in (section(f"a `{token}`"), {"type": "markdown", "text": token}):
        assert FakeSlack.live_mentions({"text": "", "blocks": [block]}) == [token]
    assert FakeSlack.live_mentions({"text": token}) == [token]
    inert = [{"type": "header", "text": words(token)}, section(token.replace("<", "&lt;"))]
    assert FakeSlack.live_mentions({"text": "", "blocks": inert}) == []


@pytest.mark.parametrize(
    ("text", "in_mrkdwn", "in_markdown"),
    [
        ("<https://a.example|label>", ["https://a.example"], ["https://a.example"]),
        ("see https://a.example/b, ok", ["https://a.example/b"], ["https://a.example/b"]),
        ("www.a.example", ["www.a.example"], ["www.a.example"]),
        ("`https://a.example`", [], []),
        ("```\nhttps://a.example\n```", [], []),
        ("[label](a.example/b)", [], ["a.example/b"]),
        ("![alt](//a.example/p.png)", [], ["//a.example/p.png"]),
        ("[x]: //a.example", [], ["//a.example"]),
        ("&lt;https://a.example&gt;", ["https://a.example&gt"], ["https://a.example&gt"]),
        ("https:\u200b//a.example", [], []),
        ("no link, a.b and c:d", [], []),
    ],
)
def test_slack_makes_links_live(text: str, in_mrkdwn: list[str], in_markdown: list[str]) -> None:
    assert FakeSlack.live_links({"text": "", "blocks": [section(text)]}) == in_mrkdwn
    assert FakeSlack.live_links({"text": "", "blocks": [{"type": "markdown", "text": text}]}) == in_markdown
    quiet = {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
    assert FakeSlack.live_links({"text": "", "blocks": [quiet]}) == [link for link in in_mrkdwn if text.startswith("<")]
    assert FakeSlack.live_links({"text": "", "blocks": [{"type": "header", "text": words(text)}]}) == []


def test_slack_makes_rich_text_mentions_and_links_live() -> None:
    parts = [
        {"type": "broadcast", "range": "here"},
        {"type": "user", "user_id": "U01"},
        {"type": "link", "url": "https://a.example"},
        {"type": "text", "text": "<!channel>"},
    ]
    rich = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": parts}]}

    assert FakeSlack.live_mentions({"text": "", "blocks": [rich]}) == ["<!here>", "<@U01>"]
    assert FakeSlack.live_links({"text": "", "blocks": [rich]}) == ["https://a.example"]
