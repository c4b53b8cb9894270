"""Answers parsed: whatever a model gives becomes a value within its bounds, and nothing is lost on the way."""

import json

from hypothesis import given
from hypothesis import strategies as st

from teams.answers import answer_fields, clamped, expert_result, quoted_answers
from teams.events import ExpertAnswered, event_to_json
from teams.model import HEADLINE_LIMIT, ExpertResult
from teams.scripted import expert_reply
from teams.wire import dump, load

ANYTHING = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3))


def recorded(**fields):
    return {"fields": expert_reply("yes") | fields, "model": "m", "seconds": 1.0}


@given(ANYTHING)
def test_confidence_is_always_a_number_from_0_to_1(value):
    assert 0.0 <= clamped(value) <= 1.0


@given(st.text(max_size=2000))
def test_a_headline_is_one_line_within_its_limit_and_a_longer_one_is_kept_whole(headline):
    result = expert_result("p", recorded(headline=headline, analysis="the analysis"))
    line = " ".join(headline.split())
    assert len(result.headline) <= HEADLINE_LIMIT
    assert "\n" not in result.headline
    assert line in (result.headline, result.analysis.split("\n\n")[0])
    assert result.analysis.endswith("the analysis")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("headline", "analysis", "recommendation"), ANYTHING)))
def test_fields_of_any_kind_make_an_answer(fields):
    assert isinstance(expert_result("p", recorded(**fields)), ExpertResult)


@given(st.text(), st.text())
def test_quoted_answers_are_one_json_list_whatever_they_say(analysis, recommendation):
    result = expert_result("p", recorded(analysis=analysis, recommendation=recommendation))
    (answer,) = json.loads(quoted_answers([result]))
    assert answer["perspective"] == "p"
    assert "\n" not in quoted_answers([result])


@given(st.text(), st.floats(0, 1), st.lists(st.text(), max_size=4))
def test_values_make_the_round_trip_through_json(text, confidence, points):
    result = ExpertResult("p", text, text, tuple(points), text, confidence, "m", 1.5)
    assert load(ExpertResult, json.loads(json.dumps(dump(result)))) == result


def test_half_a_surrogate_pair_never_leaves_the_parser():
    result = expert_result("p", recorded(headline="a \ud800", analysis="\udfff", key_points=["\ud800"]))
    quoted_answers([result]).encode()
    assert "a ?" in result.headline


def test_not_a_number_is_no_json_and_becomes_nothing():
    assert answer_fields({"confidence": float("nan"), "x": [float("inf")]}) == {"confidence": None, "x": [None]}


def test_an_event_as_json_names_its_class_its_time_and_its_perspective():
    from datetime import UTC, datetime

    event = ExpertAnswered(datetime(2026, 1, 2, tzinfo=UTC), "p", expert_result("p", recorded()))
    as_json = event_to_json(event)
    assert list(as_json)[:3] == ["event", "at", "perspective"]
    assert (as_json["event"], as_json["at"]) == ("ExpertAnswered", "2026-01-02T00:00:00Z")
