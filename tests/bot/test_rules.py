"""Who may do what, by the settings alone."""

import pytest

from adapters.port import Invocation, Place
from bot.rules import Rules, listed
from bot.stored import Quotas

SLACK = Place("slack", "T1", "C1")


def by(author: str, place: Place = SLACK) -> Invocation:
    return Invocation(place, author, "/panel Open?", "key", "command")


@pytest.mark.parametrize(
    ("admins", "author", "place", "admin"),
    [
        ({"U1"}, "U1", SLACK, True),
        ({"slack:U1"}, "U1", SLACK, True),
        ({"U2", "slack:U3"}, "U3", SLACK, True),
        ({"discord:U1"}, "U1", SLACK, False),
        ({"slack:U1"}, "U1", Place("discord", "T1", "C1"), False),
        ({"slack:T1:U1"}, "U1", SLACK, True),
        ({"slack:T2:U1"}, "U1", SLACK, False),
        ({"discord:T1:U1"}, "U1", SLACK, False),
        ({"T1:U1"}, "U1", SLACK, False),
        ({"U1"}, "U11", SLACK, False),
        ({"U1"}, "", SLACK, False),
        (set(), "U1", SLACK, False),
        (set(), "", SLACK, False),
    ],
)
def test_an_admin_is_named_by_id_with_or_without_the_surface_and_the_workspace(admins, author, place, admin):
    assert Rules(admins=frozenset(admins)).is_admin(by(author, place)) is admin


@pytest.mark.parametrize(
    ("channels", "place", "allowed"),
    [
        (None, SLACK, True),
        (set(), SLACK, False),
        ({"C1"}, SLACK, True),
        ({"slack:C1"}, SLACK, True),
        ({"discord:C1"}, SLACK, False),
        ({"slack:T1:C1"}, SLACK, True),
        ({"slack:T2:C1"}, SLACK, False),
        ({"C2"}, SLACK, False),
        ({"C2", "C1"}, SLACK, True),
    ],
)
def test_runs_are_allowed_everywhere_until_a_list_says_where(channels, place, allowed):
    assert Rules(allowed_channels=None if channels is None else frozenset(channels)).allows(place) is allowed


def test_fault_43_an_admin_has_no_quota_and_everybody_else_has_all_of_them():
    quotas = Quotas(1, 2, 3)
    rules = Rules(admins=frozenset({"U1"}), quotas=quotas)
    assert rules.quotas_of(by("U1")) == Quotas()
    assert rules.quotas_of(by("U2")) == quotas


def test_without_settings_everything_is_allowed_and_nobody_is_an_admin():
    rules = Rules()
    assert rules.allows(SLACK)
    assert not rules.is_admin(by("U1"))
    assert rules.quotas_of(by("U1")) == Quotas()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, None),
        ("", set()),
        (",", set()),
        ("U1", {"U1"}),
        ("U1,slack:U2", {"U1", "slack:U2"}),
        (" U1 ,, U2\tU3\nU1 ", {"U1", "U2", "U3"}),
    ],
)
def test_a_list_is_parted_by_commas_or_spaces(text, names):
    assert listed(text) == (None if names is None else frozenset(names))
