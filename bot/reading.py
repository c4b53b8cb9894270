"""Documents that a run came with by reference: fetched and read before its team begins, or a sentence each why not."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from adapters.port import Attachment, FrontEnd, Gone, Invocation, PermissionMissing, SendError, TooLarge, Unfetched
from bot.documents import LARGEST_TOTAL, UnreadableDocument
from bot.pace import Lane
from bot.tries import BREAKS, Patience, Tries, guarded
from teams.model import Source

MOST_FILES = 10
"""Files of one question that are read."""

SECONDS = 60.0
"""How long fetching and reading may take, for all files together."""

Reader = Callable[[str, bytes], Awaitable[str]]
"""The text of a file, from its name and its content. Raises `UnreadableDocument`."""


def to_fetch(invocation: Invocation) -> tuple[Attachment, ...]:
    """The attachments that have to be fetched."""
    return tuple(file for file in invocation.attachments if _waits(file))


def fetched_in_vain(invocation: Invocation) -> tuple[Attachment, ...]:
    """The attachments that were to be fetched and could not be read. They keep their `ref`, by which that is known."""
    return tuple(file for file in invocation.attachments if file.ref and file.problem)


async def read_attachments(
    front: FrontEnd, read: Reader, invocation: Invocation, before: Sequence[Source], seconds: float = SECONDS
) -> tuple[Invocation, tuple[Source, ...]]:
    """All documents of a run, those it had `before` first; and the invocation with nothing left to fetch in it: an
    attachment has a problem, or its text is among the documents."""
    reading = _Reading(front, read, invocation, before)
    try:
        async with asyncio.timeout(seconds):
            await reading.work()
    except TimeoutError:
        reading.out_of_time(f"it was not read within {seconds:.0f} s; send it again, or one that is smaller")
    return replace(invocation, attachments=tuple(reading.files)), tuple(reading.sources)


class _Reading:
    """The files of one invocation: fetched side by side, read one after the other."""

    def __init__(self, front: FrontEnd, read: Reader, invocation: Invocation, before: Sequence[Source]) -> None:
        self._front, self._read, self._invocation = front, read, invocation
        self.files = list(invocation.attachments)
        self.sources = list(before)
        waiting = [number for number, file in enumerate(self.files) if _waits(file)]
        self._waiting = waiting[:MOST_FILES]
        for number in waiting[MOST_FILES:]:
            self._problem(number, f"only the first {MOST_FILES} files are read; ask about the others by themselves")

    async def work(self) -> None:
        async with asyncio.TaskGroup() as group:
            fetching = {number: group.create_task(self._fetch(self.files[number])) for number in self._waiting}
            for number, task in fetching.items():
                content = await task
                if isinstance(content, bytes):
                    await self._keep(number, content)
                else:
                    self._problem(number, _why(content))

    def out_of_time(self, why: str) -> None:
        for number in self._waiting:
            if _waits(self.files[number]):
                self._problem(number, why)

    async def _fetch(self, file: Attachment) -> bytes | Unfetched | SendError:
        tries = Tries(Patience(SECONDS))
        while True:
            content = await guarded(self._front.fetch(self._invocation, file), BREAKS)
            if isinstance(content, bytes | Unfetched) or not await tries.another(content, Lane(None)):
                return content

    async def _keep(self, number: int, content: bytes) -> None:
        name = self.files[number].name
        try:
            text = await self._read(name, content)
        except UnreadableDocument as error:
            self._problem(number, str(error))
            return
        total = sum(len(source.text) for source in self.sources) + len(text)
        if total > LARGEST_TOTAL:
            self._problem(
                number,
                f"with it the documents would have {total:,} characters together, and at most {LARGEST_TOTAL:,} can be"
                " given; it was left out",
            )
            return
        self.sources.append(Source(self._free(name), text))
        self.files[number] = replace(self.files[number], ref="")

    def _problem(self, number: int, why: str) -> None:
        self.files[number] = replace(self.files[number], problem=why)

    def _free(self, name: str) -> str:
        """The name, or one with a number: a citation has to lead to one document."""
        taken = {source.name for source in self.sources}
        others = (f"{name} ({number})" for number in range(2, len(taken) + 3))
        return name if name not in taken else next(other for other in others if other not in taken)


def _waits(file: Attachment) -> bool:
    return bool(file.ref) and not file.text and not file.problem


def _why(error: Unfetched | SendError) -> str:
    match error:
        case Unfetched(why):
            return why
        case PermissionMissing(what, fix):
            return f"{what}; {fix}"
        case Gone():
            return "it is not there any more; send it again"
        case TooLarge():
            return "it is too large to be fetched; give the part that matters"
        case _:
            return "it could not be fetched; send it again"
