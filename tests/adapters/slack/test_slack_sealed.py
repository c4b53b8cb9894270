"""Sealed values: what comes back is exactly what was sealed here and lately, or nothing."""

import base64
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adapters.slack.sealed import GOOD_FOR_SECONDS, LONGEST, Seal

SECRET = "a-signing-secret"
NOW = 1_700_000_000.0
PAYLOAD = {"tenant": "E1/T1", "channel": "C1", "thread": "1.2", "user": "U1"}
PAYLOADS = st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=5)


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def seal(secret: str = SECRET, now: float = NOW) -> Seal:
    return Seal(secret, Clock(now))


SEALED = seal().seal(PAYLOAD)


@settings(max_examples=1_000)
@given(PAYLOADS)
def test_slack_what_was_sealed_comes_back(payload):
    text = seal().seal(payload)
    assert text.isascii()
    assert seal().unseal(text) == payload


@settings(max_examples=1_000)
@given(st.integers(0, len(SEALED) - 1), st.characters())
def test_fault_70_slack_no_changed_character_is_let_through(place, letter):
    changed = SEALED[:place] + letter + SEALED[place + 1 :]
    assume(changed != SEALED)
    assert seal().unseal(changed) is None


@given(st.integers(0, len(SEALED) - 1), st.text(max_size=3))
def test_fault_70_slack_nothing_cut_off_put_in_or_put_on_is_let_through(place, more):
    assert seal().unseal(SEALED[:place]) is None
    assert seal().unseal(SEALED[place + 1 :]) is None
    if more:
        assert seal().unseal(SEALED[:place] + more + SEALED[place:]) is None
        assert seal().unseal(SEALED + more) is None


@settings(max_examples=1_000)
@given(st.one_of(st.text(), st.text(st.characters(categories=["Cs", "Ll"])), st.text("ab.=-_é", max_size=20)))
def test_fault_70_slack_no_text_of_others_is_let_through_or_breaks_anything(text):
    assert seal().unseal(text) is None


@given(PAYLOADS, st.text())
def test_fault_70_slack_another_secrets_seal_is_foreign(payload, secret):
    assume(secret != SECRET)
    try:
        text = seal(secret).seal(payload)
    except UnicodeEncodeError:
        assume(False)
    assert seal().unseal(text) is None


def test_fault_70_slack_another_content_under_a_seals_signature_is_let_through_nowhere():
    _, _, mac = SEALED.rpartition(".")
    forged = base64.urlsafe_b64encode(json.dumps([int(NOW), {**PAYLOAD, "tenant": "T2"}]).encode()).decode()
    assert seal().unseal(f"{forged}.{mac}") is None


@pytest.mark.parametrize(
    ("age", "good"), [(0, True), (GOOD_FOR_SECONDS, True), (GOOD_FOR_SECONDS + 1, False), (-299, True), (-301, False)]
)
def test_fault_70_slack_a_seal_holds_for_a_day(age, good):
    assert seal(now=NOW + age).unseal(SEALED) == (PAYLOAD if good else None)


@given(st.floats(allow_nan=False, min_value=-1e12, max_value=1e12))
def test_fault_70_slack_a_seal_holds_for_a_day_and_no_longer_whatever_the_clock_says(age):
    assert (seal(now=NOW + age).unseal(SEALED) is not None) == (-300 <= age <= GOOD_FOR_SECONDS)


def test_slack_a_seal_of_one_secret_is_no_signature_of_slacks():
    """The key is derived, so that nothing that is signed elsewhere with the same secret is a seal."""
    import hashlib
    import hmac

    body, _, _ = SEALED.rpartition(".")
    assert seal().unseal(f"{body}.{hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()}") is None


def test_slack_what_does_not_fit_is_refused_where_it_is_sealed():
    assert len(seal().seal({"a": "x" * 2_100})) <= LONGEST
    with pytest.raises(ValueError, match="3000"):
        seal().seal({"a": "x" * 2_300})


def test_slack_a_seal_shows_no_secret():
    assert SECRET not in repr(seal())
    assert SECRET not in SEALED
