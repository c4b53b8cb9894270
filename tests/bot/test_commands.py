"""The one grammar of every front end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands import Ask, Delete, Help, Panels, Rate, Research, Retry, Settings, Stop, parse


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/panel Should we open on Sundays?", Ask("Should we open on Sundays?")),
        ("panel Should we open?", Ask("Should we open?")),
        ("  /PANEL  Should\nwe open?  ", Ask("Should\nwe open?")),
        ("/panel --panel engineering Rewrite it?", Ask("Rewrite it?", "engineering")),
        ("/panel --panel=engineering Rewrite it?", Ask("Rewrite it?", "engineering")),
        ('/panel --panel "my panel" Rewrite it?', Ask("Rewrite it?", "my panel")),
        ("/panel --panel engineering stop", Ask("stop", "engineering")),
        ("/panel -- stop", Ask("stop")),
        ("/panel -- --panel is an option", Ask("--panel is an option")),
        ("/panel stop the presses?", Ask("stop the presses?")),
        ("/panel", Ask("")),
        ("/panel --panel engineering", Ask("", "engineering")),
        ("/research Who bakes?", Research("Who bakes?")),
        ("/research stop", Research("stop")),
        ("/research", Research("")),
        ("/panel stop", Stop()),
        ("/panel RETRY ", Retry()),
        ("/panel list", Panels()),
        ("/panel settings", Settings()),
        ("/panel help", Help()),
        ("/panel delete", Delete()),
        ("/panel delete the old logs?", Ask("delete the old logs?")),
        ("/panel rate up synthesis", Rate("up", "synthesis")),
        ("/panel  Rate  DOWN  expert/cost_examiner ", Rate("down", "expert/cost_examiner")),
        ("/panel rate up", Ask("rate up")),
        ("/panel rate up and down", Ask("rate up and down")),
        ("/panel rate up expert/", Ask("rate up expert/")),
        ("/panel rate up synthesis or not?", Ask("rate up synthesis or not?")),
        ("/panel rate limits for our API?", Ask("rate limits for our API?")),
        ("/panel settings profile A bakery\nin a village", Settings("profile", "A bakery\nin a village")),
        ("/panel settings PILLARS bread, people", Settings("pillars", "bread, people")),
        ("/panel settings profile", Settings("profile")),
        ("/panel settings profile -", Settings("profile")),
        ("/panel settings profile – or not", Settings("profile", "– or not")),
        ("/panel settings profiles of customers?", Ask("settings profiles of customers?")),
        ("/panel settings of the oven?", Ask("settings of the oven?")),
        ("/panel -- settings profile x", Ask("settings profile x")),
        ("/panel -- rate up synthesis", Ask("rate up synthesis")),
        ("/panel -- delete", Ask("delete")),
        ("/panel --panel engineering delete", Ask("delete", "engineering")),
        ("/research delete", Research("delete")),
        ("hello", Help("hello")),
        ("/panels", Help("/panels")),
        ("/pan", Help("/pan")),
    ],
)
def test_a_line_means_one_command(line, command):
    assert parse(line) == command


@given(st.text())
def test_every_line_means_something(line):
    parse(line)


@given(st.text(min_size=1).map(str.strip).filter(bool))
def test_behind_two_dashes_everything_is_topic(topic):
    assert parse(f"/panel -- {topic}") == Ask(topic)
