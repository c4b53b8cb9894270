"""The front end on fake objects: which call each promise becomes, and what each failure is said to be. No sockets."""

import asyncio
import json

import aiohttp
import discord
import pytest

from adapters.discord.files import Files
from adapters.discord.refusals import Refusals
from adapters.discord.threads import AS_REPLIES, IN_DIRECT, LACKING_THREADS
from adapters.port import (
    AskForm,
    Attachment,
    Board,
    BoardRow,
    Doc,
    FrontEndFailed,
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
    Unfetched,
    Unknown,
    Unreadable,
)
from tests.adapters.discord.fake_objects import (
    ANN,
    CHANNEL,
    DIRECT_REFUSED,
    GUILD,
    MISSING_ACCESS,
    MISSING_PERMISSIONS,
    OTHER_BOT,
    REFUSED_TOKEN,
    THREAD,
    TOKEN_OVER,
    UNKNOWN_MESSAGE,
    Clock,
    FakeAuthor,
    FakeClient,
    FakeGesture,
    FakeGuildChannel,
    Lost,
    direct_with,
    front_end,
    refusal,
)

PLACE = Place("discord", str(GUILD), str(CHANNEL))
DIRECT = Place("discord", "@me", "250")
PRIVATE = Place("discord", str(GUILD), f"{CHANNEL}/{ANN}")
GUEST = Place("discord", f"user/{ANN}", str(CHANNEL))

ASKED = Invocation(PLACE, str(ANN), "/panel Should we move?", "key", "command")
PRESSED = Invocation(PLACE, str(ANN), "/panel stop", "press", "control", run="run")
HUNG = ThreadRef(PLACE, "400", "400")
REPLIES = ThreadRef(PLACE, str(CHANNEL), "400")

ROOT = Doc("Decision: Should we move?", mention=str(ANN))
ANSWER = Doc("Contrarian: no", (Markdown("Because of the costs."),), folded=True)
LONG = Doc("Long", (Markdown("word " * 2_500),))
BOARD = Board("Panel", (BoardRow("Economist", "running"),), root=ROOT)

COMPONENT = discord.InteractionType.component


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def front(client):
    return front_end(client)


class Served:
    """A front end that is served, and what reached its sink."""

    def __init__(self, front, error=None):
        self.front, self.taken, self._error = front, [], error

    async def __aenter__(self):
        self._task = asyncio.create_task(self.front.serve(self._sink))
        while not self.front.health().ready:
            await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_):
        await self.front.close()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _sink(self, inbound):
        self.taken.append(inbound)
        if self._error is not None:
            raise self._error


def asked(place=PLACE, key="key", **more):
    return Invocation(place, str(ANN), "/panel Should we move?", key, "command", **more)


async def taken(front, gesture, invocation=ASKED):
    """A gesture that reached the sink."""
    async with Served(front) as served:
        await front.take(invocation, gesture)
        yield served


# Roots


async def test_the_root_is_the_gestures_first_response_and_a_thread_hangs_from_it(front, client):
    gesture = FakeGesture(client)
    async with Served(front):
        await front.take(ASKED, gesture)
        thread = await front.open_thread(ASKED, ROOT, key="run/root")
    [root] = client.standing[CHANNEL]
    [first] = client.asked("send_message")
    assert thread == ThreadRef(PLACE, str(root.id), str(root.id))
    assert client.threads == {root.id: "Decision: Should we move?"}
    assert "Should we move?" in root.text
    assert first.arguments["ephemeral"] is False
    assert not client.asked("send")


async def test_the_root_alerts_its_asker_alone(front, client):
    await front.open_thread(ASKED, ROOT, key="run/root")
    [sent] = client.asked("send")
    allowed = sent.arguments["allowed_mentions"].to_dict()
    assert allowed == {"parse": [], "users": [ANN]}


async def test_what_was_asked_with_a_message_is_answered_by_the_bots_token(front, client):
    thread = await front.open_thread(ASKED, ROOT, key="run/root")
    [sent] = client.asked("send")
    assert isinstance(thread, ThreadRef)
    assert sent.channel == CHANNEL
    assert 0 < len(sent.arguments["nonce"]) <= 25
    assert thread.thread == thread.root


async def test_a_thread_is_named_after_the_topic_as_far_as_discord_takes_it(front, client):
    await front.open_thread(ASKED, Doc("Decision: " + "🚀 why " * 60), key="run/root")
    [name] = client.threads.values()
    assert len(name.encode("utf-16-le")) <= 200
    assert name.startswith("Decision: 🚀 why")
    assert name.endswith("…")


async def test_a_thread_is_opened_once(front, client):
    first = await front.open_thread(ASKED, ROOT, key="run/root")
    assert await front.open_thread(ASKED, ROOT, key="run/root") == first
    assert len(client.standing[CHANNEL]) == 1


async def test_a_root_asked_for_in_a_thread_stays_there_and_its_posts_are_replies(front, client):
    within = asked(within=str(THREAD))
    thread = await front.open_thread(within, ROOT, key="run/root")
    [root] = client.standing[THREAD]
    assert thread == ThreadRef(PLACE, str(THREAD), str(root.id))
    assert not client.asked("create_thread")
    await front.post(thread, ANSWER, key="run/1")
    assert client.standing[THREAD][1].reply_to == root.id
    assert client.asked("send")[1].arguments["reference"].fail_if_not_exists is False


async def test_a_direct_message_has_no_threads_and_its_root_and_boards_say_so(front, client):
    thread = await front.open_thread(asked(DIRECT), ROOT, key="run/root")
    [root] = client.standing[250]
    assert thread == ThreadRef(DIRECT, "250", str(root.id))
    assert not client.asked("create_thread")
    assert IN_DIRECT in root.text
    await front.board(thread, BOARD, revision=1)
    assert IN_DIRECT in root.text


@pytest.mark.parametrize("lacking", ["create_public_threads", "send_messages_in_threads"])
async def test_where_no_thread_may_be_created_posts_are_replies_and_the_fix_is_named(front, client, lacking):
    rights = discord.Permissions.all()
    rights.update(administrator=False, **{lacking: False})
    async with Served(front):
        await front.take(ASKED, FakeGesture(client, rights=rights))
        thread = await front.open_thread(ASKED, ROOT, key="run/root")
        [root] = client.standing[CHANNEL]
        assert thread == ThreadRef(PLACE, str(CHANNEL), str(root.id))
        assert not client.asked("create_thread")
        assert LACKING_THREADS in root.text
        await front.post(thread, ANSWER, key="run/1")
        assert client.standing[CHANNEL][1].reply_to == root.id


