"""Text for Slack, judged by readers that share nothing with what wrote it: what is live, and what a person reads."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from adapters.markdown import clipped, fitting, size
from adapters.slack.text import inert, inert_line, mrkdwn, mrkdwn_line, plain
from tests.adapters.contract import HOSTILE, READABLE, squeezed, steering

SLOW = settings(max_examples=1000, deadline=None)

# What Slack makes live

_READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_BARE = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s]"
    r"|(?<![a-z0-9])(?:mailto|javascript|data|tel|slack|tg|vbscript):[^\s:]"
    r"|\bwww\.[^\s.]"
    r"|[\w+-]@[\w-]+\.[a-z0-9]"
    r"|\w\.(?:com|org|net|io|example|dev|co|uk)(?![\w-])",
    re.IGNORECASE,
)
_EVERYBODY = re.compile(r"(?<!\w)@(?:here|channel|everyone)\b", re.IGNORECASE)


def tokens(text: str) -> list[str]:
    """Whatever Slack may take for a mention, a channel, a date or a link: any text with a raw `<` in it."""
    return re.findall(r"<[^\n]*", text)


def live_in_markdown(text: str) -> list[str]:
    """What is live in a markdown block: tokens, everything that any Markdown reader makes a link of, HTML, and what
    Slack would find in the text that is left."""
    return [*tokens(text), *(found for inline in _inlines(text) for found in _live(inline))]


def _live(inline: Token) -> Iterator[str]:
    text = ""
    for child in inline.children or []:
        if child.type in ("link_open", "image", "html_inline"):
            yield f"{child.type} {child.attrs}"
        text += child.content if child.type == "text" else "\n"
    yield from _BARE.findall(text)
    yield from _EVERYBODY.findall(text)


def _inlines(text: str) -> Iterator[Token]:
    for token in _READER.parse(text):
        assert token.type != "html_block", text
        if token.type == "inline":
            yield token


def live_in_mrkdwn(text: str) -> list[str]:
    """What is live in Slack's own markup where it looks for addresses itself. Code has to stand apart from letters."""
    bare = re.sub(r"```.*?```", "\n", text, flags=re.DOTALL)
    bare = re.sub(r"(?<![^\W_`])`[^`\n]+`(?![^\W_`])", "\n", bare)
    return [*tokens(text), *_BARE.findall(bare), *_EVERYBODY.findall(bare)]


def read(text: str) -> str:
    """What a person reads: Slack decodes three entities, once."""
    return re.sub(r"&(lt|gt|amp);", lambda entity: {"lt": "<", "gt": ">", "amp": "&"}[entity[1]], text)


def hidden(text: str) -> list[str]:
    """Characters that a screen would obey or not show: controls, marks of direction, tags, lone surrogates."""
    return re.findall(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2028\u2029\u2060-\u2064\u2066-\u2069\ufeff"
        "\ud800-\udfff\U000e0000-\U000e007f]",
        text,
    )


def unbalanced(text: str) -> bool:
    """Whether a code block is left open, by lines or by marks."""
    lines = len(re.findall(r"^```", text, re.MULTILINE))
    return lines % 2 == 1 or text.count("```") != lines


# What is written

