"""The front end on a mocked client: which call each promise becomes, and what each failure is said to be."""

import asyncio
import json

import aiohttp
import pytest

from adapters.port import (
    AskForm,
    Attachment,
    Board,
    BoardRow,
    Doc,
    Gone,
    Invocation,
    Markdown,
    MessageRef,
    NotDispatched,
    NotSafe,
    OutFile,
    PermissionMissing,
    Place,
    RateLimited,
    Rejected,
    Subject,
    ThreadRef,
    TooLarge,
    Unfetched,
    Unknown,
    Unreadable,
)
from adapters.slack.inbound import Reply
from tests.adapters.slack.fake_client import TENANT, FakeClient, front_end, refusal

PLACE = Place("slack", TENANT, "C1")
DIRECT = Place("slack", TENANT, "D1")
THREAD = ThreadRef(PLACE, "1.1", "1.1")
ASKED = Invocation(PLACE, "U0ANN", "/panel one", "key", "command")
ANSWER = Doc("Contrarian: no", (Markdown("Because of the costs."),), folded=True)
BOARD = Board("Panel", (BoardRow("Economist", "running"),), root=Doc("Decision: one", mention="U0ANN"))


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def front(client):
    return front_end(client)


async def test_the_root_is_posted_into_the_channel_and_alerts_its_asker_alone(front, client):
    thread = await front.open_thread(ASKED, Doc("Decision: one <!here>", mention="U0ANN"), key="run/root")
    [posted] = client.asked("chat_postMessage")
    assert thread == ThreadRef(PLACE, "1700000001.000100", "1700000001.000100")
    assert posted["thread_ts"] is None
    assert "<@U0ANN>" in json.dumps(posted["blocks"])
    assert "<!here>" not in json.dumps(posted)


async def test_a_root_asked_for_in_a_thread_is_a_reply_there(front, client):
    within = Invocation(PLACE, "U0ANN", "/panel one", "key", "mention", within="1.5")
    thread = await front.open_thread(within, Doc("Root"), key="run/root")
    assert client.asked("chat_postMessage")[0]["thread_ts"] == "1.5"
    assert thread == ThreadRef(PLACE, "1.5", "1700000001.000100")


async def test_a_post_carries_its_key_and_unfurls_nothing(front, client):
    receipt = await front.post(THREAD, ANSWER, key="run/expert/contrarian")
    [posted] = client.asked("chat_postMessage")
    assert receipt.outcome == "sent"
    assert posted["metadata"]["event_payload"] == {"key": "run/expert/contrarian", "part": 1, "of": 1}
    assert (posted["unfurl_links"], posted["unfurl_media"], posted["link_names"], posted["parse"]) == (
        False, False, False, "none",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (refusal("ratelimited", 429, **{"Retry-After": "7"}), RateLimited(7.0)),
        (refusal("ratelimited", 429), RateLimited(30.0)),
        (refusal("internal_error"), Unknown("internal_error")),
        (refusal("", 503), Unknown("an answer that is none (503)")),
        (refusal("is_archived"), Gone("the channel is archived")),
        (refusal("msg_too_long"), TooLarge(4_000)),
        (refusal("invalid_arguments"), Rejected("invalid_arguments")),
        (aiohttp.ServerDisconnectedError(), Unknown("ServerDisconnectedError")),
        (TimeoutError(), Unknown("TimeoutError")),
        (aiohttp.ConnectionTimeoutError(), NotDispatched("ConnectionTimeoutError")),
    ],
)
async def test_each_failure_is_said_to_be_what_it_was(front, client, failure, error):
    client.script("chat_postMessage", failure)
    receipt = await front.post(THREAD, ANSWER, key="run/1")
    assert receipt.error == error
    assert receipt.outcome == ("unknown" if isinstance(error, Unknown) else "failed")
    assert len(client.asked("chat_postMessage")) == 1


@pytest.mark.parametrize("code", ["not_in_channel", "channel_not_found", "missing_scope", "token_revoked"])
async def test_a_missing_right_is_named_with_its_fix(front, client, code):
    client.script("chat_postMessage", refusal(code))
    receipt = await front.post(THREAD, ANSWER, key="run/1")
    assert isinstance(receipt.error, PermissionMissing)
    assert receipt.error.what
    assert receipt.error.fix


async def test_a_post_half_shown_is_completed_and_not_begun_anew(front, client):
    long = Doc("Long", (Markdown("word " * 5_000),))
    client.script("chat_postMessage", {}, refusal("ratelimited", 429))
    first = await front.post(THREAD, long, key="run/1")
    again = await front.post(THREAD, long, key="run/1")
    parts = [posted["metadata"]["event_payload"]["part"] for posted in client.asked("chat_postMessage")]
    assert (first.outcome, first.parts, again.outcome) == ("partial", 1, "sent")
    assert parts == [1, 2, *range(2, parts[-1] + 1)]


