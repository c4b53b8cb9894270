"""What can go wrong with Discord, on a fake that does it on demand: the real client, the whole house."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.discord.controls import PREFIX
from adapters.port import (
    Board,
    BoardRow,
    Doc,
    FrontEndFailed,
    Inbound,
    Invocation,
    PermissionMissing,
    RateLimited,
    ThreadRef,
)
from teams.scripted import Prompt, expert_reply, synthesis_reply
from tests.adapters.contract import steering
from tests.adapters.discord.fake_discord import FakeDiscord
from tests.adapters.discord.fake_faults import Answer, Broken, Limited, Lost, Masked
from tests.adapters.discord.fake_limits import Limits, Rate
from tests.adapters.discord.fake_reading import alerts, buttons, chips, live_links, plain, texts
from tests.adapters.discord.fake_world import (
    ANN,
    ANN_DM,
    BOB,
    BOT_RIGHTS,
    COMPONENTS_V2,
    GENERAL,
    HOME,
    OTHER,
    Channel,
    Guild,
)
from tests.adapters.discord.served import Office, connected, office, serving
from tests.house import Held, good, until
from tests.model_server import hang, model_server

ROOT = Path(__file__).parents[3]
CANARY = "https://evil.example/?k=CANARY"
WAKE_ALL = f"@everyone @here <@{BOB.id}> <@!{BOB.id}> <@&{HOME.id}> <#{GENERAL.id}> </panel:1> <:smile:1> <t:1>"
SENDS = (
    "create_message",
    "update_message",
    "create_interaction_response",
    "execute_webhook",
    "update_original_webhook_message",
    "update_webhook_message",
)


async def canary(prompt: Prompt):
    """Experts who try to call home, to mislead, and to wake everybody."""
    words = f"See {CANARY} and <{CANARY}> [bank]({CANARY}) ![x]({CANARY}) [y][1] {WAKE_ALL}\n\n[1]: {CANARY}"
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


def whole(at: Office) -> list[str]:
    """The one run that there is, finished: root and board, six answers, synthesis and roster, each once."""
    [root] = at.roots()
    thread = at.thread_of(root)
    assert len(thread) == len(set(thread)) == 9
    assert "6 of 6 answered" in thread[0]
    assert sum("speaks" in text for text in thread[1:]) == 6
    assert "from 6 of 6" in thread[-1]
    return thread


async def finished(at: Office, seconds: float = 25) -> None:
    await at.until("from 6 of 6", seconds=seconds)
    await at.house.intake.settled()


def sent(discord: FakeDiscord) -> list[tuple[str, dict[str, Any]]]:
    """Every message that was sent or changed: which way, and as it was sent."""
    found = []
    for call in discord.calls:
        if call.name in SENDS:
            body = call.body.get("data") or {} if call.name == "create_interaction_response" else call.body
            found += [(call.name, body)] if body.get("components") or body.get("content") else []
    return found


# Gestures


@pytest.mark.parametrize("how", ["cut", "reconnect"])
async def test_fault_12_discord_a_resumed_gateway_that_replays_interactions_gives_one_run(how: str) -> None:
    async with office() as at:
        await at.panel()
        at.discord.gateway.repeat = 100
        await (at.discord.gateway.cut() if how == "cut" else at.discord.gateway.reconnect())
        await at.discord.connected()
        await finished(at)
        assert at.discord.gateway.resumed == 1
        whole(at)


async def test_fault_12_discord_a_replayed_mention_and_a_replayed_press_count_once() -> None:
    held = Held()
    async with office(script=held) as at:
        at.discord.mention(ANN, GENERAL, "panel Open on Sundays?")
        message, stop = await at.button("Stop")
        await at.discord.click(ANN, message, stop)
        at.discord.gateway.repeat = 100
        await at.discord.gateway.cut()
        await at.discord.connected()
        await at.until("stopped")
        await at.house.intake.settled()
        assert len(at.roots()) == 1


async def test_fault_12_discord_what_is_asked_while_the_gateway_is_away_runs_when_it_is_back() -> None:
    async with office() as at:
        await at.discord.registered()
        await at.discord.gateway.cut()
        at.discord.mention(ANN, GENERAL, "panel Open on Sundays?")
        await finished(at)
        whole(at)


# Messages


async def test_fault_35_discord_huge_answers_arrive_whole_and_every_message_is_one_that_discord_takes() -> None:
    async with office(script=verbose) as at:
        await at.panel()
        await finished(at)
        assert [call for call in at.discord.calls if call.status >= 400] == []
        [root] = at.roots()
        shown = "\n".join([*at.thread_of(root), *at.discord.files_in(root["id"]).values()])
        assert shown.count("book") >= 40_000
        assert "| 9999 | 9999 |" in shown or "9999" in shown
        assert "deep 499" in shown


async def test_fault_47_48_discord_nobody_but_the_asker_is_alerted_and_nothing_poses_as_a_mention() -> None:
    hidden = f"\u202e\u200b\U000e0041 &lt;@{BOB.id}&gt; ＠everyone <\u200b@{BOB.id}>"
    async with office(script=canary) as at:
        await at.panel(f"{WAKE_ALL} {hidden}")
        await finished(at)
        [root] = at.roots()
        messages = at.discord.messages(root["id"])
        assert {found for message in messages for found in chips(message)} == {f"<@{ANN.id}>"}
        assert set(at.discord.pings()) == {ANN.id}
        assert [steering(plain(message)) for message in messages if steering(plain(message))] == []
        assert at.discord.threads[root["id"]].name
        assert steering(at.discord.threads[root["id"]].name) == []
        pinged = [message for message in messages if at.discord.alerted[message["id"]]]
        assert pinged == [messages[0], messages[-1]]


async def test_fault_49_discord_every_send_edit_and_follow_up_says_whom_it_alerts() -> None:
    async with office(script=canary) as at:
        await at.panel(f"{WAKE_ALL}?")
        await finished(at)
        await at.panel("Alone?", private="yes")
        await at.told("from 6 of 6", seconds=25)
        await at.house.intake.settled()
        at.discord.mention(ANN, GENERAL, "help")
        at.discord.dm(ANN, "help")
        await until(lambda: len(at.discord.by_bot(ANN_DM)) >= 2)
        ways = Counter(way for way, _ in sent(at.discord))
        assert set(ways) >= {"create_message", "update_message", "create_interaction_response"}
        for way, body in sent(at.discord):
            allowed = body["allowed_mentions"]
            assert allowed["parse"] == [], way
            assert not allowed.get("roles"), way
            assert not allowed.get("replied_user"), way
            assert set(map(str, allowed.get("users") or ())) <= {ANN.id}, way
            assert set(alerts(texts({"content": "", **body}), allowed)) <= {ANN.id}, way


async def test_fault_50_51_discord_no_address_of_an_expert_can_be_pressed_or_is_looked_up() -> None:
    async with office(script=canary) as at:
        await at.panel(f"{CANARY} [x]({CANARY})?")
        await finished(at)
        [root] = at.roots()
        messages = at.discord.messages(root["id"])
        assert [found for message in messages for found in live_links(message)] == []
        assert any(CANARY in plain(message) for message in messages)
        # Discord looks nothing up for messages of Components V2.
        assert all(message["flags"] & COMPONENTS_V2 for message in messages)
        assert not any(message["embeds"] for message in messages)


# Refusals


async def _thread(front: Any, discord: FakeDiscord, taken: "asyncio.Queue[Inbound]") -> tuple[Invocation, ThreadRef]:
    await discord.slash(ANN, GENERAL, "panel", topic="One?")
    invocation = await taken.get()
    assert isinstance(invocation, Invocation)
    thread = await front.open_thread(invocation, Doc("The root"), key="run/root")
    assert isinstance(thread, ThreadRef)
    return invocation, thread


@asynccontextmanager
async def front_end(discord: FakeDiscord, **more: Any):
    """The front end alone, serving, and what it takes in."""
    taken: asyncio.Queue[Inbound] = asyncio.Queue()

    async def sink(inbound: Inbound) -> None:
        taken.put_nowait(inbound)

    async with connected(discord, **more) as front:
        task = asyncio.create_task(front.serve(sink))
        await serving(discord, front)
        try:
            yield front, taken, task
        finally:
            await front.close()
            await asyncio.wait([task])


async def test_fault_40_discord_where_everything_is_refused_little_is_sent_though_it_is_looped() -> None:
    async with FakeDiscord() as discord, front_end(discord) as (front, taken, _):
        _, thread = await _thread(front, discord, taken)
        discord.script_always("*", Answer(403, 50013, "Missing Permissions"))
        before = discord.invalid
        receipts = []
        for number in range(3_000):
            receipts.append(await front.post(thread, Doc("An answer"), key=f"run/{number}"))
            receipts.append(await front.board(thread, Board("It", (BoardRow("One", "running"),)), revision=number + 1))
        assert {type(receipt.error) for receipt in receipts} == {PermissionMissing}
        assert discord.invalid - before < 10


async def test_fault_40_discord_a_house_that_is_refused_everything_says_so_rarely() -> None:
    async with FakeDiscord() as discord, office(discord=discord) as at:
        await discord.registered()
        discord.script_always("*", Answer(403, 50013, "Missing Permissions"))
        for number in range(20):
            await discord.slash(ANN, GENERAL, "panel", topic=f"{number}?")
            discord.mention(BOB, OTHER, f"panel {number}?")
        await until(lambda: len(discord.calls) > 20)
        await at.house.intake.settled()
        assert discord.invalid <= 3 * 40  # forty gestures


async def test_fault_40_discord_a_token_that_is_refused_ends_the_process_with_one_sentence() -> None:
    async with FakeDiscord() as discord, front_end(discord) as (front, taken, task):
        _, thread = await _thread(front, discord, taken)
        discord.script_always("*", Answer(401, 0, "401: Unauthorized"))
        for number in range(20):
            await front.post(thread, Doc("An answer"), key=f"run/{number}")
        with pytest.raises(FrontEndFailed, match="DISCORD_TOKEN") as failed:
            await asyncio.wait_for(task, 5)
        assert "\n" not in str(failed.value)
        assert discord.token not in str(failed.value)
        assert discord.invalid == 1
        assert not front.health().ready


async def test_fault_40_discord_a_wrong_token_is_said_before_anything_is_served() -> None:
    async with FakeDiscord() as discord:
        with pytest.raises(FrontEndFailed, match="DISCORD_TOKEN") as failed:
            async with connected(discord, token="CANARY"):
                pass
        assert "CANARY" not in str(failed.value)
        assert discord.invalid == 1


async def test_fault_40_discord_refusals_for_haste_are_waited_out_and_nothing_is_lost_or_out_of_order() -> None:
    async with office() as at:
        at.discord.script("create_message", *[Limited(0.3)] * 3)
        at.discord.script("update_message", *[Limited(0.3)] * 2)
        at.discord.script("create_thread_from_message", Limited(0.3, everywhere=True))
        await at.panel()
        await finished(at)
        whole(at)


async def test_fault_40_discord_buckets_are_kept_to_by_their_headers_and_nothing_is_lost() -> None:
    async with office() as at:
        names = ("create_message", "update_message", "create_thread_from_message", "create_interaction_response")
        at.discord.limits = Limits(dict.fromkeys(names, Rate(5, 0.5)))
        await asyncio.gather(*(at.panel(f"{number}?") for number in range(4)))
        await until(lambda: sum("from 6 of 6" in at.discord.shown(root["id"])[-1] for root in at.roots()) == 4)
        await at.house.intake.settled()
        for root in at.roots():
            thread = at.thread_of(root)
            assert len(thread) == len(set(thread)) == 9
            assert "6 of 6 answered" in thread[0]
        assert at.discord.limits.over < 10


async def test_fault_40_discord_a_long_wait_is_handed_on_and_not_slept_through() -> None:
    async with FakeDiscord() as discord, front_end(discord) as (front, taken, _):
        _, thread = await _thread(front, discord, taken)
        discord.script("create_message", Limited(600.0))
        async with asyncio.timeout(5):
            receipt = await front.post(thread, Doc("An answer"), key="run/1")
        assert receipt.outcome == "failed"
        assert isinstance(receipt.error, RateLimited)
        assert 500 < receipt.error.retry_after <= 600


@pytest.mark.parametrize("rights", [("create_public_threads",), ("send_messages_in_threads",)])
async def test_discord_where_no_threads_may_be_created_answers_follow_as_replies_and_that_is_said(rights: Any) -> None:
    async with FakeDiscord() as discord:
        discord.forbid(GENERAL, *rights)
        async with office(discord=discord) as at:
            await at.panel()
            await finished(at)
            shown = at.discord.shown(GENERAL)
            assert at.roots() == []
            assert "Create Public Threads" in shown[0]
            assert len(shown) == 9
            assert all(one.get("message_reference") for one in at.discord.by_bot()[1:])


async def test_discord_a_missing_right_is_named_to_the_asker_with_what_to_do() -> None:
    async with FakeDiscord() as discord:
        discord.forbid(GENERAL, "send_messages", "send_messages_in_threads")
        async with office(discord=discord) as at:
            await at.panel()
            assert "Send Messages" in await at.told("admin")
            assert discord.by_bot() == []


# Lost responses


async def test_discord_a_post_whose_answer_was_lost_stands_once_by_its_nonce() -> None:
    async with office() as at:
        at.discord.script("create_message", Lost(), Masked(502), Lost())
        await at.panel()
        await finished(at)
        whole(at)


async def test_discord_a_post_whose_answer_was_lost_is_found_by_its_mark_when_its_nonce_is_forgotten() -> None:
    async with office() as at:
        at.discord.nonce_seconds = 0.0
        at.discord.script("create_message", Lost(), Lost())
        await at.panel()
        await finished(at)
        whole(at)
        assert at.discord.asked("list_messages")


async def test_discord_a_root_whose_answer_was_lost_stands_once_when_it_was_asked_by_mention() -> None:
    async with office() as at:
        at.discord.nonce_seconds = 0.0
        at.discord.script("create_message", Lost())
        at.discord.mention(ANN, GENERAL, "panel Open on Sundays?")
        await finished(at)
        whole(at)


@pytest.mark.parametrize("fault", [Lost(), Masked(502)], ids=["lost", "masked"])
@pytest.mark.parametrize("private", [False, True], ids=["for all", "private"])
async def test_discord_a_first_response_whose_answer_was_lost_is_the_root_all_the_same(
    fault: Any, private: bool
) -> None:
    async with office() as at:
        at.discord.script("create_interaction_response", fault)
        await at.panel(private="yes" if private else "no")
        if private:
            await at.told("from 6 of 6", seconds=25)
            told = at.discord.told_alone(ANN)
            assert sum("speaks" in text for text in told[1:]) == 6
            assert len(told) == len(set(told))
        else:
            await finished(at)
            whole(at)


@pytest.mark.parametrize("fault", [Lost(), Masked(502), Broken(503)], ids=["lost", "masked", "broken"])
async def test_discord_a_thread_whose_answer_was_lost_is_the_runs_thread(fault: Any) -> None:
    async with office() as at:
        at.discord.script("create_thread_from_message", fault)
        await at.panel()
        await finished(at)
        whole(at)


# Buttons


@pytest.mark.parametrize("how", ["another channel", "another server", "forged", "nonsense"])
async def test_fault_70_discord_a_button_of_another_place_or_a_forged_one_does_nothing(how: str) -> None:
    held = Held()
    elsewhere = Guild("900000000008388608", "Elsewhere")
    side = Channel("910000000000000099", "side", guild_id=elsewhere.id if how == "another server" else HOME.id)
    async with FakeDiscord() as discord:
        discord.add(elsewhere, side)
        async with office(script=held, discord=discord) as at:
            await at.panel()
            message, stop = await at.button("Stop")
            run = next(iter(at.house.conductor.live.values())).id
            assert run in stop
            forged = {"forged": stop.replace(run, "0" * len(run)), "nonsense": f"{PREFIX}stop:../../x"}.get(how, stop)
            there = json.loads(json.dumps(message).replace(stop, forged))
            if "another" in how:
                there["channel_id"] = side.id
            pressed = await discord.click(BOB, there, forged)
            assert await pressed.acknowledged() != ""
            if how != "nonsense":
                await at.told("no such run here", BOB)
            assert not any(live.stop.is_set() for live in at.house.conductor.live.values())
            held.go.set()
            await finished(at)


async def test_fault_70_discord_somebody_elses_run_is_not_stopped() -> None:
    held = Held()
    async with office(script=held) as at:
        await at.panel()
        message, stop = await at.button("Stop")
        await at.discord.click(BOB, message, stop)
        await at.told("can stop this run", BOB)
        assert not any(live.stop.is_set() for live in at.house.conductor.live.values())
        held.go.set()
        await finished(at)


async def test_fault_70_discord_buttons_of_an_earlier_process_work(tmp_path: Path) -> None:
    async with FakeDiscord() as discord:
        async with office(discord=discord, folder=tmp_path) as at:
            await at.panel()
            await finished(at)
        async with office(discord=discord, folder=tmp_path) as at:
            [root] = at.roots()
            message = next(one for one in discord.messages(root["id"]) if "👍" in "".join(buttons(one)))
            label = next(one for one in buttons(message) if "👍" in one)
            pressed = await discord.click(BOB, message, buttons(message)[label])
            assert await pressed.acknowledged() in ("deferred_update", "message")
            await at.house.intake.settled()
            assert len(discord.asked("bulk_set_application_commands")) == 1


# Whole processes


class Served:
    """`panelist serve` on the fake, in whatever processes."""

    def __init__(self, folder: Path, discord: FakeDiscord, models: str) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "PANELIST_HOME": str(folder / "home"),
            "PANELIST_GRACE": "6",
            "FLASH_MODEL": "mock",
            "FLASH_API_BASE": models,
            "DISCORD_TOKEN": discord.token,
            "DISCORD_API_URL": discord.api,
            "DISCORD_GATEWAY_URL": discord.gateway_url,
        }
        self.discord, self.process = discord, None

    async def begin(self) -> asyncio.subprocess.Process:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.cli", "serve"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=ROOT,
        )
        await self.discord.connected(timeout=40)
        return self.process

    async def end(self, how: signal.Signals) -> str:
        """The signal, and what the process had written to its log."""
        if self.process is None:
            return ""
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(40):
            _, err = await self.process.communicate()
        self.process = None
        return err.decode()


@asynccontextmanager
async def process_on(tmp_path: Path, delay: float = 0.1):
    async with FakeDiscord() as discord, model_server(delay) as models:
        served = Served(tmp_path, discord, models.base)
        try:
            yield served, models
        finally:
            await served.end(signal.SIGKILL)
        assert discord.violations == []


async def shown_in(discord: FakeDiscord, said: str, seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not any(said in text for place in list(discord.posted) for text in discord.shown(place)):
            await asyncio.sleep(0.02)


async def test_fault_16_discord_after_a_kill_in_mid_run_the_board_goes_on_in_the_same_message_and_nothing_is_doubled(
    tmp_path: Path,
) -> None:
    async with process_on(tmp_path) as (served, models):
        discord = served.discord
        models.faults = dict.fromkeys(("people_advocate", "feasibility_planner", "failure_examiner"), hang)
        await served.begin()
        asked = await discord.slash(ANN, GENERAL, "panel", topic="Open on Sundays?")
        assert await asked.acknowledged() == "message"
        await until(lambda: sum("speaks" in text for text in discord.shown(asked.original)[1:]) == 3)
        assert "Traceback" not in await served.end(signal.SIGKILL)
        models.faults.clear()

        await served.begin()
        await shown_in(discord, "from 6 of 6")
        await until(lambda: "6 of 6 answered" in discord.shown(GENERAL)[0])

        [root] = discord.by_bot(GENERAL)
        assert root["id"] == asked.original
        thread = discord.shown(root["id"])
        assert len(thread) == len(set(thread))
        assert sum("speaks" in text for text in thread[1:]) == 6
        assert models.calls["option_finder"] == 1
        # Its buttons work in the new process, which knows nothing of the message but its id.
        rated = next(one for one in discord.messages(root["id"]) if "👍" in "".join(buttons(one)))
        like = next(name for label, name in buttons(rated).items() if "👍" in label)
        pressed = await discord.click(ANN, rated, like)
        assert await pressed.acknowledged() in ("deferred_update", "message", "deferred")
        assert len(discord.asked("bulk_set_application_commands")) == 1
        assert "Traceback" not in await served.end(signal.SIGTERM)


@pytest.mark.parametrize("name", ["create_interaction_response", "create_thread_from_message", "create_message"])
async def test_fault_17_discord_a_kill_while_a_send_is_under_way_neither_loses_nor_doubles_it(
    tmp_path: Path, name: str
) -> None:
    async with process_on(tmp_path) as (served, _):
        discord = served.discord
        discord.nonce_seconds = 0.0
        await served.begin()
        seen = len(discord.asked(name))
        discord.latency = 0.05
        await discord.slash(ANN, GENERAL, "panel", topic="Open on Sundays?")
        await until(lambda: len(discord.asked(name)) > seen + (name == "create_message"))
        await served.end(signal.SIGKILL)
        discord.latency = 0.0

        await served.begin()
        await shown_in(discord, "from 6 of 6")
        await until(lambda: "6 of 6 answered" in discord.shown(GENERAL)[0])
        [root] = discord.by_bot(GENERAL)
        thread = discord.shown(root["id"])
        assert len(thread) == len(set(thread))
        assert sum("speaks" in text for text in thread[1:]) == 6


# Rights


async def verbose_one(prompt: Prompt):
    """An answer that is longer than a post may be, so that the whole of it is in a file."""
    return (
        expert_reply("head", analysis="word " * 12_000) if prompt.perspective == "cost_examiner" else await good(prompt)
    )


async def test_fault_40_discord_answers_are_shown_where_neither_history_may_be_read_nor_threads_created() -> None:
    rights = tuple(right for right in BOT_RIGHTS if right not in ("read_message_history", "create_public_threads"))
    async with FakeDiscord() as discord:
        discord.add(replace(GENERAL, rights=rights))
        async with office(discord=discord) as at:
            await at.panel()
            await finished(at)
            assert at.text(GENERAL).count("speaks") >= 6


async def test_fault_40_discord_a_file_that_may_not_be_attached_loses_nothing_else() -> None:
    rights = tuple(right for right in BOT_RIGHTS if right != "attach_files")
    async with FakeDiscord() as discord:
        discord.add(replace(GENERAL, rights=rights))
        async with office(script=verbose_one, discord=discord) as at:
            await at.panel()
            await finished(at)
            assert "Attach Files is missing" in at.text()


async def test_fault_40_discord_a_deleted_root_does_not_lose_what_its_thread_can_show() -> None:
    held = Held()
    async with office(script=held) as at:
        await at.panel()
        root, _ = await at.button("Stop")
        await until(lambda: held.waiting and root["id"] in at.discord.threads)
        at.discord.delete_message(root)
        held.go.set()
        await finished(at)
        assert sum("speaks" in said for said in at.discord.shown(root["id"])) == 6


async def test_discord_a_slash_command_that_stops_a_run_is_answered_unseen_and_leaves_nothing_that_thinks() -> None:
    held = Held()
    async with office(script=held) as at:
        await at.panel()
        await at.button("Stop")
        gesture = await at.discord.slash(ANN, GENERAL, "panel", topic="stop")
        await at.told("Stopping.")
        assert gesture.ephemeral
        await at.until("stopped")
        await at.house.intake.settled()
