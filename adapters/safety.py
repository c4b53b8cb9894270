"""Model text made inert before it is shown: what would steer a screen is written out instead.

Mentions are not this module's business: each platform has its own.
"""

import re

_STEERING = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls and DEL, but for newline and tab
    "\xad"  # soft hyphen
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi marks, embeddings, overrides and isolates
    "\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"  # zero-width and invisible format characters
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # the same of shorthand and music
    "\u2028\u2029"  # line and paragraph separators: a new line on some screens and not on others
    "\ud800-\udfff"  # lone surrogates: no encoding takes them
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags, and the unassigned invisible characters around them
    "]"
)


def visible(text: str) -> str:
    r"""Write out every character of `text` that a screen would obey or hide, as `\x1b`, `\u202e` or `\U000e0041`.

    Newlines and tabs stay; CRLF becomes a newline first and a CR of its own is written out. The joiners U+200C and
    U+200D stay, although they are invisible: emoji, Persian and the scripts of India need them. So do the variation
    selectors. Doing it twice changes nothing more.
    """
    return _STEERING.sub(_escaped, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same on one line: runs of white space become one space."""
    return " ".join(visible(text).split())


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