@pytest.mark.parametrize(
    ("error", "notice"),
    [
        (MISSING_PERMISSIONS, LACKING_THREADS),
        (MISSING_ACCESS, LACKING_THREADS),
        (refusal(400, 160006), AS_REPLIES),
        (refusal(400, 50024), AS_REPLIES),
    ],
)
async def test_a_thread_that_is_refused_becomes_replies_with_a_notice_that_names_a_right_only_if_one_lacks(
    front, client, error, notice
):
    client.script("create_thread", error)
    thread = await front.open_thread(ASKED, ROOT, key="run/root")
    [root] = client.standing[CHANNEL]
    assert thread == ThreadRef(PLACE, str(CHANNEL), str(root.id))
    assert notice in root.text
    await front.board(thread, BOARD, revision=1)
    assert notice in root.text
    assert "Economist" in root.text


async def test_a_voice_channel_has_no_threads(front, client):
    channel = FakeGuildChannel(type=discord.ChannelType.voice)
    async with Served(front):
        await front.take(ASKED, FakeGesture(client, channel=channel))
        thread = await front.open_thread(ASKED, ROOT, key="run/root")
        [root] = client.standing[CHANNEL]
        assert AS_REPLIES in root.text
    assert not client.asked("create_thread")
    assert thread.thread == str(CHANNEL)


async def test_a_right_that_every_answer_needs_is_missed_before_anything_is_shown(front, client):
    rights = discord.Permissions(send_messages=True)
    async with Served(front):
        await front.take(ASKED, FakeGesture(client, rights=rights))
        error = await front.open_thread(ASKED, ROOT, key="run/root")
    assert isinstance(error, PermissionMissing)
    assert "View Channel" in error.fix
    assert not client.standing[CHANNEL]


async def test_a_thread_whose_creation_has_no_known_end_is_asked_for_again_and_exists_once(front, client):
    client.script("create_thread", Lost())
    assert isinstance(await front.open_thread(ASKED, ROOT, key="run/root"), Unknown)
    thread = await front.find_thread(ASKED, "run/root")
    [root] = client.standing[CHANNEL]
    assert thread == ThreadRef(PLACE, str(root.id), str(root.id))
    assert list(client.threads) == [root.id]


async def test_a_root_is_found_by_the_next_process_and_gets_its_thread(front, client):
    client.script("create_thread", Lost(), refusal(503))
    await front.open_thread(ASKED, ROOT, key="run/root")
    client.threads.clear()
    thread = await front_end(client).find_thread(ASKED, "run/root")
    assert isinstance(thread, Unknown)
    thread = await front_end(client).find_thread(ASKED, "run/root")
    [root] = client.standing[CHANNEL]
    assert thread == ThreadRef(PLACE, str(root.id), str(root.id))
    assert client.threads == {root.id: "Should we move?"}


async def test_a_root_that_does_not_stand_is_not_found(front, client):
    await front.open_thread(asked(key="other"), ROOT, key="other/root")
    assert await front_end(client).find_thread(ASKED, "run/root") is None


async def test_a_channel_that_cannot_be_read_says_so(front, client):
    client.script("history", MISSING_PERMISSIONS)
    assert isinstance(await front.find_thread(ASKED, "run/root"), Unreadable)


async def test_a_root_that_is_sent_twice_with_an_unknown_end_stands_once(front, client):
    client.script("send", Lost())
    assert isinstance(await front.open_thread(ASKED, ROOT, key="run/root"), Unknown)
    assert isinstance(await front.open_thread(ASKED, ROOT, key="run/root"), ThreadRef)
    assert len(client.standing[CHANNEL]) == 1


# First responses


async def test_a_gesture_without_an_answer_is_told_in_time_that_one_is_coming(client):
    late, gesture = asyncio.Event(), FakeGesture(client)
    front = front_end(client, wait=late.wait)
    async with Served(front):
        await front.take(ASKED, gesture)
        assert not gesture.done
        late.set()
        while not gesture.done:
            await asyncio.sleep(0)
        assert client.asked("defer")[0].arguments == {"ephemeral": False, "thinking": True}
        thread = await front.open_thread(ASKED, ROOT, key="run/root")
    [root] = client.standing[CHANNEL]
    assert thread.root == str(root.id)
    assert not root.flags.loading
    assert "Should we move?" in root.text
    assert client.asked("edit_original")


async def test_an_answered_gesture_is_not_watched_any_more(client):
    late, gesture = asyncio.Event(), FakeGesture(client)
    front = front_end(client, wait=late.wait)
    async with Served(front):
        await front.take(ASKED, gesture)
        await front.open_thread(ASKED, ROOT, key="run/root")
        late.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not client.asked("defer")


async def test_a_private_gesture_waits_unseen(client):
    front = front_end(client, wait=lambda: asyncio.sleep(0))
    gesture = FakeGesture(client)
    async with Served(front):
        await front.take(asked(PRIVATE), gesture)
        while not gesture.done:
            await asyncio.sleep(0)
    assert client.asked("defer")[0].arguments == {"ephemeral": True, "thinking": True}


async def test_a_first_response_without_a_known_end_is_found_by_the_gestures_token(front, client):
    client.script("send_message", Lost())
    async with Served(front):
        await front.take(ASKED, FakeGesture(client))
        assert isinstance(await front.open_thread(ASKED, ROOT, key="run/root"), Unknown)
        thread = await front.find_thread(ASKED, "run/root")
    [root] = client.standing[CHANNEL]
    assert thread == ThreadRef(PLACE, str(root.id), str(root.id))
    assert not client.asked("send")


async def test_a_first_response_that_the_library_sent_twice_is_recognised(front, client):
    gesture = FakeGesture(client)
    async with Served(front):
        await front.take(ASKED, gesture)
        client.script("send_message", Lost())
        await front.open_thread(ASKED, ROOT, key="run/root")
        thread = await front.open_thread(ASKED, ROOT, key="run/root")
    [root] = client.standing[CHANNEL]
    assert thread == ThreadRef(PLACE, str(root.id), str(root.id))


