"""Messages for Discord: whole, within every limit, and with nothing live in them but the asker's mention."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.layout import Message, board_message, doc_messages, text_of
from adapters.discord.marks import mark_of
from adapters.discord.text import inert
from adapters.discord.views import files_of, mentions_of, view_of
from adapters.markdown import parts, size
from adapters.port import Block, Board, BoardRow, Doc, Fold, Markdown, OutFile, RowState, Subject, Table, Tone
from tests.adapters.contract import squeezed, steering
from tests.adapters.discord.test_discord_text import (
    HOSTILE_TOKENS,
    SHORT,
    SHORT_LINE,
    alerting,
    live_in,
    read,
    unbalanced,
)

SLOW = settings(max_examples=1000, deadline=None)
ASKER = "123456789012345678"
MENTION = f"<@{ASKER}>"

# How a message is read


def components(message: Message, mark: int = 20_000) -> list[dict[str, Any]]:
    return view_of(message, mark).to_components()


def walked(parts: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every component as Discord counts them, nested ones too."""
    for part in parts:
        yield part
        yield from walked(part.get("components", ()))


def limits_kept(message: Message) -> None:
    assert message.texts
    assert all(text.strip() for text in message.texts)
    assert sum(size(text) for text in message.texts) <= 4_000
    told = list(walked(components(message)))
    assert len(told) <= 40
    assert [part["content"] for part in told if part["type"] == 10] == list(message.texts)
    assert len(message.buttons) <= 5
    for button in message.buttons:
        assert 0 < size(button.label) <= 80
        assert 0 < len(button.custom_id) <= 100
    assert len({button.custom_id for button in message.buttons}) == len(message.buttons)
    assert len(message.files) <= 10
    assert len({file.name for file in message.files}) == len(message.files)
    for file in message.files:
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,100}", file.name)


def nothing_live(message: Message, asker: str = "") -> None:
    """Nothing but the one mention, which stands whole."""
    assert message.mention == asker
    live, small = [], 0
    for text in message.texts:
        live += [found for found in live_in(text) if found != "small"]
        small += read(text)[1].count("small")
        assert steering(text) == []
        assert not unbalanced(text)
    # One and the same mention, as either reader finds it.
    assert live == ([f"<@{asker}>"] * 2 if asker else [])
    assert small <= sum(len(re.findall("^-# ", text, re.MULTILINE)) for text in message.texts)


def said(messages: Iterable[Message]) -> str:
    """What a person reads, messages in order, and then what is in files."""
    messages = tuple(messages)
    texts = "\n".join(read(text)[0] for message in messages for text in message.texts)
    return "\n".join([texts, *(file.text for message in messages for file in message.files)])


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
MENTIONS = st.sampled_from(["", ASKER, "<@1>", "@everyone", "1>", "0", "007", "１", "1\n", "&42"])
DOCS = st.builds(
    lambda title, blocks, **rest: Doc(title, tuple(blocks), **rest),
    st.one_of(SHORT_LINE, st.sampled_from(["", "Synthesis", "A title " * 30])),
    BLOCKS,
    tone=st.sampled_from(["info", "success", "warning", "error"]),
    files=st.lists(st.builds(OutFile, SHORT_LINE, SHORT), max_size=2).map(tuple),
    mention=MENTIONS,
    folded=st.booleans(),
    subject=st.sampled_from([None, Subject("r1", "expert/critic"), Subject("<@1>", "x"), Subject("r 1")]),
    controls=st.sampled_from([(), ("rate",), ("retry", "stop", "rate", "form", "stop")]),
)
STATES: list[RowState] = ["queued", "running", "done", "late", "failed", "stopped"]
BOARDS = st.builds(
    lambda title, rows, root, **rest: Board(title, tuple(rows), root=root, **rest),
    SHORT_LINE,
    st.lists(
        st.builds(
            BoardRow,
            SHORT_LINE,
            st.sampled_from(STATES),
            SHORT_LINE,
            SHORT_LINE,
            st.sampled_from([None, 0.0, 12.4, 1e6]),
        ),
        max_size=3,
    ),
    st.one_of(st.none(), st.builds(Doc, SHORT_LINE, st.lists(BLOCK, max_size=1).map(tuple), mention=MENTIONS)),
    note=SHORT_LINE,
    run=st.sampled_from(["", "r1", "<@1>"]),
    controls=st.sampled_from([(), ("stop",), ("retry",)]),
)


