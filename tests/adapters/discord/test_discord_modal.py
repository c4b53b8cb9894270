"""The form: five inputs at most, all of it within Discord's limits, and what is sent off is what was asked."""

import json

import discord
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.inbound import from_command, from_shortcut, from_submission
from adapters.discord.modal import Carried, ask_id, ask_view, carried_in, submission_of
from adapters.port import AskForm, Attachment
from bot.commands import Ask, parse
from tests.adapters.discord.fake_gestures import ANN, GENERAL, FakeFile, FakeGesture, FakeMessage, FakeUser

PANELS = (("default", "The default panel"), ("critics", "Critics only"))
FORM = AskForm("", PANELS, "default", "A bakery", "Warmth")
COMMAND = from_command(FakeGesture(), "/panel")
SUBMIT = discord.InteractionType.modal_submit


def about(**more):
    return from_shortcut(FakeGesture(), FakeMessage("Rent is 900.", author=FakeUser(12, "Ben"), **more))


def shown(form: AskForm = FORM, invocation=COMMAND) -> dict:
    return ask_view(form, invocation).to_dict()


def inputs(modal: dict) -> dict[str, dict]:
    return {label["component"]["custom_id"]: label["component"] for label in modal["components"]}


def labels(modal: dict) -> dict[str, dict]:
    return {label["component"]["custom_id"]: label for label in modal["components"]}


def sent_off(modal: dict, filled: dict[str, object], files: dict[str, dict] | None = None) -> FakeGesture:
    components = [
        {
            "type": 18,
            "component": {"type": 4, "custom_id": name, "values" if isinstance(value, list) else "value": value},
        }
        for name, value in filled.items()
    ]
    data = {"custom_id": modal["custom_id"], "components": components, "resolved": {"attachments": files or {}}}
    return FakeGesture(custom_id=modal["custom_id"], data=data, type=SUBMIT)


def test_the_discord_form_asks_for_five_things_and_shows_what_is_set():
    modal = shown()
    assert list(inputs(modal)) == ["topic", "panel", "profile", "pillars", "files"]
    assert inputs(modal)["profile"]["value"] == "A bakery"
    assert [option["value"] for option in inputs(modal)["panel"]["options"] if option["default"]] == ["default"]
    assert inputs(modal)["files"] == {
        "type": 19,
        "custom_id": "files",
        "required": False,
        "min_values": 0,
        "max_values": 10,
    }


def test_a_form_about_a_message_shows_it_in_place_of_the_files():
    modal = shown(invocation=about())
    assert list(inputs(modal)) == ["topic", "panel", "documents", "profile", "pillars"]
    assert inputs(modal)["documents"]["value"] == "Ben: Rent is 900."


def test_a_form_about_a_message_that_discord_shows_no_text_of_says_so():
    modal = shown(invocation=from_shortcut(FakeGesture(), FakeMessage("")))
    assert "no text" in labels(modal)["documents"]["description"]


def test_a_form_says_what_it_cannot_show_or_take_over():
    asked = from_command(FakeGesture(), "/panel", [FakeFile("report.pdf")])
    assert "report.pdf" in labels(shown(invocation=asked))["files"]["description"]
    long = AskForm("", PANELS, "default", "x" * 5_000)
    assert "too long" in labels(shown(long))["profile"]["description"]
    many = AskForm("", tuple((f"p{number}", "") for number in range(40)), "p39")
    assert "25 of 40" in labels(shown(many))["panel"]["description"]


def test_the_default_panel_is_among_those_offered_however_many_there_are():
    many = AskForm("", tuple((f"p{number}", f"Panel {number}") for number in range(40)), "p39")
    menu = inputs(shown(many))["panel"]["options"]
    assert len(menu) == 25
    assert menu[0]["value"] == "p39"


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        AskForm,
        st.text(max_size=5_000),
        st.lists(st.tuples(st.text(max_size=120), st.text(max_size=250)), max_size=30, unique_by=lambda p: p[0]).map(
            tuple
        ),
        st.text(max_size=20),
        st.text(max_size=5_000),
        st.text(max_size=5_000),
    ),
    st.lists(st.text(min_size=1, max_size=150), max_size=3),
)
def test_a_discord_form_is_within_the_limits_whatever_it_shows(form, names):
    asked = from_command(FakeGesture(), "/panel", [FakeFile(name) for name in names])
    modal = shown(form, asked)
    assert len(modal["title"]) <= 45
    assert len(modal["custom_id"]) <= 100
    assert 1 <= len(modal["components"]) <= 5
    for label in modal["components"]:
        assert 0 < len(label["label"]) <= 45
        assert len(label.get("description") or "") <= 100
        component = label["component"]
        assert len(component.get("value") or "") <= 4_000
        assert len(component.get("options") or []) <= 25
        for option in component.get("options") or []:
            assert 0 < len(option["label"]) <= 100
            assert 0 < len(option["value"]) <= 100


