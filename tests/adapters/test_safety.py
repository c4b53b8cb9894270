import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.safety import one_line, visible

ANY_TEXT = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from("\x1b\x07\x08\r\n\t\x7f\x9b\u202e\u2066\u200b\u200d\ufeff\xad\u2028\ud800\U000e0041"),
    )
)
PLAIN_TEXT = st.text(st.one_of(st.sampled_from("\n\t "), st.characters(categories=("L", "N", "P", "S"))))


@settings(max_examples=1500)
@given(ANY_TEXT)
def test_no_control_but_newline_and_tab_survives(text: str) -> None:
    shown = visible(text)
    assert [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\n\t"] == []
    assert not set(shown) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u200b\ufeff\xad"
    )
    assert not any(0xE0000 <= ord(c) <= 0xE007F or 0xD800 <= ord(c) <= 0xDFFF for c in shown)


@settings(max_examples=1500)
@given(ANY_TEXT)
def test_twice_is_once(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@settings(max_examples=1500)
@given(PLAIN_TEXT)
def test_plain_text_is_unchanged(text: str) -> None:
    assert visible(text) == text


@settings(max_examples=1000)
@given(ANY_TEXT)
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("a\r\nb\rc", "a\nb\\x0dc"),
        ("\u202eevil", "\\u202eevil"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud83d", "\\ud83d"),
        ("👩\u200d🔬 می\u200cخواهم", "👩\u200d🔬 می\u200cخواهم"),
    ],
)
def test_what_steers_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