async def test_a_first_response_that_never_arrived_is_announced_and_then_shown(client):
    late, gesture = asyncio.Event(), FakeGesture(client)
    front = front_end(client, wait=late.wait)
    client.script("send_message", TimeoutError())
    async with Served(front):
        await front.take(ASKED, gesture)
        assert isinstance(await front.open_thread(ASKED, ROOT, key="run/root"), Unknown)
        late.set()
        while not gesture.done:
            await asyncio.sleep(0)
        assert await front.find_thread(ASKED, "run/root") is None
        assert isinstance(await front.open_thread(ASKED, ROOT, key="run/root"), ThreadRef)
    [root] = client.standing[CHANNEL]
    assert "Should we move?" in root.text
    assert not root.flags.loading


async def test_an_announcement_whose_end_is_unknown_is_found_and_taken_the_place_of(client):
    front, gesture = front_end(client, wait=lambda: asyncio.sleep(0)), FakeGesture(client)
    client.script("defer", Lost())
    async with Served(front):
        await front.take(ASKED, gesture)
        while not gesture.done:
            await asyncio.sleep(0)
        await front.open_thread(ASKED, ROOT, key="run/root")
    [root] = client.standing[CHANNEL]
    assert "Should we move?" in root.text
    assert not root.flags.loading


async def test_a_gesture_that_somebody_else_answered_leaves_the_root_to_the_bots_token(front, client):
    gesture = FakeGesture(client)
    async with Served(front):
        await front.take(ASKED, gesture)
        gesture.done = "elsewhere"
        thread = await front.open_thread(ASKED, ROOT, key="run/root")
    assert isinstance(thread, ThreadRef)
    assert len(client.asked("send")) == 1


async def test_a_gesture_that_discord_gave_up_leaves_the_root_to_the_bots_token(front, client):
    gesture = FakeGesture(client)
    async with Served(front):
        await front.take(ASKED, gesture)
        gesture.expired = True
        assert isinstance(await front.open_thread(ASKED, ROOT, key="run/root"), ThreadRef)
    assert len(client.asked("send")) == 1


async def test_fault_12_a_gesture_that_is_delivered_again_is_answered_once(front, client):
    async with Served(front) as served:
        await front.take(ASKED, FakeGesture(client))
        await front.open_thread(ASKED, ROOT, key="run/root")
        await front.take(ASKED, FakeGesture(client))
        await front.open_thread(ASKED, ROOT, key="run/root")
    assert len(served.taken) == 2
    assert len(client.standing[CHANNEL]) == 1


async def test_a_press_is_acknowledged_at_once_and_its_message_stays_as_it_is(front, client):
    board = client.add(CHANNEL, discord.ui.LayoutView())
    async with Served(front):
        await front.take(PRESSED, FakeGesture(client, kind=COMPONENT, pressed=board))
        assert client.asked("defer")[0].arguments == {"ephemeral": False, "thinking": False}
        await front.notify(PRESSED, Doc("Stopping."))
    assert [message.text for message in client.standing[CHANNEL] if message.flags.ephemeral] == ["### Stopping."]
    assert client.standing[CHANNEL][0] is board
    assert board.components == []


async def test_a_press_that_may_ask_for_a_form_is_left_unanswered_for_it(front, client):
    gesture = FakeGesture(client, kind=COMPONENT)
    press = Invocation(PLACE, str(ANN), "/panel", "press", "control")
    async with Served(front):
        await front.take(press, gesture)
        assert not gesture.done
        receipt = await front.ask(press, AskForm("", (("decision", "Decision"),), "decision"))
    assert receipt.outcome == "sent"
    assert len(gesture.modals) == 1


# Posts


async def test_a_post_goes_into_the_thread_with_its_nonce_and_alerts_nobody(front, client):
    receipt = await front.post(HUNG, ANSWER, key="run/expert/contrarian")
    [sent] = client.asked("send")
    assert receipt.outcome == "sent"
    assert sent.channel == 400
    assert "reference" not in sent.arguments
    assert sent.arguments["allowed_mentions"].to_dict()["parse"] == []
    assert 0 < len(sent.arguments["nonce"]) <= 25


async def test_two_posts_of_the_same_words_have_two_nonces(front, client):
    await front.post(HUNG, ANSWER, key="run/1")
    await front.post(HUNG, ANSWER, key="run/2")
    assert len({sent.arguments["nonce"] for sent in client.asked("send")}) == 2


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (discord.RateLimited(77.0), RateLimited(77.0)),
        (refusal(429, **{"Retry-After": "7"}), RateLimited(7.0)),
        (refusal(429), RateLimited(30.0)),
        (refusal(400, 20028), RateLimited(30.0)),
        (refusal(503), Unknown("an answer that is none (503)")),
        (refusal(404, 10003), Gone("the channel was deleted")),
        (refusal(404, 10008), Gone("the message was deleted")),
        (refusal(400, 50035, "Invalid Form Body\nIn components: too long"), Rejected(
            "50035: Invalid Form Body In components: too long"
        )),
        (aiohttp.ServerDisconnectedError(), Unknown("ServerDisconnectedError")),
        (ConnectionResetError(), Unknown("ConnectionResetError")),
        (TimeoutError(), Unknown("TimeoutError")),
        (aiohttp.ConnectionTimeoutError(), NotDispatched("ConnectionTimeoutError")),
    ],
)  # fmt: skip
async def test_each_failure_is_said_to_be_what_it_was(front, client, failure, error):
    client.script("send", failure)
    receipt = await front.post(HUNG, ANSWER, key="run/1")
    assert receipt.error == error
    assert receipt.outcome == ("unknown" if isinstance(error, Unknown) else "failed")
    assert len(client.asked("send")) == 1


@pytest.mark.parametrize("failure", [MISSING_ACCESS, MISSING_PERMISSIONS, refusal(403), refusal(400, 50083)])
async def test_a_missing_right_is_named_with_its_fix(front, client, failure):
    client.script("send", failure)
    receipt = await front.post(HUNG, ANSWER, key="run/1")
    assert isinstance(receipt.error, PermissionMissing)
    assert receipt.error.what
    assert receipt.error.fix


