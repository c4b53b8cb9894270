"""Messages for Slack: whole, within every limit, and with nothing live in them but the asker's mention."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block as SlackBlock

from adapters.markdown import parts, size
from adapters.port import Block, Board, BoardRow, Doc, Fold, Markdown, RowState, Subject, Table
from adapters.slack.blocks import Message, Style, board_message, doc_messages
from adapters.slack.text import inert, mrkdwn
from tests.adapters.slack.test_slack_text import (
    HOSTILE_TOKENS,
    SHORT,
    SHORT_LINE,
    hidden,
    live_in_markdown,
    live_in_mrkdwn,
    read,
    tokens,
    unbalanced,
)

SLOW = settings(max_examples=1000, deadline=None)
STYLES: tuple[Style, ...] = ("rich", "plain")
Json = dict[str, Any]

# How a message is read


def walked(value: object) -> Iterator[Json]:
    """Every object in a payload, outermost first."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from walked(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from walked(each)


def texts(blocks: Iterable[Json]) -> Iterator[tuple[str, str]]:
    """Every text that people read, in order, with its kind."""
    for part in walked(tuple(blocks)):
        if part.get("type") in ("markdown", "mrkdwn", "plain_text"):
            yield part["type"], part["text"]


def shown(messages: Iterable[Message]) -> str:
    """What a person reads, messages in order; buttons are no text."""
    told = (text for message in messages for _, text in texts(b for b in message.blocks if "elements" not in b))
    return "\n".join(read(text) for text in told)


def limits_kept(message: Message) -> None:
    blocks = [part for part in walked(message.blocks) if part.get("type") in KINDS]
    assert len(message.blocks) > 0
    assert len(blocks) <= 50
    assert 0 < size(message.text) <= 3_900
    assert sum(size(text) for _, text in texts(message.blocks)) <= 12_500
    assert sum(size(text) for kind, text in texts(message.blocks) if kind == "markdown") <= 12_000
    for block in blocks:
        assert block["type"] in KINDS
        (parsed,) = SlackBlock.parse_all([block])
        parsed.validate_json()
        parsed.to_dict()
    for part in walked(message.blocks):
        match part.get("type"):
            case "section":
                assert 0 < size(part["text"]["text"]) <= 3_000
                assert part["text"]["verbatim"] is True
            case "header":
                assert 0 < size(part["text"]["text"]) <= 150
            case "context":
                assert all(0 < size(element["text"]) <= 3_000 for element in part["elements"])
                assert len(part["elements"]) <= 10
            case "container":
                assert 0 < size(part["title"]["text"]) <= 150
                assert 0 < len(part["child_blocks"]) <= 10
                assert {child["type"] for child in part["child_blocks"]} == {"section"}
            case "button":
                assert size(part["text"]["text"]) <= 75
                assert len(part["value"]) <= 2_000


KINDS = {"markdown", "section", "header", "context", "container", "actions", "context_actions"}


def nothing_live(message: Message, asker: str = "") -> None:
    """Nothing but the one mention, which stands whole."""
    mention = f"<@{asker}>"
    for kind, text in [*texts(message.blocks), ("mrkdwn", message.text)]:
        told = text.replace(mention, "", 1) if asker and kind == "mrkdwn" else text
        match kind:
            case "markdown":
                assert live_in_markdown(told) == []
                assert not unbalanced(told)
            case "mrkdwn":
                assert live_in_mrkdwn(told) == []
                assert not unbalanced(told)
            case _:
                assert tokens(told) == []
        assert hidden(text) == []


# What is written

