import asyncio
import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters.folder import FolderFrontEnd
from adapters.folder.disk import Unsettled, send_error
from adapters.folder.inbox import LARGEST, PATIENCE, Inbox
from adapters.folder.names import file_name, is_thread_name, plain, thread_name
from adapters.folder.parse import NoInvocation, invocation
from adapters.port import (
    Attachment,
    Board,
    BoardRow,
    Doc,
    FrontEnd,
    Gone,
    Invocation,
    Markdown,
    NotDispatched,
    OutFile,
    PermissionMissing,
    Place,
    Receipt,
    ThreadRef,
    Unknown,
)
from tests.adapters.contract import AdapterContract, said, steering

PLACE = Place("folder", "local", "general")
HOSTILE_NAMES = [
    "../../x",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a\0b",
    "x" * 300,
    "ы" * 300,
    "a\nb",
    "\ud800",
    "\u202ex",
    "~",
]


def put_in(folder: Path, name: str, content: object) -> Path:
    """Do what a script does: write elsewhere, rename in."""
    (folder / "in").mkdir(parents=True, exist_ok=True)
    (folder / "draft").write_text(content if isinstance(content, str) else json.dumps(content))
    return (folder / "draft").rename(folder / "in" / name)


def asked(key: str = "run", author: str = "ann") -> Invocation:
    return Invocation(PLACE, author, "/panel x", key, "command")


def lines(path: Path) -> list[dict[str, object]]:
    content = path.read_text()
    assert content == "" or content.endswith("\n")
    return [json.loads(line) for line in content.splitlines()]


def out(folder: Path, thread: ThreadRef) -> Path:
    return folder / "out" / f"{thread.thread}.jsonl"


def posts(folder: Path, thread: ThreadRef) -> list[object]:
    return [line["post"] for line in lines(out(folder, thread))]


