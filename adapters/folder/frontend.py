"""The folder front end: the port's promises kept in files, for scripts, for cron and across crashes."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import structlog

from adapters.folder.disk import made, send_error
from adapters.folder.inbox import Inbox
from adapters.folder.journal import BoardFile, Journal
from adapters.folder.names import file_name, is_thread_name, plain, thread_name
from adapters.plain import board_source, doc_source
from adapters.port import (
    AskForm,
    Attachment,
    Board,
    Capabilities,
    Doc,
    Gone,
    Health,
    Invocation,
    MessageRef,
    NotDispatched,
    NotSafe,
    Place,
    Receipt,
    Rejected,
    SendError,
    Sink,
    ThreadRef,
    Unfetched,
    Unknown,
)
from adapters.safety import one_line

_REMEMBERED = 1_000
T = TypeVar("T")

log = structlog.get_logger()


class FolderFrontEnd:
    """Takes invocations from `folder/in` and appends posts to `folder/out`; see the package for the files.

    An invocation is delivered at least once, always with the same key: its file is moved after the sink returned. A
    post is appended exactly once per key, over restarts too, by one process at a time. `sent` means that the post and
    its files were flushed to disk: they outlive a killed process, and a power cut as far as the disk keeps its word. A
    send that is cancelled may still be shown; `find` tells.
    """

    name = "folder"

    def __init__(self, folder: Path, *, poll_seconds: float = 0.2) -> None:
        self._folder = folder.absolute()
        self._poll_seconds = poll_seconds
        self._inbox = Inbox(self._folder)
        # One object, and so one lock, per file in use; the recent ones are kept because they know what was shown.
        self._journals: WeakValueDictionary[Path, Journal] = WeakValueDictionary()
        self._boards: WeakValueDictionary[Path, BoardFile] = WeakValueDictionary()
        self._recent: deque[Journal | BoardFile] = deque(maxlen=_REMEMBERED)
        self._closed = asyncio.Event()
        self._readable = True
        # Not the loop's own pool, whose threads others may hold for as long as a database is away.
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="folder")

    def capabilities(self, place: Place) -> Capabilities:
        """A file takes everything."""
        return Capabilities(text_limit=None, folds=False, tables=True, edits=True, files=True)

    async def open_thread(self, invocation: Invocation, root: Doc, *, key: str) -> ThreadRef | SendError:
        """Begin the thread's file with the root. The invocation's key decides which file, in every process."""
        thread = ThreadRef(invocation.place, thread_name(invocation.key))
        return await self._append("out", thread.thread, root, key, create=True) or thread

    async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
        """Append the document unless its key is there already."""
        if not is_thread_name(thread.thread):
            return _failed(_NO_THREAD)
        error = await self._append("out", thread.thread, doc, key, create=False)
        return _failed(error) if error else Receipt("sent", MessageRef(thread, (plain(key),)), 1)

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | None:
        """The post with this key, where it stands whole."""
        if not is_thread_name(thread.thread):
            return None
        there = await self._in_thread(self._journal("out", thread.thread).has, plain(key))
        if isinstance(there, bool):
            return MessageRef(thread, (plain(key),)) if there else None
        return there

    async def find_thread(self, invocation: Invocation, key: str) -> ThreadRef | SendError | None:
        """The invocation's thread, where its root stands."""
        thread = ThreadRef(invocation.place, thread_name(invocation.key))
        found = await self.find(thread, key)
        return thread if isinstance(found, MessageRef) else found

    async def board(self, thread: ThreadRef, board: Board, *, revision: int) -> Receipt:
        """Put the board's file in place of the one before, unless that is as new."""
        if self._closed.is_set():
            return _failed(_CLOSED)
        if not is_thread_name(thread.thread):
            return _failed(_NO_THREAD)
        out = self._folder / "out"
        path = out / f"{thread.thread}.board.json"
        file = self._boards.setdefault(path, BoardFile(path, out / f"{thread.thread}.jsonl"))
        self._recent.append(file)
        error = await self._in_thread(file.replace, revision, _fields(board))
        return _failed(error) if error else Receipt("sent", MessageRef(thread, ("board",)), 1)

    async def notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        """Append to the author's own file; the same words about the same invocation once, however often delivered."""
        words = hashlib.sha256(doc_source(doc).encode()).hexdigest()[:16]
        error = await self._append(
            "told", file_name(invocation.author), doc, f"{invocation.key}/told/{words}", create=True
        )
        return _failed(error) if error else Receipt("sent", parts=1)

    async def ask(self, invocation: Invocation, form: AskForm) -> Receipt:
        """A folder has no forms."""
        return _failed(Rejected("a folder has no forms"))

    async def fetch(self, invocation: Invocation, attachment: Attachment) -> bytes | Unfetched | SendError:
        """Attachments of a folder come with their text."""
        return Unfetched("a folder takes attachments with their text only; put it into the command's file")

    async def remove(self, ref: MessageRef) -> SendError | None:
        """Nothing that stands in a folder's files is taken out of them: whoever owns the folder deletes files."""
        return Rejected("what was written into a folder stays; delete the thread's files")

    def health(self) -> Health:
        """Whether its folder can be read and it was not closed."""
        if self._closed.is_set():
            return Health(ready=False, detail="it is closed")
        return Health(self._readable, "" if self._readable else f"{self._folder} cannot be read")

    async def serve(self, sink: Sink) -> None:
        """Take in what appears, until closed. Makes the folder where it is missing; OSError where it cannot."""
        await self._in_thread(partial((self._folder / "in").mkdir, parents=True, exist_ok=True))
        while not self._closed.is_set():
            try:
                names = await self._in_thread(self._inbox.waiting)
                self._readable = True
            except OSError as error:
                names = []
                if self._readable:
                    log.error("folder.unreadable", folder=str(self._folder), why=error.strerror or str(error))
                self._readable = False
            for name in names:
                if not self._closed.is_set():
                    await self._deliver(name, sink)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._closed.wait()

    async def close(self) -> None:
        """Take nothing more in, once the sink has returned from what it has; nothing else is held open."""
        self._closed.set()

    async def _deliver(self, name: str, sink: Sink) -> None:
        delivery = await self._in_thread(self._inbox.take, name)
        if delivery is None:
            return
        try:
            await sink(delivery.invocation)
        except NotSafe as error:
            if self._inbox.put_off(delivery):
                log.error("invocation.not_safe", file=one_line(name), why=str(error))
            return
        except Exception:
            if self._inbox.put_off(delivery):
                log.exception("invocation.not_safe", file=one_line(name))
            return
        await self._in_thread(self._inbox.acknowledge, delivery)

    async def _append(self, room: str, name: str, doc: Doc, key: str, *, create: bool) -> SendError | None:
        if self._closed.is_set():
            return _CLOSED
        journal = self._journal(room, name)
        if create:
            try:
                await self._in_thread(made, journal.path.parent)
            except OSError as error:
                return send_error(error, journal.path)
        return await self._in_thread(_show, journal, doc, plain(key), create)

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args))

    def _journal(self, room: str, name: str) -> Journal:
        path = self._folder / room / f"{name}.jsonl"
        journal = self._journals.setdefault(path, Journal(path))
        self._recent.append(journal)
        return journal


def _show(journal: Journal, doc: Doc, key: str, create: bool) -> SendError | None:
    return journal.append(key, doc_source(doc), doc.files, create=create)


def _fields(board: Board) -> dict[str, object]:
    rows = [
        {name: one_line(value) if isinstance(value, str) else value for name, value in asdict(row).items()}
        for row in board.rows
    ]
    shown = {"title": one_line(board.title), "rows": rows, "note": one_line(board.note), "finished": board.finished}
    shown |= {"run": board.run, "controls": list(board.controls)}
    return {**shown, "text": board_source(board)}


def _failed(error: SendError) -> Receipt:
    return Receipt("unknown" if isinstance(error, Unknown) else "failed", error=error)


_CLOSED = NotDispatched("the folder front end is closed")
_NO_THREAD = Gone("there is no such thread")