BLOCK: st.SearchStrategy[Markdown | Table] = st.one_of(
    SHORT.map(Markdown),
    st.integers(1, 3).flatmap(
        lambda columns: st.builds(
            lambda header, rows: Table(tuple(header), tuple(map(tuple, rows))),
            st.lists(SHORT_LINE, min_size=columns, max_size=columns),
            st.lists(st.lists(SHORT_LINE, min_size=columns, max_size=columns), max_size=3),
        )
    ),
)
BLOCKS: st.SearchStrategy[list[Block]] = st.lists(
    st.one_of(
        BLOCK, BLOCK, st.builds(lambda title, inner: Fold(title, tuple(inner)), SHORT_LINE, st.lists(BLOCK, max_size=2))
    ),
    max_size=3,
)
DOCS = st.builds(
    lambda title, blocks, **rest: Doc(title, tuple(blocks), **rest),
    st.one_of(SHORT_LINE, st.sampled_from(["", "Synthesis", "A title " * 30])),
    BLOCKS,
    tone=st.sampled_from(["info", "success", "warning", "error"]),
    mention=st.sampled_from(["", "U0ASKER", "<!here>", "U1>", "u1", "U1|x", "U1\n"]),
    folded=st.booleans(),
    lead=st.integers(0, 2),
    subject=st.sampled_from([None, Subject("r1", "expert/critic"), Subject("<!here>", "x"), Subject("r 1")]),
    controls=st.sampled_from([(), ("rate",), ("retry", "stop", "rate")]),
)
STATES: list[RowState] = ["queued", "running", "done", "late", "failed", "stopped"]
BOARDS = st.builds(
    lambda title, rows, root, **rest: Board(title, tuple(rows), root=root, **rest),
    SHORT_LINE,
    st.lists(
        st.builds(
            BoardRow, SHORT_LINE, st.sampled_from(STATES), SHORT_LINE, seconds=st.sampled_from([None, 0.0, 12.4, 1e6])
        ),
        max_size=3,
    ),
    st.one_of(st.none(), DOCS),
    note=SHORT_LINE,
    run=st.sampled_from(["", "r1", "<!here>"]),
    controls=st.sampled_from([(), ("stop",), ("retry",)]),
)
STYLE = st.sampled_from(STYLES)
ASKERS = {"U0ASKER": "U0ASKER"}


@SLOW
@given(DOCS, STYLE)
def test_fault_47_nothing_in_a_document_is_live_but_the_mention_of_its_asker(doc: Doc, style: Style) -> None:
    messages = doc_messages(doc, style)
    assert messages
    for number, message in enumerate(messages):
        limits_kept(message)
        nothing_live(message, ASKERS.get(doc.mention, "") if number == 0 else "")


@SLOW
@given(BOARDS, STYLE)
@example(Board("", (), note="# #"), "rich")
def test_fault_47_nothing_in_a_board_is_live_but_the_mention_of_its_asker(board: Board, style: Style) -> None:
    message = board_message(board, style)
    limits_kept(message)
    nothing_live(message, ASKERS.get(board.root.mention, "") if board.root else "")
    told = read("\n".join(text for _, text in texts(message.blocks)))
    for row in board.rows:
        assert row.state in told


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("token", HOSTILE_TOKENS)
def test_fault_50_every_token_is_inert_in_every_place(token: str, style: Style) -> None:
    doc = Doc(
        token,
        (Markdown(token), Table((token, "b"), (("a", token),)), Fold(token, (Markdown(f"x {token} y" * 20),))),
        mention=token,
    )
    for each in (doc, Doc(token, (Markdown(f"{token} x " * 100),), folded=True, mention=token)):
        for message in doc_messages(each, style):
            nothing_live(message)
            limits_kept(message)
    row = BoardRow(token, "failed", token, token, 3.0)
    nothing_live(board_message(Board(token, (row,), token, run=token, controls=("stop",), root=doc), style))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?k=CANARY",
        "http://CANARY.evil.example",
        "//evil.example/CANARY",
        "https://evil.example/CANARY`x`",
        "HTTPS://EVIL.EXAMPLE/CANARY",
    ],
)
@pytest.mark.parametrize("frame", ["{}", "[a]({})", "![]({})", "<{}>", "<{}|bank>", "[x]: {}\n\n[x]", "`a` {}", "\\{}"])
def test_fault_51_no_address_of_a_document_is_one_that_is_fetched_or_followed(
    url: str, frame: str, style: Style
) -> None:
    text = frame.format(url)
    doc = Doc(text, (Markdown(text), Table(("a",), ((text,),)), Fold(text, (Markdown(text),))), folded=True)
    for message in (*doc_messages(doc, style), board_message(Board(text, (BoardRow(text, "done", text),)), style)):
        nothing_live(message)
        assert "CANARY" in shown([message])


# Nothing is lost

WORDED = st.lists(st.sampled_from([token for token in HOSTILE_TOKENS if "\\" not in token]), max_size=60)


def numbered(pieces: list[str], glue: str = " ") -> tuple[str, list[str]]:
    """The pieces with a word behind each, and the words. They are no language of code: those are not shown."""
    words = [f"ö{number:04d}" for number in range(len(pieces))]
    return glue.join(f"{piece} {word}" for piece, word in zip(pieces, words, strict=True)), words


def found(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"ö\d{4}", text)))


