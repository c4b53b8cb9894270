"""Buttons: a press is the command that the button stands for, and whatever else is pressed is nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.controls import CUSTOM_ID, buttons_of, command_of
from adapters.port import Subject

RUNS = st.from_regex(r"[0-9a-f]{24}", fullmatch=True)
PARTS = st.one_of(st.just(""), st.just("synthesis"), st.from_regex(r"expert/[a-z0-9_]{1,40}", fullmatch=True))


def test_a_press_is_the_command_that_the_button_stands_for():
    buttons = buttons_of(("rate", "retry", "stop", "form"), Subject("r1", "expert/critic"))
    assert [button.label for button in buttons] == ["👍", "👎", "Retry failed", "Stop", "More options"]
    assert [command_of(button.custom_id) for button in buttons] == [
        ("/panel rate up expert/critic", "r1"),
        ("/panel rate down expert/critic", "r1"),
        ("/panel retry", "r1"),
        ("/panel stop", "r1"),
        ("/panel", ""),
    ]


def test_more_options_for_one_alone_is_the_same_command_by_another_id():
    [button] = buttons_of(("form",), None, alone=True)
    assert button.custom_id == "panelist:form:p"
    assert command_of(button.custom_id) == ("/panel", "")


def test_a_whole_run_can_be_rated():
    up, down = buttons_of(("rate",), Subject("r1"))
    assert command_of(up.custom_id) == ("/panel rate up", "r1")
    assert command_of(down.custom_id) == ("/panel rate down", "r1")


@settings(max_examples=500, deadline=None)
@given(RUNS, PARTS)
def test_every_run_and_part_of_ours_fits_into_an_id_and_comes_back(run, part):
    buttons = buttons_of(("stop", "retry", "rate"), Subject(run, part))
    assert len(buttons) == 4
    assert all(len(button.custom_id) <= CUSTOM_ID for button in buttons)
    assert len({button.custom_id for button in buttons}) == 4
    for button in buttons:
        text, about = command_of(button.custom_id)
        assert about == run
        assert not text.startswith("/panel rate") or text.endswith(part or ("up", "down"))


@pytest.mark.parametrize(
    "subject", [None, Subject(""), Subject("a b"), Subject("a:b"), Subject("r" * 65), Subject("r1", "expert/Ö")]
)
def test_a_button_that_could_not_say_what_it_is_about_is_not_shown(subject):
    shown = buttons_of(("rate", "form"), subject)
    assert [button.label for button in shown] == ["More options"]


def test_the_same_control_twice_is_one_button():
    assert len(buttons_of(("stop", "stop"), Subject("r1"))) == 1


@pytest.mark.parametrize(
    "custom_id",
    [
        "",
        "panelist:",
        "panelist:stop",
        "panelist:stop:",
        "panelist:stop:r1:x",
        "panelist:stop:r 1",
        "panelist:up:r1:panel stop",
        "panelist:up:r1:expert/critic\n/panel delete",
        "panelist:form:r1",
        "panelist:ask:-",
        "other:stop:r1",
        "panelist:stop:" + "r" * 200,
    ],
)
def test_an_id_that_is_none_of_ours_means_nothing(custom_id):
    assert command_of(custom_id) is None


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=120), st.text(max_size=90).map(lambda text: f"panelist:up:{text}")))
def test_a_hostile_id_never_becomes_more_than_one_of_the_four_commands(custom_id):
    found = command_of(custom_id)
    if found is not None:
        text, run = found
        assert text.split()[:2] in (["/panel"], ["/panel", "stop"], ["/panel", "retry"], ["/panel", "rate"])
        assert "\n" not in text
        assert " " not in run
