import asyncio
import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from adapters.port import (
    Board,
    BoardRow,
    Doc,
    FrontEnd,
    Gone,
    Invocation,
    Markdown,
    NotDispatched,
    OutFile,
    Place,
    Table,
    ThreadRef,
)
from adapters.terminal import Streams, TerminalFrontEnd
from adapters.terminal.keep import keep, safe_name
from tests.adapters.contract import HOSTILE, READABLE, AdapterContract, said, squeezed, steering

SGR = re.compile(r"\x1b\[[\d;]*m")
DRAWING = re.compile(
    r"\x1b\[[\d;]*m|\x1b\[\?25[lh]|\r(?=\x1b\[(?:2K|1A))|\x1b\[2K|\x1b\[1A"
)  # all that rich's live region writes
XTERM = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "40"}
PATIENCE = 20


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Pipe(io.StringIO):
    encoding = "utf-8"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TerminalRig:
    def __init__(self, folder: Path, stdout: io.StringIO) -> None:
        self.folder = folder
        self.stdout = stdout
        readable, writable = os.pipe()
        self.stdin = os.fdopen(readable)
        self.typing = os.fdopen(writable, "wb", buffering=0)
        self.heard: asyncio.Queue[Invocation] = asyncio.Queue()
        self.terminal = TerminalFrontEnd(folder, streams=Streams(self.stdin, stdout, XTERM))
        self.front: FrontEnd = self.terminal

    async def ask(self, text: str) -> Invocation:
        self.typing.write(f"{text}\n".encode())
        return await asyncio.wait_for(self.heard.get(), PATIENCE)

    async def shown(self, thread: ThreadRef) -> list[str]:
        return [self.transcript()]

    async def board(self, thread: ThreadRef) -> str:
        return self.transcript()

    async def told(self, invocation: Invocation) -> str:
        return self.transcript()

    async def files(self, thread: ThreadRef) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.iterdir()} if self.folder.exists() else {}

    async def pings(self) -> list[str]:
        return []

    def transcript(self) -> str:
        return DRAWING.sub("", self.stdout.getvalue())


@asynccontextmanager
async def serving(rig: TerminalRig) -> AsyncIterator[TerminalRig]:
    async with asyncio.TaskGroup() as group:
        group.create_task(rig.front.serve(rig.heard.put))
        try:
            yield rig
        finally:
            rig.typing.close()  # the reader's thread ends with its input
            await rig.front.close()


class TestPiped(AdapterContract):
    @pytest.fixture
    async def rig(self, tmp_path: Path) -> AsyncIterator[TerminalRig]:
        async with serving(TerminalRig(tmp_path / "files", Pipe())) as rig:
            yield rig


class TestLive(AdapterContract):
    @pytest.fixture
    async def rig(self, tmp_path: Path) -> AsyncIterator[TerminalRig]:
        async with serving(TerminalRig(tmp_path / "files", Tty())) as rig:
            yield rig


PLACE = Place("terminal", "local", "terminal")
THREAD = ThreadRef(PLACE, "t")
ASKED = Invocation(PLACE, "you", "/panel x", "k", "terminal")
ROWS = (
    BoardRow("Economist", "done", "The move pays back only if the licence rises every year", "ollama/qwen3:30b", 12.3),
    BoardRow("Contrarian", "failed", "timed out after 60 s (3 tries)", "ollama/qwen3:30b", 60.2),
    BoardRow("Historian of technology", "running", "", "ollama/qwen3:30b", 4.0),
    BoardRow("User advocate", "queued"),
)


def front_on(stdout: io.StringIO, folder: Path = Path("/nowhere"), **environ: str) -> TerminalFrontEnd:
    return TerminalFrontEnd(folder, streams=Streams(None, stdout, {**XTERM, **environ}), clock=Clock())


