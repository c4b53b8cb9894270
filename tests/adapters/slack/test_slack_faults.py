"""What goes wrong between Slack and a run, by the number it has in the catalogue of faults, on the real adapter."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from adapters.port import Attachment, FrontEndFailed, Invocation, Place, Subject, Unfetched
from adapters.slack.controls import value_of
from adapters.slack.files import Files
from adapters.slack.workspaces import new_session
from teams.scripted import Prompt, expert_reply, synthesis_reply
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_faults import Answer, Limited, Lost
from tests.adapters.slack.fake_reading import live_links, live_mentions, plain
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import ANN, BOB, GENERAL, HOME, OUTSIDE, Channel, Workspace
from tests.adapters.slack.served import connected, office

CANARY = "https://evil.example/?k=CANARY"


async def canary(prompt: Prompt):
    """Experts who try to call home and to wake everybody."""
    words = f"See {CANARY} and <{CANARY}|bank.example> ![x]({CANARY}) [y]({CANARY}) <!channel> <@U0BOB>"
    return expert_reply(words) if prompt.perspective else synthesis_reply(words)


async def verbose(prompt: Prompt):
    """One expert who writes a book, one who nests, one with an endless table."""
    match prompt.perspective[:1].lower():
        case "o":
            return expert_reply("headline " * 1_000, analysis="book " * 40_000)
        case "p":
            lines = (f"{'>' * (depth % 40)} {'#' * (depth % 9)} deep {depth}" for depth in range(500))
            return expert_reply("nested", analysis="\n".join(lines))
        case "c":
            rows = (f"| {row} | {row} |" for row in range(10_000))
            return expert_reply("tabled", analysis="\n".join(["| a | b |", "|---|---|", *rows]))
    return expert_reply("brief") if prompt.perspective else synthesis_reply("all in all")


class Held:
    """Models that answer when they are let."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, prompt: Prompt):
        await self.go.wait()
        return expert_reply("late") if prompt.perspective else synthesis_reply("all in all")


def ask(slack: FakeSlack, topic: str = "One?", **where):
    return payloads.slash_command(slack.gesture(**where), topic)


def roots(slack: FakeSlack, channel: str = GENERAL.id) -> list[dict]:
    return [
        message
        for message in slack.messages(channel)
        if message.get("thread_ts", message["ts"]) == message["ts"] and "bot_id" in message
    ]


async def test_fault_05_slack_the_same_signed_request_a_hundred_times_is_one_run():
    async with office("http") as at:
        body = ask(at.slack)
        now = __import__("time").time()
        answers = await asyncio.gather(*(at.send(body, "command", at=now) for _ in range(100)))
        assert {answer.status for answer in answers} == {200}
        await at.until("from 6 of 6")
        assert len(roots(at.slack)) == 1


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_fault_06_slack_an_event_that_could_not_be_made_safe_runs_when_it_comes_again(transport):
    async with office(transport) as at:
        mention = payloads.app_mention(at.slack.gesture(), at.slack.say(ANN.id, GENERAL.id, "<@U0PANEL> panel One?"))
        with _refusing(at.house.store):
            first = await at.send(mention, "event", **({} if transport == "http" else {"timeout": 0.3}))
        assert not at.acknowledged(first)
        more = {"retry": 1} if transport == "http" else {"retry_attempt": 1, "retry_reason": "timeout"}
        assert at.acknowledged(await at.send(mention, "event", **more))
        assert at.acknowledged(await at.send(mention, "event", **more))
        await at.until("from 6 of 6")
        assert len(roots(at.slack)) == 1


@pytest.mark.parametrize("first", ["mention", "message"])
async def test_fault_07_slack_a_mention_and_its_message_are_one_run_in_either_order(first):
    async with office() as at:
        said = at.slack.say(ANN.id, GENERAL.id, "<@U0PANEL> panel One?")
        both = [payloads.app_mention(at.slack.gesture(), said), payloads.message_event(at.slack.gesture(), said)]
        for event in both if first == "mention" else reversed(both):
            assert at.acknowledged(await at.send(event, "event"))
        await at.until("from 6 of 6")
        assert len(roots(at.slack)) == 1


