"""Logs: one entry is one line, whatever is in it."""

import io
import json

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bot.log import configure_logs, one_line


@pytest.fixture(autouse=True)
def _defaults_after():
    yield
    structlog.reset_defaults()


HOSTILE = 'x\n{"event": "forged"}\r\x1b[31mred\x1b]52;c;AAAA\x07\x00\u2028\u202e'


def test_fault_55_an_injected_newline_or_escape_stays_inside_its_json_line():
    out = io.StringIO()
    configure_logs("info", out)
    structlog.get_logger().info("run.finished", error=HOSTILE, run=HOSTILE)

    (line,) = out.getvalue().splitlines()
    assert "\x1b" not in line
    assert json.loads(line)["error"] == HOSTILE


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_fault_55_for_people_a_log_line_shows_escapes_and_obeys_none():
    out = Terminal()
    configure_logs("info", out)
    structlog.get_logger().info("run.finished", error=HOSTILE)
    text = out.getvalue()
    assert text.count("\n") == 1
    assert "\x1b[31mred" not in text
    assert "\x1b]52" not in text
    assert "\x07" not in text


@given(st.text())
def test_fault_55_no_value_of_an_entry_holds_a_line_break_or_a_control(text):
    event = one_line(None, "info", {"event": "e", "value": text})
    assert not [char for char in event["value"] if ord(char) < 32 or 127 <= ord(char) < 160]


def test_what_is_below_the_level_is_dropped():
    out = io.StringIO()
    configure_logs("warning", out)
    structlog.get_logger().info("quiet")
    assert out.getvalue() == ""
