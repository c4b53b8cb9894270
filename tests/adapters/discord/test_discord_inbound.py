"""What gestures ask for: one gesture one key, bots unheard, the same words in every way of asking."""

import json
from dataclasses import replace

import discord
import pytest
from discord.app_commands import AppCommandContext
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.inbound import (
    departed,
    from_command,
    from_message,
    from_press,
    from_shortcut,
    panel_line,
    place_of,
    withdrawn,
)
from adapters.port import Departed, Place, Withdrawn
from bot.commands import Ask, parse
from tests.adapters.discord.fake_gestures import (
    A_DM,
    A_FORUM_POST,
    A_GROUP,
    A_THREAD,
    ANN,
    BEN,
    BOT,
    DM,
    ELSEWHERE,
    FORUM,
    GENERAL,
    GENERAL_CHANNEL,
    GROUP,
    HOME,
    THREAD,
    FakeContainer,
    FakeFile,
    FakeGesture,
    FakeMessage,
    FakeText,
    FakeUser,
    as_guest,
    in_dm,
)

UNSEEN = discord.MessageFlags(ephemeral=True)


def mention(said: str, **more) -> FakeMessage:
    return FakeMessage(f"<@{BOT}> {said}", **more)


# Commands


def test_a_discord_command_says_what_was_asked_where_and_by_whom():
    asked = from_command(FakeGesture(), panel_line("Should we move?", ""))
    assert (asked.text, asked.author, asked.origin) == ("/panel Should we move?", str(ANN), "command")
    assert asked.place == Place("discord", str(HOME), str(GENERAL))
    assert asked.within == ""


@pytest.mark.parametrize(
    ("topic", "panel", "line"),
    [
        ("", "", "/panel"),
        ("help", "", "/panel help"),
        ("Should we?", "", "/panel Should we?"),
        ("Should we?", "critics", '/panel --panel "critics" -- Should we?'),
        ("stop", "critics", '/panel --panel "critics" -- stop'),
        ("", "critics", '/panel --panel "critics" --'),
    ],
)
def test_the_options_of_a_discord_command_are_a_line_of_the_one_grammar(topic, panel, line):
    assert panel_line(topic, panel) == line


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60).filter(str.strip), st.text(min_size=1, max_size=60).filter(str.strip))
def test_whatever_is_typed_as_a_panel_cannot_become_a_topic_or_another_command(topic, panel):
    command = parse(panel_line(topic, panel))
    assert isinstance(command, Ask)
    assert command.topic == topic.strip()


def test_fault_12_two_deliveries_of_one_interaction_are_one_gesture_and_two_interactions_are_two():
    one, again, other = (from_command(FakeGesture(id=each), "/panel a") for each in (1, 1, 2))
    assert one.key == again.key != other.key


def test_the_documents_of_a_command_come_by_reference():
    asked = from_command(FakeGesture(), "/research Why?", [FakeFile(), None, FakeFile("b.pdf")])
    assert [file.name for file in asked.attachments] == ["plan.txt", "b.pdf"]
    where = json.loads(asked.attachments[0].ref)
    assert where == {"url": FakeFile().url, "size": 12, "type": "text/plain"}


# Places


@pytest.mark.parametrize(
    ("gesture", "tenant", "channel"),
    [
        (FakeGesture(), str(HOME), str(GENERAL)),
        (FakeGesture(channel=A_THREAD), str(HOME), str(GENERAL)),
        (FakeGesture(channel=A_FORUM_POST), str(HOME), str(FORUM)),
        (in_dm(), "@me", str(DM)),
        (FakeGesture(channel=A_DM, guild_id=None), "@me", str(DM)),
        (as_guest(), f"user/{ANN}", str(GENERAL)),
        (FakeGesture(channel=A_GROUP, guild_id=None), f"user/{ANN}", str(GROUP)),
        (
            FakeGesture(channel=A_DM, guild_id=None, context=AppCommandContext(private_channel=True)),
            f"user/{ANN}",
            str(DM),
        ),
    ],
    ids=["channel", "thread", "forum post", "dm", "dm without a context", "guest", "group dm", "somebody else's dm"],
)
def test_each_kind_of_discord_channel_is_a_place(gesture, tenant, channel):
    assert place_of(gesture) == Place("discord", tenant, channel)


