"""Words said to the bot: the same line of the one grammar on every platform."""

import pytest

from adapters.words import command_line
from bot.commands import Ask, Delete, Help, Panels, Rate, Research, Retry, Settings, Stop, parse


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("panel Should we?", Ask("Should we?")),
        ("/Panel Should we?", Ask("Should we?")),
        ("research Why?", Research("Why?")),
        ("stop", Stop()),
        ("Retry", Retry()),
        ("list", Panels()),
        ("delete", Delete()),
        ("settings", Settings()),
        ("settings profile A bakery", Settings("profile", "A bakery")),
        ("rate up synthesis", Rate("up", "synthesis")),
        ("", Help()),
        ("hello there", Help("hello there")),
        ("stop the press", Help("stop the press")),
    ],
)
def test_what_is_said_to_the_bot_is_a_command_of_the_one_grammar(said, command):
    assert parse(command_line(said)) == command