HOSTILE_TOKENS = [
    "<!channel>",
    "<!here>",
    "<!everyone|x>",
    "<!subteam^S123>",
    "<@U0AAA>",
    "<#C123|general>",
    "<https://evil.example|bank.com>",
    "<mailto:a@evil.example>",
    "<!date^1^{date}^https://evil.example|x>",
    "&lt;!here&gt;",
    "&amp;lt;@U1&amp;gt;",
    "&#60;!channel&#62;",
    "&#x3c;@U1&#x3E;",
    "&#x202e;",
    "&lt",
    "&",
    "<",
    ">",
    "@here",
    "@channel",
    "@everyone",
    "\uff1c@U1\uff1e",
    "<\u200b@U1>",
    "<@U\U000e00411>",
    "https://evil.example/?k=CANARY",
    "http://a.b/x_(y)`z`",
    "https://evil.example/a|b",
    "javascript:alert(1)",
    "data:text/html,x",
    "slack://open",
    "tg://x",
    "www.evil.example",
    "evil.com/x",
    "bank.com",
    "a@evil.com",
    "xn--80ak6aa92e.com",
    "[label](https://evil.example)",
    '[label](evil "title")',
    "![alt](https://evil.example/pixel)",
    "[![alt](x)](https://evil.example)",
    "[ref]: https://evil.example",
    "[ref]",
    "[a][ref]",
    "[ref]:",
    "](https://evil.example)",
    "<https://evil.example>",
    "`",
    "``",
    "```",
    "````",
    "~~~",
    "`code`",
    "`a | b`",
    "``a`b``",
    "\\",
    "\\`",
    "\\[",
    "\\<",
    "**",
    "*",
    "_",
    "__",
    "~~",
    "***",
    "# ",
    "- ",
    "1. ",
    "> ",
    "    ",
    "\t",
    "---",
    "===",
    "|",
    " | ",
    "|---|---|",
    "| - |",
    ":-:",
    "- | a | b |",
    "(",
    ")",
    "[",
    "]",
    "]:",
    "](",
    "!",
    ":",
    ".",
    "```python",
    "> ```",
    "- ~~~",
    "🤖",
    "👩🏽\u200d💻",
    "שלום",
    "\u202eabc\u202c",
    "\ud83d",
    "\x1b[31m",
    "\r",
    "\u2028",
    "text",
    "word",
]
PIECE = st.one_of(
    st.sampled_from(HOSTILE_TOKENS),
    st.sampled_from(HOSTILE_TOKENS),
    st.sampled_from([" ", " ", "\n", "\n", "\n\n"]),
    st.text(max_size=12),
    st.text(alphabet="`|\\[]()<>&*_~:-. ax\n", max_size=12),
)
MARKDOWN = st.lists(PIECE, max_size=25).map("".join)
LINE = MARKDOWN.map(lambda text: text.replace("\n", " "))
SHORT = st.lists(PIECE, max_size=10).map("".join)
SHORT_LINE = st.lists(PIECE, max_size=4).map(lambda pieces: "".join(pieces).replace("\n", " "))
CURATED = [
    "\\`x` https://evil.example `y`",
    "`a\n\nhttps://evil.example `",
    "text\n    ~~~\nhttps://evil.example\n    ~~~",
    "| a |\n|---|\n| `b | https://evil.example` |",
    "- | a | b |\n  |---|---|\n  | `c | https://evil.example` | d |",
    "> | a | b |\n> |---|---|\n> | `c | https://evil.example` | d |",
    "[x]: https://evil.example\n\n[x]",
    "[x\n]: https://evil.example\n\n[x]",
    "[la\nbel](https://evil.example)",
    "[a](b[c](https://evil.example))",
    "`a`https://evil.example`b`",
    "``` ` https://evil.example",
    "~~~ ```\nhttps://evil.example",
    "a ` b `` https://evil.example ` c ``",
    "*https://evil.example*",
    "\\https://evil.example",
    "(see https://evil.example)",
    "1https://evil.example éhttps://evil.example _https://evil.example",
]


def curated(test):
    for text in [*CURATED, HOSTILE]:
        test = example(text)(test)
    return test


@SLOW
@given(MARKDOWN)
@curated
def test_fault_47_nothing_in_a_markdown_block_is_live(text: str) -> None:
    assert live_in_markdown(inert(text)) == []


@SLOW
@given(MARKDOWN)
@curated
def test_fault_47_nothing_in_slacks_own_markup_is_live(text: str) -> None:
    assert live_in_mrkdwn(mrkdwn(text)) == []


@SLOW
@given(LINE)
@curated
def test_fault_47_nothing_on_a_line_is_live(text: str) -> None:
    assert live_in_markdown(f"- **{inert_line(text)}** done") == []
    assert live_in_mrkdwn(mrkdwn_line(text)) == []
    assert tokens(plain(text)) == []
    assert "\n" not in inert_line(text) + mrkdwn_line(text) + plain(text)


@pytest.mark.parametrize("show", [inert, inert_line, mrkdwn, mrkdwn_line, plain])
@pytest.mark.parametrize(
    "text",
    [
        "<!channel>",
        "<!here>",
        "<@U123>",
        "<#C123>",
        "<!subteam^S123>",
        "&lt;!here&gt;",
        "&amp;lt;!here&amp;gt;",
        "&#60;!here&#62;",
        "&#x3c;@U1&#x3e;",
        "&#x202e;",
        "&lt",
        "AT&T & R&D",
        "\uff1c!here\uff1e",
    ],
)
def test_fault_48_what_is_read_is_what_was_written(show, text: str) -> None:
    assert read(show(text)) == text


@pytest.mark.parametrize("text", ["&lt;!here&gt;", "&#60;!here&#62;", "&#x202e;", "&copy;", "<b>", "R&D"])
def test_fault_48_a_reader_of_markdown_reads_what_was_written(text: str) -> None:
    (inline,) = _inlines(inert(text))
    assert "".join(child.content for child in inline.children or []) == text


@SLOW
@given(MARKDOWN)
@curated
def test_fault_48_nothing_hides_and_no_code_block_is_left_open(text: str) -> None:
    for shown in (inert(text), mrkdwn(text), inert_line(text), plain(text)):
        assert hidden(shown) == []
    assert not unbalanced(inert(text))
    assert not unbalanced(mrkdwn(text))