async def test_a_workspace_that_refuses_the_newer_blocks_gets_plain_ones_from_then_on(front, client):
    client.script("chat_postMessage", refusal("invalid_blocks"))
    await front.post(THREAD, ANSWER, key="run/1")
    await front.post(THREAD, ANSWER, key="run/2")
    rich, plain, later = [{block["type"] for block in posted["blocks"]} for posted in client.asked("chat_postMessage")]
    assert not rich <= plain
    assert plain == later
    assert plain <= {"section", "header", "context", "actions", "divider"}
    assert not front.capabilities(PLACE).folds


async def test_a_workspace_that_refuses_the_blocks_of_a_root_gets_plain_ones_from_then_on(front, client):
    client.script("chat_postMessage", refusal("invalid_blocks"))
    for number in (1, 2):
        await front.open_thread(ASKED, Doc(f"*Root* {number}"), key=f"run{number}/root")
    rich, plain, later = [{block["type"] for block in posted["blocks"]} for posted in client.asked("chat_postMessage")]
    assert ("markdown" in rich, plain, later) == (True, {"section"}, {"section"})
    assert not front.capabilities(PLACE).folds


async def test_a_workspace_that_refuses_the_blocks_of_a_board_gets_plain_ones_from_then_on(front, client):
    client.script("chat_update", refusal("invalid_blocks"))
    for revision in (1, 2):
        assert (await front.board(THREAD, BOARD, revision=revision)).outcome == "sent"
    rich, plain, later = [{block["type"] for block in edited["blocks"]} for edited in client.asked("chat_update")]
    assert ("markdown" in rich, "markdown" in plain, "markdown" in later) == (True, False, False)
    assert not front.capabilities(PLACE).folds


async def test_a_board_that_no_blocks_fit_does_not_change_the_workspace(front, client):
    client.script("chat_update", refusal("invalid_blocks"), refusal("invalid_blocks"))
    assert (await front.board(THREAD, BOARD, revision=1)).error == Rejected("invalid_blocks")
    client.script("chat_postMessage", refusal("invalid_blocks"), refusal("invalid_blocks"))
    assert await front.open_thread(ASKED, Doc("*Root*"), key="run/root") == Rejected("invalid_blocks")
    assert front.capabilities(PLACE).folds


async def test_a_document_that_no_blocks_fit_is_rejected_and_does_not_change_the_workspace(front, client):
    client.script("chat_postMessage", refusal("invalid_blocks"), refusal("invalid_blocks"))
    receipt = await front.post(THREAD, ANSWER, key="run/1")
    assert receipt.error == Rejected("invalid_blocks")
    assert front.capabilities(PLACE).folds


def stands(key: str, ts: str, part: int = 1, of: int = 1, user: str = "U0PANEL", kind: str = "panelist_post", **more):
    metadata = {"event_type": kind, "event_payload": {"key": key, "part": part, "of": of}}
    return {"type": "message", "user": user, "ts": ts, "metadata": metadata, **more}


async def test_a_post_is_found_by_the_key_that_it_carries(front, client):
    client.script("conversations_replies", {"messages": [stands("run/1", "1.2"), stands("run/2", "1.3")]})
    assert await front.find(THREAD, "run/2") == MessageRef(THREAD, ("1.3",))
    [read] = client.asked("conversations_replies")
    assert read["include_all_metadata"] is True


async def test_fault_17_a_post_whose_parts_do_not_all_stand_is_completed_after_a_restart(front, client):
    long = Doc("Long", (Markdown("word " * 5_000),))
    probe = FakeClient()
    await front_end(probe).post(THREAD, long, key="run/1")
    of = len(probe.asked("chat_postMessage"))
    client.script("conversations_replies", {"messages": [stands("run/1", "1.2", 1, of)]})
    assert await front.find(THREAD, "run/1") is None
    await front.post(THREAD, long, key="run/1")
    parts = [posted["metadata"]["event_payload"]["part"] for posted in client.asked("chat_postMessage")]
    assert parts == list(range(2, of + 1))


async def test_another_apps_metadata_stands_for_nothing(front, client):
    client.script("conversations_replies", {"messages": [stands("run/1", "1.2", user="U0EVIL")]})
    assert await front.find(THREAD, "run/1") is None


