"""What Discord is told of the commands, and when; and that one which is not there any more is answered."""

import json

import discord
import pytest
from discord import app_commands

from adapters.discord.client import PanelistClient, intents
from adapters.discord.commands import SHORTCUT, choices, in_step, payload_hash, payloads, sync, sync_if_changed
from adapters.discord.config import DiscordConfig
from adapters.discord.incoming import BROKE, NOWHERE, OUTDATED, UNKNOWN_COMMAND, Incoming, seen_to
from adapters.discord.invite import NAMES, PERMISSIONS, SCOPES, invite_url, permissions
from adapters.port import Departed, Invocation, NotSafe, Withdrawn
from tests.adapters.discord.fake_gestures import (
    BOT,
    GENERAL,
    HOME,
    FakeFile,
    FakeGesture,
    FakeMessage,
)

PANELS = (("default", "The default panel"), ("critics", "Critics only"), ("shop", "Shopkeepers"))
APPLICATION = 4_242


class FakeHttp:
    """Takes commands as Discord does: with more in them than it was told."""

    def __init__(self) -> None:
        self.told: list[list[dict]] = []
        self.fails = False

    async def bulk_upsert_global_commands(self, application, payload):
        assert application == APPLICATION
        if self.fails:
            raise OSError("no route")
        self.told.append(payload)
        return registered(payload)


def registered(payload) -> list[dict]:
    """Commands as Discord gives them back."""
    added = {
        "description": "",
        "id": "1",
        "application_id": str(APPLICATION),
        "version": "2",
        "nsfw": False,
        "default_permission": True,
    }
    given_back = [added | command | {"contexts": [*reversed(command["contexts"])]} for command in payload]
    found: list[dict] = json.loads(json.dumps(given_back))
    return found


async def client_with(panels=PANELS) -> tuple[PanelistClient, FakeHttp]:
    client, http = PanelistClient(DiscordConfig("token", panels=panels)), FakeHttp()
    client._connection.application_id = APPLICATION
    client.tree._http = http
    return client, http


async def test_discord_is_offered_three_commands_and_one_on_messages_everywhere():
    client, _ = await client_with()
    offered = {(each.get("type", 1), each["name"]): each for each in payloads(client.tree)}
    assert set(offered) == {(1, "panel"), (1, "research"), (1, "panels"), (3, SHORTCUT)}
    for each in offered.values():
        assert each["integration_types"] == [0, 1]
        assert each["contexts"] == [0, 1, 2]
    options = {option["name"]: option for option in offered[1, "panel"]["options"]}
    assert list(options) == ["topic", "panel", "documents", "more_documents", "private"]
    assert not any(option["required"] for option in options.values())
    assert options["panel"]["autocomplete"] is True
    assert [choice["value"] for choice in options["private"]["choices"]] == ["yes", "no"]


async def test_what_discord_is_told_is_within_its_limits():
    client, _ = await client_with()
    for command in payloads(client.tree):
        assert len(command.get("description", "")) <= 100
        for option in command.get("options", []):
            assert 1 <= len(option["description"]) <= 100


async def test_commands_are_told_when_they_changed_and_not_otherwise(tmp_path):
    client, http = await client_with()
    await sync_if_changed(client.tree, tmp_path)
    await sync_if_changed(client.tree, tmp_path)
    assert len(http.told) == 1
    client.tree.remove_command("panels")
    await sync_if_changed(client.tree, tmp_path)
    assert len(http.told) == 2


async def test_another_application_is_told_although_the_commands_are_the_same(tmp_path):
    client, http = await client_with()
    (tmp_path / "discord_commands.json").write_text(json.dumps({"1": payload_hash(client.tree)}))
    await sync_if_changed(client.tree, tmp_path)
    assert len(http.told) == 1
    assert set(json.loads((tmp_path / "discord_commands.json").read_text())) == {"1", str(APPLICATION)}


@pytest.mark.parametrize("kept", ["", "{", "[]", "null", '{"4242": 7}'])
async def test_a_damaged_note_of_what_was_told_does_no_harm(tmp_path, kept):
    (tmp_path / "discord_commands.json").write_text(kept)
    client, http = await client_with()
    await sync_if_changed(client.tree, tmp_path)
    assert len(http.told) == 1


async def test_commands_that_cannot_be_told_do_not_end_the_start_and_are_told_at_the_next_one(tmp_path):
    client, http = await client_with()
    http.fails = True
    await sync_if_changed(client.tree, tmp_path)
    http.fails = False
    await sync_if_changed(client.tree, tmp_path)
    assert len(http.told) == 1


async def test_commands_told_by_hand_are_told_whether_they_changed_or_not(tmp_path):
    client, http = await client_with()
    assert await sync(client.tree, tmp_path) == 4
    assert await sync(client.tree, tmp_path) == 4
    assert len(http.told) == 2