async def test_a_right_is_named_as_discord_names_it_where_the_post_goes(front, client):
    client.script("send", MISSING_PERMISSIONS, MISSING_PERMISSIONS)
    in_thread = await front.post(HUNG, ANSWER, key="run/1")
    in_channel = await front.post(REPLIES, ANSWER, key="run/2")
    assert "Send Messages in Threads" in in_thread.error.fix
    assert "Send Messages and" in in_channel.error.fix


async def test_a_post_half_shown_is_completed_and_not_begun_anew(front, client):
    client.script("send", None, discord.RateLimited(60.0))
    first = await front.post(HUNG, LONG, key="run/1")
    again = await front.post(HUNG, LONG, key="run/1")
    assert (first.outcome, first.parts, again.outcome) == ("partial", 1, "sent")
    words = "\n".join(client.texts(400)).count("word")
    assert words == 2_500
    assert again.ref.ids == tuple(str(message.id) for message in client.standing[400])


async def test_a_lost_answer_to_a_post_that_is_sent_again_makes_one_message(front, client):
    client.script("send", Lost())
    assert (await front.post(HUNG, ANSWER, key="run/1")).outcome == "unknown"
    assert (await front.post(HUNG, ANSWER, key="run/1")).outcome == "sent"
    assert len(client.standing[400]) == 1


async def test_a_post_is_found_by_its_mark_in_the_next_process(front, client):
    await front.post(HUNG, ANSWER, key="run/1")
    await front.post(HUNG, ANSWER, key="run/2")
    later = front_end(client)
    assert await later.find(HUNG, "run/2") == MessageRef(HUNG, (str(client.standing[400][1].id),))
    assert await later.find(HUNG, "run/3") is None


async def test_fault_17_a_post_whose_parts_do_not_all_stand_is_completed_after_a_restart(front, client):
    client.script("send", None, discord.RateLimited(60.0))
    await front.post(HUNG, LONG, key="run/1")
    later = front_end(client)
    assert await later.find(HUNG, "run/1") is None
    assert (await later.post(HUNG, LONG, key="run/1")).outcome == "sent"
    assert "\n".join(client.texts(400)).count("word") == 2_500


async def test_another_bots_marks_stand_for_nothing(front, client):
    await front.post(HUNG, ANSWER, key="run/1")
    client.standing[400][0].author = FakeAuthor(OTHER_BOT)
    assert await front_end(client).find(HUNG, "run/1") is None


@pytest.mark.parametrize("failure", [MISSING_ACCESS, MISSING_PERMISSIONS])
async def test_a_thread_that_cannot_be_read_says_so(front, client, failure):
    client.script("history", failure)
    assert isinstance(await front.find(HUNG, "run/1"), Unreadable)


async def test_a_thread_that_could_not_be_read_this_time_is_an_error(front, client):
    client.script("history", refusal(503))
    assert isinstance(await front.find(HUNG, "run/1"), Unknown)


async def test_files_go_with_their_post(front, client):
    doc = Doc("With a file", (Markdown("See it."),), files=(OutFile("answer.md", "all of it"),))
    await front.post(HUNG, doc, key="run/1")
    [file] = client.asked("send")[0].arguments["files"]
    assert (file.filename, file.fp.read()) == ("answer.md", b"all of it")


async def test_a_post_with_controls_carries_the_run_in_its_buttons(front, client):
    doc = Doc("Critic", (Markdown("No."),), subject=Subject("run", "expert/critic"), controls=("rate",))
    await front.post(HUNG, doc, key="run/1")
    assert client.standing[400][0].buttons == ["panelist:up:run:expert/critic", "panelist:down:run:expert/critic"]


async def test_fault_49_every_call_that_shows_something_says_whom_it_may_alert(client):
    front = front_end(client, wait=lambda: asyncio.sleep(0))
    async with Served(front):
        for place, key in ((PLACE, "one"), (PRIVATE, "two"), (GUEST, "three"), (DIRECT, "four")):
            for kind in (discord.InteractionType.application_command, COMPONENT):
                invocation = asked(place, f"{key}/{kind}")
                gesture = FakeGesture(client, kind=kind)
                await front.take(invocation, gesture)
                while not gesture.done:
                    await asyncio.sleep(0)
                thread = await front.open_thread(invocation, Doc("@everyone"), key=f"{key}/{kind}/root")
                await front.post(thread, Doc("@here", (Markdown("<@&1> <@502>"),)), key=f"{key}/{kind}/1")
                await front.board(thread, BOARD, revision=1)
                await front.notify(invocation, Doc("@everyone"))
        await front.take(asked(key="five"), FakeGesture(client))
        await front.open_thread(asked(key="five"), Doc("@everyone"), key="five/root")
    showing = [said for said in client.said if "view" in said.arguments]
    assert {said.method for said in showing} == {
        "send_message", "edit_original", "follow_up", "edit_follow_up", "send", "edit",
    }  # fmt: skip
    for said in showing:
        allowed = said.arguments["allowed_mentions"].to_dict()
        assert allowed["parse"] == []
        assert not allowed.get("replied_user")
        assert set(allowed.get("users", [])) <= {ANN}


# Boards


async def test_a_board_is_put_into_the_root_by_the_bots_token(front, client):
    thread = await front.open_thread(ASKED, ROOT, key="run/root")
    receipt = await front.board(thread, BOARD, revision=1)
    [root] = client.standing[CHANNEL]
    assert receipt.ref == MessageRef(thread, (str(root.id),))
    assert "Should we move?" in root.text
    assert "Economist" in root.text
    assert client.asked("edit")[0].channel == CHANNEL


async def test_an_older_board_is_dropped(front, client):
    thread = await front.open_thread(ASKED, ROOT, key="run/root")
    first = await front.board(thread, BOARD, revision=5)
    assert await front.board(thread, BOARD, revision=4) == first
    assert len(client.asked("edit")) == 1


async def test_a_board_that_was_not_shown_is_shown_by_its_revision_again(front, client):
    thread = await front.open_thread(ASKED, ROOT, key="run/root")
    client.script("edit", refusal(503))
    assert (await front.board(thread, BOARD, revision=1)).outcome == "unknown"
    assert (await front.board(thread, BOARD, revision=1)).outcome == "sent"