def asker_of(doc: Doc | None) -> str:
    return ASKER if doc and doc.mention == ASKER else ""


@SLOW
@given(DOCS)
def test_fault_47_nothing_in_a_discord_document_is_live_but_the_mention_of_its_asker(doc: Doc) -> None:
    messages = doc_messages(doc)
    assert messages
    for number, message in enumerate(messages):
        limits_kept(message)
        nothing_live(message, "" if number else asker_of(doc))


@SLOW
@given(BOARDS, SHORT)
def test_fault_47_nothing_in_a_discord_board_is_live_but_the_mention_of_its_asker(board: Board, notice: str) -> None:
    message = board_message(board, notice)
    limits_kept(message)
    nothing_live(message, asker_of(board.root))
    told = said([message])
    for row in board.rows:
        assert row.state in told


@pytest.mark.parametrize("token", HOSTILE_TOKENS)
def test_fault_50_every_token_is_inert_in_every_place_of_discord(token: str) -> None:
    doc = Doc(
        token,
        (Markdown(token), Table((token, "b"), (("a", token),)), Fold(token, (Markdown(f"x {token} y" * 20),))),
        mention=token,
        files=(OutFile(token, token),),
    )
    for each in (doc, Doc(token, (Markdown(f"{token} x " * 100),), folded=True, mention=token)):
        for message in doc_messages(each):
            nothing_live(message)
            limits_kept(message)
    row = BoardRow(token, "failed", token, token, 3.0)
    nothing_live(board_message(Board(token, (row,), token, run=token, controls=("stop",), root=doc), token))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?k=CANARY",
        "http://CANARY.evil.example",
        "discord.gg/CANARY",
        "discord://-/channels/CANARY",
        "https://evil.example/CANARY`x`",
        "HTTPS://EVIL.EXAMPLE/CANARY",
    ],
)
@pytest.mark.parametrize("frame", ["{}", "[a]({})", "![]({})", "<{}>", "[x]: {}\n\n[x]", "`a` {}", "\\{}", "**{}**"])
def test_fault_51_no_address_of_a_discord_document_is_one_that_is_fetched_or_followed(url: str, frame: str) -> None:
    text = frame.format(url)
    doc = Doc(text, (Markdown(text), Table(("a",), ((text,),)), Fold(text, (Markdown(text),))))
    for message in (*doc_messages(doc), board_message(Board(text, (BoardRow(text, "done", text),)))):
        nothing_live(message)
        assert "CANARY" in text_of(message)


# Nothing is lost

WORDED = st.lists(st.sampled_from([token for token in HOSTILE_TOKENS if "\\" not in token]), max_size=60)


def numbered(pieces: list[str], glue: str) -> tuple[str, list[str]]:
    """The pieces with a word behind each, and the words. They are no language of code: those are not shown."""
    words = [f"ö{number:04d}" for number in range(len(pieces))]
    return glue.join(f"{piece} {word}" for piece, word in zip(pieces, words, strict=True)), words


def found(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"ö\d{4}", text)))


@SLOW
@given(WORDED, st.sampled_from([" ", "\n", "\n\n"]))
def test_the_words_of_a_document_arrive_in_order_in_discord(pieces: list[str], glue: str) -> None:
    # Too wide a table is shown row by row, its head in every row.
    text, words = numbered([piece for piece in pieces if "|" not in piece], glue)
    assert found(said(doc_messages(Doc("A title", (Markdown(text),))))) == words