async def finished_board(columns: int, rows: tuple[BoardRow, ...] = ROWS) -> list[str]:
    stdout = Tty()
    front = front_on(stdout, COLUMNS=str(columns))
    await front.board(THREAD, Board("The panel", rows, "2 of 4 heard", finished=True), revision=1)
    return [line.rstrip() for line in SGR.sub("", stdout.getvalue()).strip("\n").split("\n")]


# What a screen obeys

DRIVER = """
import asyncio, sys
from pathlib import Path
from adapters.port import *
from adapters.terminal import TerminalFrontEnd
from tests.adapters.contract import HOSTILE

async def main():
    front = TerminalFrontEnd(Path(sys.argv[1]))
    asked = Invocation(Place("terminal", "local", "t"), "you", HOSTILE, "k", "command")
    thread = await front.open_thread(asked, Doc(HOSTILE, (Markdown(HOSTILE),)), key="root")
    row = BoardRow(HOSTILE, "running", HOSTILE, HOSTILE, 1.0)
    await front.board(thread, Board(HOSTILE, (row,), HOSTILE), revision=1)
    table = Table((HOSTILE, "b"), ((HOSTILE, "d"),))
    fold = Fold(HOSTILE, (Markdown(f"```{HOSTILE}\\n{HOSTILE}\\n```"),))
    files = (OutFile(f"../{HOSTILE}.md", HOSTILE),)
    receipt = await front.post(thread, Doc(HOSTILE, (table, fold), files=files), key="1")
    await front.board(thread, Board(HOSTILE, (row,), HOSTILE, finished=True), revision=2)
    await front.notify(asked, Doc(HOSTILE, (Markdown(f"[{HOSTILE}](http://a.example/{HOSTILE})"),)))
    await front.close()
    print(receipt.outcome, type(receipt.error).__name__, file=sys.stderr)

asyncio.run(main())
"""


def on_a_pty(program: str, *arguments: str) -> str:
    """Run a program on a terminal of its own and give every byte it wrote there."""
    master, slave = pty.openpty()
    environ = {**os.environ, **XTERM, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, env=environ
    ) as process:
        os.close(slave)
        written = b""
        try:
            while chunk := os.read(master, 65_536):
                written += chunk
        except OSError:  # Linux: the other side is closed
            pass
        os.close(master)
    assert process.returncode == 0
    return written.decode()


def test_fault_53_terminal_escapes_in_model_text_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    written = on_a_pty(DRIVER, str(tmp_path)).replace("\r\n", "\n")
    plain = DRAWING.sub("", written)
    assert steering(plain) == []  # no ESC, BEL, CR, backspace, bidi, tag: only rich's own drawing was there
    assert "\x1b[31mred" not in written
    shown = squeezed(plain)
    for escape in (
        "\\x1b[31mred\\x1b[0m",
        "\\x1b]52;c;aGk=\\x07",
        "\\x08\\x08\\x7f\\x00",
        "over\\x0dwritten",
        "\\u202egnp",
    ):
        assert shown.count(escape) >= 2
    for words in READABLE:
        assert words in shown
    assert [steering(path.name) + steering(path.read_text()) for path in tmp_path.iterdir()] == [[]]


@settings(max_examples=1000, deadline=None)
@given(
    st.text(
        st.one_of(st.characters(exclude_characters="m"), st.sampled_from("\x1b\x07\x9b\r\n[]()*_`#>|-~&\\<!:. 1")),
        max_size=200,
    )
)
def test_whatever_the_text_only_styles_are_escapes(text: str) -> None:
    # Without an "m" in the text, every complete style escape is rich's own.
    stdout = Tty()
    front = front_on(stdout)
    doc = Doc(text, (Markdown(text), Table((text, "b"), ((text, text),))))
    receipt = asyncio.run(front.post(THREAD, doc, key="1"))
    assert receipt.outcome == "sent"
    assert steering(SGR.sub("", stdout.getvalue())) == []