def inside(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def opened(front: FolderFrontEnd, key: str = "run") -> ThreadRef:
    thread = await front.open_thread(asked(key), said("Root."), key=f"{key}/root")
    assert isinstance(thread, ThreadRef)
    return thread


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not there():
            await asyncio.sleep(0.002)


class Heard:
    """A sink that remembers, and does what it is told to first."""

    def __init__(self, first: Callable[[Invocation], Awaitable[None]] | None = None) -> None:
        self.all: list[Invocation] = []
        self.queue: asyncio.Queue[Invocation] = asyncio.Queue()
        self._first = first

    async def __call__(self, invocation: Invocation) -> None:
        self.all.append(invocation)
        self.queue.put_nowait(invocation)
        if self._first:
            await self._first(invocation)

    async def next(self) -> Invocation:
        async with asyncio.timeout(20):
            return await self.queue.get()


@asynccontextmanager
async def serving(folder: Path, sink: Heard) -> AsyncIterator[FolderFrontEnd]:
    front = FolderFrontEnd(folder, poll_seconds=0.002)
    async with asyncio.TaskGroup() as group:
        group.create_task(front.serve(sink))
        yield front
        await front.close()


class FolderRig:
    def __init__(self, folder: Path, front: FolderFrontEnd, heard: Heard) -> None:
        self.folder = folder
        self.front: FrontEnd = front
        self._heard = heard

    async def ask(self, text: str) -> Invocation:
        put_in(self.folder, f"ask-{len(self._heard.all)}.json", {"text": text, "author": "ann"})
        return await self._heard.next()

    async def shown(self, thread: ThreadRef) -> list[str]:
        return [str(line["text"]) for line in lines(out(self.folder, thread))]

    async def board(self, thread: ThreadRef) -> str:
        return str(json.loads((self.folder / "out" / f"{thread.thread}.board.json").read_text())["text"])

    async def told(self, invocation: Invocation) -> str:
        return "\n".join(
            str(line["text"]) for line in lines(self.folder / "told" / f"{file_name(invocation.author)}.jsonl")
        )

    async def files(self, thread: ThreadRef) -> dict[str, str]:
        return {file.name: file.read_text() for file in self.folder.glob(f"out/{thread.thread}.files/*")}

    async def pings(self) -> list[str]:
        return []


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[FolderRig]:
    heard = Heard()
    async with serving(tmp_path / "panelist", heard) as front:
        yield FolderRig(tmp_path / "panelist", front, heard)


class TestFolder(AdapterContract):
    pass


# What is asked


def test_a_json_file_says_everything():
    fields = {"text": " /panel x ", "author": "ann", "channel": "ops", "key": "k", "attachments": [
        {"name": "../notes.md", "text": "Notes."}
    ]}  # fmt: skip
    assert invocation("ask.json", json.dumps(fields).encode()) == Invocation(
        Place("folder", "local", "ops"), "ann", "/panel x", "k", "command", (Attachment("notes.md", "Notes."),)
    )


def test_a_text_file_is_the_text():
    assert invocation("nightly.txt", b"/panel x\n") == Invocation(PLACE, "folder", "/panel x", "nightly", "command")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff", "not UTF-8"),
        (b"", "not JSON"),
        (b'{"text": "/pan', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"1" * 10_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"author": "ann"}', '"text" is missing'),
        (b'{"text": "x"}', '"author" is missing'),
        (b'{"text": " ", "author": "ann"}', "text is empty"),
        (b'{"text": 1, "author": "ann"}', "not a text"),
        (b'{"text": "x", "author": "ann", "Key": "k"}', '"Key" means nothing'),
        (b'{"text": "x", "author": "ann", "attachments": {}}', "not a list"),
        (b'{"text": "x", "author": "ann", "attachments": [1]}', "not an object"),
        (b'{"text": "x", "author": "ann", "attachments": [{"name": "n"}]}', '"text" is missing'),
    ],
)
def test_a_file_that_asks_nothing_is_told_why(content: bytes, why: str):
    with pytest.raises(NoInvocation, match=why):
        invocation("ask.json", content)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_in_an_invocation_are_inert_and_encodable(name: str):
    attachments = [{"name": name, "text": "x"}]
    fields = {"text": "x", "author": f"a{name}", "channel": name, "key": name, "attachments": attachments}
    found = invocation("ask.json", json.dumps(fields).encode())
    for text in (found.author, found.key, found.place.channel, found.attachments[0].name):
        assert steering(text) == []
        assert 0 < len(text.encode()) <= 800
    assert found.attachments[0].name not in (".", "..")
    assert "/" not in found.attachments[0].name


@given(st.text(st.characters()), st.text(st.characters()))
def test_two_names_stay_two_and_stay_in_their_folder(one: str, two: str):
    for made_of in (plain, file_name, thread_name):
        assert (made_of(one) == made_of(two)) == (one == two)
        assert steering(made_of(one)) == []
    for name in (file_name(one), thread_name(one)):
        assert Path(name).name == name
        assert not name.startswith(".")
        assert len(f".{name}.board.json.tmp".encode()) <= 255
    assert is_thread_name(thread_name(one))


async def test_a_taken_file_is_moved_and_never_over_another(tmp_path: Path):
    heard = Heard()
    async with serving(tmp_path, heard):
        for text in ("one", "two"):
            put_in(tmp_path, "ask.txt", text)
            await heard.next()
            await until(lambda: not list((tmp_path / "in").iterdir()))
    assert [(each.text, each.key) for each in heard.all] == [("one", "ask"), ("two", "ask")]
    assert {path.name: path.read_text() for path in (tmp_path / "taken").iterdir()} == {
        "ask.txt": "one",
        "ask-2.txt": "two",
    }


def test_older_files_come_first_then_names(tmp_path: Path):
    for name, seconds in (("b.json", 5), ("a.json", 5), ("z.json", 1), (".hidden.json", 0), ("note.md", 0)):
        os.utime(put_in(tmp_path, name, "{}"), (seconds, seconds))
    assert Inbox(tmp_path).waiting() == ["z.json", "a.json", "b.json"]


