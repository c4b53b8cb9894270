"""Posts: each message once, whatever had been shown of it, in blocks that the workspace takes."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from adapters.port import (
    Doc,
    Markdown,
    OutFile,
    PermissionMissing,
    Place,
    RateLimited,
    Rejected,
    SendError,
    ThreadRef,
    Unreadable,
)
from adapters.shown import PostMemory, Shown
from adapters.slack.blocks import Message, Style, doc_messages
from adapters.slack.names import text_at
from adapters.slack.native import METADATA, Mark, Native

log = structlog.get_logger()

MOST_PAGES = 10

LONGEST_READ_WAIT = 20.0
"""Seconds that Slack may ask to wait before a thread is read. Apps that are sold outside of Slack's Marketplace may
read once a minute, 15 messages each time: for them a thread counts as one that cannot be read."""

MOST_THREADS = 2_000

_REFUSED_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "invalid_attachments"})


def refused(error: object) -> bool:
    """Whether Slack did not take the blocks as such."""
    return isinstance(error, Rejected) and error.reason in _REFUSED_BLOCKS


class Poster:
    """Posts documents and remembers what of them stands."""

    def __init__(self, native: Native) -> None:
        self._native, self._memory = native, PostMemory()
        self._plain: set[str] = set()
        # Files carry no key: they are known by their name, below their post.
        self._files: OrderedDict[tuple[Place, str], tuple[tuple[str, str, str], ...]] = OrderedDict()

    def of(self, key: str) -> Shown:
        """What stands under a key, as far as is known."""
        return self._memory.of(key)

    def forget(self, native: str) -> None:
        """A message was taken away: what was of it does not stand any more."""
        self._memory.forget(native)

    def style(self, place: Place) -> Style:
        """Which blocks the workspace takes."""
        return "plain" if place.tenant in self._plain else "rich"

    def note_plain(self, place: Place) -> None:
        """The workspace refused the newer blocks and took plain ones: it gets those from now on."""
        if place.tenant not in self._plain:
            log.info("slack.plain", tenant=place.tenant)
        self._plain.add(place.tenant)

    async def post_one(
        self, place: Place, thread_ts: str, rendered: Callable[[Style], Message], key: str
    ) -> str | SendError:
        """Post what is one message in any style; its timestamp."""
        shown, style = self._memory.of(key), self.style(place)
        if shown.parts:
            return shown.parts[1]
        sent = await self._native.say(place, thread_ts, rendered(style), Mark(key, 1, 1))
        if refused(sent) and style == "rich":
            sent = await self._native.say(place, thread_ts, rendered("plain"), Mark(key, 1, 1))
            if isinstance(sent, str):
                self.note_plain(place)
        if isinstance(sent, str):
            shown.parts, shown.of = {1: sent}, 1
        return sent

    async def post(self, thread: ThreadRef, doc: Doc, key: str) -> SendError | None:
        """Post what of a document does not stand yet: its messages, then its files."""
        shown, style = self._memory.of(key), self.style(thread.place)
        error = await self._post(thread, doc, key, style)
        if refused(error) and style == "rich" and not shown.parts:
            error = await self._post(thread, doc, key, "plain")
            if error is None:
                self.note_plain(thread.place)
        return error

    async def _post(self, thread: ThreadRef, doc: Doc, key: str, style: Style) -> SendError | None:
        shown, messages = self._memory.of(key), doc_messages(doc, style)
        shown.of = len(messages) + len(doc.files)
        for number, message in enumerate(messages, 1):
            if number not in shown.parts:
                sent = await self._say(thread, message, Mark(key, number, shown.of))
                if not isinstance(sent, str):
                    return sent
                shown.parts[number] = sent
        for number, file in enumerate(doc.files, len(messages) + 1):
            if number not in shown.parts:
                mark = Mark(key, number, shown.of)
                sent = self._uploaded(thread, file, shown) or await self._upload(thread, file, mark)
                if not isinstance(sent, str):
                    return sent
                shown.parts[number] = sent
        return None

    async def _say(self, thread: ThreadRef, message: Message, mark: Mark) -> str | SendError:
        sent = await self._native.say(thread.place, thread.thread, message, mark)
        if refused(sent) and mark.part > 1:
            # The parts before it stand, and would be others in another style.
            sent = await self._native.say(thread.place, thread.thread, _lowered(message), mark)
        return sent

    async def _upload(self, thread: ThreadRef, file: OutFile, mark: Mark) -> str | SendError:
        """Share a file. Where the app may not, a note stands in for it, so that nothing is lost unsaid."""
        sent = await self._native.upload(thread, file)
        if not isinstance(sent, PermissionMissing | Rejected):
            return sent
        why = f"{sent.what}; {sent.fix}" if isinstance(sent, PermissionMissing) else f"Slack refused it: {sent.reason}"
        text = f"{why}. `panelist runs show` has the whole text."
        note = Doc(f"Not attached: {file.name}", (Markdown(text),), "warning")
        return await self._native.say(thread.place, thread.thread, doc_messages(note, "plain")[0], mark)

    def _uploaded(self, thread: ThreadRef, file: OutFile, shown: Shown) -> str | None:
        seen, after = self._files.get((thread.place, thread.thread), ()), shown.parts.get(1, "")
        return next((file_id for ts, name, file_id in seen if name == file.name and ts > after), None)

    async def look(self, place: Place, thread_ts: str) -> SendError | Unreadable | None:
        """Note what stands in a thread, or among the newest messages of a channel."""
        cursor, files = "", []
        for _ in range(MOST_PAGES if thread_ts else 1):
            answer = await self._native.read(place, thread_ts, cursor)
            match answer:
                case RateLimited(retry_after) if retry_after > LONGEST_READ_WAIT:
                    return Unreadable("Slack lets this app read too seldom")
                case PermissionMissing(what):
                    return Unreadable(what)
                case Rejected(reason):
                    return Unreadable(reason)
            if not isinstance(answer, Mapping):
                return answer
            for message in answer.get("messages") or []:
                self._note(message, await self._native.workspaces.bot_user(place.tenant))
                files += _files_of(message)
            cursor = text_at(answer, "response_metadata", "next_cursor")
            if not cursor:
                break
        self._files[place, thread_ts] = tuple(files)
        if len(self._files) > MOST_THREADS:
            self._files.popitem(last=False)
        return None

    def _note(self, message: Mapping[str, Any], bot_user: str) -> None:
        # Any app can write such metadata; only the bot's own counts.
        if text_at(message, "metadata", "event_type") != METADATA or text_at(message, "user") != bot_user:
            return
        payload = message["metadata"].get("event_payload") or {}
        key, number, of = text_at(payload, "key"), payload.get("part"), payload.get("of")
        if key and isinstance(number, int) and isinstance(of, int):
            shown = self._memory.of(key)
            shown.parts.setdefault(number, text_at(message, "ts"))
            shown.of = of


def _files_of(message: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    files = message.get("files")
    listed = [file for file in files if isinstance(file, Mapping)] if isinstance(files, list) else []
    return [(text_at(message, "ts"), text_at(file, "name"), text_at(file, "id")) for file in listed]


def _lowered(message: Message) -> Message:
    """The same without the blocks that not every workspace takes."""
    blocks: list[dict[str, Any]] = []
    for block in message.blocks:
        match block.get("type"):
            case "container":
                blocks += [{"type": "section", "text": block["title"]}, *block["child_blocks"]]
            case "context_actions":
                continue
            case _:
                blocks.append(block)
    return Message(message.text, tuple(blocks))