@SLOW
@given(WORDED, st.sampled_from([" ", "\n", "\n\n"]), STYLE)
def test_the_words_of_a_document_arrive_in_order(pieces: list[str], glue: str, style: Style) -> None:
    if style == "plain":
        # Too wide a table is shown row by row, its head in every row.
        pieces = [piece for piece in pieces if "|" not in piece]
    text, words = numbered(pieces, glue)
    assert found(shown(doc_messages(Doc("A title", (Markdown(text),)), style))) == words
    folded = doc_messages(Doc("A title", (Markdown(text.replace("|", "")),), folded=True), style)
    assert found(shown(folded)) == words


@SLOW
@given(WORDED, st.sampled_from([inert, mrkdwn]))
def test_parts_fit_are_inert_and_hold_every_word(pieces: list[str], render) -> None:
    if render is mrkdwn:
        pieces = [piece for piece in pieces if "|" not in piece]
    text, words = numbered(pieces, "\n" if len(pieces) % 2 else " ")
    cut = [part for _, part in parts(text * (1 + len(pieces) // 20), 1_100, render)]
    assert found("\n".join(map(read, cut))) == words
    for part in cut:
        assert size(part) <= 1_100
        assert not unbalanced(part)
        assert (live_in_markdown if render is inert else live_in_mrkdwn)(part) == []


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet="<&>`|@x\\", max_size=150), st.integers(1, 60), st.sampled_from([inert, mrkdwn]))
def test_what_grows_when_it_is_written_out_still_fits(text: str, times: int, render) -> None:
    for _, part in parts(text * times, 1_100, render):
        assert 0 < size(part) <= 1_100
        assert tokens(part) == []


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("word", ["x", "é", "中", "😀", "&", "<"])
def test_a_long_unbroken_string_arrives_whole(word: str, style: Style) -> None:
    messages = doc_messages(Doc("A title", (Markdown(word * 30_000),)), style)
    assert shown(messages).count(word) == 30_000
    for message in messages:
        limits_kept(message)


@pytest.mark.parametrize("style", STYLES)
def test_a_long_title_arrives_whole(style: Style) -> None:
    title = " ".join(f"word{number}" for number in range(2_000))
    assert title in squeezed_lines(shown(doc_messages(Doc(title), style)))
    fold = Doc("A title", (Fold(title, (Markdown("inside"),)),))
    told = re.findall(r"word\d+\b(?!…)", shown(doc_messages(fold, style)))
    assert list(dict.fromkeys(told)) == title.split()


def squeezed_lines(text: str) -> str:
    return " ".join(text.replace("*", "").split())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("folded", [False, True])
def test_fault_35_two_hundred_thousand_characters_arrive_whole(style: Style, folded: bool) -> None:
    words = [f"word{number:05d}" for number in range(20_000)]
    code = [f"code{number:05d}()" for number in range(2_000)]
    text = "\n\n".join([" ".join(words[:10_000]), "\n".join(["```python", *code, "```"]), " ".join(words[10_000:])])
    messages = doc_messages(Doc("A long answer", (Markdown(text),), folded=folded), style)
    for message in messages:
        limits_kept(message)
        assert not any(unbalanced(text) for _, text in texts(message.blocks))
    assert re.findall(r"word\d{5}", shown(messages)) == words
    assert re.findall(r"code\d{5}\(\)", shown(messages)) == code
    assert len(messages) <= 30


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("folded", [False, True])
def test_fault_35_a_table_of_ten_thousand_rows_arrives_whole_its_head_in_every_part(style: Style, folded: bool) -> None:
    rows = tuple((f"cell{number:05d}", "x") for number in range(10_000))
    table = Table(("Name", "Other"), rows)
    doc = Doc("A long table", (Fold("All of it", (table,)) if folded else table,))
    messages = doc_messages(doc, style)
    for message in messages:
        limits_kept(message)
        for kind, text in texts(message.blocks):
            assert ("cell" not in text) or ("Name" in text and "Other" in text)
            assert kind != "markdown" or text.startswith("| Name | Other |\n| --- | --- |\n| cell")
    assert re.findall(r"cell\d{5}", shown(messages)) == [cell for cell, _ in rows]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "text",
    [
        "> " * 30_000 + "end",
        "- " * 30_000 + "end",
        "[" * 50_000 + "end",
        "![a](" * 10_000 + "end",
        "**a " * 10_000 + "end",
        "`" * 50_000 + "end",
        "".join("`" * length + " " for length in range(1, 300)) + "end",
        "# " + "#" * 20_000 + " end",
        "# " + " " * 20_000 + "end",
        "a." * 25_000 + "end",
        "a@" * 25_000 + "end",
        "http://" + "(" * 25_000 + ")" * 25_000 + " end",
        "\n".join("  " * depth + "- deep" for depth in range(300)) + "\nend",
        "```\n" * 10_000 + "end",
        "|" * 30_000 + "\n" + "-|" * 15_000 + "\nend",
        "a|b\n-|-\n" * 5_000 + "end",
        "| " + "wide " * 5_000 + "| b |\n|---|---|\n| " + "cell " * 5_000 + "| end |",
    ],
    ids=lambda text: text[:8].replace("\n", " "),
)
def test_fault_35_deep_and_degenerate_markdown_arrives_in_time(text: str, style: Style) -> None:
    messages = doc_messages(Doc("A title", (Markdown(text),)), style)
    for message in messages:
        limits_kept(message)
    assert "end" in shown(messages[-1:])