def test_what_is_asked_in_a_thread_is_within_it():
    assert from_command(FakeGesture(channel=A_THREAD), "/panel a").within == str(THREAD)


def test_a_channel_that_discord_does_not_describe_is_no_place():
    assert from_command(FakeGesture(channel=None), "/panel a") is None


def test_what_is_asked_privately_belongs_to_the_part_of_the_channel_that_one_person_sees():
    asked = from_command(FakeGesture(), "/panel a", private=True)
    assert asked.place.channel == f"{GENERAL}/{ANN}"
    assert from_command(as_guest(), "/panel a", private=True).place == Place(
        "discord", f"user/{ANN}", f"{GENERAL}/{ANN}"
    )


def test_a_direct_message_is_private_as_it_is():
    assert from_command(in_dm(), "/panel a", private=True).place.channel == str(DM)


# Buttons


def test_a_press_is_about_its_run_whatever_was_asked_since():
    asked = from_press(FakeGesture(custom_id="panelist:retry:r1", message=FakeMessage(), channel=A_THREAD))
    assert (asked.text, asked.run, asked.origin, asked.within) == ("/panel retry", "r1", "control", str(THREAD))


def test_a_press_on_an_answer_that_one_person_sees_is_made_in_their_part_of_the_channel():
    asked = from_press(FakeGesture(custom_id="panelist:stop:r1", message=FakeMessage(flags=UNSEEN)))
    assert asked.place.channel == f"{GENERAL}/{ANN}"


def test_more_options_under_a_notice_asks_in_the_channel_for_all_to_see():
    asked = from_press(FakeGesture(custom_id="panelist:form", message=FakeMessage(flags=UNSEEN)))
    assert (asked.text, asked.run, asked.place.channel) == ("/panel", "", str(GENERAL))


def test_a_press_on_the_more_options_of_somebody_who_asked_alone_asks_alone():
    asked = from_press(FakeGesture(custom_id="panelist:form:p", message=FakeMessage(flags=UNSEEN)))
    assert (asked.text, asked.run, asked.place.channel) == ("/panel", "", f"{GENERAL}/{ANN}")


def test_anybody_who_presses_under_a_guests_answer_is_in_the_guests_place():
    asked = from_press(as_guest(custom_id="panelist:stop:r1", message=FakeMessage(), user=FakeUser(BEN)))
    assert (asked.place.tenant, asked.author) == (f"user/{ANN}", str(BEN))


def test_fault_70_a_press_is_made_where_discord_says_it_was_whatever_its_id_says():
    asked = from_press(FakeGesture(guild_id=HOME, custom_id=f"panelist:stop:{ELSEWHERE}", message=FakeMessage()))
    assert (asked.place.tenant, asked.run) == (str(HOME), str(ELSEWHERE))


def test_a_press_on_something_else_asks_nothing():
    assert from_press(FakeGesture(custom_id="poll:1")) is None


# Messages


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("panel Should we?", "/panel Should we?"),
        ("/panel Should we?", "/panel Should we?"),
        ("research Why?", "/research Why?"),
        ("stop", "/panel stop"),
        ("settings profile A bakery", "/panel settings profile A bakery"),
        ("", "/panel help"),
        ("hello there", "hello there"),
    ],
)
def test_a_mention_and_a_direct_message_take_the_same_words(said, line):
    mentioned = from_message(mention(said), BOT)
    direct = from_message(FakeMessage(said, channel=A_DM, guild=None), BOT)
    assert (mentioned.text, direct.text) == (line, line)
    assert (mentioned.origin, direct.origin) == ("mention", "message")
    assert direct.place == Place("discord", "@me", str(DM))


def test_the_old_form_of_a_mention_and_one_at_the_end_count_too():
    assert from_message(FakeMessage(f"panel Should we? <@!{BOT}>"), BOT).text == "/panel Should we?"