async def test_fault_10_slack_commands_are_acknowledged_while_every_model_hangs():
    async with office(script=Held()) as at:
        answers = [await at.send(ask(at.slack, f"Number {number}?"), "command") for number in range(30)]
        assert answers == [{}] * 30


async def test_fault_13_slack_an_envelope_that_comes_again_over_another_socket_is_one_run():
    async with office() as at:
        body = ask(at.slack)
        assert await at.slack.send_envelope(body, type="slash_commands", envelope_id="e-1") == {}
        await at.slack.disconnect("refresh_requested", close=True)
        await at.slack.connected()
        assert await at.slack.send_envelope(body, type="slash_commands", envelope_id="e-1") == {}
        await at.until("from 6 of 6")
        assert len(roots(at.slack)) == 1


async def test_fault_17_slack_a_post_whose_answer_was_lost_is_not_posted_again():
    async with office() as at:
        at.slack.script("chat.postMessage", Lost())
        await at.send(ask(at.slack), "command")
        await at.until("from 6 of 6")
        at.slack.script("chat.postMessage", *[Lost()] * 3)
        await at.send(ask(at.slack, "Two?"), "command")
        await at.house.intake.settled()
        for root in roots(at.slack):
            thread = [plain(message) for message in at.slack.messages(GENERAL.id, root["ts"])]
            assert len(thread) == len(set(thread)) == 9
        assert len(roots(at.slack)) == 2


async def test_fault_17_slack_where_the_thread_cannot_be_read_a_post_may_come_twice_and_the_log_says_so():
    with capture_logs() as logs:
        async with office() as at:
            at.slack.history = "not_allowed"
            at.slack.script("chat.postMessage", Lost())
            await at.send(ask(at.slack), "command")
            await at.until("from 6 of 6")
            await at.house.intake.settled()
            assert len(roots(at.slack)) == 2
    assert any(line["event"] == "post.sent_unsure" for line in logs)


async def test_fault_38_slack_refusals_for_haste_are_waited_out_and_nothing_is_lost_or_out_of_order():
    async with office() as at:
        at.slack.script("chat.postMessage", *[Limited(1)] * 3)
        at.slack.script("chat.update", *[Limited(1)] * 2)
        await at.send(ask(at.slack), "command")
        await at.until("from 6 of 6", seconds=25)
        await at.house.intake.settled()
        [root] = roots(at.slack)
        thread = [plain(message) for message in at.slack.messages(GENERAL.id, root["ts"])]
        assert "6 of 6 answered" in thread[-1]
        assert sum("speaks" in text for text in thread[1:]) == 6
        assert "finished in" in thread[0]


async def test_fault_35_slack_huge_answers_arrive_whole_and_every_message_is_one_that_slack_takes():
    async with office(script=verbose) as at:
        await at.send(ask(at.slack), "command")
        await at.until("from 6 of 6", seconds=25)
        await at.house.intake.settled()
        refused = [call for call in at.slack.calls if call.answered is not None and not call.answered.get("ok")]
        assert [call.method for call in refused if call.method.startswith("chat.")] == []
        files = [(file.content or b"").decode() for file in at.slack.files.values()]
        assert [text.count("book") for text in files if "book" in text] == [40_000]
        assert any("| 9999 | 9999 |" in text for text in files)


async def test_fault_47_and_51_slack_no_link_of_an_expert_is_live_and_nobody_but_the_asker_is_alerted():
    async with office(script=canary) as at:
        await at.send(ask(at.slack, f"<!here> {CANARY} <@U0BOB>?"), "command")
        await at.until("from 6 of 6")
        await at.house.intake.settled()
        messages = at.slack.messages(GENERAL.id)
        assert {found for message in messages for found in live_mentions(message)} == {f"<@{ANN.id}>"}
        assert [found for message in messages for found in live_links(message)] == []
        assert any(CANARY in plain(message) for message in messages)
        posts = [call.body for call in at.slack.asked("chat.postMessage")]
        assert all(str(post["unfurl_links"]).lower() in ("false", "0") for post in posts)
        mentioned = [message for message in messages if live_mentions(message)]
        assert [plain(message).split()[0] for message in mentioned] != []
        assert len(mentioned) == 2


