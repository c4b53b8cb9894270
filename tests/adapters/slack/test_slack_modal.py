from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block as SlackBlock
from slack_sdk.models.views import View

from adapters.markdown import size
from adapters.port import AskForm
from adapters.slack.modal import Submission, ask_view, submission_of
from tests.adapters.slack.test_slack_text import SHORT_LINE, tokens

PANELS = (("board", "A board of directors"), ("critics", "Critics"))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "state",
                    "values",
                    "topic",
                    "panel",
                    "files",
                    "remember",
                    "value",
                    "selected_option",
                    "selected_options",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


def inputs(view: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {block["block_id"]: block for block in view["blocks"]}


def filled(view: dict[str, Any], **entered: dict[str, Any]) -> dict[str, Any]:
    """The view as Slack sends it back: every input is there, and an empty one is null or an empty list."""
    empty = {
        "plain_text_input": {"value": None},
        "static_select": {"selected_option": None},
        "checkboxes": {"selected_options": []},
        "file_input": {"files": []},
    }
    values = {
        name: {
            block["element"]["action_id"]: {
                "type": block["element"]["type"],
                **empty[block["element"]["type"]],
                **entered.get(name, {}),
            }
        }
        for name, block in inputs(view).items()
    }
    return {**view, "state": {"values": values}}


def test_a_form_comes_back_as_it_was_filled_in() -> None:
    files = [{"id": "F1", "name": "a.pdf"}, {"id": "F2", "name": "b.txt"}]
    view = ask_view(AskForm("", PANELS, "board"), "sealed")
    submitted = filled(
        view,
        topic={"value": "Should we?\nReally?"},
        panel={"selected_option": {"text": {"type": "plain_text", "text": "Critics"}, "value": "critics"}},
        documents={"value": "A document."},
        files={"files": files},
        profile={"value": "We sell tea."},
        pillars={"value": "trust, taste"},
        remember={"selected_options": [{"value": "remember"}]},
    )
    assert view["private_metadata"] == "sealed"
    assert submission_of(submitted) == Submission(
        "Should we?\nReally?", "critics", "A document.", tuple(files), "We sell tea.", "trust, taste", True
    )


def test_what_is_optional_may_be_left_empty() -> None:
    view = ask_view(AskForm("", PANELS, "board"), "")
    assert submission_of(filled(view, topic={"value": "Should we?"})) == Submission("Should we?")
    needed = [name for name, block in inputs(view).items() if not block["optional"]]
    assert needed == ["topic", "panel"]


def test_what_is_set_stands_in_the_form() -> None:
    form = AskForm("Should we?", PANELS, "critics", "We sell tea.", "trust", "A document.")
    elements = {name: block["element"] for name, block in inputs(ask_view(form, "")).items()}
    assert elements["topic"]["initial_value"] == "Should we?"
    assert elements["panel"]["initial_option"]["value"] == "critics"
    assert elements["profile"]["initial_value"] == "We sell tea."
    assert elements["pillars"]["initial_value"] == "trust"
    assert elements["documents"]["initial_value"] == "A document."
    assert elements["files"]["max_files"] == 10
    assert {"txt", "md", "pdf", "docx", "pptx", "xlsx", "csv", "html"} == set(elements["files"]["filetypes"])
    assert (elements["topic"]["multiline"], elements["pillars"]["multiline"]) == (True, False)


def test_what_is_longer_than_an_input_is_left_out_and_not_cut() -> None:
    elements = {n: b["element"] for n, b in inputs(ask_view(AskForm("x" * 3_001, PANELS, "none"), "")).items()}
    assert "initial_value" not in elements["topic"]
    assert "initial_option" not in elements["panel"]


def test_a_form_without_panels_has_no_menu() -> None:
    view = ask_view(AskForm("", (), ""), "")
    assert "panel" not in inputs(view)
    assert submission_of(filled(view, topic={"value": "x"})) == Submission("x")


@settings(max_examples=1000, deadline=None)
@given(
    st.text(max_size=40),
    st.lists(
        st.tuples(st.one_of(st.sampled_from(["board", "x" * 151, ""]), st.text(max_size=10)), SHORT_LINE), max_size=3
    ),
    st.integers(1, 60),
)
def test_fault_47_a_form_is_within_slacks_limits_whatever_panels_are_called(topic, panels, times) -> None:
    named = tuple((f"{name}{number}" if number else name, title) for number in range(times) for name, title in panels)
    view = ask_view(AskForm(topic, named, "board", topic, topic), "m")
    assert len(view["title"]["text"]) <= 24
    assert View(**view).validate_json() is None
    for block in SlackBlock.parse_all(view["blocks"]):
        block.validate_json()
        block.to_dict()
    menu = inputs(view).get("panel", {"element": {"options": []}})["element"]
    assert len(menu["options"]) <= 100
    assert len({option["value"] for option in menu["options"]}) == len(menu["options"])
    for option in menu["options"]:
        assert 0 < size(option["text"]["text"]) <= 75
        assert 0 < len(option["value"]) <= 150
        assert tokens(option["text"]["text"]) == []


@settings(max_examples=1000, deadline=None)
@given(st.one_of(JSON, st.fixed_dictionaries({"state": st.fixed_dictionaries({"values": JSON})})))
def test_fault_70_a_forged_view_is_no_exception(view) -> None:
    submission = submission_of(view)
    if submission is not None:
        assert submission.topic.strip()


@pytest.mark.parametrize("name", ["panel", "documents", "files", "profile", "pillars", "remember"])
@pytest.mark.parametrize("value", [None, 1, "x", [], [1], {}, {"value": {"value": 1}}, {"value": []}])
def test_fault_70_one_damaged_input_leaves_the_others(name: str, value: object) -> None:
    view = filled(ask_view(AskForm("", PANELS, "board"), ""), topic={"value": "Should we?"})
    view["state"]["values"][name] = value
    assert submission_of(view) == Submission("Should we?")