@pytest.mark.parametrize("style", STYLES)
def test_fault_35_a_board_is_one_message_however_much_there_is_to_say(style: Style) -> None:
    rows = tuple(BoardRow(f"Seat {number}", STATES[number % 6], f"<&> word {number} " * 400) for number in range(60))
    root = Doc("A topic " * 2_000, (Markdown("Status. " * 2_000),), mention="U0ASKER")
    message = board_message(Board("T", rows, "note " * 1_000, run="r1", controls=("stop",), root=root), style)
    limits_kept(message)
    nothing_live(message, "U0ASKER")
    told = shown([message])
    for number, row in enumerate(rows):
        assert f"Seat {number}" in told
        assert f"{row.state}: <&> word {number}" in squeezed_lines(told)
    assert told.count("…") >= 60
    many = board_message(Board("T", tuple(BoardRow(f"Seat {number}", "queued") for number in range(3_000))), style)
    limits_kept(many)
    seats = len(re.findall(r"Seat \d+", shown([many])))
    assert seats > 300
    assert f"… and {3_000 - seats:} more" in shown([many])


# What it looks like


def blocks_of(doc: Doc, style: Style = "rich") -> list[Json]:
    (message,) = doc_messages(doc, style)
    return list(message.blocks)


def test_a_rich_document_is_a_header_a_mention_markdown_and_buttons() -> None:
    doc = Doc(
        "Synthesis",
        (Markdown("**Agreed**\n\n- one"), Table(("Claim", "Who"), (("Costs", "a|b"),))),
        mention="U0ASKER",
        subject=Subject("r1", "synthesis"),
        controls=("rate",),
    )
    (message,) = doc_messages(doc, "rich")
    header, mention, text, table, buttons = message.blocks
    assert header == {"type": "header", "text": {"type": "plain_text", "text": "Synthesis"}}
    assert [element["text"] for element in mention["elements"]] == ["<@U0ASKER>"]
    assert text == {"type": "markdown", "text": "**Agreed**\n\n- one"}
    assert table["text"] == "| Claim | Who |\n| --- | --- |\n| Costs | a\\|b |"
    assert buttons["type"] == "context_actions"
    assert buttons["elements"][0]["action_id"] == "panelist.rate"
    assert message.text.startswith("<@U0ASKER> Synthesis\n\n*Agreed*")


def test_a_plain_document_has_no_block_that_an_old_workspace_refuses() -> None:
    doc = Doc(
        "Synthesis",
        (Markdown("**Agreed**"), Fold("Where they disagree", (Table(("Claim", "Who"), (("Costs", "a|b"),)),))),
        subject=Subject("r1"),
        controls=("rate", "retry", "stop"),
        folded=True,
    )
    header, agreed, title, table, buttons = blocks_of(doc, "plain")
    assert [block["type"] for block in (header, agreed, title, table)] == ["header", "section", "section", "section"]
    assert agreed["text"] == {"type": "mrkdwn", "text": "*Agreed*", "verbatim": True}
    assert title["text"]["text"] == "*Where they disagree*"
    assert table["text"]["text"] == "```\nClaim | Who\n------+----\nCosts | a|b\n```"
    assert [button["action_id"] for button in buttons["elements"]] == [
        "panelist.rate.up",
        "panelist.rate.down",
        "panelist.retry",
        "panelist.stop",
    ]
    assert buttons["elements"][-1]["style"] == "danger"


def test_a_folded_document_opens_where_it_is_long_and_stands_open_where_it_is_short() -> None:
    long, short = Markdown("An answer. " * 100), Markdown("An answer.")
    _, container = blocks_of(Doc("Critic", (long, Markdown("- a point")), folded=True))
    assert container["title"]["text"] == "The whole answer"
    assert (container["is_collapsible"], container["default_collapsed"]) == (True, True)
    assert [child["type"] for child in container["child_blocks"]] == ["section", "section"]
    assert [block["type"] for block in blocks_of(Doc("Critic", (short,), folded=True))] == ["header", "markdown"]