async def test_what_discord_adds_to_a_command_does_not_make_it_another_one():
    client, _ = await client_with()
    there = registered(payloads(client.tree))
    assert in_step(client.tree, there) == ()
    there[0]["options"][0]["description"] = "older words"
    assert in_step(client.tree, there) == ("panel",)
    assert in_step(client.tree, []) == tuple(sorted([SHORTCUT, "panel", "panels", "research"]))


@pytest.mark.parametrize(
    ("typed", "found"),
    [("", ["default", "critics", "shop"]), ("CRIT", ["critics"]), ("keepers", ["shop"]), ("nothing", [])],
)
def test_panels_are_found_by_name_and_title(typed, found):
    assert [choice.value for choice in choices(PANELS, typed)] == found


def test_no_more_panels_are_offered_than_discord_takes():
    many = tuple((f"panel-{number}", "T" * 200) for number in range(40))
    offered = choices(many, "panel")
    assert len(offered) == 25
    assert all(len(choice.name) <= 100 for choice in offered)


@pytest.mark.parametrize("error", [app_commands.CommandNotFound("old", []), app_commands.AppCommandError("bug")])
async def test_a_command_of_another_time_is_answered_and_so_is_a_bug(error):
    client, _ = await client_with()
    gesture = FakeGesture()
    await client.tree.on_error(gesture, error)
    expected = UNKNOWN_COMMAND if isinstance(error, app_commands.CommandNotFound) else BROKE
    assert gesture.response.said == [expected]


# The way to the front end


class Taken:
    """What was handed on."""

    def __init__(self) -> None:
        self.inbound: list = []
        self.unsafe = False

    async def __call__(self, inbound, gesture) -> None:
        if self.unsafe:
            raise NotSafe("the disk is full")
        self.inbound.append(inbound)


async def test_a_deleted_message_withdraws_what_it_asked_and_others_withdraw_nothing():
    taken = Taken()
    incoming = Incoming(taken)
    await incoming.message(FakeMessage(f"<@{BOT}> panel one"), BOT)
    await incoming.message(FakeMessage("hello", id=8_002), BOT)
    await incoming.deleted(GENERAL, 8_002)
    await incoming.deleted(GENERAL, 8_001)
    await incoming.deleted(GENERAL, 8_001)
    assert [type(each) for each in taken.inbound] == [Invocation, Withdrawn]
    assert taken.inbound[1].key == taken.inbound[0].key


async def test_the_files_of_a_message_are_there_when_its_form_comes_back_to_the_same_person():
    taken = Taken()
    incoming = Incoming(taken)
    await incoming.shortcut(FakeGesture(), FakeMessage("Rent", attachments=[FakeFile("rent.pdf")]))
    data = {"components": [{"type": 18, "component": {"type": 4, "custom_id": "topic", "value": "Fair?"}}]}
    sent = FakeGesture(custom_id="panelist:ask:-:8001:1", data=data, type=discord.InteractionType.modal_submit)
    await incoming.other(sent)
    assert [file.name for file in taken.inbound[1].attachments] == ["rent.pdf"]
    sent.user.id = 99
    await incoming.other(sent)
    assert "restarted" in taken.inbound[2].attachments[0].problem


async def test_what_cannot_be_handed_on_is_answered():
    incoming = Incoming(Taken())
    nowhere = FakeGesture(channel=None)
    await incoming.asked(nowhere, None)
    assert nowhere.response.said == [NOWHERE]
    old = FakeGesture(custom_id="panelist:vote:r1", type=discord.InteractionType.component)
    await incoming.other(old)
    assert old.response.said == [OUTDATED]
    foreign = FakeGesture(custom_id="poll:1", type=discord.InteractionType.component)
    await incoming.other(foreign)
    assert foreign.response.said == []


async def test_a_gesture_that_was_not_made_safe_breaks_nothing():
    taken = Taken()
    taken.unsafe = True
    await Incoming(taken).left(HOME)
    taken.unsafe = False
    await Incoming(taken).left(HOME)
    assert taken.inbound == [Departed("discord", str(HOME))]


async def test_a_bug_in_one_gesture_ends_there_and_is_told():
    async def broken() -> None:
        raise RuntimeError("bug")

    gesture = FakeGesture()
    await seen_to(broken(), gesture)
    assert gesture.response.said == [BROKE]


# What the bot asks for


def test_the_bot_asks_for_no_privileged_intent():
    asked = intents()
    assert {name for name, wanted in asked if wanted} == {"guilds", "guild_messages", "dm_messages"}


async def test_the_client_alerts_nobody_by_itself():
    client, _ = await client_with()
    assert client.allowed_mentions.to_dict() == {"parse": []}
    assert client.http.max_ratelimit_timeout == 30.0


def test_the_invitation_asks_for_exactly_what_is_needed():
    url = invite_url(APPLICATION)
    assert f"client_id={APPLICATION}" in url
    assert f"permissions={permissions().value}" in url
    assert "scope=bot+applications.commands" in url
    assert all(getattr(permissions(), name) for name in PERMISSIONS)
    assert bin(permissions().value).count("1") == len(PERMISSIONS) == len(NAMES)
    assert SCOPES == ("bot", "applications.commands")
