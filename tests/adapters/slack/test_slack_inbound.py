"""What payloads ask for: one gesture one key, bots unheard, the same words in every way of asking."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.port import Departed, Invocation, Subject, Withdrawn
from adapters.slack.controls import value_of
from adapters.slack.inbound import (
    Asked,
    from_action,
    from_command,
    from_event,
    from_shortcut,
    plain_text_of,
)
from adapters.slack.names import parts_of, tenant_of
from adapters.words import command_line
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_world import ANN, ANN_IM, GENERAL, HOME, Channel, User, Workspace

HERE = payloads.Gesture()
DIRECT = payloads.Gesture(channel=ANN_IM)


def message(text: str, ts: str = "1700000000.000100", **more) -> dict:
    return {"type": "message", "user": ANN.id, "text": text, "ts": ts, "team": HOME.team_id, **more}


def invocation(asked: Asked | None) -> Invocation:
    assert asked is not None
    assert isinstance(asked.inbound, Invocation)
    return asked.inbound


def mention(text: str, **more) -> dict:
    return payloads.app_mention(HERE, message(f"<@{HOME.bot_user_id}> {text}", **more))


def test_a_slash_command_says_what_was_asked_where_and_by_whom():
    asked = from_command(payloads.slash_command(HERE, "Should we move?"))
    found = invocation(asked)
    assert (found.text, found.author, found.origin) == ("/panel Should we move?", ANN.id, "command")
    assert (found.place.surface, found.place.tenant, found.place.channel) == ("slack", HOME.team_id, GENERAL.id)
    assert asked.reply.url == HERE.response_url
    assert asked.reply.trigger == HERE.trigger_id


def test_the_research_command_is_research():
    assert invocation(from_command(payloads.slash_command(HERE, "Why?", "/research"))).text == "/research Why?"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("panel Should we?", "/panel Should we?"),
        ("Panel Should we?", "/Panel Should we?"),
        ("/panel Should we?", "/panel Should we?"),
        ("research Why?", "/research Why?"),
        ("help", "/panel help"),
        ("stop", "/panel stop"),
        ("settings profile A bakery", "/panel settings profile A bakery"),
        ("", "/panel help"),
        ("hello there", "hello there"),
        ("stop the press", "stop the press"),
    ],
)
def test_a_mention_and_a_direct_message_take_the_same_words(said, line):
    assert command_line(said) == line
    assert invocation(from_event(mention(said))).text == line
    assert invocation(from_event(payloads.message_event(DIRECT, message(said)))).text == line


def test_fault_07_a_mention_and_its_message_are_one_gesture():
    said = message(f"<@{HOME.bot_user_id}> panel one")
    as_mention = invocation(from_event(payloads.app_mention(HERE, said)))
    as_message = invocation(from_event(payloads.message_event(HERE, said)))
    assert as_mention.key == as_message.key
    assert as_mention.text == as_message.text


def test_a_message_that_does_not_name_the_bot_asks_nothing():
    assert from_event(payloads.message_event(HERE, message("panel one"))) is None


def test_fault_08_changes_and_unfurls_ask_nothing_and_a_deletion_withdraws():
    before = message(f"<@{HOME.bot_user_id}> panel one")
    assert from_event(payloads.message_changed(HERE, before, "panel two", "1700000009.000100")) is None
    taken_back = from_event(payloads.message_deleted(HERE, before, "1700000009.000200"))
    assert taken_back is not None
    assert isinstance(taken_back.inbound, Withdrawn)
    assert taken_back.inbound.key == invocation(from_event(payloads.app_mention(HERE, before))).key
    assert taken_back.inbound.author == ANN.id


@pytest.mark.parametrize(
    "more",
    [{"bot_id": "B0OTHER"}, {"bot_profile": {"id": "B0OTHER"}}, {"subtype": "bot_message"}, {"user": HOME.bot_user_id}],
)
def test_fault_46_what_bots_write_asks_nothing(more):
    for _ in range(1_000):
        assert from_event(mention("panel one", **more)) is None
        assert from_event(payloads.message_event(DIRECT, message("panel one", **more))) is None


def test_a_mention_in_a_thread_takes_the_messages_above_it_as_evidence():
    found = invocation(from_event(mention("panel one", thread_ts="1690000000.000100")))
    assert found.within == "1690000000.000100"
    [above] = found.attachments
    assert json.loads(above.ref) == {"thread": "1690000000.000100", "before": "1700000000.000100"}


def test_a_mention_in_the_channel_opens_a_thread_of_its_own_and_a_direct_message_answers_in_its_own():
    assert invocation(from_event(mention("panel one"))).within == ""
    assert invocation(from_event(payloads.message_event(DIRECT, message("panel one")))).within == "1700000000.000100"


def test_files_come_by_reference_and_what_cannot_be_read_has_a_reason():
    files = [
        {"id": "F1", "name": "plan.pdf", "url_private": "https://files.slack.com/f1", "mimetype": "application/pdf"},
        {"id": "F2", "name": "gone.txt", "mode": "tombstone"},
        {"id": "F3", "name": "Doc", "mode": "external"},
    ]
    found = invocation(from_event(mention("panel one", files=files)))
    plan, gone, outside = found.attachments
    assert json.loads(plan.ref)["url"] == "https://files.slack.com/f1"
    assert "deleted" in gone.problem
    assert "outside of Slack" in outside.problem
    assert not gone.ref
    assert not outside.ref


def test_more_files_than_are_read_are_named_and_not_dropped():
    files = [{"id": f"F{number}", "name": f"{number}.txt"} for number in range(13)]
    found = invocation(from_event(mention("panel one", files=files)))
    assert [bool(file.ref) for file in found.attachments] == [True] * 10 + [False] * 3
    assert all("10 files" in file.problem for file in found.attachments[10:])


def test_a_button_says_which_run_it_is_about():
    pressed = payloads.button("panelist.retry", value_of(Subject("run-1")))
    found = invocation(from_action(payloads.block_actions(HERE, pressed, message("the board", thread_ts="1.2"))))
    assert (found.text, found.run, found.within, found.origin) == ("/panel retry", "run-1", "1.2", "control")


def test_a_button_in_the_root_of_a_run_is_pressed_in_the_thread_that_hangs_from_it():
    pressed = payloads.button("panelist.stop", value_of(Subject("run-1")))
    found = invocation(from_action(payloads.block_actions(HERE, pressed, message("the board"))))
    assert found.within == "1700000000.000100"


@pytest.mark.parametrize(
    ("gesture", "where", "within"),
    [
        (HERE, {}, ""),
        (HERE, {"thread_ts": "1.2"}, "1.2"),
        (DIRECT, {"thread_ts": "1.2"}, "1.2"),
    ],
    ids=["channel", "thread", "direct message"],
)
def test_the_button_for_the_form_is_the_command_without_a_topic_in_the_thread_where_it_stands_if_there_is_one(
    gesture, where, within
):
    # No thread can hang from what one person alone sees.
    ephemeral = gesture is HERE
    pressed = payloads.button("panelist.form", "")
    asked = from_action(payloads.block_actions(gesture, pressed, message("help", **where), ephemeral=ephemeral))
    found = invocation(asked)
    assert (found.text, found.run, found.within, found.origin) == ("/panel", "", within, "control")
    assert asked.reply.trigger == gesture.trigger_id


def test_two_presses_are_two_gestures_and_one_delivered_twice_is_one():
    def key(ts: str) -> str:
        pressed = payloads.button("panelist.stop", value_of(Subject("run-1")), ts=ts)
        return invocation(from_action(payloads.block_actions(HERE, pressed, message("the board")))).key

    assert key("1.1") == key("1.1")
    assert key("1.1") != key("1.2")


def test_the_shortcut_asks_about_its_message_in_its_thread():
    asked = from_shortcut(payloads.message_shortcut(HERE, message("We lose <@U0BOB>'s time &amp; money"), "x"))
    found = invocation(asked)
    assert (found.text, found.origin, found.within) == ("/panel", "shortcut", "1700000000.000100")
    assert found.attachments[0].text == f"{ANN.id}: We lose @U0BOB's time & money"
    assert asked.reply.trigger == HERE.trigger_id


def test_stop_in_the_agent_surface_is_stop_in_that_thread():
    found = invocation(from_event(payloads.agent_session_stopped(DIRECT, "1.2", "1.9")))
    assert (found.text, found.within, found.author) == ("/panel stop", "1.2", ANN.id)


def test_an_uninstalled_bot_departs_and_a_persons_token_means_nothing():
    gone = from_event(payloads.app_uninstalled(HOME, "1.1"))
    assert gone is not None
    assert gone.inbound == Departed("slack", HOME.team_id, 2.0)
    assert from_event(payloads.tokens_revoked(HOME, "1.1", bot=[HOME.bot_user_id])) == Asked(gone.inbound)
    assert from_event(payloads.tokens_revoked(HOME, "1.1", oauth=["U0ANN"])) is None


IN_E1 = replace(HOME, team_id="T7", enterprise_id="E1")


@pytest.mark.parametrize(
    "body", [payloads.app_uninstalled(IN_E1, "1.1"), payloads.tokens_revoked(IN_E1, "1.1", bot=[HOME.bot_user_id])]
)
def test_a_workspace_of_an_organisation_departs_alone_and_an_organisation_with_all_of_its_workspaces(body):
    def gone(body: dict) -> object:
        asked = from_event(body)
        assert asked is not None
        return asked.inbound

    assert gone(body) == Departed("slack", "E1/T7", 2.0)
    for named in (None, "T7", "E1"):
        assert gone(payloads.of_an_organisation(body, named)) == Departed("slack", "E1/", 2.0)
    bare = {name: value for name, value in body.items() if name != "authorizations"}
    assert gone(bare | {"enterprise_id": "E1"}) == Departed("slack", "E1/T7", 2.0)
    assert gone(bare | {"enterprise_id": "E1", "is_enterprise_install": True}) == Departed("slack", "E1/", 2.0)
    assert gone(bare | {"enterprise_id": "E1", "team_id": None}) == Departed("slack", "E1/", 2.0)
    assert gone(bare | {"team_id": "E1"}) == Departed("slack", "E1/", 2.0)


def test_what_is_no_organisation_departs_as_the_workspace_that_it_is():
    gone = from_event(payloads.app_uninstalled(HOME, "1.1") | {"authorizations": [{"is_enterprise_install": True}]})
    assert gone == Asked(Departed("slack", HOME.team_id, 2.0))


def test_a_departure_is_at_the_end_of_the_second_that_slack_names_where_it_names_one():
    """Slack's times are whole seconds, so that what happened later in that second was before it."""
    body = payloads.app_uninstalled(HOME, "1700000000.9")
    for told, at in ((1_700_000_000, 1_700_000_001.0), (None, None), ("1", None), (True, None)):
        assert from_event(body | {"event_time": told}) == Asked(Departed("slack", HOME.team_id, at))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("<https://example.com/?a=1&amp;b=2>", "https://example.com/?a=1&b=2"),
        ("<https://example.com|the report>", "the report (https://example.com)"),
        ("<@U0BOB> <@U0BOB|bob> <#C1|general> <!here> <!subteam^S1|@ops>", "@U0BOB @bob #general @here @ops"),
    ],
)
def test_a_message_is_read_as_a_person_reads_it(written, read):
    assert plain_text_of(written).replace("#bob", "@bob") == read


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["event", "type", "channel", "user", "ts", "actions", "message", "container", "view", "id", "team", "files",
             "authorizations", "tokens", "bot", "previous_message", "action_id", "value", "text", "subtype"]
        ),
        inner | st.sampled_from(["message", "app_mention", "message_deleted", "tokens_revoked", "panelist.stop", "D1"]),
        max_size=6,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=1_000)
