"""Where tokens of gestures are the only way, servers and threads that go, files that are fetched."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.discord.fake_discord import FakeDiscord
from tests.adapters.discord.fake_faults import Answer, Lost
from tests.adapters.discord.fake_world import ABROAD, ANN, ANN_DM, BOB, FORUM, GENERAL, GROUP, HOME, Upload
from tests.adapters.discord.served import Office, office
from tests.adapters.discord.test_discord_faults import finished
from tests.house import Held, until

BY_BOT = ("create_message", "update_message", "create_thread_from_message", "list_messages", "get_channel")
PLACES = pytest.mark.parametrize("place", [ABROAD, GROUP], ids=["server", "group"])


async def over(at: Office) -> None:
    """Wait until all runs are over and told."""
    await until(lambda: not at.house.conductor.live)
    await at.house.intake.settled()


@PLACES
async def test_discord_a_guest_says_one_summary_with_the_whole_panel_in_a_file_and_follows_up_little(
    place: Any,
) -> None:
    async with office() as at:
        gesture = await at.panel(place=place, documents=Upload("notes.md", b"# Notes\nwe sell bread"))
        await at.until("from 6 of 6", place)
        await over(at)
        shown = at.discord.by_bot(place)
        assert len(shown) == 2
        assert gesture.followups <= 5
        files = at.discord.files_in(place)
        assert sum(text.count("Try it for six weeks") for text in files.values()) == 6
        assert [call for call in at.discord.calls if call.name in BY_BOT] == []


@PLACES
async def test_discord_a_guest_whose_token_is_over_sends_the_summary_by_direct_message_and_says_why(place: Any) -> None:
    held = Held()
    async with office(script=held) as at:
        await at.panel(place=place)
        await at.until("Open on Sundays?", place)
        at.discord.token_seconds = 0.0
        held.go.set()
        told = await at.until("from 6 of 6", ANN_DM)
        await over(at)
        assert "15 minutes" in told
        assert len(at.discord.by_bot(place)) == 1


async def test_discord_a_guests_run_ends_quietly_where_its_person_takes_no_direct_messages() -> None:
    held = Held()
    async with office(script=held) as at:
        await at.panel(place=ABROAD)
        await at.until("Open on Sundays?", ABROAD)
        at.discord.token_seconds = 0.0
        at.discord.add(replace(ANN, closed=True))
        held.go.set()
        await over(at)
        assert at.discord.by_bot(ANN_DM) == []
        assert at.discord.invalid < 20


async def test_discord_a_private_run_goes_on_after_a_restart_by_direct_message(tmp_path: Path) -> None:
    held = Held()
    async with FakeDiscord() as discord:
        async with office(script=held, discord=discord, folder=tmp_path) as at:
            await at.panel(private="yes")
            await at.told("Open on Sundays?")
            await at.house.conductor.pause(0.1)
        held.go.set()
        async with office(script=held, discord=discord, folder=tmp_path) as at:
            await at.until("from 6 of 6", ANN_DM)
            await over(at)
            assert discord.by_bot(GENERAL) == []
            assert discord.told_alone(BOB) == []


async def test_fault_72_discord_a_server_that_removes_the_bot_loses_its_runs_and_nothing_is_sent_there() -> None:
    held = Held()
    async with office(script=held) as at:
        await at.panel()
        await at.until("Open on Sundays?")
        live = next(iter(at.house.conductor.live.values()))
        at.discord.remove_guild(HOME)
        held.go.set()
        await until(lambda: not at.house.conductor.live)
        await at.house.intake.settled()
        async with asyncio.timeout(10):
            while await at.house.store.get(live.id) is not None:
                await asyncio.sleep(0.02)
        assert at.discord.invalid < 20


async def test_fault_72_discord_a_server_that_is_merely_out_of_order_keeps_its_runs() -> None:
    held = Held()
    async with office(script=held) as at:
        await at.panel()
        await at.until("Open on Sundays?")
        at.discord.outage(HOME)
        held.go.set()
        await finished(at)
        assert len(at.roots()) == 1


async def test_discord_a_thread_that_is_deleted_under_a_run_ends_its_posts() -> None:
    held = Held()
    async with office(script=held) as at:
        await at.panel()
        await until(lambda: at.discord.threads)
        at.discord.delete_channel(next(iter(at.discord.threads.values())))
        held.go.set()
        await over(at)
        assert len(at.discord.by_bot()) == 1


async def test_discord_a_file_that_cannot_be_had_is_named_and_the_panel_runs_without_it() -> None:
    async with office() as at:
        at.discord.script_always("download", Answer(404))
        await at.panel(documents=Upload("notes.md", b"# Notes"))
        await finished(at)
        assert "notes.md" in at.text()


async def test_discord_a_file_whose_fetching_breaks_off_is_fetched_again() -> None:
    async with office() as at:
        at.discord.script("download", Lost())
        await at.panel(documents=Upload("notes.md", b"# Notes"))
        await finished(at, seconds=40)
        assert len(at.discord.asked("download")) == 2


async def test_discord_what_is_asked_in_a_forums_post_is_answered_below_it() -> None:
    async with office() as at:
        post = at.discord.start_thread(BOB, FORUM, "An idea", "what if")
        await at.panel(place=post)
        await at.until("from 6 of 6", post)
        await over(at)
        assert len(at.discord.by_bot(post)) == 9
        assert len(at.discord.threads) == 1