async def test_a_file_is_delivered_again_with_its_key_if_the_sink_was_cancelled(tmp_path: Path):
    stuck = Heard(lambda _: asyncio.Event().wait())  # type: ignore[arg-type,return-value]
    put_in(tmp_path, "ask.json", {"text": "/panel x", "author": "ann"})
    serve = asyncio.ensure_future(FolderFrontEnd(tmp_path, poll_seconds=0.002).serve(stuck))
    first = await stuck.next()
    serve.cancel()
    await asyncio.wait([serve])
    assert (tmp_path / "in" / "ask.json").exists()
    heard = Heard()
    async with serving(tmp_path, heard):
        assert await heard.next() == first
    assert (tmp_path / "taken" / "ask.json").exists()


async def test_a_sink_that_raises_keeps_the_file_and_not_the_others(tmp_path: Path):
    tries = 0

    async def break_twice(invocation: Invocation) -> None:
        nonlocal tries
        if invocation.key == "bad":
            tries += 1
            if tries <= 2:
                assert (tmp_path / "in" / "bad.json").exists()
                raise RuntimeError("no database")

    heard = Heard(break_twice)
    with capture_logs() as logs:
        os.utime(put_in(tmp_path, "bad.json", {"text": "x", "author": "ann"}), (1, 1))
        put_in(tmp_path, "good.json", {"text": "x", "author": "ann"})
        async with serving(tmp_path, heard):
            await until((tmp_path / "taken" / "bad.json").exists)
    assert [each.key for each in heard.all] == ["bad", "good", "bad", "bad"]
    assert [(entry["event"], entry["file"]) for entry in logs] == [("invocation.not_safe", "bad.json")]


def polled(inbox: Inbox, polls: int) -> None:
    for _ in range(polls):
        for name in inbox.waiting():
            assert inbox.take(name) is None


def test_half_a_file_is_left_until_it_is_whole(tmp_path: Path):
    inbox = Inbox(tmp_path)
    path = put_in(tmp_path, "ask.json", '{"text": "/panel x",')
    for _ in range(3):
        polled(inbox, PATIENCE)
        with path.open("a") as handle:
            handle.write(" ")
    with path.open("a") as handle:
        handle.write('"author": "ann"}')
    [name] = inbox.waiting()
    delivery = inbox.take(name)
    assert delivery is not None
    assert delivery.invocation.text == "/panel x"


def test_an_invalid_file_that_stays_so_is_moved_with_a_reason(tmp_path: Path):
    inbox = Inbox(tmp_path)
    put_in(tmp_path, "ask.json", "nonsense")
    polled(inbox, PATIENCE)
    assert (tmp_path / "in" / "ask.json").exists()
    polled(inbox, 1)
    assert not (tmp_path / "in" / "ask.json").exists()
    assert (tmp_path / "rejected" / "ask.json").read_text() == "nonsense"
    assert "not JSON" in (tmp_path / "rejected" / "ask.json.reason.txt").read_text()
    put_in(tmp_path, "ask.json", "other nonsense")
    polled(inbox, PATIENCE + 1)
    assert (tmp_path / "rejected" / "ask-2.json").read_text() == "other nonsense"
    assert (tmp_path / "rejected" / "ask.json").read_text() == "nonsense"