async def test_fault_49_slack_every_send_has_mentions_by_name_turned_off():
    async with office(script=canary) as at:
        await at.send(ask(at.slack, "@everyone @here?"), "command")
        await at.until("from 6 of 6")
        await at.send(ask(at.slack, "help"), "command")
        await at.house.intake.settled()
        sends = [call.body for call in at.slack.calls if call.method in ("chat.postMessage", "chat.update")]
        assert len(sends) > 9
        assert {str(send["parse"]) for send in sends} == {"none"}
        assert {str(send["link_names"]).lower() for send in sends} <= {"false", "0"}


async def test_slack_a_socket_that_stays_down_ends_the_process_and_says_why():
    async with FakeSlack() as slack, connected(slack, down_seconds=0.5) as (connection, _):
        serving = asyncio.create_task(connection.front.serve(_nothing))
        await slack.connected()
        slack.script("apps.connections.open", *[Answer("internal_error")] * 100)
        await slack.disconnect("", close=True)
        with pytest.raises(FrontEndFailed, match="socket has been down"):
            async with asyncio.timeout(20):
                await serving
        assert not connection.front.health().ready


async def test_slack_an_app_token_that_is_refused_is_said_at_once():
    async with FakeSlack() as slack, connected(slack, app_token="xapp-CANARY") as (connection, _):
        with pytest.raises(FrontEndFailed, match="SLACK_APP_TOKEN") as failed:
            await connection.front.serve(_nothing)
        assert "CANARY" not in str(failed.value)


async def _nothing(_) -> None:
    return None


async def test_fault_46_slack_two_of_our_bots_do_not_talk_to_each_other():
    async with office() as at:
        await at.send(ask(at.slack), "command")
        await at.until("from 6 of 6")
        await at.house.intake.settled()
        before = len(at.slack.messages(GENERAL.id))
        for message in at.slack.messages(GENERAL.id):
            again = {**message, "text": f"<@{HOME.bot_user_id}> panel {message['text']}"}
            assert at.acknowledged(await at.send(payloads.message_event(at.slack.gesture(), again), "event"))
            other = {**again, "user": "U0OTHER", "bot_id": "B0OTHER", "ts": at.slack.ts()}
            assert at.acknowledged(await at.send(payloads.app_mention(at.slack.gesture(), other), "event"))
        await at.house.intake.settled()
        assert len(at.slack.messages(GENERAL.id)) == before


@asynccontextmanager
async def elsewhere():
    """A server that is not Slack's, and the headers that reached it."""
    seen: list[dict[str, str]] = []

    async def page(request: web.Request) -> web.Response:
        seen.append(dict(request.headers))
        return web.Response(text="stolen")

    app = web.Application()
    app.router.add_get("/{rest:.*}", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", seen
    finally:
        await runner.cleanup()


async def test_fault_68_slack_the_token_goes_to_slacks_own_hosts_and_is_not_carried_along_by_a_redirect():
    async with elsewhere() as (evil, seen), new_session() as session:

        async def moved(request: web.Request) -> web.Response:
            raise web.HTTPFound(evil)

        app = web.Application()
        app.router.add_get("/files/x", moved)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        own = f"http://127.0.0.1:{runner.addresses[0][1]}"
        files = Files(session, f"{own}/api/")
        assert isinstance(await files.fetch(f"{own}/files/x", "xoxb-CANARY"), Unfetched)
        assert isinstance(await files.fetch(evil, "xoxb-CANARY"), Unfetched)
        await runner.cleanup()
        assert seen == []


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://files.slack.com/files-pri/x", True),
        ("https://slack.com/x", True),
        ("https://hooks.slack.com/commands/x", True),
        ("http://files.slack.com/x", False),
        ("https://files.slack.com:8443/x", False),
        ("https://slack.com.evil.example/x", False),
        ("https://evilslack.com/x", False),
        ("https://user:pw@files.slack.com/x", False),
        ("https://files.slack.com@evil.example/x", False),
        ("https://files.slack.com\\@evil.example/x", False),
        ("file:///etc/passwd", False),
        ("https://[::1/x", False),
        ("", False),
    ],
)
def test_fault_68_slack_which_addresses_get_the_token(url, trusted):
    assert Files(None, "https://slack.com/api/").trusted(url) is trusted  # type: ignore[arg-type]


