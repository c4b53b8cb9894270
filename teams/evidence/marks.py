"""What an answer's check leaves in the text, and how citations look there. Pure.

Marks stay in the text and are counted there, so that an answer checked twice is the answer checked once.
"""

import re
from collections.abc import Sequence

from teams.evidence.links import ADDRESS, LINK_REMOVED

NO_SUCH_SOURCE = "[no such source]"
QUOTE_NOT_FOUND = "[quote not found]"
NOT_IN_SOURCE = "(not in the source)"
NOT_ALL = "(not checked for all sources)"
OTHERWISE = "(the source says otherwise)"
STRONGER = "(stronger than the source)"
PARTLY = "(partly in the source)"
NOT_VERIFIED = "(not verified)"
CORRECTED = "(source corrected)"
ADDED = "(source added)"
NOT_FROM_A_SOURCE = "(this block is not from a source)"

MARKS = (
    NO_SUCH_SOURCE,
    QUOTE_NOT_FOUND,
    LINK_REMOVED,
    NOT_IN_SOURCE,
    NOT_ALL,
    OTHERWISE,
    STRONGER,
    PARTLY,
    NOT_VERIFIED,
    CORRECTED,
    ADDED,
    NOT_FROM_A_SOURCE,
)
MARK = re.compile("|".join(map(re.escape, MARKS)))

CITATION = re.compile(r"\[(S[1-9]\d{0,3}(?:, S[1-9]\d{0,3})*)\]")
"""A citation once the ids are checked."""

ATTACHED = rf"(?:{CITATION.pattern.replace('(S', '(?:S', 1)}|{MARK.pattern})[.,;]?"
"""What belongs to the sentence before it."""

DOUBLE = "“”„‟❝❞〝〞〟＂″‶"
"""Double quotation marks, besides the straight one and those that point: any of them may end what another began."""

QUOTED = re.compile(
    rf"(?:(?<![{DOUBLE}])[“„‟❝〝]|(?<![\w.,!?…)\]{DOUBLE}])[{DOUBLE}])[{DOUBLE}]*(?P<a>[^{DOUBLE}]+)"
    rf"(?:[”❞〞〟＂″‶]|(?<!\s)[“„‟❝〝]|[“„‟❝〝](?!\w))[{DOUBLE}]*"
    r"|«(?P<c>[^«»]*)»|»(?P<d>[^«»]*)«|「(?P<e>[^「」]*)」|『(?P<f>[^『』]*)』"
    r"|‹(?P<g>[^‹›]*)›|›(?P<b>[^‹›]*)‹|(?<![\w\"])\"(?P<h>[^\"]+)\"+(?!\w)|(?<![\w\"])\"{2,}(?!\s*[,;)])(?P<r>[^\"`]+)\"+(?!\w)|<q>(?P<i>.*?)</q>|<blockquote>(?P<j>.*?)</blockquote>"
    r"|‘(?P<k>[^‘]+?)’(?!\w)|(?<!\w)'(?P<l>(?:[^'\n]|(?<=\w)'(?=\w))+)'(?!\w)"
    r"|(?<![\w'])'{2,}(?P<o>[^'\n]+)'{2,}(?!\w)|‚(?P<p>[^‚‘’]+)[‘’]"
    rf"|[“„‟❝〝](?P<m>[^{DOUBLE}]*)\Z|(?<![\w\"])\"+(?P<n>(?=\w)[^\"]*)\Z",
    re.DOTALL | re.IGNORECASE,
)
"""Words in quotation marks; a last one may have lost its end."""


def quoted_words(match: re.Match[str]) -> str:
    """What stands between the quotation marks."""
    return next((words for words in match.groups() if words is not None), "")


def cited(text: str) -> list[str]:
    """The ids cited in a text, each once, in their order."""
    return list(dict.fromkeys(source_id for match in CITATION.finditer(text) for source_id in match[1].split(", ")))


def blanked(text: str, *patterns: re.Pattern[str], names: Sequence[str] = ()) -> str:
    """The text with marks, citations, addresses and what fits `patterns` or `names` blank, all else in its place."""
    for pattern in (MARK, CITATION, ADDRESS, *patterns):
        text = pattern.sub(lambda match: " " * len(match[0]), text)
    for name in names:
        text = text.replace(name, " " * len(name))
    return text
