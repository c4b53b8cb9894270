"""The one grammar of every front end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands import Ask, Help, Panels, Research, Retry, Settings, Stop, parse


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