def test_a_message_that_does_not_name_the_bot_asks_nothing():
    assert from_message(FakeMessage("panel one"), BOT) is None


def test_a_reply_that_only_alerts_the_bot_asks_nothing_and_one_that_names_it_does():
    reply = FakeMessage("thanks!", type=discord.MessageType.reply, mentions=[FakeUser(BOT, "Panelist", True)])
    assert from_message(reply, BOT) is None
    named = replace(reply, content=f"<@{BOT}> panel one")
    assert from_message(named, BOT).text == "/panel one"


@pytest.mark.parametrize(
    "message",
    [
        mention("panel one", author=FakeUser(21, "Other", bot=True)),
        mention("panel one", author=FakeUser(BOT, "Panelist", bot=True)),
        mention("panel one", webhook_id=31),
        mention("panel one", type=discord.MessageType.pins_add),
    ],
    ids=["a bot", "itself", "a webhook", "Discord's own notice"],
)
def test_bots_webhooks_and_notices_ask_nothing(message):
    assert from_message(message, BOT) is None


def test_a_message_delivered_twice_is_one_gesture():
    assert from_message(mention("panel one"), BOT).key == from_message(mention("panel one"), BOT).key
    assert from_message(mention("panel one"), BOT).key != from_message(mention("panel one", id=8_002), BOT).key


def test_names_stand_in_place_of_ids():
    said = mention(
        f"panel Should <@{BEN}> join <#{GENERAL}>? <:party:123> <@99>",
        mentions=[FakeUser(BEN, "Ben")],
        channel_mentions=[GENERAL_CHANNEL],
    )
    assert from_message(said, BOT).text == "/panel Should @Ben join #general? :party: <@99>"


def test_a_mention_in_a_forum_post_is_within_it():
    asked = from_message(mention("panel one", channel=A_FORUM_POST), BOT)
    assert (asked.place.channel, asked.within) == (str(FORUM), str(THREAD))


def test_ten_files_are_read_and_the_rest_is_named():
    asked = from_message(mention("panel one", attachments=[FakeFile(f"{number}.txt") for number in range(12)]), BOT)
    assert [file.name for file in asked.attachments] == [f"{number}.txt" for number in range(12)]
    assert ["only 10 files" in file.problem for file in asked.attachments] == [False] * 10 + [True] * 2


def test_a_deleted_message_withdraws_what_it_asked():
    asked = from_message(mention("panel one"), BOT)
    assert withdrawn(asked) == Withdrawn(asked.place, str(ANN), asked.key)


def test_a_server_that_the_bot_was_removed_from_is_a_tenant_that_departed():
    assert departed(HOME) == Departed("discord", str(HOME))


# The command on a message


def test_the_command_on_a_message_brings_it_along_with_its_author_and_files():
    about = FakeMessage("Rent is 900 a month.", author=FakeUser(BEN, "Ben"), attachments=[FakeFile()])
    asked = from_shortcut(FakeGesture(), about)
    assert (asked.text, asked.origin) == ("/panel", "shortcut")
    assert asked.attachments[0].text == "Ben: Rent is 900 a month."
    assert asked.attachments[1].name == "plan.txt"


def test_a_message_of_embeds_components_and_forwards_is_read_too():
    embed = discord.Embed(title="Rent", description="900 a month").add_field(name="From", value="May")
    about = FakeMessage(
        embeds=[embed],
        components=[FakeContainer([FakeText("The critic says no.")])],
        message_snapshots=[FakeMessage("Forwarded words", attachments=[FakeFile("f.txt")])],
    )
    text = from_shortcut(FakeGesture(), about).attachments[0].text
    for said in ("Rent", "900 a month", "From: May", "The critic says no.", "Forwarded words"):
        assert said in text
    assert from_shortcut(FakeGesture(), about).attachments[1].name == "f.txt"


def test_what_a_guest_asks_in_two_servers_are_two_places():
    here, there = as_guest(), replace(as_guest(), channel=replace(GENERAL_CHANNEL, id=ELSEWHERE + 1))
    assert place_of(here) != place_of(there)