def test_what_is_sent_off_is_what_was_asked():
    files = {"77": FakeFile("plan.txt").__dict__ | {"id": "77"}}
    filled = {"topic": "Should we?", "panel": ["critics"], "profile": "A bakery", "pillars": "", "files": ["77"]}
    gesture = sent_off(shown(), filled, files)
    asked = from_submission(gesture, submission_of(gesture), carried_in(gesture.custom_id))
    assert parse(asked.text) == Ask("Should we?", "critics")
    assert (asked.options.profile, asked.options.pillars, asked.options.remember) == ("A bakery", "", False)
    assert [file.name for file in asked.attachments] == ["plan.txt"]
    assert json.loads(asked.attachments[0].ref)["url"].startswith("https://cdn.discordapp.com/")
    assert (asked.origin, asked.place.channel, asked.author) == ("form", str(GENERAL), str(ANN))


def test_a_form_about_a_message_brings_its_text_and_its_files():
    invocation = about(attachments=[FakeFile("rent.pdf")])
    gesture = sent_off(shown(invocation=invocation), {"topic": "Fair?", "documents": "Ben: Rent is 900."})
    carried = carried_in(gesture.custom_id)
    assert carried == Carried(False, "8001", 1)
    kept = from_submission(gesture, submission_of(gesture), carried, invocation.attachments[1:])
    assert [(file.name, file.text) for file in kept.attachments] == [
        ("The message", "Ben: Rent is 900."),
        ("rent.pdf", ""),
    ]
    lost = from_submission(gesture, submission_of(gesture), carried)
    assert "restarted" in lost.attachments[1].problem


def test_a_form_asked_for_privately_is_answered_privately():
    private = from_command(FakeGesture(), "/panel", private=True)
    gesture = sent_off(shown(invocation=private), {"topic": "Should we?"})
    asked = from_submission(gesture, submission_of(gesture), carried_in(gesture.custom_id))
    assert asked.place == private.place
    assert asked.place.channel == f"{GENERAL}/{ANN}"


@pytest.mark.parametrize("topic", ["", "  \n"])
def test_a_form_without_a_topic_asks_nothing(topic):
    assert submission_of(sent_off(shown(), {"topic": topic})) is None


@pytest.mark.parametrize("topic", ["stop", "help", "settings profile X", "--panel other Should we?"])
def test_a_topic_in_a_form_is_a_topic(topic):
    gesture = sent_off(shown(), {"topic": topic})
    asked = from_submission(gesture, submission_of(gesture), carried_in(gesture.custom_id))
    assert parse(asked.text) == Ask(topic, None)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        JSON,
        st.fixed_dictionaries(
            {"components": st.one_of(JSON, st.lists(st.fixed_dictionaries({"component": JSON}), max_size=4))},
            optional={"resolved": JSON},
        ),
    )
)
def test_fault_70_a_damaged_submission_is_no_submission(data):
    assert submission_of(FakeGesture(data=data, type=SUBMIT)) is None


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text(max_size=30).map(lambda text: f"panelist:ask:{text}")))
def test_fault_70_a_forms_id_is_read_strictly(custom_id):
    carried = carried_in(custom_id)
    if carried is not None:
        assert carried_in(ask_id(carried)) == carried


def test_an_attachment_with_a_problem_does_not_pass_for_the_message():
    asked = from_command(FakeGesture(), "/panel", [FakeFile("a.txt")])
    assert all(isinstance(each, Attachment) for each in asked.attachments)
    assert carried_in(shown(invocation=asked)["custom_id"]).message == ""