PIECES = [
    "# one\n",
    "- two\n",
    " three\n",
    "**four**",
    "`five`",
    "[six](http://seven.eight)",
    "![nine](ten)",
    "<eleven>",
    "&amp;",
    "<div>\n",
    "[twelve]: thirteen\n",
    "¦ a ¦ b ¦\n¦---¦---¦\n¦ fourteen ¦ fifteen ¦ sixteen ¦\n",
    "> seventeen ",
    "```x y\n",
    "    eighteen\n",
    "<!-- nineteen -->\n",
    "1. twenty\n",
    "> > > > > > > > > > > > > deep\n",
    "\\",
    "[t](u 'tip')",
]


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from([piece.replace("¦", "|") for piece in PIECES]), max_size=15))
def test_no_word_of_markdown_is_lost_on_a_screen(pieces: list[str]) -> None:
    stdout = Tty()
    source = "".join(pieces)
    asyncio.run(front_on(stdout).post(THREAD, said(source), key="1"))
    shown = squeezed(SGR.sub("", stdout.getvalue()))
    fences = set(re.findall(r"```(.*)", source))  # a language is not shown
    for word in re.findall(r"[a-z]{3,}", source):
        assert word in shown or any(word in fence for fence in fences)


async def test_piped_output_has_no_escape_even_with_a_terminal_around(tmp_path: Path) -> None:
    stdout = Pipe()
    front = front_on(stdout, tmp_path, FORCE_COLOR="1", TTY_COMPATIBLE="1")
    await front.post(THREAD, Doc("Title", (Markdown(HOSTILE), Table(("a", "b"), (("c | d", "e"),)))), key="1")
    for revision, state in enumerate(("running", "done")):
        board = Board("Panel", (BoardRow("Economist", state),), finished=state == "done")  # type: ignore[arg-type]
        await front.board(THREAD, board, revision=revision)
    await front.close()
    assert steering(stdout.getvalue()) == []
    assert "| a | b |\n| --- | --- |\n| c \\| d | e |\n" in stdout.getvalue()
    assert "Economist: running\nEconomist: done\n" in stdout.getvalue()


async def test_no_color_keeps_the_board_and_drops_the_colours() -> None:
    stdout = Tty()
    front = front_on(stdout, NO_COLOR="1")
    await front.board(THREAD, Board("The panel", ROWS), revision=1)
    await front.post(THREAD, said("```python\nimport this\n```", "A title"), key="1")
    await front.close()
    styles = {code for style in SGR.findall(stdout.getvalue()) for code in re.findall(r"\d+", style)}
    assert "\x1b[1A" in stdout.getvalue()
    assert not styles & {str(code) for code in (*range(30, 50), *range(90, 108))}


async def test_a_dumb_terminal_gets_plain_lines() -> None:
    stdout = Tty()
    front = front_on(stdout, TERM="dumb")
    await front.board(THREAD, Board("The panel", ROWS), revision=1)
    assert "\x1b" not in stdout.getvalue()
    assert "Contrarian: failed, timed out after 60 s (3 tries)\n" in stdout.getvalue()


# The board


async def test_a_piped_board_says_only_what_changed() -> None:
    stdout = Pipe()
    front = front_on(stdout)
    await front.board(THREAD, Board("The panel", ROWS), revision=1)
    assert stdout.getvalue().splitlines() == [
        "Economist: done after 12 s, The move pays back only if the licence rises every year",
        "Contrarian: failed, timed out after 60 s (3 tries)",
        "Historian of technology: running",
    ]
    stdout.truncate(0)
    stdout.seek(0)
    rows = (*ROWS[:2], BoardRow("Historian of technology", "stopped", seconds=9.0), ROWS[3])
    await front.board(THREAD, Board("The panel", rows, "Stopped: 1 of 4 heard", finished=True), revision=2)
    assert stdout.getvalue().splitlines() == ["Historian of technology: stopped after 9 s", "Stopped: 1 of 4 heard"]


async def test_a_wide_board_is_one_line_per_row_with_its_model() -> None:
    lines = await finished_board(120)
    assert lines[0] == "The panel"
    assert re.fullmatch(r"✗ failed +Contrarian +60 s ollama/qwen3:30b +timed out after 60 s \(3 tries\)", lines[2])
    assert len(lines) == 6


