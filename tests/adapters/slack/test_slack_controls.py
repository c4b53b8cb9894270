import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block as SlackBlock

from adapters.port import Control, Subject
from adapters.slack.controls import command_of, control_blocks, value_of

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)
ACTION_IDS = st.sampled_from(
    [*(f"panelist.{name}" for name in ("stop", "retry", "rate", "rate.up", "rate.down", "form", "")), "other"]
)
VALUES = st.one_of(
    JSON,
    st.text(max_size=60),
    JSON.map(json.dumps),
    st.fixed_dictionaries(
        {"run": st.one_of(st.just("r1"), JSON)}, optional={"part": JSON, "choice": st.one_of(st.just("up"), JSON)}
    ).map(json.dumps),
)


def pressed(blocks: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """The actions that Slack would send, one for each button."""
    actions = []
    for element in (element for block in blocks for element in block["elements"]):
        for button in (element, element.get("positive_button"), element.get("negative_button")):
            if button is not None and "value" in button:
                actions.append({"action_id": element["action_id"], "type": element["type"], "value": button["value"]})
    return actions


@pytest.mark.parametrize("style", ["rich", "plain"])
def test_a_press_is_the_command_that_the_button_stands_for(style) -> None:
    blocks = control_blocks(("rate", "retry", "stop"), Subject("r1", "expert/critic"), style)
    assert [command_of(action) for action in pressed(blocks)] == [
        ("/panel rate up expert/critic", "r1"),
        ("/panel rate down expert/critic", "r1"),
        ("/panel retry", "r1"),
        ("/panel stop", "r1"),
    ]


def test_a_whole_run_can_be_rated() -> None:
    assert command_of({"action_id": "panelist.rate", "value": value_of(Subject("r1"), "up")}) == (
        "/panel rate up",
        "r1",
    )


@pytest.mark.parametrize("style", ["rich", "plain"])
@pytest.mark.parametrize("subject", [None, Subject("r1")])
def test_the_form_is_asked_for_by_a_button_that_is_about_no_run_and_so_carries_nothing(style, subject) -> None:
    [block] = control_blocks(("form", "form"), subject, style)
    [button] = block["elements"]
    assert (block["type"], button["text"]["text"], "value" in button) == ("actions", "More options", False)
    assert command_of({"action_id": button["action_id"], "type": "button"}) == ("/panel", "")
    (parsed,) = SlackBlock.parse_all([block])
    parsed.validate_json()


@settings(max_examples=1000, deadline=None)
@given(
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200),
    st.text(max_size=200),
    st.sampled_from(["rich", "plain"]),
    st.lists(st.sampled_from(["rate", "retry", "stop"]), min_size=1, max_size=4),
)
def test_every_button_that_is_shown_carries_its_subject_within_slacks_limits(run, part, style, controls) -> None:
    blocks = control_blocks(tuple(controls), Subject(run, part), style)
    for block in blocks:
        (parsed,) = SlackBlock.parse_all([block])
        parsed.validate_json()
        parsed.to_dict()
    for action in pressed(blocks):
        assert len(action["value"]) <= 2_000
        command = command_of(action)
        assert command is not None
        assert command[1] == run
        assert part in command[0] or action["action_id"] in ("panelist.retry", "panelist.stop")
        assert len(command[0].split()) <= 4
    if part.isprintable() and " " not in part:
        assert blocks


@pytest.mark.parametrize("subject", [None, Subject(""), Subject("r 1"), Subject("r" * 300), Subject("r1", "a b")])
def test_there_is_no_button_that_could_not_say_what_it_is_about(subject: Subject | None) -> None:
    controls: tuple[Control, ...] = ("rate", "retry", "stop")
    assert control_blocks(controls, subject, "rich") == control_blocks(controls, subject, "plain") == ()


def test_a_value_over_slacks_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="2000 characters"):
        value_of(Subject("r" * 2_000))


@settings(max_examples=1000, deadline=None)
@given(st.one_of(JSON, st.fixed_dictionaries({}, optional={"action_id": st.one_of(ACTION_IDS, JSON), "value": VALUES})))
def test_fault_70_a_tampered_action_is_no_command_and_no_exception(action) -> None:
    command = command_of(action)
    if command is not None:
        text, run = command
        if action["action_id"] == "panelist.form":
            assert command == ("/panel", "")
            return
        assert text.split()[:2] in (["/panel", "stop"], ["/panel", "retry"], ["/panel", "rate"])
        assert len(text.split()) <= 4
        assert run.isascii()
        assert run.isprintable()
        assert 0 < len(run) <= 200


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 200), st.characters(), ACTION_IDS)
def test_fault_70_a_value_with_one_character_changed_never_names_another_command(place, character, name) -> None:
    value = value_of(Subject("run-0123456789", "synthesis"), "up")
    place %= len(value)
    changed = value[:place] + character + value[place + 1 :]
    command = command_of({"action_id": name, "value": changed})
    of_its_button = "/panel" if name == "panelist.form" else ("/panel rate up", "/panel stop", "/panel retry")
    assert command is None or command[0].startswith(of_its_button)


@pytest.mark.parametrize(
    "value",
    [
        "[" * 2_000,
        '{"run":' * 300,
        '{"run":"r1"}' + " " * 2_000,
        '{"run":"r1","part":"a b"}',
        '{"run":"r1\\n","choice":"up"}',
        '{"run":"r1","choice":"sideways"}',
        '{"run":["r1"]}',
        '{"run":"r1","channel":"C1"}',
        '{"run":"r\\u0000"}',
        '{"choice":"up"}',
        "null",
        "NaN",
        "",
    ],
)
@pytest.mark.parametrize("name", ["panelist.rate", "panelist.rate.up"])
def test_fault_70_damaged_and_forged_values_are_no_command(value: str, name: str) -> None:
    assert command_of({"action_id": name, "value": value}) is None


def test_fault_70_a_choice_has_to_be_that_of_its_button() -> None:
    value = value_of(Subject("r1"), "up")
    assert command_of({"action_id": "panelist.rate.down", "value": value}) is None
    assert command_of({"action_id": "panelist.stop", "value": value}) is None
    assert command_of({"action_id": "panelist.rate.up", "value": value}) == ("/panel rate up", "r1")