@SLOW
@given(WORDED, st.booleans())
def test_parts_fit_are_inert_and_hold_every_word_in_discord(pieces: list[str], lines: bool) -> None:
    text, words = numbered([piece for piece in pieces if "|" not in piece], "\n" if lines else " ")
    cut = [part for _, part in parts(text * (1 + len(pieces) // 20), 1_100, inert)]
    assert found("\n".join(read(part)[0] for part in cut)) == words
    for part in cut:
        assert size(part) <= 1_100
        assert not unbalanced(part)
        assert alerting(part) == []


@SLOW
@given(st.text(alphabet="<&>`|@x\\*_[:", max_size=150), st.integers(1, 60))
def test_what_grows_when_it_is_written_for_discord_still_fits(text: str, times: int) -> None:
    for _, part in parts(text * times, 1_100, inert):
        assert 0 < size(part) <= 1_100
        assert alerting(part) == []


@pytest.mark.parametrize("word", ["x", "é", "中", "😀", "[", "<"])
def test_a_long_unbroken_string_arrives_whole_in_discord(word: str) -> None:
    for times in (9_000, 60_000):
        messages = doc_messages(Doc("A title", (Markdown(word * times),)))
        for message in messages:
            limits_kept(message)
        last = messages[-1]
        whole = last.files[0].text if last.files else "".join(map(text_of, messages))
        assert whole.count(word) == times


def test_a_long_title_arrives_whole_in_discord() -> None:
    title = " ".join(f"word{number}" for number in range(1_000))
    told = said(doc_messages(Doc(title)))
    assert squeezed(title) in squeezed(told)
    assert title.split() == re.findall(r"word\d+", said(doc_messages(Doc("A title", (Fold(title, ()),)))))


def test_fault_35_two_hundred_thousand_characters_arrive_whole_in_discord() -> None:
    words = [f"word{number:05d}" for number in range(20_000)]
    code = [f"code{number:05d}()" for number in range(2_000)]
    text = "\n\n".join([" ".join(words[:2_000]), "\n".join(["```python", *code, "```"]), " ".join(words[2_000:])])
    files = (OutFile("own.md", "Its own."),)
    messages = doc_messages(Doc("A long answer", (Markdown(text),), files=files, controls=("form",)))
    assert len(messages) == 10
    for message in messages:
        limits_kept(message)
        nothing_live(message)
    shown = "\n".join(map(text_of, messages))
    assert re.findall(r"word\d{5}", shown) == words[: len(re.findall(r"word\d{5}", shown))]
    whole, own = messages[-1].files
    assert (whole.name, own.name) == ("a-long-answer.md", "own.md")
    assert re.findall(r"word\d{5}", whole.text) == words
    assert re.findall(r"code\d{5}\(\)", whole.text) == code
    assert text_of(messages[-1]).splitlines()[-1].endswith(f"{len(whole.text):,} characters, is in a-long-answer.md")
    assert [len(message.files) + len(message.buttons) for message in messages] == [0] * 9 + [3]


def test_fault_35_a_long_table_is_cut_between_rows_its_head_in_every_discord_message() -> None:
    rows = tuple((f"cell{number:05d}", "x") for number in range(1_000))
    messages = doc_messages(Doc("A long table", (Fold("All of it", (Table(("Name", "Other"), rows),)),)))
    for message in messages:
        limits_kept(message)
        text = text_of(message).removeprefix("### A long table\n**All of it**\n")
        assert text.startswith("```\nName      | Other\n----------+------\ncell")
    assert re.findall(r"cell\d{5}", "\n".join(map(text_of, messages))) == [cell for cell, _ in rows]


@pytest.mark.parametrize(
    "block",
    ["| a | b |\n|---|---|\n" + "| cell | x |\n" * 120 + "| end | x |", "```\n" + "code()\n\n" * 200 + "end\n```"],
)
def test_what_fits_into_a_discord_message_is_not_cut(block: str) -> None:
    text = "\n\n".join(["Before. " * 300, block, "After. " * 300])
    messages = doc_messages(Doc("A title", (Markdown(text),)))
    (whole,) = [text_of(message) for message in messages if "```" in text_of(message)]
    assert inert(block) in whole
    assert len(messages) > 1


def test_a_title_stands_with_what_it_is_the_title_of_in_discord() -> None:
    text = Markdown("Before. " * 480)
    first, second = doc_messages(Doc("A title", (text, Fold("Evidence", (Markdown("Census. " * 60),)))))
    assert "Evidence" not in text_of(first)
    assert text_of(second).startswith("**Evidence**\nCensus.")


@pytest.mark.parametrize(
    "text",
    [
        "> " * 30_000 + "end",
        "- " * 30_000 + "end",
        "[" * 50_000 + "end",
        "![a](" * 10_000 + "end",
        "**a " * 10_000 + "end",
        "*a_b~~c" * 10_000 + "end",
        "**a*b " * 10_000 + "end",
        ":a" * 20_000 + "end",
        ":" + "a" * 50_000 + "end",
        "`" * 50_000 + "end",
        "".join("`" * length + " " for length in range(1, 300)) + "end",
        "# " + "#" * 20_000 + " end",
        "# " + " " * 20_000 + "end",
        "a." * 25_000 + "end",
        "a@" * 25_000 + "end",
        "</" * 25_000 + "end",
        "http://" + "(" * 25_000 + ")" * 25_000 + " end",
        "\n".join("  " * depth + "- deep" for depth in range(300)) + "\nend",
        "a\n\n" * 20_000 + "end",
        "```\n" * 10_000 + "end",
        "```\nx\n" * 10_000 + "end",
        "|" * 30_000 + "\n" + "-|" * 15_000 + "\nend",
        "a|b\n-|-\n" * 5_000 + "end",
        "| " + "wide " * 5_000 + "| b |\n|---|---|\n| " + "cell " * 5_000 + "| end |",
    ],
    ids=lambda text: text[:8].replace("\n", " "),
)
def test_fault_35_deep_and_degenerate_markdown_arrives_in_time_in_discord(text: str) -> None:
    messages = doc_messages(Doc("A title", (Markdown(text),)))
    for message in messages:
        limits_kept(message)
        assert alerting(text_of(message)) == []
    last = messages[-1]
    assert "end" in (last.files[0].text if last.files else text_of(last))


def test_fault_35_a_discord_board_is_one_message_however_much_there_is_to_say() -> None:
    rows = tuple(BoardRow(f"Seat {number}", STATES[number % 6], f"<&> word {number} " * 400) for number in range(30))
    root = Doc("A topic " * 2_000, (Markdown("Status. " * 2_000),), mention=ASKER)
    board = Board("T", rows, "note " * 1_000, run="r1", controls=("stop",), root=root)
    message = board_message(board, "notice " * 1_000)
    limits_kept(message)
    nothing_live(message, ASKER)
    told = said([message])
    for number, row in enumerate(rows):
        assert f"Seat {number} {row.state}" in told
    assert "A topic A topic" in told
    assert told.count("…") >= 4
    many = board_message(Board("T", tuple(BoardRow(f"Seat {number}", "queued") for number in range(3_000))))
    limits_kept(many)
    seats = len(re.findall(r"Seat \d+", said([many])))
    assert seats > 100
    assert f"… and {3_000 - seats:} more" in said([many])


def test_a_discord_board_of_a_usual_panel_keeps_its_details() -> None:
    rows = tuple(BoardRow(f"Expert number {number}", "done", "A headline. " * 12, "m-1", 12.0) for number in range(10))
    message = board_message(Board("T", rows, "10 of 10", root=Doc("Should we? " * 20, mention=ASKER)), "A notice.")
    assert text_of(message).count("A headline. " * 12) == 0
    assert text_of(message).count(("A headline. " * 12).strip()) == 10


# What it looks like


def test_a_discord_document_is_a_title_a_mention_markdown_a_table_and_buttons() -> None:
    doc = Doc(
        "Synthesis",
        (
            Markdown("**Agreed**\n\n- one"),
            Fold("Where they disagree", (Table(("Claim", "Who"), (("Costs", "a|b"),)), Markdown("So."))),
        ),
        "success",
        mention=ASKER,
        subject=Subject("r1", "synthesis"),
        controls=("rate", "retry", "form"),
    )
    (message,) = doc_messages(doc)
    assert text_of(message) == (
        f"### Synthesis\n{MENTION}\n**Agreed**\n\n- one\n\n**Where they disagree**\n"
        "```\nClaim | Who\n------+----\nCosts | a|b\n```\n\nSo."
    )
    assert message.accent is not None
    assert [button.label for button in message.buttons] == ["👍", "👎", "Retry failed", "More options"]
    assert message.mention == ASKER


def test_a_discord_board_has_a_line_for_each_row() -> None:
    board = Board(
        "Panel",
        (
            BoardRow("Economist", "done", "headline", "m-1", 12.0),
            BoardRow("Contrarian", "failed", "timed out after 60 s, 3 tries", "", 60.0),
            BoardRow("Critic", "running", "", "m_3", 7.0),
            BoardRow("Lawyer", "queued", "", "m-4"),
        ),
        "1 of 4 answered",
        run="r1",
        controls=("stop",),
        root=Doc("Should we?", (Markdown("models: m"),), mention=ASKER),
    )
    message = board_message(board, "Answers follow below.")
    assert message.texts == (
        f"### Should we?\n-# Asked by {MENTION}\n-# models: m",
        "✅ **Economist** done in 12 s (m-1): headline\n"
        "❌ **Contrarian** failed: timed out after 60 s, 3 tries\n"
        "⏳ **Critic** running 7 s (m\\_3)\n"
        "· **Lawyer** queued",
        "-# 1 of 4 answered\n-# Answers follow below.",
    )
    assert [button.label for button in message.buttons] == ["Stop"]
    assert message.accent is None


@pytest.mark.parametrize(("tone", "begins"), [("info", "A"), ("success", "A"), ("warning", "⚠ A"), ("error", "✖ A")])
def test_a_tone_is_a_colour_and_never_a_colour_alone_in_discord(tone: Tone, begins: str) -> None:
    (message,) = doc_messages(Doc("A", tone=tone))
    assert text_of(message) == f"### {begins}"
    (first, *_) = components(message)
    assert (first["type"] == 17) == (message.accent is not None) == (tone != "info")
    assert begins != "A" or tone in ("info", "success")


def test_the_mention_is_in_the_first_discord_message_and_files_and_controls_are_in_the_last() -> None:
    doc = Doc("A", (Markdown("word " * 2_000),), mention=ASKER, files=(OutFile("a.md", "x"),), controls=("form",))
    messages = doc_messages(doc)
    ends = [False] * (len(messages) - 1)
    assert len(messages) > 2
    assert [MENTION in text_of(message) for message in messages] == [True, *ends]
    assert [bool(message.mention) for message in messages] == [True, *ends]
    assert [bool(message.buttons and message.files) for message in messages] == [*ends, True]


def test_the_mention_is_alerted_where_it_stands_however_long_the_title_is_in_discord() -> None:
    messages = doc_messages(Doc("word " * 2_000, mention=ASKER))
    assert [message.mention for message in messages] == ["", "", ASKER]
    assert MENTION in text_of(messages[-1])


def test_files_of_one_name_and_more_than_ten_arrive_in_discord() -> None:
    files = tuple(OutFile("a b/ü.md", f"ö{number:04d}") for number in range(13))
    (message,) = doc_messages(Doc("A", files=files))
    limits_kept(message)
    assert found("\n".join(file.text for file in message.files)) == [file.text for file in files]
    assert message.files[0].name == "a-b.md"


def test_an_empty_document_and_an_empty_board_are_no_fault_in_discord() -> None:
    for message in (
        *doc_messages(Doc("")),
        board_message(Board("", ())),
        *doc_messages(Doc("", (Markdown("```\n```"),))),
    ):
        limits_kept(message)


# As discord.py sends them


def test_the_first_text_of_a_discord_message_has_its_mark_in_a_container_or_not() -> None:
    for tone, depth in (("info", 0), ("success", 1)):
        (message,) = doc_messages(Doc("A", (Markdown("b"),), tone, (OutFile("a.md", "x"),), controls=("form",)))
        told = components(message, mark_of("run/1", 1, 1))
        (text,) = [part for part in (told[0]["components"] if depth else told) if part["type"] == 10]
        assert text["id"] == mark_of("run/1", 1, 1)
        file, row = told[-2:]
        assert file["file"]["url"] == "attachment://a.md"
        assert [button["custom_id"] for button in row["components"]] == [button.custom_id for button in message.buttons]


async def test_discord_py_keeps_no_view_of_what_is_sent() -> None:
    await asyncio.sleep(0)
    assert view_of(Message(("a",)), 20_000).is_finished()


def test_files_are_read_anew_for_each_discord_send() -> None:
    message = Message(("a",), files=(OutFile("a.md", "ü\ud83d"), OutFile("empty.md", "")))
    for _ in range(2):
        sent = files_of(message)
        assert [file.filename for file in sent] == ["a.md", "empty.md"]
        assert [file.fp.read() for file in sent] == ["ü\\ud83d".encode(), b"\n"]


def test_nobody_is_alerted_in_discord_but_the_one_whom_a_message_is_for() -> None:
    assert mentions_of(Message(("@everyone",))).to_dict() == {"parse": []}
    told = mentions_of(Message((MENTION,), mention=ASKER)).to_dict()
    assert told["users"] == [int(ASKER)]
    assert told["parse"] == []