async def test_a_narrower_board_drops_the_model_first() -> None:
    lines = await finished_board(72)
    assert not any("ollama" in line for line in lines)
    assert re.fullmatch(r"✗ failed +Contrarian +60 s timed out after 60 s \(3 tries\)", lines[3])


async def test_a_board_of_40_columns_is_legible() -> None:
    lines = await finished_board(40)
    assert all(len(line) <= 40 for line in lines)
    assert lines == [
        "The panel",
        "✓ done    Economist                 12 s",
        "  The move pays back only if the licence",
        "  rises every year",
        "✗ failed  Contrarian                60 s",
        "  timed out after 60 s (3 tries)",
        "▸ running Historian of technology    4 s",
        "· queued  User advocate",
        "2 of 4 heard",
    ]


async def test_running_seconds_tick_by_the_clock_between_boards() -> None:
    stdout, clock = Tty(), Clock()
    front = TerminalFrontEnd(Path("/nowhere"), streams=Streams(None, stdout, XTERM), clock=clock)
    await front.board(THREAD, Board("The panel", ROWS), revision=1)
    clock.now += 7
    await front.close()
    last = SGR.sub("", stdout.getvalue()).rpartition("The panel")[2]
    assert re.search(r"▸ running Historian of technology +11 s", last)
    assert re.search(r"✓ done +Economist +12 s", last)


async def test_several_threads_say_which_is_which() -> None:
    stdout = Pipe()
    front = front_on(stdout)
    for key in ("one", "two"):
        assert isinstance(await front.open_thread(ASKED, said(f"Root {key}."), key=key), ThreadRef)
    assert "## A title\n\nRoot one." in stdout.getvalue()
    assert "## #2 A title\n\nRoot two." in stdout.getvalue()


# Files


async def test_a_file_is_never_written_over_a_different_one(tmp_path: Path) -> None:
    first = keep(tmp_path, OutFile("a.md", "one"))
    assert keep(tmp_path, OutFile("a.md", "one")) == first
    second = keep(tmp_path, OutFile("a.md", "two"))
    assert (first.read_text(), second.name, second.read_text()) == ("one", "a-2.md", "two")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("/etc/cron.d/x", "x"),
        ("..\\..\\boot.ini", "boot.ini"),
        (".bashrc", "bashrc"),
        ("a b?.md", "a_b_.md"),
        ("\x1b[2J\u202egpj.md", "x1b_2J_u202egpj.md"),
        ("", "file"),
        ("...", "file"),
        ("é" * 300 + ".md", "é" * 58 + ".md"),
    ],
)
def test_file_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@settings(max_examples=1000)
@given(st.text(st.characters(exclude_categories=())))
def test_a_safe_name_stays_in_its_folder(name: str) -> None:
    safe = safe_name(name)
    assert re.fullmatch(r"[^./\\-][^/\\]*", safe)
    assert len(safe.encode()) <= 140


async def test_a_link_left_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.md").symlink_to(tmp_path / "elsewhere")
    assert keep(tmp_path, OutFile("a.md", "text")).name == "a-2.md"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("make", [Tty, Pipe])
async def test_a_file_that_cannot_be_written_is_shown_instead(tmp_path: Path, make: Callable[[], io.StringIO]) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    stdout = make()
    front = front_on(stdout, tmp_path / "taken")
    receipt = await front.post(THREAD, Doc("T", (Markdown("See."),), files=(OutFile("a.md", "Whole text."),)), key="1")
    assert receipt.outcome == "sent"
    shown = " ".join(SGR.sub("", stdout.getvalue()).split())
    assert "a.md could not be written to" in shown
    assert "Whole text." in shown


# A reader who leaves