def test_links_pipes_folders_and_huge_files_are_rejected_at_once(tmp_path: Path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"text": "secret", "author": "ann"}')
    folder = tmp_path / "panelist"
    put_in(folder, "huge.txt", "x" * (LARGEST + 1))
    (folder / "in" / "link.json").symlink_to(secret)
    os.mkfifo(folder / "in" / "pipe.json")
    (folder / "in" / "folder.txt").mkdir()
    polled(Inbox(folder), 1)
    polled(inbox := Inbox(folder), 1)
    polled(inbox, 1)
    assert list((folder / "in").iterdir()) == []
    reasons = {path.name: path.read_text() for path in (folder / "rejected").glob("*.reason.txt")}
    assert set(reasons) == {f"{name}.reason.txt" for name in ("huge.txt", "link.json", "pipe.json", "folder.txt")}
    assert "larger than" in reasons["huge.txt.reason.txt"]
    assert (folder / "rejected" / "link.json").is_symlink()
    assert secret.exists()


@pytest.mark.parametrize("name", [b"\xff.json", b"a\n\x1b[31m.json", b"x" * 250 + b".json"])
def test_a_file_with_a_hostile_name_is_taken_or_rejected(tmp_path: Path, name: bytes):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / os.fsdecode(name)
    inbox = Inbox(tmp_path)
    path.write_text('{"text": "x", "author": "ann"}')
    delivery = inbox.take(inbox.waiting()[0])
    assert delivery is not None
    assert steering(delivery.invocation.key) == []
    inbox.acknowledge(delivery)
    assert len(list((tmp_path / "taken").iterdir())) == 1
    path.write_text("nonsense")
    polled(inbox, PATIENCE + 1)
    assert len(list((tmp_path / "rejected").iterdir())) == 2


def test_a_text_is_taken_only_once_it_stands_still(tmp_path: Path):
    inbox = Inbox(tmp_path)
    path = put_in(tmp_path, "ask.txt", "/panel half")
    polled(inbox, 1)
    path.write_text("/panel half a question")
    polled(inbox, 1)
    delivery = inbox.take(inbox.waiting()[0])
    assert delivery is not None
    assert delivery.invocation.text == "/panel half a question"


def test_a_file_put_over_one_that_is_being_taken_is_delivered_too(tmp_path: Path):
    inbox = Inbox(tmp_path)
    put_in(tmp_path, "ask.json", {"text": "one", "author": "ann", "key": "1"})
    first = inbox.take(inbox.waiting()[0])
    assert first is not None
    put_in(tmp_path, "ask.json", {"text": "two", "author": "ann", "key": "2"})
    inbox.acknowledge(first)
    second = inbox.take(inbox.waiting()[0])
    assert second is not None
    assert second.invocation.text == "two"


def test_a_file_that_cannot_be_moved_is_delivered_once_and_complained_of_once(tmp_path: Path):
    inbox = Inbox(tmp_path)
    (tmp_path / "taken").write_text("in the way")
    put_in(tmp_path, "ask.json", {"text": "one", "author": "ann"})
    delivery = inbox.take(inbox.waiting()[0])
    assert delivery is not None
    with capture_logs() as logs:
        inbox.acknowledge(delivery)
        polled(inbox, 3)
        assert [entry["event"] for entry in logs] == ["invocation.not_moved"]
        (tmp_path / "taken").unlink()
        polled(inbox, 1)
    assert (tmp_path / "taken" / "ask.json").exists()


async def test_a_folder_that_vanishes_is_logged_once_and_served_again_when_it_is_back(tmp_path: Path):
    folder, heard = tmp_path / "panelist", Heard()
    with capture_logs() as logs:
        async with serving(folder, heard):
            await until((folder / "in").exists)
            folder.rename(tmp_path / "elsewhere")
            await until(lambda: bool(logs))
            await asyncio.sleep(0.02)  # ten polls that must add nothing; too few would only prove less
            (tmp_path / "elsewhere").rename(folder)
            put_in(folder, "ask.json", {"text": "x", "author": "ann"})
            await heard.next()
    assert [entry["event"] for entry in logs] == ["folder.unreadable"]


async def test_serve_after_close_takes_nothing(tmp_path: Path):
    put_in(tmp_path, "ask.json", {"text": "x", "author": "ann"})
    front, heard = FolderFrontEnd(tmp_path), Heard()
    await front.close()
    await front.serve(heard)
    assert heard.all == []