async def test_a_board_whose_root_was_deleted_says_nothing_about_its_thread(front, client):
    client.script("edit", UNKNOWN_MESSAGE, refusal(404, 10003))
    assert isinstance((await front.board(HUNG, BOARD, revision=1)).error, Rejected)
    assert isinstance((await front.board(HUNG, BOARD, revision=2)).error, Gone), "the channel, and all in it"


async def test_where_history_may_not_be_read_what_would_be_a_reply_is_a_message_and_is_not_tried_each_time(
    front, client
):
    client.script("send", refusal(403, 160002))
    receipt = await front.post(REPLIES, ANSWER, key="run/1")
    assert receipt.outcome == "sent"
    assert (await front.post(REPLIES, ANSWER, key="run/2")).outcome == "sent"
    assert [message.reply_to for message in client.standing[CHANNEL]] == [None, None]
    assert len(client.asked("send")) == 3


async def test_where_files_may_not_be_attached_a_post_says_which_is_missing_and_others_are_not_held_back(front, client):
    client.script("send", MISSING_PERMISSIONS)
    filed = Doc("Long", (Markdown("word"),), files=(OutFile("long.md", "all of it"),))
    assert (await front.post(HUNG, filed, key="run/1")).outcome == "sent"
    [message] = client.standing[400]
    assert "Attach Files is missing, so `long.md` is not here; `panelist runs show` has it" in message.text
    assert message.files == []
    assert (await front.post(HUNG, ANSWER, key="run/2")).outcome == "sent"
    assert (await front.post(HUNG, filed, key="run/3")).outcome == "sent"
    assert len(client.asked("send")) == 4, "the files are not tried each time"


async def test_where_nothing_may_be_sent_a_post_with_files_says_so(front, client):
    client.script("send", MISSING_PERMISSIONS, MISSING_PERMISSIONS)
    filed = Doc("Long", files=(OutFile("long.md", "all of it"),))
    error = (await front.post(HUNG, filed, key="run/1")).error
    assert isinstance(error, PermissionMissing)
    assert "may not post" in error.what


async def test_a_call_that_nobody_waits_for_any_more_goes_on_to_its_end(front, client):
    answered = asyncio.Event()
    client.script("send", answered)
    posting = asyncio.create_task(front.post(HUNG, ANSWER, key="run/1"))
    while not client.asked("send"):
        await asyncio.sleep(0)
    posting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await posting
    asyncio.get_running_loop().call_soon(answered.set)
    await front.close()
    assert len(client.standing[400]) == 1


async def test_a_board_in_a_thread_that_fell_asleep_opens_it_again(front, client):
    thread = await front.open_thread(asked(within=str(THREAD)), ROOT, key="run/root")
    client.archived.add(THREAD)
    assert (await front.board(thread, BOARD, revision=1)).outcome == "sent"
    assert client.asked("edit_channel")[0].arguments == {"archived": False}


async def test_a_board_in_a_locked_thread_is_a_right_that_is_missing(front, client):
    thread = await front.open_thread(asked(within=str(THREAD)), ROOT, key="run/root")
    client.archived.add(THREAD)
    client.script("edit_channel", MISSING_PERMISSIONS)
    assert isinstance((await front.board(thread, BOARD, revision=1)).error, PermissionMissing)


# Windows: private runs, and guests


async def test_a_private_run_is_seen_by_its_asker_alone(front, client):
    invocation = asked(PRIVATE)
    async with Served(front):
        await front.take(invocation, FakeGesture(client))
        thread = await front.open_thread(invocation, ROOT, key="run/root")
        receipt = await front.post(thread, ANSWER, key="run/1")
        board = await front.board(thread, BOARD, revision=1)
    assert thread == ThreadRef(PRIVATE, "window/key", "@original")
    assert (receipt.outcome, board.outcome) == ("sent", "sent")
    root, answer = client.standing[CHANNEL]
    assert (root.flags.ephemeral, answer.flags.ephemeral) == (True, True)
    assert "Economist" in root.text
    assert not client.asked("create_thread")
    assert not client.asked("send")
    assert not client.asked("edit")


async def test_a_guests_run_is_seen_by_all_and_told_in_few_messages(front, client):
    invocation = asked(GUEST)
    assert front.capabilities(GUEST).digest
    assert not front.capabilities(PLACE).digest
    async with Served(front):
        await front.take(invocation, FakeGesture(client))
        thread = await front.open_thread(invocation, ROOT, key="run/root")
        receipt = await front.post(thread, ANSWER, key="run/1")
    assert receipt.outcome == "sent"
    assert not any(message.flags.ephemeral for message in client.standing[CHANNEL])
    assert not client.asked("create_thread")


async def test_a_guests_sixth_message_is_a_direct_one(front, client):
    invocation = asked(GUEST)
    async with Served(front):
        await front.take(invocation, FakeGesture(client))
        thread = await front.open_thread(invocation, ROOT, key="run/root")
        for number in range(6):
            assert (await front.post(thread, ANSWER, key=f"run/{number}")).outcome == "sent"
    assert len(client.asked("follow_up")) == 5
    [text] = client.texts(direct_with(ANN))
    assert "Because of the costs." in text


@pytest.mark.parametrize("how", ["time", "token"])
async def test_a_window_that_closed_goes_on_directly_and_says_why_once(client, how):
    clock, gesture, invocation = Clock(), FakeGesture(client), asked(PRIVATE)
    front = front_end(client, clock)
    async with Served(front):
        await front.take(invocation, gesture)
        thread = await front.open_thread(invocation, ROOT, key="run/root")
        gesture.expired = True
        clock.now = 901.0 if how == "time" else 1.0
        first = await front.post(thread, ANSWER, key="run/1")
        await front.post(thread, ANSWER, key="run/2")
        board = await front.board(thread, BOARD, revision=1)
    one, two = client.texts(direct_with(ANN))
    assert first.outcome == "sent"
    assert "15 minutes" in one
    assert "15 minutes" not in two
    assert isinstance(board.error, Rejected)