async def test_a_closed_output_is_gone() -> None:
    stdout = Pipe()
    front = front_on(stdout)
    stdout.close()
    receipt = await front.post(THREAD, said("Lost."), key="1")
    assert receipt.outcome == "failed"
    assert isinstance(receipt.error, Gone)
    assert isinstance(await front.open_thread(ASKED, said("Lost."), key="root"), Gone)
    assert isinstance((await front.board(THREAD, Board("P", ()), revision=1)).error, Gone)
    await front.close()


def test_a_broken_pipe_is_a_receipt_and_not_a_traceback() -> None:
    readable, writable = os.pipe()
    os.close(readable)
    program = """
import asyncio
from pathlib import Path
from adapters.port import *
from adapters.terminal import TerminalFrontEnd

async def main():
    front = TerminalFrontEnd(Path("unused"))
    thread = ThreadRef(Place("terminal", "local", "t"), "t")
    for key in ("1", "2"):
        receipt = await front.post(thread, Doc("Title", (Markdown("x" * 100_000),)), key=key)
        assert receipt.outcome == "failed" and isinstance(receipt.error, Gone), receipt
    await front.close()

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        stdout=writable,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        check=False,
        text=True,
    )
    os.close(writable)
    assert (ended.returncode, ended.stderr.strip()) == (0, "")


async def test_an_output_that_lacks_a_character_gets_its_escape() -> None:
    raw = io.BytesIO()
    front = TerminalFrontEnd(Path("/nowhere"), streams=Streams(None, io.TextIOWrapper(raw, "ascii"), {}))
    assert (await front.post(THREAD, said("dix €"), key="1")).outcome == "sent"
    assert b"dix \\u20ac" in raw.getvalue()


# Lines that are piped in


async def heard_from(tmp_path: Path, piped: bytes) -> list[Invocation]:
    path = tmp_path / "stdin"
    path.write_bytes(piped)
    heard: list[Invocation] = []

    async def hear(invocation: Invocation) -> None:
        heard.append(invocation)

    with path.open() as stdin:
        await TerminalFrontEnd(tmp_path, streams=Streams(stdin, Pipe())).serve(hear)
    return heard


async def test_each_line_is_one_invocation_until_the_input_ends(tmp_path: Path) -> None:
    heard = await heard_from(tmp_path, b"/panel one\r\n\n   \n/panel two\n/panel without newline")
    assert [invocation.text for invocation in heard] == ["/panel one", "/panel two", "/panel without newline"]
    assert len({invocation.key for invocation in heard}) == 3
    assert {(invocation.origin, invocation.place.surface) for invocation in heard} == {("terminal", "terminal")}


async def test_bytes_that_are_not_utf8_are_replaced(tmp_path: Path) -> None:
    heard = await heard_from(tmp_path, b"/panel caf\xe9 \xff\xfe\n/panel next\n")
    assert [invocation.text for invocation in heard] == ["/panel caf\ufffd \ufffd\ufffd", "/panel next"]


async def test_closing_ends_a_read_that_waits(tmp_path: Path) -> None:
    rig = TerminalRig(tmp_path, Pipe())
    async with serving(rig):
        await rig.ask("/panel one")
        await rig.front.close()


async def test_no_input_at_all_ends_at_once() -> None:
    await front_on(Pipe()).serve(asyncio.Queue[Invocation]().put)


# The conversation


class Watched(Tty):
    """A terminal that tells when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Event()

    def write(self, text: str) -> int:
        self.changed.set()
        return super().write(text)


class AnsweringScreen(Vt100_Output):
    """A terminal that says where its cursor is, as real ones do."""

    def __init__(self, stdout: Tty, keyboard: PipeInput) -> None:
        super().__init__(stdout, lambda: Size(rows=40, columns=80), term="xterm-256color")
        self._keyboard = keyboard

    def ask_for_cpr(self) -> None:
        self._keyboard.send_text("\x1b[1;1R")