# What is shown


async def test_a_line_has_its_key_text_and_files(tmp_path: Path):
    front = FolderFrontEnd(tmp_path)
    thread = await opened(front)
    files = (OutFile("answer.md", "Whole.\x1b"), OutFile("../../evil.md", "x"))
    await front.post(thread, Doc("A title", (Markdown("Text."),), files=files), key="run/1")
    evil = file_name("../../evil.md")
    assert lines(out(tmp_path, thread)) == [
        {"post": "run/root", "text": "## A title\n\nRoot.", "files": []},
        {"post": "run/1", "text": "## A title\n\nText.", "files": ["answer.md", evil]},
    ]
    kept = tmp_path / "out" / f"{thread.thread}.files"
    assert {path.name: path.read_text() for path in kept.iterdir()} == {"answer.md": "Whole.\\x1b", evil: "x"}


async def test_files_of_one_name_and_different_text_are_both_kept(tmp_path: Path):
    front = FolderFrontEnd(tmp_path)
    thread = await opened(front)
    for key, text in (("1", "one"), ("2", "two"), ("3", "one")):
        await front.post(thread, Doc("", files=(OutFile("a.md", text),)), key=key)
    assert [line["files"] for line in lines(out(tmp_path, thread))[1:]] == [["a.md"], ["a-2.md"], ["a.md"]]


async def test_a_restart_finds_the_thread_and_its_keys(tmp_path: Path):
    before = FolderFrontEnd(tmp_path)
    thread = await opened(before)
    receipt = await before.post(thread, said("One."), key="run/1")
    after = FolderFrontEnd(tmp_path)
    assert await after.find(thread, "run/1") == receipt.ref
    assert await after.find(thread, "run/2") is None
    assert await opened(after) == thread
    assert await after.post(thread, said("One."), key="run/1") == receipt
    await after.post(thread, said("Two."), key="run/2")
    assert posts(tmp_path, thread) == ["run/root", "run/1", "run/2"]


async def test_a_torn_last_line_is_cut_off_and_appended_whole(tmp_path: Path):
    thread = await opened(FolderFrontEnd(tmp_path))
    with out(tmp_path, thread).open("a") as handle:
        handle.write('{"post": "run/1", "te')
    after = FolderFrontEnd(tmp_path)
    assert await after.find(thread, "run/1") is None
    await after.post(thread, said("One."), key="run/1")
    assert posts(tmp_path, thread) == ["run/root", "run/1"]


async def test_a_torn_line_in_a_file_that_was_read_is_mended_too(tmp_path: Path):
    front = FolderFrontEnd(tmp_path)
    thread = await opened(front)
    with out(tmp_path, thread).open("a") as handle:
        handle.write('{"post": "run/1", "te')
    await front.post(thread, said("One."), key="run/1")
    assert posts(tmp_path, thread) == ["run/root", "run/1"]


async def test_lines_that_are_not_ours_are_left_alone(tmp_path: Path):
    thread = await opened(FolderFrontEnd(tmp_path))
    with out(tmp_path, thread).open("a") as handle:
        handle.write('a note\n[]\n{"post": 1}\n')
    after = FolderFrontEnd(tmp_path)
    assert (await after.post(thread, said("One."), key="run/1")).outcome == "sent"
    assert "a note\n" in out(tmp_path, thread).read_text()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "ключ", "x\ny", "x" * 300]), st.one_of(st.none(), st.floats(0, 1))),
        max_size=12,
    )
)
def test_however_it_is_killed_each_key_stands_once_after_posting_all_again(history: list[tuple[str, float | None]]):
    """Each post may be followed by a kill that leaves a share of the last line."""

    async def play(folder: Path) -> list[object]:
        front = FolderFrontEnd(folder)
        thread = await opened(front)
        path = out(folder, thread)
        for key, kill in history:
            assert (await front.post(thread, said(f"Text of {key}\nпо-русски."), key=key)).outcome == "sent"
            if kill is not None:
                content = path.read_bytes()
                begin = content.rfind(b"\n", 0, -1) + 1
                os.truncate(path, begin + round(kill * (len(content) - begin)))
                front = FolderFrontEnd(folder)
        assert await opened(front) == thread
        for key, _ in history:
            assert (await front.post(thread, said(f"Text of {key}\nпо-русски."), key=key)).outcome == "sent"
        return posts(folder, thread)

    with tempfile.TemporaryDirectory() as folder:
        shown = asyncio.run(play(Path(folder)))
    assert sorted(map(str, shown)) == sorted({"run/root", *(plain(key) for key, _ in history)})