async def test_a_file_that_stands_below_its_post_is_not_shared_again(front, client):
    doc = Doc("With a file", (Markdown("See it."),), files=(OutFile("answer.md", "all of it"),))
    file = {"id": "F9", "name": "answer.md"}
    messages = [stands("run/1", "1.2", 1, 2), {"user": "U0PANEL", "ts": "1.3", "files": [file]}]
    client.script("conversations_replies", {"messages": messages})
    assert await front.find(THREAD, "run/1") is None
    receipt = await front.post(THREAD, doc, key="run/1")
    assert receipt.ref == MessageRef(THREAD, ("1.2", "F9"))
    assert not client.asked("files_getUploadURLExternal")
    assert not client.asked("chat_postMessage")


@pytest.mark.parametrize(
    "failure", [refusal("not_allowed_token_type"), refusal("missing_scope"), refusal("ratelimited", 429)]
)
async def test_a_thread_that_cannot_be_read_says_so(front, client, failure):
    client.script("conversations_replies", failure)
    assert isinstance(await front.find(THREAD, "run/1"), Unreadable)


async def test_a_short_wait_for_reading_is_worth_waiting_for(front, client):
    client.script("conversations_replies", refusal("ratelimited", 429, **{"Retry-After": "3"}))
    assert await front.find(THREAD, "run/1") == RateLimited(3.0)


async def test_a_board_is_put_into_the_root_as_whole_state(front, client):
    receipt = await front.board(THREAD, BOARD, revision=1)
    [update] = client.asked("chat_update")
    assert receipt.ref == MessageRef(THREAD, ("1.1",))
    assert update["ts"] == "1.1"
    shown = json.dumps(update["blocks"])
    assert "Decision: one" in shown
    assert "<@U0ANN>" in shown
    assert "Economist" in shown


async def test_a_direct_message_has_one_stream_for_a_run_and_ends_with_the_board_in_the_root(front, client):
    thread = ThreadRef(DIRECT, "1.1", "1.2")
    done = Board("Panel", (BoardRow("Economist", "done"),), "finished", finished=True, root=BOARD.root)
    for revision, board in enumerate((BOARD, BOARD, done), 1):
        assert (await front.board(thread, board, revision=revision)).outcome == "sent"
    assert len(client.asked("chat_startStream")) == 1
    [stopped] = client.asked("chat_stopStream")
    assert stopped["session_status"] == "active"
    assert "finished" in json.dumps(client.asked("chat_update")[-1]["blocks"])
    assert [said["status"] for said in client.asked("agents_sessions_setStatus")] == ["active"]


@pytest.mark.parametrize(
    "failure", [refusal("unknown_method"), refusal("not_allowed"), aiohttp.ServerDisconnectedError()]
)
async def test_where_no_stream_can_be_had_the_root_is_edited(front, client, failure):
    thread = ThreadRef(DIRECT, "1.1", "1.2")
    client.script("chat_startStream", failure)
    for revision in (1, 2, 3):
        assert (await front.board(thread, BOARD, revision=revision)).outcome == "sent"
    assert len(client.asked("chat_startStream")) == 1
    assert "Economist" in json.dumps(client.asked("chat_update")[-1]["blocks"])


async def test_without_a_session_status_nothing_is_lost_and_it_is_asked_for_once(front, client):
    client.script("agents_sessions_setStatus", refusal("not_authorized"))
    asked = Invocation(DIRECT, "U0ANN", "/panel one", "key", "message", within="1.5")
    for number in range(3):
        assert isinstance(await front.open_thread(asked, Doc("Root"), key=f"run{number}/root"), ThreadRef)
    assert len(client.asked("agents_sessions_setStatus")) == 1


@pytest.mark.parametrize("code", ["not_in_channel", "channel_not_found"])
async def test_whoever_cannot_be_told_in_the_channel_is_told_directly(front, client, code):
    client.script("chat_postEphemeral", refusal(code))
    client.script("conversations_open", {"channel": {"id": "D9"}})
    receipt = await front.notify(ASKED, Doc("You are over your quota"))
    assert receipt.outcome == "sent"
    assert client.asked("chat_postMessage")[0]["channel"] == "D9"


async def test_telling_mentions_nobody(front, client):
    await front.notify(ASKED, Doc("A problem", mention="U0ANN"))
    assert "<@" not in json.dumps(client.asked("chat_postEphemeral"))


