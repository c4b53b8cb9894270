"""Text for Discord, judged by readers that share nothing with what wrote it: what is live, and what a person reads."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.discord.text import WIDEST_TABLE, bold_line, inert, inert_line
from adapters.markdown import Fence, Grid, paragraphs, segments
from tests.adapters.contract import HOSTILE, READABLE, squeezed, steering

SLOW = settings(max_examples=1000, deadline=None)

# What Discord makes live: its rules in its order, each looking for its end wherever that stands, also inside of code

_LINE = {
    "quote of all that follows": re.compile(r" *>>>[ \t]+"),
    "small": re.compile(r" *-#[ \t]+"),
}
_QUOTE = re.compile(r" *>(?!>>)[ \t]+([^\n]*(?:\n *>(?!>>)[ \t]+[^\n]*)*)")
_HEADING = re.compile(r" *#{1,3}[ \t]+")
_ESCAPE = re.compile(r"\\([^0-9A-Za-z\s])")
_FENCE = re.compile(r"```(?:([a-z0-9_+\-.#]+?)\n)?\n*([^\n][\s\S]*?)\n*```", re.IGNORECASE)
_CODE = re.compile(r"(`+)([\s\S]*?[^`])\1(?!`)")
_STYLES = (
    re.compile(r"\*\*((?:\\[\s\S]|[^\\])+?)\*\*(?!\*)"),
    re.compile(r"~~([\s\S]+?)~~(?!_)"),
    re.compile(r"_((?:__|\\[\s\S]|[^\\_])+?)_(?![0-9A-Za-z_])"),
    re.compile(r"\*(?=\S)((?:\*\*|\\[\s\S]|\s+(?:\\[\s\S]|[^\s*\\]|\*\*)|[^\s*\\])+?)\*(?!\*)"),
)
_LIVE = re.compile(
    r"\|\|[\s\S]+?\|\|"  # a spoiler
    r"|__(?:\\[\s\S]|[^\\])+?__(?!_)"  # underlined
    r"|\[(?:\[[^\]]*\]|[^\[\]]|\](?=[^\[]*\]))*\]\(\s*<?(?:\([^)]*\)|[^\s\\]|\\.)*?>?(?:\s+['\"][\s\S]*?['\"])?\s*\)"
    r"|<[^: >]+:/[^ >]+>|<[^ >]+@[^ >]+>"
    r"|[a-z][a-z0-9+.-]*://[^\s<]|discord\.(?:gg|com|new|gift)/\w"
    r"|<(?:@[!&]?|#)\w+>|<a?:\w+:\w+>|<t:-?\w+(?::\w)?>|</[^<>\n]+:\w+>|<id:\w"
    r"|@(?:everyone|here)\b",
    re.IGNORECASE,
)
_SHORTCODE = re.compile(r":([A-Za-z0-9_+-]+):")


def read(text: str) -> tuple[str, list[str]]:
    """What a person reads, and whatever is more than text and style to the one who reads it."""
    live: list[str] = []
    return _read(text, live), live


def _read(text: str, live: list[str], quoted: bool = False) -> str:
    said, at = "", 0
    while at < len(text):
        if at == 0 or text[at - 1] == "\n":
            live += [name for name, mark in _LINE.items() if mark.match(text, at)]
            if not quoted and (quote := _QUOTE.match(text, at)):
                said += _read(re.sub(r"\n *>[ \t]+", "\n", quote[1]), live, quoted=True)
                at = quote.end()
                continue
            if heading := _HEADING.match(text, at):
                at = heading.end()
                continue
        if escape := _ESCAPE.match(text, at):
            said, at = said + escape[1], escape.end()
        elif code := _FENCE.match(text, at) or _CODE.match(text, at):
            said, at = said + code[2], code.end()
        elif style := next(filter(None, (style.match(text, at) for style in _STYLES)), None):
            said, at = said + _read(style[1], live, quoted), style.end()
        else:
            live += [found[0] for found in [_LIVE.match(text, at)] if found]
            if (shortcode := _SHORTCODE.match(text, at)) and not (shortcode[1].isdigit() and said[-1:].isdigit()):
                live.append(shortcode[0])
            said, at = said + text[at], at + 1
    return said


def alerting(text: str) -> list[str]:
    """What whoever takes code out first and knows no backslash would alert, or make a link of."""
    bare = re.sub(r"`[^`\n]+`", "\n", re.sub(r"```[\s\S]*?```", "\n", text))
    return re.findall(r"<(?:@[!&]?|#)\d+>|@(?:everyone|here)\b|https?://\S|discord\.gg/\w|\|\|", bare, re.IGNORECASE)


def live_in(text: str) -> list[str]:
    return [*read(text)[1], *alerting(text)]


def unbalanced(text: str) -> bool:
    """Whether a code block is left open, by lines or by marks, or holds nothing, which Discord takes for no block."""
    pieces = re.split(r"^```[\w+#-]*$", text, flags=re.MULTILINE)
    return len(pieces) % 2 == 0 or text.count("```") != len(pieces) - 1 or not all(map(str.strip, pieces[1::2]))


# What is written

HOSTILE_TOKENS = [
    "<@123456789012345678>",
    "<@!123>",
    "<@&123>",
    "<#123>",
    "<:emoji:123>",
    "<a:emoji:123>",
    "<t:1700000000>",
    "<t:1700000000:R>",
    "</panel:123>",
    "</panel stop:123>",
    "<id:customize>",
    "<id:guide>",
    "<sound:0:123>",
    "<@U0AAA>",
    "<https://evil.example>",
    "<https://evil.example|bank.com>",
    "<a@evil.example>",
    "<",
    "<<",
    ">",
    "@here",
    "@everyone",
    "@Everyone",
    "@",
    "everyone",
    "<@\u200b1>",
    "<\\@1>",
    "\\<@1>",
    "https://evil.example/?k=CANARY",
    "https://",
    'https://"evil.example"',
    "http://a.b/x_(y)`z`",
    "https://evil.example/a|b",
    "discord://-/channels/1/2",
    "discord.gg/abc",
    "https://discord.com/channels/1/2/3",
    "steam://run/1",
    "javascript:alert(1)",
    "tel:123",
    "www.evil.example",
    "bank.com",
    "a@evil.com",
    "[label](https://evil.example)",
    "[label](<https://evil.example> 'title')",
    "![alt](https://evil.example/pixel)",
    "[ref]: https://evil.example",
    "[ref]",
    "`](https://evil.example)`",
    "](https://evil.example)",
    "||hidden||",
    "||",
    "|||",
    "`a || b`",
    ">>> all",
    ">>>",
    "-# small",
    "- -# small",
    "# ",
    "### ",
    "##### ",
    "- ",
    "* ",
    "+ ",
    "1. ",
    "2) ",
    "> ",
    ":smile:",
    "::skin-tone-1:",
    "10:30:45",
    ":100:",
    "`",
    "``",
    "```",
    "````",
    "~~~",
    "`code`",
    "`a**b`",
    "`a*b`",
    "`a_ b`",
    "`a~~b`",
    "`a__b`",
    "``a`b``",
    "\\",
    "\\\\",
    "\\`",
    "\\[",
    "\\*",
    "**",
    "*",
    "_",
    "__",
    "~~",
    "~",
    "***",
    "**bold**",
    "*slanted*",
    "_slanted_",
    "__bold__",
    "~~struck~~",
    "***both***",
    "**a *b* c**",
    "snake_case_word",
    "¯\\_(ツ)_/¯",
    "---",
    "===",
    "|",
    " | ",
    "|---|---|",
    "| - |",
    "(",
    ")",
    "[",
    "]",
    "](",
    "!",
    ":",
    "/",
    "```python",
    "```ansi",
    "> ```",
    "- ~~~",
    "    ",
    "\t",
    "&lt;@1&gt;",
    "&#60;@1&#62;",
    "🤖",
    "👩🏽\u200d💻",
    "שלום",
    "\u202eabc\u202c",
    "\ud83d",
    "\x1b[31m",
    "\x02\x00\ue02a",
    "\r",
    "\u2028",
    "text",
    "é",
]
PIECE = st.one_of(
    st.sampled_from(HOSTILE_TOKENS),
    st.sampled_from(HOSTILE_TOKENS),
    st.sampled_from([" ", " ", "\n", "\n", "\n\n"]),
    st.text(max_size=12),
    st.text(alphabet="`|\\[]()<>@#:*_~-. a1\n", max_size=12),
)
MARKDOWN = st.lists(PIECE, max_size=25).map("".join)
LINE = MARKDOWN.map(lambda text: text.replace("\n", " "))
SHORT = st.lists(PIECE, max_size=10).map("".join)
SHORT_LINE = st.lists(PIECE, max_size=4).map(lambda pieces: "".join(pieces).replace("\n", " "))
CURATED = [
    "\\`x` https://evil.example `y`",
    "[foo `](https://evil.example)` bar",
    "**bold `a**b` more` https://evil.example",
    "snake_case and `x_ y` https://evil.example `z`",
    "|| `a||b` https://evil.example",
    "~~a `b~~c` `https://evil.example`",
    "*a `b*c` `https://evil.example`",
    "```\n\n```\nhttps://evil.example\n```\na\n```",
    "```python\n```\n<@1>\n```python\nx\n```",
    "    ```\n   \n    ```\n@everyone",
    "`a\n\nhttps://evil.example `",
    "text\n    ~~~\nhttps://evil.example\n    ~~~",
    "| a |\n|---|\n| `b | https://evil.example` |",
    "> ```\n> a\nhttps://evil.example",
    "a\n>>> b\n>>> c",
    "- >>> b\n1. -# c",
    "`a`https://evil.example`b`",
    "``` ` https://evil.example",
    "a ` b `` https://evil.example ` c ``",
    "*https://evil.example*",
    "\\https://evil.example",
    "__a__b__ `c__` https://evil.example",
    "***a** b* `c*`",
    "foo\\`code`",
    "**foo\\ `code`**",
    "<===<@1>",
    "a <\nb:/c> d <\ne@f>",
    "\\||hidden|| \\~~~",
    ":100: 5",
    "- ~~~*|*|",
]


def curated(test):
    for text in [*CURATED, HOSTILE]:
        test = example(text)(test)
    return test


@SLOW
@given(MARKDOWN)
@curated
def test_fault_47_nothing_in_discord_markdown_is_live(text: str) -> None:
    assert live_in(inert(text)) == []


@SLOW
@given(LINE)
@curated
def test_fault_47_nothing_on_a_line_is_live_in_discord(text: str) -> None:
    for show in (inert_line, bold_line):
        assert "\n" not in show(text)
        for frame in ("### {}", "- {} done", "{0}\n`b` {0}"):
            assert live_in(frame.format(show(text))) == []


@SLOW
@given(MARKDOWN)
@curated
def test_fault_48_nothing_hides_in_discord_and_no_code_block_is_left_open(text: str) -> None:
    for shown in (inert(text), inert_line(text), bold_line(text)):
        assert steering(shown) == []
        assert not unbalanced(shown)


@pytest.mark.parametrize("show", [inert, inert_line, bold_line])
@pytest.mark.parametrize(
    "text",
    [
        "<@123>",
        "<@&123>",
        "<#123>",
        "<:emoji:123>",
        "<t:1700000000:R>",
        "</panel stop:123>",
        "<id:guide>",
        "@everyone",
        "||not hidden||",
        "a || b",
        "a < b and <b>html</b>",
        "-# small",
        ":warning:",
        "at 10:30:45",
        "snake_case_word and 2 * 3 * 4",
        "C:\\dir\\file and \\é",
        "&lt;@1&gt; &#60;@1&#62; &copy; R&D",
        "[1] and [x]: y",
        "#hashtag and C#",
        "a:b:c",
        "https://",
    ],
)
def test_fault_48_what_is_read_in_discord_is_what_was_written(show, text: str) -> None:
    assert read(show(text))[0] == text


@SLOW
@given(st.text(alphabet="ab<>@#:|-.=~ 1é\\(){}!?+\"'&", max_size=40))
def test_what_is_no_markdown_is_read_in_discord_as_it_was_written(text: str) -> None:
    line = " ".join(re.sub(r"\\(?=[^\w\s])|~~", "", text).split())
    assert squeezed(read(inert_line(line))[0]) == squeezed(line)


@pytest.mark.parametrize("frame", ["{}", "```text\n{}\n```", "| a |\n|---|\n| {} |", "# {}", "> {}", "- {}", "**{}**"])
def test_hostile_text_stays_readable_in_discord(frame: str) -> None:
    shown = squeezed(read(inert(frame.format(HOSTILE)))[0])
    for words in READABLE:
        assert words in shown
    assert steering(shown) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("[label](https://evil.example/a?b=c&d)", "https://evil.example/a?b=c&d"),
        ("[bank.com](https://evil.example)", "https://evil.example"),
        ("![alt](https://evil.example/pixel)", "https://evil.example/pixel"),
        ("<https://evil.example/x>", "https://evil.example/x"),
        ("see https://evil.example/x_(y).", "https://evil.example/x_(y)"),
        ("discord.gg/abc", "discord.gg/abc"),
        ("discord://-/channels/1/2", "discord://-/channels/1/2"),
        ("https://discord.com/channels/1/2/3", "https://discord.com/channels/1/2/3"),
        ("steam://run/1", "steam://run/1"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("mailto:a@evil.example", "mailto:a@evil.example"),
        ("www.evil.example/x", "www.evil.example/x"),
        ("evil.example/path?secret=CANARY", "evil.example/path?secret=CANARY"),
        ("**https://evil.example**", "https://evil.example"),
        ("[**bold**](https://evil.example 'title')", "https://evil.example"),
    ],
)
def test_fault_50_an_address_is_shown_whole_in_code_and_is_no_link_in_discord(text: str, address: str) -> None:
    assert f"`{address}`" in inert(text)
    assert live_in(inert(text)) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold** and *slanted* and ~~struck~~", "**bold** and *slanted* and ~~struck~~"),
        ("***both*** and ~~**all**~~", "***both*** and ~~**all**~~"),
        ("__bold__ and _slanted_", "**bold** and *slanted*"),
        ("**a *b* c**", "**a** ***b*** **c**"),
        ("**Use `foo` now**", "**Use** `foo` **now**"),
        ("snake_case and 2 * 3", "snake\\_case and 2 \\* 3"),
        ("# A **heading** ##", "# A **heading**"),
        ("### C#", "### C#"),
        ("#### A **deep** `one`", "**A deep** `one`"),
        ("- one\n  * two\n+ three", "- one\n  - two\n- three"),
        ("1. one\n2) two", "1. one\n2) two"),
        ("> quoted\n>> twice", "> quoted\n> twice"),
        (">>> all of it\nnot this", "> all of it\nnot this"),
        ("-# small", "\\-# small"),
        ("- -# small", "- \\-# small"),
        ("***", "———"),
        ("`**not bold**`", "`**not bold**`"),
        ("``a`b``", "`aˋb`"),
        ("a ` b", "a ˋ b"),
        ("\\`a`b`", "ˋa`b`"),
        ("~~~\na\n~~~", "```\na\n```"),
        ("  ```js\n  a\n  ```", "```js\na\n```"),
        ("```a b c\nd\n```", "```\na b c\nd\n```"),
        ("a\n```\n```\nb", "a\nb"),
        ("[the report](https://a.example)", "the report `https://a.example`"),
        ("| a | bc |\n|---|---|\n| def | g |", "```\na   | bc\n----+---\ndef | g\n```"),
        ("| Claim | Who |\n|---|---|\n| a | b **c** |", "```\nClaim | Who\n------+--------\na     | b **c**\n```"),
    ],
)
def test_discords_markdown_is_written_for_it(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_a_table_too_wide_for_a_phone_is_shown_row_by_row_in_discord() -> None:
    long = "long words " * 4
    shown = inert(f"| Claim **x** | Who |\n|---|---|\n| {long} | b_c |\n| d | |")
    assert shown == f"**Claim x**: {long.strip()}\n**Who**: b\\_c\n\n**Claim x**: d"
    assert len(long) > WIDEST_TABLE


@SLOW
@given(st.lists(st.text(alphabet="ab`~|<>@*_[]() .\\", max_size=30), max_size=12))
def test_code_is_read_in_discord_as_it_was_written(lines: list[str]) -> None:
    inside = [line.replace("```", "'''").replace("~~~", "'''") for line in lines]
    shown = inert("\n".join(["`````", *inside, "`````"]))
    assert (shown.split("\n")[1:-1] == inside) if any(map(str.strip, inside)) else shown == ""
    assert live_in(f"{shown}\nword") == []


# The neutral part


@SLOW
@given(MARKDOWN)
@curated
def test_paragraphs_are_the_text_its_blocks_whole(text: str) -> None:
    told = list(paragraphs(text))
    assert squeezed("".join(paragraph for paragraph, _ in told)) == squeezed(text)

    def blocks(source: str) -> list[Fence | Grid]:
        return [segment for segment in segments(source) if not isinstance(segment, str)]

    assert [block for paragraph, _ in told for block in blocks(paragraph)] == blocks(text)
    assert all(len(blocks(paragraph)) <= 1 for paragraph, _ in told)


def test_paragraphs_say_whether_a_blank_line_stood_before_them() -> None:
    text = "a\nb\n\nc\n```\nd\n\ne\n```\nf\n\n\n| g |\n|---|\n| h |"
    assert list(paragraphs(text)) == [
        ("a\nb", False),
        ("c", True),
        ("```\nd\n\ne\n```", False),
        ("f", False),
        ("| g |\n|---|\n| h |", True),
    ]