async def test_many_posts_to_many_threads_at_once_are_each_shown_once(tmp_path: Path):
    front = FolderFrontEnd(tmp_path)
    threads = await asyncio.gather(*(opened(front, f"run-{number}") for number in range(12)))
    sends = [
        front.post(thread, Doc("", (Markdown("Words. " * 500),), files=(OutFile("a.md", key),)), key=key)
        for key in [*"0123456789"] * 2
        for thread in threads
    ]
    receipts = await asyncio.gather(*sends)
    assert {receipt.outcome for receipt in receipts} == {"sent"}
    for number, thread in enumerate(threads):
        root, *rest = lines(out(tmp_path, thread))
        assert root["post"] == f"run-{number}/root"
        assert sorted(str(line["post"]) for line in rest) == [*"0123456789"]
        assert len({str(line["files"]) for line in rest}) == 10


async def test_a_cancelled_post_is_shown_whole_or_not_at_all(tmp_path: Path):
    front = FolderFrontEnd(tmp_path)
    thread = await opened(front)
    sends = [asyncio.ensure_future(front.post(thread, said("One."), key="run/1")) for _ in range(5)]
    await asyncio.sleep(0)
    for send in sends[:4]:
        send.cancel()
    await asyncio.wait(sends)
    assert (await front.post(thread, said("One."), key="run/1")).outcome == "sent"
    assert posts(tmp_path, thread) == ["run/root", "run/1"]


async def test_a_board_is_replaced_by_newer_ones_only_also_after_a_restart(tmp_path: Path):
    def board(detail: str) -> Board:
        row = BoardRow("Critic", "running", detail, "m-1", 1.5)
        return Board("Panel", (row,), "Note", run="run", controls=("stop",))

    front = FolderFrontEnd(tmp_path)
    thread = await opened(front)
    path = tmp_path / "out" / f"{thread.thread}.board.json"
    await front.board(thread, board("fifth"), revision=5)
    after = FolderFrontEnd(tmp_path)
    for revision in (3, 5):
        assert (await after.board(thread, board("outdated"), revision=revision)).outcome == "sent"
    assert json.loads(path.read_text()) == {
        "revision": 5,
        "title": "Panel",
        "rows": [{"label": "Critic", "state": "running", "detail": "fifth", "model": "m-1", "seconds": 1.5}],
        "note": "Note",
        "finished": False,
        "run": "run",
        "controls": ["stop"],
        "text": "Panel\nCritic: running, fifth\nNote",
    }
    await asyncio.gather(*(after.board(thread, board(f"{number}"), revision=number) for number in range(6, 30)))
    assert json.loads(path.read_text())["rows"][0]["detail"] == "29"
    path.write_text("torn")
    assert (await FolderFrontEnd(tmp_path).board(thread, board("mended"), revision=1)).outcome == "sent"
    assert json.loads(path.read_text())["rows"][0]["detail"] == "mended"