async def test_a_window_that_closes_on_a_long_post_tells_it_whole_directly(front, client):
    gesture, invocation = FakeGesture(client), asked(PRIVATE)
    async with Served(front):
        await front.take(invocation, gesture)
        thread = await front.open_thread(invocation, ROOT, key="run/root")
        client.script("follow_up", None, TOKEN_OVER)
        receipt = await front.post(thread, LONG, key="run/1")
    assert receipt.outcome == "sent"
    assert "\n".join(client.texts(direct_with(ANN))).count("word") == 2_500
    assert len(receipt.ref.ids) == 1 + len(client.texts(direct_with(ANN)))


async def test_a_newer_gesture_of_the_same_person_keeps_a_window_open(client):
    clock, gesture, invocation = Clock(), FakeGesture(client), asked(PRIVATE)
    front = front_end(client, clock)
    async with Served(front):
        await front.take(invocation, gesture)
        thread = await front.open_thread(invocation, ROOT, key="run/root")
        clock.now, gesture.expired = 901.0, True
        retry = Invocation(PRIVATE, str(ANN), "/panel retry", "press", "control", run="run")
        pressed = client.stands(CHANNEL, client.standing[CHANNEL][0].id)
        await front.take(retry, FakeGesture(client, kind=COMPONENT, pressed=pressed))
        assert (await front.post(thread, ANSWER, key="run/1")).outcome == "sent"
    assert "Because of the costs." in client.standing[CHANNEL][1].text
    assert not client.texts(direct_with(ANN))


async def test_a_gesture_that_is_still_to_be_answered_lends_its_window_to_no_other_run(client):
    clock, first, second = Clock(), FakeGesture(client), FakeGesture(client)
    front = front_end(client, clock)
    async with Served(front):
        await front.take(asked(PRIVATE), first)
        thread = await front.open_thread(asked(PRIVATE), ROOT, key="run/root")
        clock.now, first.expired = 901.0, True
        await front.take(asked(PRIVATE, key="second"), second)
        await front.post(thread, ANSWER, key="run/1")
        other = await front.open_thread(asked(PRIVATE, key="second"), ROOT, key="second/root")
    assert client.texts(direct_with(ANN))
    assert other == ThreadRef(PRIVATE, "window/second", "@original")


async def test_a_window_lost_in_a_restart_is_told_directly_and_its_board_is_refused(front, client):
    thread = ThreadRef(PRIVATE, "window/key", "@original")
    assert (await front.post(thread, ANSWER, key="run/1")).outcome == "sent"
    assert isinstance((await front.board(thread, BOARD, revision=1)).error, Rejected)
    [text] = client.texts(direct_with(ANN))
    assert "Because of the costs." in text
    again = await front_end(client).find(thread, "run/1")
    assert again == MessageRef(thread, (f"{direct_with(ANN)}/{client.standing[direct_with(ANN)][0].id}",))


async def test_what_went_through_a_window_cannot_be_looked_for(front, client):
    thread = ThreadRef(PRIVATE, "window/key", "@original")
    assert isinstance(await front.find(thread, "run/1"), Unreadable)


async def test_a_run_whose_window_was_lost_before_its_root_is_told_directly(front, client):
    invocation = asked(PRIVATE)
    thread = await front.open_thread(invocation, ROOT, key="run/root")
    [root] = client.standing[direct_with(ANN)]
    assert thread == ThreadRef(PRIVATE, "window/key", f"{direct_with(ANN)}/{root.id}")
    assert (await front.board(thread, BOARD, revision=1)).outcome == "sent"
    assert "Economist" in root.text


async def test_a_window_whose_person_takes_no_direct_messages_is_gone(front, client):
    client.script("send", DIRECT_REFUSED)
    thread = ThreadRef(PRIVATE, "window/key", "@original")
    assert isinstance((await front.post(thread, ANSWER, key="run/1")).error, Gone)


async def test_a_windows_root_without_a_known_end_is_found_by_its_token(front, client):
    invocation = asked(PRIVATE)
    client.script("send_message", Lost())
    async with Served(front):
        await front.take(invocation, FakeGesture(client))
        assert isinstance(await front.open_thread(invocation, ROOT, key="run/root"), Unknown)
        thread = await front.find_thread(invocation, "run/root")
    assert thread == ThreadRef(PRIVATE, "window/key", "@original")
    assert len(client.standing[CHANNEL]) == 1


# Telling one person


async def test_the_asker_alone_is_told_with_the_first_response(front, client):
    async with Served(front):
        await front.take(ASKED, FakeGesture(client))
        doc = Doc("Say what to ask about", mention=str(ANN), controls=("form",))
        receipt = await front.notify(ASKED, doc)
    [message] = client.standing[CHANNEL]
    assert receipt.outcome == "sent"
    assert message.flags.ephemeral
    assert message.buttons == ["panelist:form"]
    assert str(ANN) not in message.text


async def test_what_is_told_takes_the_place_of_an_announced_answer_without_being_seen_by_others(client):
    gesture = FakeGesture(client)
    front = front_end(client, wait=lambda: asyncio.sleep(0))
    async with Served(front):
        await front.take(ASKED, gesture)
        while not gesture.done:
            await asyncio.sleep(0)
        await front.notify(ASKED, Doc("You are over quota"))
    assert gesture.shown_to_all() == []
    assert len(gesture.shown_to_one()) == 1


async def test_a_long_notice_is_told_in_several_messages(front, client):
    async with Served(front):
        await front.take(ASKED, FakeGesture(client))
        receipt = await front.notify(ASKED, LONG)
    assert receipt.parts == len(client.standing[CHANNEL]) > 1
    assert all(message.flags.ephemeral for message in client.standing[CHANNEL])


async def test_whoever_asked_with_a_message_is_told_directly(front, client):
    assert (await front.notify(ASKED, Doc("You are over quota"))).outcome == "sent"
    assert client.texts(direct_with(ANN)) == ["### You are over quota"]


async def test_two_notices_to_one_gesture_are_two_messages_to_discord(front, client):
    await front.notify(ASKED, Doc("You are third in line"))
    await front.notify(ASKED, Doc("You are over quota"))
    assert len(client.texts(direct_with(ANN))) == 2


async def test_in_a_direct_message_the_asker_is_told_there(front, client):
    await front.notify(asked(DIRECT), Doc("You are over quota"))
    assert client.texts(250) == ["### You are over quota"]
    assert not client.asked("create_dm")