def test_what_leads_a_folded_document_is_seen_without_opening_it() -> None:
    advice, long = Markdown("**Recommendation:** Wait."), Markdown("An answer. " * 100)
    doc = Doc("Critic", (advice, long), folded=True, lead=1)
    header, seen, container = blocks_of(doc)
    assert (header["type"], seen) == ("header", {"type": "markdown", "text": "**Recommendation:** Wait."})
    assert [child["type"] for child in container["child_blocks"]] == ["section"]
    assert "Recommendation" not in str(container)
    assert doc_messages(doc, "rich")[0].text.startswith("Critic\n\n*Recommendation:* Wait.\n\n*The whole answer*")
    short = Doc("Critic", (advice, Markdown("A point.")), folded=True, lead=1)
    assert [block["type"] for block in blocks_of(short)] == ["header", "markdown", "markdown"]


def test_a_fold_is_a_container_with_its_title() -> None:
    (message,) = doc_messages(Doc("A title", (Fold("Evidence", (Markdown("Census."),)),)), "rich")
    _, container = message.blocks
    assert (container["type"], container["title"]["text"]) == ("container", "Evidence")
    assert message.text == "A title\n\n*Evidence*\n\nCensus."


def test_a_title_with_marks_or_an_address_is_no_header() -> None:
    for title in ("A `code` title", "See https://a.example", "**bold** word", "<!here>", "x" * 151):
        first, *_ = blocks_of(Doc(title))
        assert first["type"] == "markdown"
    assert blocks_of(Doc("R&D: 3.5 % (snake_case)"))[0]["type"] == "header"


@pytest.mark.parametrize("style", STYLES)
def test_the_mention_is_in_the_first_message_and_the_controls_are_in_the_last(style: Style) -> None:
    doc = Doc("A", (Markdown("word " * 8_000),), mention="W0ASKER", subject=Subject("r1"), controls=("rate",))
    messages = doc_messages(doc, style)
    assert len(messages) > 2
    assert ["<@W0ASKER>" in str(message.blocks) for message in messages] == [True] + [False] * (len(messages) - 1)
    assert ["<@W0ASKER>" in message.text for message in messages] == [True] + [False] * (len(messages) - 1)
    assert ["panelist.rate" in str(message.blocks) for message in messages] == [False] * (len(messages) - 1) + [True]


def test_a_warning_and_an_error_say_so_in_the_title() -> None:
    assert blocks_of(Doc("Stopped", tone="warning"))[0]["text"]["text"] == "⚠ Stopped"
    assert blocks_of(Doc("Nobody answered", tone="error"))[0]["text"]["text"] == "✖ Nobody answered"


@pytest.mark.parametrize("style", STYLES)
def test_an_empty_document_and_an_empty_board_are_no_fault(style: Style) -> None:
    for message in (*doc_messages(Doc(""), style), board_message(Board("", ()), style)):
        limits_kept(message)


@pytest.mark.parametrize(("style", "bold"), [("rich", "**"), ("plain", "*")])
def test_a_board_has_a_line_for_each_row(style: Style, bold: str) -> None:
    board = Board(
        "Panel",
        (
            BoardRow("Economist", "done", "headline", "m-1", 12.0),
            BoardRow("Contrarian", "failed", "timed out after 60 s, 3 tries", "m-2", 60.0),
            BoardRow("Critic", "running", "", "m-3", 7.0),
            BoardRow("Lawyer", "queued"),
        ),
        "1 of 4 answered",
        run="r1",
        controls=("stop",),
        root=Doc("Should we?", (Markdown("models: m"),), mention="U0ASKER"),
    )
    header, asked, status, rows, note, buttons = board_message(board, style).blocks
    assert header["text"]["text"] == "Should we?"
    assert asked["elements"][0]["text"] == "Asked by <@U0ASKER>"
    assert status["elements"][0]["text"] == "models: m"
    text = rows["text"] if style == "rich" else rows["text"]["text"]
    assert [line.rstrip() for line in text.splitlines()] == [
        f"✅ {bold}Economist{bold} done in 12 s: headline",
        f"❌ {bold}Contrarian{bold} failed: timed out after 60 s, 3 tries",
        f"⏳ {bold}Critic{bold} running 7 s",
        f"· {bold}Lawyer{bold} queued",
    ]
    assert note["elements"][0]["text"] == "1 of 4 answered"
    assert buttons["elements"][0]["action_id"] == "panelist.stop"