async def test_a_note_is_told_once_however_often_its_invocation_is_delivered(tmp_path: Path):
    for _ in range(2):
        front = FolderFrontEnd(tmp_path)
        for words in ("Say what to ask.", "Say it again."):
            assert (await front.notify(asked(), said(words))).outcome == "sent"
    await front.notify(asked("other"), said("Say what to ask."))
    assert len(lines(tmp_path / "told" / "ann.jsonl")) == 3


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_hostile_names_keys_and_authors_stay_in_the_folder(tmp_path: Path, name: str):
    folder = tmp_path / "outer" / "panelist"
    folder.mkdir(parents=True)
    front = FolderFrontEnd(folder)
    asker = asked(name, author=name)
    thread = await front.open_thread(asker, said("Root."), key=name)
    assert isinstance(thread, ThreadRef)
    doc = Doc(name, (Markdown(name),), files=(OutFile(name, name),))
    assert (await front.post(thread, doc, key=f"{name}/1")).outcome == "sent"
    assert (await front.board(thread, Board(name, (BoardRow(name, "done"),)), revision=1)).outcome == "sent"
    assert (await front.notify(asker, doc)).outcome == "sent"
    after = FolderFrontEnd(folder)
    assert await after.find(thread, f"{name}/1") is not None
    assert await after.open_thread(asker, said("Root."), key=name) == thread
    assert len(lines(out(folder, thread))) == 2
    assert inside(folder) == {"out", "told"}
    assert inside(tmp_path) == {"outer"}
    assert inside(tmp_path / "outer") == {"panelist"}


# What goes wrong


async def outcomes(front: FolderFrontEnd, thread: ThreadRef) -> list[Receipt]:
    return [
        await front.post(thread, Doc("New", files=(OutFile("new.md", "x"),)), key="run/new"),
        await front.board(thread, Board("Panel", ()), revision=9),
        await front.notify(asked(), said("Told.")),
    ]


@pytest.mark.parametrize("name", ["nowhere", "../in/ask", "nowhere~0123456789abcdef", "a\0b"])
async def test_a_thread_that_was_never_opened_is_gone(tmp_path: Path, name: str):
    front, thread = FolderFrontEnd(tmp_path), ThreadRef(PLACE, name)
    (tmp_path / "out").mkdir()
    for receipt in (await outcomes(front, thread))[:2]:
        assert isinstance(receipt.error, Gone)
    assert await front.find(thread, "run/1") is None
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_folder_that_was_deleted_is_gone_and_not_made_again(tmp_path: Path):
    front = FolderFrontEnd(tmp_path / "panelist")
    (tmp_path / "panelist").mkdir()
    thread = await opened(front)
    shutil.rmtree(tmp_path / "panelist")
    assert all(isinstance(receipt.error, Gone) for receipt in await outcomes(front, thread))
    assert isinstance(await front.open_thread(asked(), said("Root."), key="run/root"), Gone)
    assert await front.find(thread, "run/root") is None
    assert inside(tmp_path) == set()


async def test_a_link_in_place_of_a_thread_is_not_followed(tmp_path: Path):
    outside = tmp_path / "outside.jsonl"
    outside.write_text("mine\n")
    front = FolderFrontEnd(tmp_path)
    thread = await opened(front)
    out(tmp_path, thread).unlink()
    out(tmp_path, thread).symlink_to(outside)
    assert isinstance((await front.post(thread, said("One."), key="run/1")).error, NotDispatched)
    assert outside.read_text() == "mine\n"


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The nearest thing to a full disk: the system writes up to here and then refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("spare", [0, 1, 30])
async def test_a_disk_that_is_full_in_the_middle_of_a_line_leaves_no_half_of_it(tmp_path: Path, spare: int):
    front = FolderFrontEnd(tmp_path)
    thread = await opened(front)
    path = out(tmp_path, thread)
    before = path.read_bytes()
    with no_file_larger_than(len(before) + spare):
        receipt = await front.post(thread, said("Long. " * 100), key="run/1")
    assert (receipt.outcome, type(receipt.error)) == ("failed", NotDispatched)
    assert path.read_bytes() == before
    assert (await front.post(thread, said("Long. " * 100), key="run/1")).outcome == "sent"
    assert posts(tmp_path, thread) == ["run/root", "run/1"]