async def test_a_notice_whose_token_is_over_is_told_directly(front, client):
    gesture = FakeGesture(client)
    async with Served(front):
        await front.take(ASKED, gesture)
        gesture.expired = True
        assert (await front.notify(ASKED, Doc("You are over quota"))).outcome == "sent"
    assert len(client.texts(direct_with(ANN))) == 1


async def test_a_notice_without_a_known_end_is_not_tried_in_another_way(front, client):
    client.script("send_message", Lost())
    async with Served(front):
        await front.take(ASKED, FakeGesture(client))
        assert (await front.notify(ASKED, Doc("You are over quota"))).outcome == "unknown"
    assert not client.texts(direct_with(ANN))


async def test_a_person_who_takes_no_direct_messages_is_a_right_that_is_missing(front, client):
    client.script("send", DIRECT_REFUSED)
    receipt = await front.notify(ASKED, Doc("You are over quota"))
    assert isinstance(receipt.error, PermissionMissing)


# Forms


async def test_a_form_needs_a_gesture_that_was_not_answered(front, client):
    form = AskForm("", (("decision", "Decision"),), "decision")
    async with Served(front):
        await front.take(ASKED, FakeGesture(client))
        assert (await front.ask(ASKED, form)).outcome == "sent"
        assert isinstance((await front.ask(ASKED, form)).error, Rejected)
        sent_off = Invocation(PLACE, str(ANN), "/panel", "form", "form")
        await front.take(sent_off, FakeGesture(client, kind=discord.InteractionType.modal_submit))
        assert (await front.ask(sent_off, form)).error == Rejected("no trigger")
    assert (await front.ask(asked(key="mention"), form)).error == Rejected("no trigger")


# Removing


async def test_a_post_is_deleted_where_it_stands_and_one_that_is_gone_is_fine(front, client):
    receipt = await front.post(HUNG, LONG, key="run/1")
    assert await front.remove(receipt.ref) is None
    assert await front.remove(receipt.ref) is None
    assert client.standing[400] == []
    assert await front.find(HUNG, "run/1") is None


async def test_a_root_goes_with_its_thread(front, client):
    thread = await front.open_thread(ASKED, ROOT, key="run/root")
    await front.post(thread, ANSWER, key="run/1")
    assert await front.remove(MessageRef(thread, (thread.root,))) is None
    assert client.standing[CHANNEL] == []
    assert client.threads == {}


async def test_a_thread_that_may_not_be_deleted_stays_empty(front, client):
    thread = await front.open_thread(ASKED, ROOT, key="run/root")
    client.script("delete_channel", MISSING_PERMISSIONS)
    assert await front.remove(MessageRef(thread, (thread.root,))) is None
    assert client.standing[CHANNEL] == []
    assert client.threads == {int(thread.thread): "deleted"}, "its name was the topic"
    assert client.archived == {int(thread.thread)}


async def test_a_thread_that_may_not_even_be_renamed_is_told_of(front, client):
    thread = await front.open_thread(ASKED, ROOT, key="run/root")
    client.script("delete_channel", MISSING_PERMISSIONS)
    client.script("edit_channel", MISSING_PERMISSIONS)
    error = await front.remove(MessageRef(thread, (thread.root,)))
    assert client.standing[CHANNEL] == []
    assert isinstance(error, PermissionMissing)
    assert "an empty one with its name stays" in error.what


async def test_a_window_that_is_told_directly_has_no_buttons_for_they_would_be_pressed_elsewhere(front, client):
    filed = Doc("Synthesis", (Markdown("words"),), subject=Subject("run", "synthesis"), controls=("rate",))
    thread = ThreadRef(PRIVATE, "window/lost", "@original")
    assert (await front.post(thread, filed, key="run/1")).outcome == "sent"
    [message] = client.standing[direct_with(ANN)]
    assert message.buttons == []


@pytest.mark.parametrize(("place", "carried"), [(PRIVATE, "panelist:form:p"), (PLACE, "panelist:form")])
async def test_more_options_of_a_private_notice_stay_private(front, client, place, carried):
    invocation, gesture = asked(place), FakeGesture(client)
    async with Served(front):
        await front.take(invocation, gesture)
        await front.notify(invocation, Doc("Help", controls=("form",)))
        [told] = client.standing[CHANNEL]
    assert told.buttons == [carried]


async def test_an_announcement_that_the_library_sent_twice_is_one(client):
    front = front_end(client, wait=lambda: asyncio.sleep(0))
    gesture = FakeGesture(client)
    # Told a 5xx, the library sends it again, and is told that it was answered.
    client.script("defer", Lost(refusal(400, 40060)))
    async with Served(front):
        await front.take(ASKED, gesture)
        async with asyncio.timeout(5):
            while not client.asked("original_response"):
                await asyncio.sleep(0)
        await front.open_thread(ASKED, ROOT, key="run/root")
        [root] = client.standing[CHANNEL]
    assert not root.flags.loading
    assert "Should we move?" in root.text


async def test_a_root_of_replies_leaves_its_channel_alone(front, client):
    thread = await front.open_thread(asked(within=str(THREAD)), ROOT, key="run/root")
    assert await front.remove(MessageRef(thread, (thread.root,))) is None
    assert client.standing[THREAD] == []
    assert not client.asked("delete_channel")


async def test_a_post_in_a_thread_that_fell_asleep_is_deleted_all_the_same(front, client):
    receipt = await front.post(HUNG, ANSWER, key="run/1")
    client.archived.add(400)
    assert await front.remove(receipt.ref) is None
    assert client.standing[400] == []


async def test_what_a_window_shows_goes_while_its_token_lives_and_what_was_direct_always(client):
    clock, invocation = Clock(), asked(PRIVATE)
    front = front_end(client, clock)
    async with Served(front):
        await front.take(invocation, FakeGesture(client))
        thread = await front.open_thread(invocation, ROOT, key="run/root")
        first = await front.post(thread, ANSWER, key="run/1")
        second = await front.post(thread, ANSWER, key="run/2")
        assert await front.remove(first.ref) is None
        clock.now = 901.0
        directly = await front.post(thread, ANSWER, key="run/3")
        assert isinstance(await front.remove(second.ref), Rejected)
        assert await front.remove(directly.ref) is None
    assert client.texts(direct_with(ANN)) == []