class Conversation:
    def __init__(self, folder: Path, keyboard: PipeInput) -> None:
        self.keyboard = keyboard
        self.stdout = Watched()
        screen = AnsweringScreen(self.stdout, keyboard)
        self.front = TerminalFrontEnd(
            folder, streams=Streams(None, self.stdout, XTERM, keyboard=keyboard, screen=screen), clock=Clock()
        )
        self.heard: asyncio.Queue[Invocation] = asyncio.Queue()
        self.ended = asyncio.Event()

    async def serve(self) -> None:
        await self.front.serve(self.heard.put)
        self.ended.set()

    async def type(self, keys: str) -> str:
        self.keyboard.send_text(keys)
        return (await asyncio.wait_for(self.heard.get(), PATIENCE)).text

    async def seen(self, words: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while words not in SGR.sub("", self.stdout.getvalue()):
                self.stdout.changed.clear()
                await self.stdout.changed.wait()


@contextmanager
def keyboard() -> Iterator[PipeInput]:
    with create_pipe_input() as made:
        yield made


@pytest.fixture
async def conversation(tmp_path: Path) -> AsyncIterator[Conversation]:
    with keyboard() as keys:
        talk = Conversation(tmp_path, keys)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(talk.serve())
            yield talk
            await talk.front.close()


async def test_a_typed_line_is_an_invocation(conversation: Conversation) -> None:
    assert await conversation.type("/panel Should we?\r") == "/panel Should we?"
    assert await conversation.type("  \r/panel again\r") == "/panel again"


async def test_what_is_typed_need_not_be_utf8(conversation: Conversation) -> None:
    conversation.keyboard.send_bytes(b"/panel caf\xe9\r")
    text = (await asyncio.wait_for(conversation.heard.get(), PATIENCE)).text
    assert text.startswith("/panel caf")
    text.encode()


async def test_posts_are_shown_while_a_line_is_read_and_boards_below_it(conversation: Conversation) -> None:
    await conversation.type("/panel Should we?\r")
    await conversation.seen("Ctrl-D leaves")
    await conversation.front.board(THREAD, Board("The panel", ROWS), revision=1)
    await conversation.seen("Contrarian")
    await conversation.front.post(THREAD, said("An \x1b]52;c;aGk=\x07 answer."), key="1")
    await conversation.seen("An \\x1b]52;c;aGk=\\x07 answer.")
    assert "\x1b]52" not in conversation.stdout.getvalue()


async def test_ctrl_c_stops_the_run_that_is_live_and_keeps_what_was_typed(conversation: Conversation) -> None:
    await conversation.front.board(THREAD, Board("The panel", ROWS), revision=1)
    assert await conversation.type("/panel ne\x03") == "/panel stop"
    await conversation.front.board(THREAD, Board("The panel", ROWS, finished=True), revision=2)
    assert await conversation.type("xt\r") == "/panel next"


async def test_ctrl_c_clears_the_line_and_a_second_one_leaves(conversation: Conversation) -> None:
    assert await conversation.type("nonsense\x03/panel kept\x03/panel sent\r") == "/panel sent"
    conversation.keyboard.send_text("\x03\x03")
    await asyncio.wait_for(conversation.ended.wait(), PATIENCE)


@pytest.mark.parametrize("keys", ["\x04", "/quit\r"], ids=["Ctrl-D", "/quit"])
async def test_the_person_can_leave(conversation: Conversation, keys: str) -> None:
    conversation.keyboard.send_text(keys)
    await asyncio.wait_for(conversation.ended.wait(), PATIENCE)
    receipt = await conversation.front.post(THREAD, said("Still shown."), key="1")
    assert receipt.outcome == "sent"
    assert "Still shown." in conversation.stdout.getvalue()


async def test_closing_ends_the_conversation(conversation: Conversation) -> None:
    await conversation.type("/panel one\r")
    await conversation.front.close()
    assert isinstance((await conversation.front.post(THREAD, said("Late."), key="1")).error, NotDispatched)


def test_the_port_is_light() -> None:
    program = "import sys, adapters.port; print([name for name in ('rich', 'prompt_toolkit') if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert ended.stdout.strip() == "[]"