async def test_a_form_needs_a_trigger_and_carries_what_it_is_bound_to(front, client):
    form = AskForm("A topic", (("decision", "Decision"),), "decision")
    assert (await front.ask(ASKED, form)).error == Rejected("no trigger")
    serving = asyncio.create_task(front.serve(_taken))
    await asyncio.sleep(0)
    await front.take(ASKED, Reply(trigger="trigger-1"))
    assert (await front.ask(ASKED, form)).outcome == "sent"
    [opened] = client.asked("views_open")
    sealed = front.unseal(opened["view"]["private_metadata"])
    assert opened["trigger_id"] == "trigger-1"
    assert sealed is not None
    assert (sealed["tenant"], sealed["channel"], sealed["author"]) == (TENANT, "C1", "U0ANN")
    await front.close()
    await serving


async def test_a_quoted_message_is_in_the_form_or_fetched_when_it_comes_back(front, client):
    serving = asyncio.create_task(front.serve(_taken))
    await asyncio.sleep(0)
    for number, text in enumerate(("short", "long " * 1_000)):
        quoted = (Attachment("The message", text, ref='{"thread": "1.2"}'),)
        asked = Invocation(PLACE, "U0ANN", "/panel", f"key{number}", "shortcut", quoted)
        await front.take(asked, Reply(trigger="t"))
        await front.ask(asked, AskForm("", (("decision", "Decision"),), "decision"))
    short, long = [opened["view"] for opened in client.asked("views_open")]
    assert '"short"' in json.dumps(short)
    assert "long long" not in json.dumps(long)
    assert (front.unseal(long["private_metadata"]) or {})["quoted"] == '{"thread": "1.2"}'
    await front.close()
    await serving


async def test_messages_above_a_mention_are_quoted_with_their_authors(front, client):
    said = [
        {"user": "U0BOB", "ts": "1.1", "text": "We lose money"},
        {"user": "U0BOB", "ts": "1.2", "text": "on <https://x.example|Sundays>"},
        {"user": "U0ANN", "ts": "1.3", "text": "the mention itself"},
    ]
    client.script("conversations_replies", {"messages": said})
    client.script("users_info", {"user": {"profile": {"display_name": "Bob B"}}})
    content = await front.fetch(ASKED, Attachment("above", ref='{"thread": "1.1", "before": "1.3"}'))
    assert content == b"Bob B: We lose money\n\nBob B: on Sundays (https://x.example)"
    assert len(client.asked("users_info")) == 1


async def test_a_thread_that_may_not_be_read_has_a_reason_for_the_asker(front, client):
    client.script("conversations_replies", refusal("missing_scope"))
    found = await front.fetch(ASKED, Attachment("above", ref='{"thread": "1.1", "before": "1.3"}'))
    assert isinstance(found, Unfetched)
    assert "scope" in found.why


@pytest.mark.parametrize("ref", ["", "{", "[]", "null", '{"url": "https://evil.example/x"}', '{"url": "file:///etc"}'])
async def test_a_reference_that_is_none_fetches_nothing(front, client, ref):
    client.script("files_info", refusal("file_not_found"))
    assert isinstance(await front.fetch(ASKED, Attachment("x", ref=ref)), Unfetched | Rejected)


async def test_posts_and_files_are_removed_and_what_is_gone_is_fine(front, client):
    client.script("chat_delete", {}, refusal("message_not_found"))
    assert await front.remove(MessageRef(THREAD, ("1.2", "1.3", "F1"))) is None
    assert [said["ts"] for said in client.asked("chat_delete")] == ["1.2", "1.3"]
    assert client.asked("files_delete") == [{"file": "F1"}]


async def test_a_post_that_may_not_be_removed_is_an_error(front, client):
    client.script("chat_delete", refusal("cant_delete_message"))
    assert await front.remove(MessageRef(THREAD, ("1.2",))) == Rejected("cant_delete_message")


async def test_fault_69_another_workspace_gets_no_client(front, client):
    elsewhere = ThreadRef(Place("slack", "T2", "C1"), "1.1", "1.1")
    receipt = await front.post(elsewhere, ANSWER, key="run/1")
    assert isinstance(receipt.error, PermissionMissing)
    assert not client.said


async def test_whoever_asks_before_it_serves_is_not_lost(front):
    with pytest.raises(NotSafe):
        await front.take(ASKED)
    assert not front.health().ready


async def test_feedback_and_retry_are_buttons_with_what_they_are_about(front, client):
    doc = Doc("Done", (Markdown("from 5 of 6"),), subject=Subject("run-1", "synthesis"), controls=("rate", "retry"))
    await front.post(THREAD, doc, key="run/roster")
    [posted] = client.asked("chat_postMessage")
    text = json.dumps(posted["blocks"])
    assert "panelist.retry" in text
    assert "panelist.rate" in text
    assert "run-1" in text


async def _taken(_) -> None:
    return None