@given(st.dictionaries(st.sampled_from(["event", "actions", "user", "team", "message", "channel", "view"]), junk))
def test_fault_03_a_payload_of_any_shape_is_read_or_ignored(body):
    for read in (from_command, from_event, from_action, from_shortcut):
        read(body)


names = st.text(st.characters(categories=["Lu", "Nd"]), min_size=1, max_size=6)


@settings(max_examples=1_000)
@given(st.lists(st.tuples(st.sampled_from(["", "E1", "E2"]), names, names, names), min_size=2, max_size=2, unique=True))
def test_fault_69_the_same_ids_in_two_workspaces_never_meet(two):
    def ask(enterprise: str, team: str, channel: str, user: str) -> Invocation:
        gesture = replace(
            HERE,
            team=Workspace(team_id=f"T{team}", enterprise_id=enterprise),
            channel=Channel(f"C{channel}"),
            user=User(f"U{user}", "x"),
        )
        return invocation(from_command(payloads.slash_command(gesture, "one")))

    one, other = (ask(*ids) for ids in two)
    assert (one.place, one.author) != (other.place, other.author)
    assert one.key != other.key


@given(st.sampled_from(["", "E1"]), names)
def test_a_tenant_gives_back_its_enterprise_and_team(enterprise, team):
    assert parts_of(tenant_of(enterprise or None, team)) == (enterprise or None, team)
