"""What the doctor says of Discord: each fault with what to do, from the real client against the fake."""

import pytest

from adapters.discord.connect import discord_front, sync_commands
from adapters.discord.examine import examine, server_findings
from adapters.discord.invite import application_of, permissions
from adapters.port import FrontEndFailed
from tests.adapters.discord.fake_discord import FakeDiscord
from tests.adapters.discord.fake_faults import Answer
from tests.adapters.discord.fake_world import APPLICATION
from tests.adapters.discord.served import addresses_kept, config_of


async def findings(discord: FakeDiscord, folder, **more) -> list[tuple[bool, str]]:
    with addresses_kept():
        return [finding async for finding in examine(config_of(discord, folder, **more))]


async def test_a_discord_that_is_set_up_well_has_nothing_wrong(tmp_path):
    async with FakeDiscord() as discord:
        with addresses_kept():
            assert await sync_commands(config_of(discord, tmp_path)) == 4
        found = await findings(discord, tmp_path)
        assert all(fine for fine, _ in found)
        said = "\n".join(sentence for _, sentence in found)
        for part in ("the bot is", "no privileged intent", "all commands are in step", "each grants what it needs"):
            assert part in said
        assert discord.violations == []


async def test_a_token_that_discord_refuses_is_one_sentence_without_the_token(tmp_path):
    async with FakeDiscord() as discord:
        [(fine, sentence)] = await findings(discord, tmp_path, token="MTk4.wrong.token")
        assert not fine
        assert "DISCORD_TOKEN" in sentence
        assert "wrong" not in sentence


async def test_a_discord_that_is_not_reached_is_one_sentence(tmp_path):
    async with FakeDiscord() as discord:
        config = {"api": "http://127.0.0.1:9/api/v10"}
    [(fine, sentence)] = await findings(discord, tmp_path, **config)
    assert not fine
    assert "check the network and DISCORD_API_URL" in sentence


async def test_commands_that_discord_does_not_have_are_named_with_how_to_tell_it(tmp_path):
    async with FakeDiscord() as discord:
        found = await findings(discord, tmp_path)
        [stale] = [sentence for fine, sentence in found if not fine]
        assert "panel, panels, research" in stale
        assert "panelist discord sync" in stale


async def test_commands_that_go_to_a_web_address_are_a_fault(tmp_path):
    async with FakeDiscord() as discord:
        discord.interactions_endpoint = "https://example.com/interactions"
        found = await findings(discord, tmp_path)
        assert any("Interactions Endpoint URL" in sentence for fine, sentence in found if not fine)


async def test_an_answer_that_is_none_is_told(tmp_path):
    async with FakeDiscord() as discord:
        discord.script_always("list_application_commands", Answer(403, 50001, "Missing Access"))
        found = await findings(discord, tmp_path)
        assert any("403" in sentence for fine, sentence in found if not fine)


def test_a_server_that_grants_too_little_is_named_with_what_it_lacks_and_how_to_grant_it():
    fine = {"name": "Home", "permissions": str(permissions().value)}
    poor = {"name": "Shop", "permissions": str(permissions().value & ~(1 << 35))}
    chief = {"name": "Own", "permissions": "8"}
    [(bad, sentence)] = server_findings([fine, poor, chief], 42)
    assert not bad
    for part in ("Shop", "Create Public Threads", "client_id=42"):
        assert part in sentence
    assert server_findings([fine, chief], 42)[0][0]


def test_a_bot_in_no_server_is_told_how_it_is_invited():
    [(fine, sentence)] = server_findings([], 42)
    assert not fine
    assert "client_id=42" in sentence


async def test_the_application_of_a_token_is_asked_by_rest_alone(tmp_path):
    async with FakeDiscord() as discord:
        with addresses_kept():
            application = await application_of(config_of(discord, tmp_path))
        assert (str(application.id), application.name) == (APPLICATION, "Panelist")
        assert {call.method for call in discord.calls} == {"GET"}


async def test_commands_told_by_hand_where_discord_is_not_reached_are_one_sentence(tmp_path):
    async with FakeDiscord() as discord:
        discord.script_always("bulk_set_application_commands", Answer(403, 50001, "Missing Access"))
        with addresses_kept(), pytest.raises(FrontEndFailed, match="it answered 403"):
            await sync_commands(config_of(discord, tmp_path))


async def test_a_front_end_that_does_not_listen_logs_in_and_tells_no_commands(tmp_path):
    async with FakeDiscord() as discord:
        with addresses_kept():
            async with discord_front(config_of(discord, tmp_path, listens=False)) as front:
                assert front.health().detail
        assert {call.method for call in discord.calls} == {"GET"}
        assert discord.commands == []
