"""The whole path, from what a person does in Discord to the last post: the real client in simcord, and durable runs."""

import asyncio

import discord
import pytest
import simcord

from adapters.discord.commands import SHORTCUT
from adapters.discord.incoming import UNKNOWN_COMMAND
from bot.database import sqlite_reader
from bot.feedback import read_feedback
from bot.runs_at import InFolder
from teams.scripted import Prompt, expert_reply, synthesis_reply
from tests.adapters.discord.simulated import Hall, buttons, hall, new_client, serving, text_of
from tests.house import Held, good, until

TOPIC = "Should we open on Sundays?"


class Once:
    """One expert fails the first time it is asked; the others answer."""

    def __init__(self) -> None:
        self.failed = False

    async def __call__(self, prompt: Prompt):
        if prompt.perspective == "cost_examiner" and not self.failed:
            self.failed = True
            return "this is no answer"
        return await good(prompt)


class Kept:
    """Models that answer at once; what they were asked is kept."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, prompt: Prompt):
        self.asked.append(prompt.text)
        return expert_reply(f"{prompt.perspective} speaks") if prompt.perspective else synthesis_reply("all in all")


def root_of(at: Hall) -> discord.Message:
    """The one root in the channel: the first message of the bot that has anything to say."""
    [root] = [message for message in at.channel.history() if message.author.bot and message.components]
    return root


def thread_of(at: Hall) -> list[discord.Message]:
    [thread] = at.threads()
    return thread.history()


def alerted(at: Hall) -> list[str]:
    """Who was alerted, in order of what the bot sent."""
    sent = [each.json for each in at.requests() if isinstance(each.json, dict)]
    bodies = [each.get("data", each) for each in sent if isinstance(each.get("data", each), dict)]
    mentions = [each["allowed_mentions"] for each in bodies if "allowed_mentions" in each]
    assert all(each.get("parse", []) == [] and not each.get("roles") for each in mentions)
    return [str(user) for each in mentions for user in each.get("users", [])]


async def test_discord_a_command_becomes_a_root_with_board_a_thread_with_answers_synthesis_and_roster(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        result = await at.ann.slash(at.channel, "panel", topic=TOPIC)
        await at.until("from 6 of 6")
        await at.settled()
        root, thread = root_of(at), [text_of(message) for message in thread_of(at)]
        assert result.response.id == root.id
        assert not result.deferred
        assert at.threads()[0].id == root.id
        assert TOPIC in (at.threads()[0].name or "")
        assert TOPIC in text_of(root)
        assert "finished in" in text_of(root)
        assert sum("speaks" in text for text in thread[:6]) == 6
        assert "Synthesis" in thread[6]
        assert "from 6 of 6" in thread[7]
        assert len(thread) == 8


async def test_discord_the_board_is_the_root_edited_and_the_buttons_on_it_go_when_the_run_is_over(tmp_path):
    held = Held()
    async with hall(tmp_path) as at, serving(at, held):
        await at.ann.slash(at.channel, "panel", topic=TOPIC)
        await until(lambda: len(held.waiting) == 6 and "Stop" in buttons(root_of(at)))
        before = root_of(at)
        held.go.set()
        await at.until("from 6 of 6")
        await at.settled()
        assert root_of(at).id == before.id
        assert "Stop" not in buttons(root_of(at))
        assert len(at.requests("PATCH", f"/channels/{at.channel.id}/messages/{before.id}")) >= 2


async def test_discord_only_the_asker_is_alerted_on_the_root_and_on_the_last_post(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        await at.ann.slash(at.channel, "panel", topic=f"@everyone <@&1> <@{at.guild.owner.id}> {TOPIC}")
        await at.until("from 6 of 6")
        await at.settled()
        posted = [each for each in at.requests("POST") if each.path.endswith(("/callback", "/messages"))]
        users = [(each.json.get("data") or each.json)["allowed_mentions"].get("users", []) for each in posted]
        assert [str(user) for user in users[0]] == [str(at.ann.id)]
        assert [str(user) for user in users[-1]] == [str(at.ann.id)]
        assert not any(users[1:-1])
        assert set(alerted(at)) == {str(at.ann.id)}


async def test_discord_those_that_failed_are_named_and_retry_adds_them_to_a_new_synthesis(tmp_path):
    async with hall(tmp_path) as at, serving(at, Once()):
        await at.ann.slash(at.channel, "panel", topic=TOPIC)
        await at.until("from 5 of 6")
        await at.settled()
        roster = thread_of(at)[-1]
        assert "Cost examiner" in text_of(roster)
        pressed = await at.ann.click(roster, label="Retry failed")
        assert pressed.acknowledged or pressed.deferred
        await at.until("from 6 of 6")
        await at.settled()
        thread = [text_of(message) for message in thread_of(at)]
        assert sum("speaks" in text and "Recommendation" in text for text in thread) == 6
        assert sum("Synthesis" in text for text in thread) == 2


async def test_discord_stop_keeps_what_came_back_and_says_who_was_stopped(tmp_path):
    held = Held()
    async with hall(tmp_path) as at, serving(at, held):
        await at.ann.slash(at.channel, "panel", topic=TOPIC)
        await until(lambda: len(held.waiting) == 6 and "Stop" in buttons(root_of(at)))
        await at.ann.click(root_of(at), label="Stop")
        await at.until("stopped before they answered")
        await at.settled()
        assert "Stop" not in buttons(root_of(at))


async def test_discord_a_thumb_is_kept_once_for_each_person_and_answered_to_them_alone(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        await at.ann.slash(at.channel, "panel", topic=TOPIC)
        await at.until("from 6 of 6")
        await at.settled()
        synthesis = thread_of(at)[6]
        await at.ann.click(synthesis, label="👎")
        await at.ann.click(synthesis, label="👍")
        await at.settled()
        run = buttons(synthesis)["👍"].split(":")[2]
        kept = read_feedback(sqlite_reader(InFolder(tmp_path).file), run)
        assert [(each.author, each.part, each.verdict) for each in kept] == [(str(at.ann.id), "synthesis", "up")]


async def test_discord_a_run_goes_on_and_its_buttons_work_after_a_restart(tmp_path):
    held = Held("cost_examiner")
    async with hall(tmp_path) as at:
        async with serving(at, held):
            await at.ann.slash(at.channel, "panel", topic=TOPIC)
            await until(lambda: len(at.threads()) == 1 and len(thread_of(at)) == 5)
            root = root_of(at).id
        await at.restarted(new_client(tmp_path))
        async with serving(at, Once()):
            await at.until("from 5 of 6")
            await at.settled()
            assert root_of(at).id == root
            await at.ann.click(thread_of(at)[-1], label="Retry failed")
            await at.until("from 6 of 6")
            await at.settled()
            assert root_of(at).id == root
            assert len(at.threads()) == 1
            thread = [text_of(message) for message in thread_of(at)]
            assert sum("speaks" in text and "Recommendation" in text for text in thread) == 6


async def test_discord_everything_after_the_root_outlives_the_token_of_the_command(tmp_path):
    held = Held()
    async with hall(tmp_path) as at, serving(at, held):
        await at.ann.slash(at.channel, "panel", topic=TOPIC)
        await until(lambda: len(held.waiting) == 6)
        await at.env.advance_time(16 * 60)
        at.env.inject_error("*", "/webhooks/*", status=401, code=50027, times=None)
        at.env.inject_error("*", "/interactions/*", status=404, code=10062, times=None)
        held.go.set()
        await at.until("from 6 of 6")
        await at.settled()
        assert "finished in" in text_of(root_of(at))
        assert at.requests(part="/webhooks/") == []


async def test_discord_fault_500s_double_nothing_and_lose_nothing(tmp_path):
    held = Held()
    async with hall(tmp_path, check_errors=False) as at, serving(at, held):
        await at.ann.slash(at.channel, "panel", topic=TOPIC)
        await until(lambda: len(held.waiting) == 6 and at.threads())
        at.env.inject_error("POST", "/channels/*/messages", status=500, times=2)
        at.env.inject_error("PATCH", "/channels/*/messages/*", status=502, times=2)
        held.go.set()
        await at.until("from 6 of 6", seconds=60)
        await at.settled()
        thread = [text_of(message) for message in thread_of(at)]
        assert sum("speaks" in text and "Recommendation" in text for text in thread) == 6
        assert len(thread) == 8
        assert "finished in" in text_of(root_of(at))


async def test_discord_a_command_that_was_never_synced_cannot_be_given_and_an_old_one_is_answered(tmp_path):
    async with hall(tmp_path, check_errors=False) as at, serving(at):
        with pytest.raises(simcord.SetupError):
            await at.ann.slash(at.channel, "never-synced")
        at.client.tree.remove_command("panels")
        result = await at.ann.slash(at.channel, "panels")
        assert result.ephemeral
        assert result.response.content == UNKNOWN_COMMAND


async def test_discord_commands_are_synced_once_over_restarts(tmp_path):
    async with hall(tmp_path) as at:
        await at.restarted(new_client(tmp_path))
        assert len(at.requests("PUT", "/commands")) == 1


@pytest.mark.parametrize("lacking", ["create_public_threads", "send_messages_in_threads"])
async def test_discord_without_threads_the_answers_are_replies_and_the_root_says_why(tmp_path, lacking):
    async with hall(tmp_path, check_errors=False) as at, serving(at):
        channel = at.guild.create_text_channel(
            "closed", overwrites={at.env.bot.user: discord.PermissionOverwrite(**{lacking: False})}
        )
        await at.ann.slash(channel, "panel", topic=TOPIC)
        await at.until("from 6 of 6", lambda: channel)
        await at.settled()
        messages = channel.history()
        assert "Create Public Threads" in text_of(messages[0])
        assert "finished in" in text_of(messages[0])
        answers = [message for message in messages if "Recommendation" in text_of(message)]
        assert len(answers) == 7
        assert all(message.reference.message_id == messages[0].id for message in answers)


async def test_discord_where_it_may_not_post_the_asker_is_told_what_to_grant(tmp_path):
    async with hall(tmp_path, check_errors=False) as at, serving(at):
        channel = at.guild.create_text_channel(
            "hidden", overwrites={at.env.bot.user: discord.PermissionOverwrite(view_channel=False)}
        )
        result = await at.ann.slash(channel, "panel", topic=TOPIC)
        await at.settled()
        told = [text_of(each.message) for each in [*result.followups, result.response] if each is not None]
        direct = [text_of(each) for each in at.ann.user.dm_channel.history()]
        assert "View Channel" in "\n".join([*told, *direct])


async def test_discord_a_direct_message_is_answered_in_replies(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        await at.ann.send_dm(f"panel {TOPIC}")
        dm = at.ann.user.dm_channel
        await at.until("from 6 of 6", lambda: dm)
        await at.settled()
        root = next(message for message in dm.history() if message.author.bot)
        assert "there are no threads in a direct message" in text_of(root)
        assert "finished in" in text_of(root)


async def test_discord_a_command_in_a_direct_message_is_answered_there(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        result = await at.ann.user.slash("panel", topic=TOPIC)
        await at.until("from 6 of 6", lambda: at.ann.user.dm_channel)
        await at.settled()
        assert "no threads in a direct message" in text_of(result.response.message)


async def test_discord_what_is_asked_in_a_thread_is_answered_in_it(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        asked = await at.ann.send(at.channel, "Let us talk")
        await at.client.get_channel(at.channel.id).get_partial_message(asked.id).create_thread(name="Talk")
        [thread] = at.threads()
        await at.ann.slash(thread, "panel", topic=TOPIC)
        await at.until("from 6 of 6", lambda: thread)
        await at.settled()
        assert len(at.threads()) == 1
        assert sum("Recommendation" in text_of(message) for message in thread.history()) == 7


async def test_discord_what_is_asked_in_a_forum_post_is_answered_in_it(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        forum = at.guild.create_forum_channel("ideas")
        await at.client.get_channel(forum.id).create_thread(name="Sundays", content="Let us talk")
        [post] = forum.threads
        await at.ann.send(post, f"<@{at.client.user.id}> panel {TOPIC}")
        await at.until("from 6 of 6", lambda: post)
        await at.settled()
        assert len(forum.threads) == 1


async def test_discord_what_is_asked_privately_is_seen_by_its_asker_alone(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        result = await at.ann.slash(at.channel, "panel", topic=TOPIC, private="yes")
        await at.settled()
        assert result.ephemeral
        said = [text_of(each.message) for each in result.followups]
        assert all(each.ephemeral for each in result.followups)
        assert "from 6 of 6" in "\n".join(said)
        assert at.threads() == []
        assert "finished in" in text_of(result.response.message)


async def test_discord_two_gestures_at_once_are_two_runs_in_two_threads(tmp_path):
    held = Held()
    async with hall(tmp_path) as at, serving(at, held):
        await at.ann.slash(at.channel, "panel", topic=TOPIC)
        await at.ann.slash(at.channel, "panel", topic="Should we close on Mondays?")
        await until(lambda: len(held.waiting) == 12)
        held.go.set()
        await until(lambda: len(at.threads()) == 2)
        for thread in at.threads():
            await at.until("from 6 of 6", lambda thread=thread: thread)
        await at.settled()
        assert sorted(len(thread.history()) for thread in at.threads()) == [8, 8]


async def test_discord_panels_are_completed_while_they_are_typed(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        offered = await at.ann.autocomplete(at.channel, "panel", "panel", "prod")
        assert [choice["value"] for choice in offered] == ["product"]


async def test_discord_panels_are_listed_to_whoever_asks_alone(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        result = await at.ann.slash(at.channel, "panels")
        await at.settled()
        assert result.ephemeral
        assert "decision" in text_of(result.response.message)


async def test_discord_a_command_without_a_topic_opens_a_form_with_files_which_becomes_a_panel(tmp_path):
    kept = Kept()
    async with hall(tmp_path) as at, serving(at, kept):
        shown = await at.ann.slash(at.channel, "panel")
        await until(lambda: shown.modal is not None)
        filled = {"topic": TOPIC, "profile": "A bakery in Ghent", "files": [("costs.txt", b"Rent is 900 a month.")]}
        result = await at.ann.submit_modal(shown, filled)
        await at.until("from 6 of 6")
        await at.settled()
        assert result.response.id == root_of(at).id
        assert any("Rent is 900 a month." in text for text in kept.asked)
        assert any("A bakery in Ghent" in text for text in kept.asked)


async def test_discord_a_form_that_was_opened_before_a_restart_can_be_sent_off_after_it(tmp_path):
    async with hall(tmp_path) as at:
        async with serving(at):
            shown = await at.ann.slash(at.channel, "panel")
            await until(lambda: shown.modal is not None)
        await at.restarted(new_client(tmp_path))
        async with serving(at):
            await at.ann.submit_modal(shown, {"topic": TOPIC})
            await at.until("from 6 of 6")
            await at.settled()


async def test_discord_a_panel_can_be_asked_about_a_message_and_its_files(tmp_path):
    kept = Kept()
    async with hall(tmp_path) as at, serving(at, kept):
        message = await at.ann.send(at.channel, "We lose money on Sundays", attachments=[("rent.txt", b"Rent is 900.")])
        shown = await at.ann.context_menu(at.channel, SHORTCUT, message)
        await until(lambda: shown.modal is not None)
        await at.ann.submit_modal(shown, {"topic": TOPIC, "documents": "ann: We lose money on Sundays"})
        await at.until("from 6 of 6")
        await at.settled()
        assert any("We lose money on Sundays" in text for text in kept.asked)
        assert any("Rent is 900." in text for text in kept.asked)


async def test_discord_a_mention_with_attachments_becomes_a_panel_on_them(tmp_path):
    kept = Kept()
    async with hall(tmp_path) as at, serving(at, kept):
        said = f"<@{at.client.user.id}> panel {TOPIC}"
        await at.ann.send(at.channel, said, attachments=[("costs.txt", b"Rent is 900 a month.")])
        await at.until("from 6 of 6")
        await at.settled()
        assert any("Rent is 900 a month." in text for text in kept.asked)


async def test_discord_research_searches_the_documents_of_its_command(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        result = await at.ann.slash(at.channel, "research", question="Why?")
        await at.settled()
        assert result.ephemeral
        assert "nothing to search" in text_of(result.response.message)


async def test_discord_a_mention_that_is_deleted_stops_its_run(tmp_path):
    held = Held()
    async with hall(tmp_path) as at, serving(at, held):
        asked = await at.ann.send(at.channel, f"<@{at.client.user.id}> panel {TOPIC}")
        await until(lambda: len(held.waiting) == 6)
        await at.ann.delete(asked)
        await at.until("stopped before they answered")
        await at.settled()


async def test_discord_bots_are_not_heard(tmp_path):
    async with hall(tmp_path) as at, serving(at):
        other = at.guild.add_member(at.env.create_user("other", bot=True))
        await other.send(at.channel, f"<@{at.client.user.id}> panel {TOPIC}")
        await asyncio.sleep(0.05)
        await at.settled()
        assert at.threads() == []