@pytest.mark.parametrize("show", [inert, mrkdwn])
@pytest.mark.parametrize("frame", ["{}", "```text\n{}\n```", "| a |\n|---|\n| {} |", "# {}", "> {}", "- {}"])
def test_hostile_text_stays_readable(show, frame: str) -> None:
    shown = squeezed(read(show(frame.format(HOSTILE))))
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
        ("<https://evil.example|bank.com>", "https://evil.example"),
        ("see https://evil.example/x_(y).", "https://evil.example/x_(y)"),
        ("(https://evil.example)", "https://evil.example"),
        ("[x]: https://evil.example", "https://evil.example"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("data:text/html;base64,PHN2Zz4=", "data:text/html;base64,PHN2Zz4="),
        ("slack://channel?id=C1", "slack://channel?id=C1"),
        ("tg://resolve?domain=x", "tg://resolve?domain=x"),
        ("ftp://evil.example/x", "ftp://evil.example/x"),
        ("mailto:a@evil.example", "mailto:a@evil.example"),
        ("write to a.b+c@evil.example now", "a.b+c@evil.example"),
        ("www.evil.example/x", "www.evil.example/x"),
        ("evil.example/path?secret=CANARY", "evil.example/path?secret=CANARY"),
        ("canary.evil.com", "canary.evil.com"),
        ("xn--80ak6aa92e.com", "xn--80ak6aa92e.com"),
        ("[**bold**](https://evil.example 'title')", "https://evil.example"),
        ("https://xn--80ak6aa92e.com/%F0%9F", "https://xn--80ak6aa92e.com/%F0%9F"),
    ],
)
def test_fault_50_an_address_is_shown_whole_in_code_and_is_no_link(text: str, address: str) -> None:
    for shown, live in ((inert(text), live_in_markdown), (mrkdwn(text), live_in_mrkdwn)):
        assert f"`{address}`" in read(shown)
        assert live(shown) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[the report](https://a.example)", "the report `https://a.example`"),
        ("![a plot](https://a.example/p)", "a plot `https://a.example/p`"),
        ('[a](https://a.example "why")', 'a `https://a.example` "why"'),
        ("https://a.example/`id", "`https://a.example/`ˋid"),
        ("https://a.example/`id`", "`https://a.example/` `id`"),
        ("[a](https://a.example/`id`)", "a] (`https://a.example/`"),
        ("`https://a.example`", "`https://a.example`"),
        ("``a`b``", "`aˋb`"),
        ("a ` b", "a ˋ b"),
        ("Node 3.5 costs 1.50, e.g. twice.", "Node 3.5 costs 1.50, e.g. twice."),
        ("- a\n- b", "- a\n- b"),
        ("> quoted <b>", "> quoted &lt;b&gt;"),
        ("~~~\na\n~~~", "```\na\n```"),
        ("  ```js\n  a\n  ```", "```js\na\n```"),
        ("```a `b`", "ˋˋˋa `b`"),
        ("a|b\n-|-\n1|2", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
    ],
)
def test_markdown_stays_markdown(text: str, shown: str) -> None:
    assert shown in inert(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold** and *italic* and ~~struck~~", "*bold* and _italic_ and ~struck~"),
        ("***both***", "*_both_*"),
        ("__bold__", "*bold*"),
        ("snake_case and 2 * 3 * 4", "snake_case and 2 * 3 * 4"),
        ("## A **heading** ##", "*A heading*"),
        ("- one\n  * two\n+ three", "• one\n  • two\n• three"),
        ("1. one", "1. one"),
        ("***", "———"),
        ("R&D", "R&amp;D"),
        ("`**not bold**`", "`**not bold**`"),
        ("```python\n**a**\n```", "```\n**a**\n```"),
        ("```a b c\nd\n```", "```\na b c\nd\n```"),
        ("| a | bc |\n|---|---|\n| def | g |", "```\na   | bc\n----+---\ndef | g\n```"),
        (f"| a | b |\n|---|---|\n| 1 | {'long ' * 20}|", f"*a*: 1\n*b*: {'long ' * 19}long"),
        ("x`a`y", "x `a` y"),
    ],
)
def test_slacks_own_markup_is_written_for_it(text: str, shown: str) -> None:
    assert mrkdwn(text) == shown


@SLOW
@given(st.lists(st.text(alphabet="ab`~|<>&*_[]() .\\", max_size=30), max_size=12))
def test_code_is_read_as_it_was_written(lines: list[str]) -> None:
    inside = [line.replace("```", "'''").replace("~~~", "'''") for line in lines]
    text = "\n".join(["`````", *inside, "`````"])
    for shown in (inert(text), mrkdwn(text)):
        assert read(shown).split("\n")[1:-1] == inside


@SLOW
@given(st.text(max_size=60), st.integers(1, 80))
def test_what_has_to_fit_fits(text: str, most: int) -> None:
    assert size(fitting(text, most, plain)) <= most
    assert len(clipped(text, most)) <= most
    if size(plain(text)) <= most and len(text) <= most:
        assert fitting(text, most, plain) == plain(text)


def test_size_counts_as_the_strictest_reader_does() -> None:
    assert size("a😀") == len("a😀".encode("utf-16-le")) // 2 == 3