# Files


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://cdn.discordapp.com/attachments/1/2/a.pdf?ex=1", True),
        ("https://media.discordapp.net/attachments/1/2/a.png", True),
        ("http://127.0.0.1:99/attachments/a.md", True),
        ("http://127.0.0.1:98/attachments/a.md", False),
        ("http://cdn.discordapp.com/a.pdf", False),
        ("https://cdn.discordapp.com:8443/a.pdf", False),
        ("https://cdn.discordapp.com.evil.example/a.pdf", False),
        ("https://cdn.discordapp.com@evil.example/a.pdf", False),
        ("https://evil.example/cdn.discordapp.com", False),
        ("file:///etc/passwd", False),
        ("https://[", False),
    ],
)
def test_files_are_asked_of_discords_own_hosts_alone(url, trusted):
    assert Files("http://127.0.0.1:99/api/v10").trusted(url) is trusted


async def test_without_a_test_server_no_address_without_a_host_is_trusted():
    assert not Files().trusted("")


@pytest.mark.parametrize(
    "ref", ["nonsense", "[]", "{}", '{"url": 1}', '{"url": "https://evil.example/a", "size": 1}', '{"message": "x"}']
)
async def test_a_file_that_cannot_be_had_is_said_in_a_sentence(front, ref):
    assert isinstance(await front.fetch(ASKED, Attachment("a.md", ref=ref)), Unfetched)


async def test_a_file_that_is_too_large_is_not_asked_for(front):
    ref = json.dumps({"url": "https://cdn.discordapp.com/a.bin", "size": 20_000_001})
    got = await front.fetch(ASKED, Attachment("a.bin", ref=ref))
    assert isinstance(got, Unfetched)
    assert "20 MB" in got.why


# Refusals


async def test_fault_40_a_missing_right_is_remembered_and_one_call_a_minute_finds_out(client):
    clock = Clock()
    front = front_end(client, clock)
    client.script("send", *[MISSING_PERMISSIONS] * 5)
    for second in (0.0, 1.0, 59.0, 61.0, 62.0):
        clock.now = second
        receipt = await front.post(HUNG, ANSWER, key="run/1")
        assert isinstance(receipt.error, PermissionMissing)
    assert len(client.asked("send")) == 2


async def test_a_right_that_is_back_is_noticed(client):
    clock = Clock()
    front = front_end(client, clock)
    client.script("send", MISSING_PERMISSIONS)
    await front.post(HUNG, ANSWER, key="run/1")
    clock.now = 61.0
    assert (await front.post(HUNG, ANSWER, key="run/1")).outcome == "sent"
    assert (await front.post(HUNG, ANSWER, key="run/2")).outcome == "sent"


async def test_a_thread_that_may_not_be_deleted_does_not_hinder_posts(front, client):
    client.script("delete_channel", MISSING_PERMISSIONS)
    await front.remove(MessageRef(HUNG, ("400",)))
    assert (await front.post(HUNG, ANSWER, key="run/1")).outcome == "sent"


async def test_fault_40_nothing_is_sent_far_below_what_bans_a_host(front, client):
    client.script("send", *[MISSING_PERMISSIONS] * 6_000)
    for channel in range(5_050):
        thread = ThreadRef(PLACE, str(channel), str(channel))
        last = await front.post(thread, ANSWER, key=f"run/{channel}")
    assert len(client.asked("send")) == 5_000
    assert last.error == RateLimited(600.0)


async def test_invalid_requests_count_for_ten_minutes():
    clock = Clock()
    refusals = Refusals(clock, most=2)
    for clock.now in (0.0, 100.0):
        refusals.invalid()
    assert refusals.hinder("1", object()) == RateLimited(500.0)
    clock.now = 601.0
    assert refusals.hinder("1", object()) is None


async def test_fault_40_a_refused_token_ends_the_front_end_and_loses_nothing(client):
    front = front_end(client)
    serving = asyncio.create_task(front.serve(lambda _: asyncio.sleep(0)))
    await asyncio.sleep(0)
    client.script("send", REFUSED_TOKEN)
    first = await front.post(HUNG, ANSWER, key="run/1")
    second = await front.post(HUNG, ANSWER, key="run/2")
    assert isinstance(first.error, NotDispatched)
    assert isinstance(second.error, NotDispatched)
    assert len(client.asked("send")) == 1
    assert not front.health().ready
    with pytest.raises(FrontEndFailed, match="DISCORD_TOKEN"):
        await serving


async def test_a_gestures_dead_token_does_not_end_the_front_end(front, client):
    gesture = FakeGesture(client)
    async with Served(front):
        await front.take(asked(PRIVATE), gesture)
        client.script("send_message", TOKEN_OVER)
        await front.open_thread(asked(PRIVATE), ROOT, key="run/root")
        assert front.health().ready


# Coming in, and the end


async def test_what_is_taken_before_serving_is_not_safe_and_its_asker_is_told(front, client):
    gesture = FakeGesture(client)
    with pytest.raises(NotSafe):
        await front.take(ASKED, gesture)
    [text] = gesture.shown_to_one()
    assert "Ask again" in text
    await front.close()


async def test_what_is_not_safe_is_told_once(front, client):
    gesture = FakeGesture(client)
    async with Served(front, NotSafe("the database refuses")):
        with pytest.raises(NotSafe):
            await front.take(ASKED, gesture)
        assert len(gesture.shown_to_one()) == 1


async def test_a_front_end_that_closes_watches_over_nothing_and_sends_nothing(front, client):
    async with Served(front):
        await front.take(ASKED, FakeGesture(client))
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("gesture ")]
    assert (await front.post(HUNG, ANSWER, key="run/1")).error == NotDispatched("the Discord front end is closed")
    assert isinstance(await front.open_thread(ASKED, ROOT, key="run/root"), NotDispatched)
    assert isinstance((await front.notify(ASKED, ANSWER)).error, NotDispatched)
    assert isinstance(await front.remove(MessageRef(HUNG, ("1",))), NotDispatched)
    assert client.said == []


async def test_trouble_with_what_comes_in_is_no_health(front):
    async def serving():
        await asyncio.Event().wait()

    front.comes_by(serving, lambda: "the gateway is down")
    task = asyncio.create_task(front.serve(lambda _: asyncio.sleep(0)))
    await asyncio.sleep(0)
    assert front.health().detail == "the gateway is down"
    await front.close()
    await task