async def test_a_post_whose_file_does_not_fit_is_not_shown(tmp_path: Path):
    front = FolderFrontEnd(tmp_path)
    thread = await opened(front)
    doc = Doc("New", files=(OutFile("long.md", "x" * 100_000),))
    with no_file_larger_than(50_000):
        assert isinstance((await front.post(thread, doc, key="run/1")).error, NotDispatched)
    assert posts(tmp_path, thread) == ["run/root"]
    assert (await front.post(thread, doc, key="run/1")).outcome == "sent"
    assert [path.name for path in (tmp_path / "out" / f"{thread.thread}.files").iterdir()] == ["long.md"]


@contextmanager
def forbidden(folder: Path) -> Iterator[None]:
    """Nobody but root may write in `folder`, and we are not root."""
    root = os.geteuid() == 0
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


async def test_a_missing_right_says_what_to_do():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        front = FolderFrontEnd(folder)
        thread = await opened(front)
        with forbidden(folder):
            receipts = await outcomes(front, thread)
            opening = await front.open_thread(asked("other"), said("Root."), key="other/root")
        for error in (*(receipt.error for receipt in receipts), opening):
            assert isinstance(error, PermissionMissing)
            assert str(folder) in error.fix
        assert {receipt.outcome for receipt in await outcomes(front, thread)} == {"sent"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "full"), NotDispatched),
        (OSError(errno.EDQUOT, "full"), NotDispatched),
        (OSError(errno.EMFILE, "files"), NotDispatched),
        (OSError("no number"), NotDispatched),
        (OSError(errno.EROFS, "read-only"), PermissionMissing),
        (OSError(errno.EACCES, "denied"), PermissionMissing),
        (OSError(errno.ENOTDIR, "a file"), Gone),
        (Unsettled(errno.EIO, "broken"), Unknown),
    ],
)
def test_what_the_disk_refuses_has_a_kind(error: OSError, kind: type):
    assert isinstance(send_error(error, Path("/x/out/thread.jsonl")), kind)


# A real kill

POSTER = """
import asyncio, sys
from pathlib import Path
from adapters.folder import FolderFrontEnd
from adapters.port import Doc, Invocation, Markdown, OutFile, Place

async def main():
    front = FolderFrontEnd(Path(sys.argv[1]))
    asked = Invocation(Place("folder", "local", "general"), "ann", "/panel x", "run", "command")
    thread = await front.open_thread(asked, Doc("Root"), key="run/root")
    for number in range(100_000):
        doc = Doc("Answer", (Markdown("Words. " * 2_000),), files=(OutFile("a.md", str(number) * 1_000),))
        receipt = await front.post(thread, doc, key=f"run/{number}")
        assert receipt.outcome == "sent"
        print(f"run/{number}", flush=True)

asyncio.run(main())
"""


def acknowledged_before_a_kill(folder: Path) -> list[str]:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", POSTER, folder], stdout=subprocess.PIPE, text=True, cwd=root
    ) as poster:
        assert poster.stdout is not None
        keys = [poster.stdout.readline().strip() for _ in range(20)]
        poster.kill()
        return keys + poster.stdout.read().split()


async def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path):
    acknowledged = acknowledged_before_a_kill(tmp_path)
    front = FolderFrontEnd(tmp_path)
    thread = await opened(front)
    shown = posts(tmp_path, thread)
    assert shown[: len(acknowledged) + 1] == ["run/root", *acknowledged]
    assert len(shown) <= len(acknowledged) + 2
    for line in lines(out(tmp_path, thread))[1:]:
        [name] = line["files"]  # type: ignore[misc]
        assert (tmp_path / "out" / f"{thread.thread}.files" / name).stat().st_size >= 1_000