async def test_fault_12_slack_a_login_page_is_no_file():
    async with FakeSlack() as slack, connected(slack) as (connection, _):
        file = slack.add_file("plan.txt", b"<html>Sign in</html>", "text/html")
        ref = json.dumps({"url": file["url_private"], "type": "text/plain"})
        asked = Invocation(Place("slack", HOME.team_id, GENERAL.id), ANN.id, "/panel", "k", "command")
        found = await connection.front.fetch(asked, Attachment("plan.txt", ref=ref))
        assert isinstance(found, Unfetched)
        assert "files:read" in found.why


async def test_fault_69_slack_the_same_channel_and_user_in_two_workspaces_share_nothing():
    other = Workspace("T0OTHER", "Other", "xoxb-other", "U0PANEL2", "B0PANEL2")
    async with office() as at:
        at.slack.add(other)
        await at.send(ask(at.slack), "command")
        await at.until("from 6 of 6")
        calls = len(at.slack.calls)
        foreign = payloads.slash_command(payloads.Gesture(team=other), "Theirs?")
        await at.send(foreign, "command")
        await at.house.intake.settled()
        assert len(roots(at.slack)) == 1
        assert all(call.token != "xoxb-other" for call in at.slack.calls[calls:])


@pytest.mark.parametrize("where", ["another channel", "forged"])
async def test_fault_70_slack_a_control_of_another_place_or_a_forged_one_does_nothing(where):
    async with office(script=Held()) as at:
        await at.send(ask(at.slack), "command")
        await at.until("One?")
        [root] = roots(at.slack)
        run = next(iter(at.house.conductor.live.values())).id if at.house.conductor.live else ""
        value = value_of(Subject(run)) if where == "another channel" else value_of(Subject("0" * 24))
        at.slack.add(Channel("C0SIDE", "side"))
        channel = Channel("C0SIDE", "side") if where == "another channel" else GENERAL
        gesture = at.slack.gesture(channel=channel)
        pressed = payloads.block_actions(gesture, payloads.button("panelist.stop", value), root)
        assert at.acknowledged(await at.send(pressed, "interaction"))
        await at.told("no such run here")
        assert not any(live.stop.is_set() for live in at.house.conductor.live.values())


async def test_fault_70_slack_somebody_elses_run_is_not_stopped():
    async with office(script=Held()) as at:
        await at.send(ask(at.slack), "command")
        await at.until("One?")
        run = next(iter(at.house.conductor.live.values())).id
        [root] = roots(at.slack)
        pressed = payloads.button("panelist.stop", value_of(Subject(run)))
        await at.send(payloads.block_actions(at.slack.gesture(user=BOB), pressed, root), "interaction")
        await at.told("can stop this run")
        assert not any(live.stop.is_set() for live in at.house.conductor.live.values())


async def test_slack_where_the_bot_is_not_in_the_channel_the_asker_is_told_how_to_invite_it():
    async with office() as at:
        await at.send(ask(at.slack, channel=OUTSIDE), "command")
        assert "/invite" in await at.told("not in this channel")


async def test_slack_a_missing_scope_is_named_to_the_asker():
    async with office() as at:
        at.slack.script("chat.postMessage", Answer("missing_scope"))
        await at.send(ask(at.slack), "command")
        assert "scope" in await at.told("lacks the scope")


class _refusing:
    """A store that takes nothing in meanwhile, as on a full disk."""

    def __init__(self, store) -> None:
        self._store = store

    def __enter__(self) -> None:
        from bot.errors import StoreFailed

        async def refused(*_):
            raise StoreFailed("the disk is full")

        self._store.accept = refused

    def __exit__(self, *_) -> None:
        del self._store.accept
