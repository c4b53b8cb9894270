"""What a run came with by reference, files and links: read before its team begins, or a sentence each why not."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from adapters.port import Attachment, FrontEnd, Gone, Invocation, PermissionMissing, SendError, TooLarge, Unfetched
from bot.brief import Brief
from bot.documents import LARGEST_TOTAL, UnreadableDocument
from bot.links import Link
from bot.pace import Lane
from bot.tries import BREAKS, Patience, Tries, guarded
from teams.model import Source
from teams.reading import read_document
from teams.sources.kit import PageReader
from teams.sources.pages import Page
from teams.sources.port import SourceFailed

MOST_FILES = 10
"""Files of one question that are read."""

SECONDS = 60.0
"""How long fetching and reading may take, for all that came with a question together."""

PAGES_AT_ONCE = 2
"""Links that are read side by side: a page may be a file, whose reader takes memory."""

NO_PAGES = "links are not read here, for PANELIST_WEB is off; attach what the page says as a file"

Reader = Callable[[str, bytes], Awaitable[str]]
"""The text of a file, from its name and its content. Raises `UnreadableDocument`."""


@dataclass(frozen=True, slots=True)
class Readers:
    """What reads the content of files, and the pages of links where they may be read."""

    file: Reader = read_document
    pages: PageReader | None = None


def to_fetch(invocation: Invocation) -> tuple[Attachment, ...]:
    """The attachments that have to be fetched."""
    return tuple(file for file in invocation.attachments if _waits(file))


def fetched_in_vain(invocation: Invocation) -> tuple[Attachment, ...]:
    """The attachments that were to be fetched and could not be read. They keep their `ref`, by which that is known."""
    return tuple(file for file in invocation.attachments if file.ref and file.problem)


def links_to_read(brief: Brief) -> tuple[Link, ...]:
    """The links that were not looked at yet."""
    return tuple(link for link in brief.links if link.waits)


def links_in_vain(brief: Brief) -> tuple[Link, ...]:
    """The links that could not be read."""
    return tuple(link for link in brief.links if link.problem)


async def read_what_came(
    front: FrontEnd | None, readers: Readers, invocation: Invocation, brief: Brief, seconds: float = SECONDS
) -> tuple[Invocation, Brief]:
    """The brief with all documents in it, those that it had first, then files, then links; and the invocation with
    nothing left to fetch in it. Each file and link has its text among the documents, or a problem. Without a `front`
    there are no files to fetch."""
    reading = _Reading(front, readers, invocation, brief)
    try:
        async with asyncio.timeout(seconds):
            await reading.work()
    except TimeoutError:
        reading.out_of_time(f"it was not read within {seconds:.0f} s; send it again, or one that is smaller")
    read = replace(brief, sources=tuple(reading.sources), links=tuple(reading.links))
    return replace(invocation, attachments=tuple(reading.files)), read


class _Reading:
    """What came with one question: files are fetched side by side and read one after the other, links are both at once,
    a few at a time."""

    def __init__(self, front: FrontEnd | None, readers: Readers, invocation: Invocation, brief: Brief) -> None:
        self._front, self._readers, self._invocation = front, readers, invocation
        self.files = list(invocation.attachments)
        self.links = list(brief.links)
        self.sources = list(brief.sources)
        self._turn = asyncio.Semaphore(PAGES_AT_ONCE)
        waiting = [number for number, file in enumerate(self.files) if _waits(file)]
        self._waiting = waiting[:MOST_FILES]
        for number in waiting[MOST_FILES:]:
            self._problem(number, f"only the first {MOST_FILES} files are read; ask about the others by themselves")

    async def work(self) -> None:
        async with asyncio.TaskGroup() as group:
            fetching = {number: group.create_task(self._fetch(self.files[number])) for number in self._waiting}
            linked = [number for number, link in enumerate(self.links) if link.waits]
            pages = {number: group.create_task(self._page(self.links[number].url)) for number in linked}
            for number, task in fetching.items():
                content = await task
                if isinstance(content, bytes):
                    await self._keep(number, content)
                else:
                    self._problem(number, _why(content))
            for number, page in pages.items():
                self._keep_page(number, await page)

    def out_of_time(self, why: str) -> None:
        for number in self._waiting:
            if _waits(self.files[number]):
                self._problem(number, why)
        self.links = [replace(link, problem=why) if link.waits else link for link in self.links]

    async def _page(self, url: str) -> Page | SourceFailed | None:
        if self._readers.pages is None:
            return None
        async with self._turn:
            return await self._readers.pages.read(url)

    def _keep_page(self, number: int, page: Page | SourceFailed | None) -> None:
        link = self.links[number]
        match page:
            case None:
                self.links[number] = replace(link, problem=NO_PAGES)
            case SourceFailed():
                self.links[number] = replace(link, problem=page.sentence)
            case Page() if why := self._too_much(page.text):
                self.links[number] = replace(link, problem=why)
            case Page():
                self.links[number] = replace(link, source=self._added(page.final_url, page.text))

    async def _fetch(self, file: Attachment) -> bytes | Unfetched | SendError:
        tries = Tries(Patience(SECONDS))
        assert self._front is not None, "files come from front ends"
        while True:
            content = await guarded(self._front.fetch(self._invocation, file), BREAKS)
            if isinstance(content, bytes | Unfetched) or not await tries.another(content, Lane(None)):
                return content

    async def _keep(self, number: int, content: bytes) -> None:
        name = self.files[number].name
        try:
            text = await self._readers.file(name, content)
        except UnreadableDocument as error:
            self._problem(number, str(error))
            return
        if why := self._too_much(text):
            self._problem(number, why)
            return
        self._added(name, text)
        self.files[number] = replace(self.files[number], ref="")

    def _too_much(self, text: str) -> str:
        total = sum(len(source.text) for source in self.sources) + len(text)
        if total <= LARGEST_TOTAL:
            return ""
        return (
            f"with it the documents would have {total:,} characters together, and at most {LARGEST_TOTAL:,} can be"
            " given; it was left out"
        )

    def _added(self, name: str, text: str) -> str:
        self.sources.append(Source(self._free(name), text))
        return self.sources[-1].name

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
