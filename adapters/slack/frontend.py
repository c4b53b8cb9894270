"""Slack as a `FrontEnd`: each send one native call whose end is reported as it was, each post marked with its key.

A post carries its key in its message metadata: one whose response was lost is found by it, where the app may read the
thread. `client_msg_id` is of no use for that, for Slack does not keep it for bots.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from adapters.port import (
    AskForm,
    Attachment,
    Board,
    Capabilities,
    Doc,
    Health,
    Inbound,
    Invocation,
    MessageRef,
    NotDispatched,
    NotSafe,
    Pace,
    Place,
    Receipt,
    Rejected,
    SendError,
    Sink,
    ThreadRef,
    Unfetched,
    Unknown,
    Unreadable,
)
from adapters.slack.blocks import board_message, doc_messages
from adapters.slack.boards import Boards, failed
from adapters.slack.evidence import Evidence
from adapters.slack.inbound import NO_REPLY, SURFACE, Reply
from adapters.slack.modal import ask_view
from adapters.slack.names import text_at
from adapters.slack.native import CLOSED, NOT_INSTALLED, Native
from adapters.slack.posting import Poster
from adapters.slack.private import Private
from adapters.slack.sealed import Seal
from adapters.slack.workspaces import TokensUnread

log = structlog.get_logger()

CHANNEL_PACE = Pace(burst=4, per_minute=60, reserved=1)
"""Slack takes about one post a second and channel with short bursts (its page "Rate limits"). A strict second between
posts would make every reply late, so the second is kept on average only. One is kept so that a root, or the end of a
run, need not wait where others' answers do."""

BOARD_PACE = Pace(burst=25, per_minute=25, reserved=20)
"""`chat.update` is Tier 3, fifty or more a minute and workspace: burst and rate together are no more in any minute.
Most of a burst is kept for last boards: with 20 panels in 20 channels the boards before them had used the minute up,
and threads that were over kept their spinner for 54 s."""


@dataclass(frozen=True, slots=True)
class Paces:
    """How fast posts go to a channel, and boards to a workspace."""

    channel: Pace = CHANNEL_PACE
    boards: Pace = BOARD_PACE


PACES = Paces()

TEXT_LIMIT = 12_000

QUOTED_LIMIT = 3_000
"""Characters of a message that fit into a form; a longer one is fetched when the form comes back."""

Serving = Callable[[], Coroutine[Any, Any, None]]
"""How payloads come in. It returns, or raises `FrontEndFailed`, when no more can."""


class SlackFrontEnd:
    """Shows runs in Slack. It is handed its client, so that a fake can stand in."""

    name = SURFACE

    def __init__(self, native: Native, seal: Seal, paces: Paces = PACES) -> None:
        self._native, self._seal, self._paces = native, seal, paces
        self._serving: Serving | None = None
        self._trouble: Callable[[], str] = lambda: ""
        self._poster = Poster(native)
        self._boards = Boards(native, self._poster)
        self._private = Private(native)
        self._evidence = Evidence()
        self._sink: Sink | None = None
        self._closed = asyncio.Event()

    # What comes in

    def comes_by(self, serving: Serving, trouble: Callable[[], str]) -> None:
        """Say how payloads come in, where nobody else hands them to `take`, and who knows what is wrong with it."""
        self._serving, self._trouble = serving, trouble

    async def serve(self, sink: Sink) -> None:
        """Take payloads in until closed. Raises `FrontEndFailed`."""
        self._sink = sink
        waiting: set[asyncio.Task[Any]] = {asyncio.create_task(self._closed.wait())}
        if self._serving is not None:
            waiting.add(asyncio.create_task(self._serving()))
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._sink = None
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)

    async def take(self, inbound: Inbound, reply: Reply = NO_REPLY) -> None:
        """Hand on what was asked. Raises `NotSafe`."""
        if self._sink is None or self._closed.is_set():
            raise NotSafe("the bot takes nothing in now")
        if isinstance(inbound, Invocation):
            self._private.remember(inbound.key, reply)
        await self._sink(inbound)

    def unseal(self, text: str) -> Mapping[str, str] | None:
        """What a form of the bot's own carried; None for any other."""
        return self._seal.unseal(text)

    def health(self) -> Health:
        """Connected, and taking in."""
        if self._closed.is_set() or self._sink is None:
            return Health(False, "Slack is not served")
        trouble = self._trouble()
        return Health(not trouble, trouble)

    async def close(self) -> None:
        """Take nothing more in; plans under way are ended in good order."""
        if not self._closed.is_set():
            await self._boards.close()
            self._native.closed = True
            self._closed.set()

    # What goes out

    def capabilities(self, place: Place) -> Capabilities:
        """Every place takes forms; folds, until a workspace refused them."""
        return Capabilities(
            text_limit=TEXT_LIMIT,
            folds=self._poster.style(place) == "rich",
            tables=True,
            forms=True,
            pace=self._paces.channel,
            board_pace=self._paces.boards,
        )

    async def open_thread(self, invocation: Invocation, root: Doc, *, key: str) -> ThreadRef | SendError:
        """Post the root: into the thread it was asked in, or into the channel, where a thread hangs from it then."""
        place, board = invocation.place, Board(root.title, (), root=root)
        sent = await self._poster.post_one(place, invocation.within, lambda style: board_message(board, style), key)
        if not isinstance(sent, str):
            return sent
        thread = _thread(invocation, sent)
        await self._boards.status(thread, "processing")
        return CLOSED if self._native.closed else thread

    async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
        """Post what of the document does not stand yet."""
        if self._native.closed:
            return failed(CLOSED)
        error = await self._poster.post(thread, doc, key)
        shown = self._poster.of(key).ids
        ref = MessageRef(thread, shown) if shown else None
        if error is None:
            return Receipt("sent", ref, len(shown))
        if isinstance(error, Unknown):
            return Receipt("unknown", error=error)
        return Receipt("partial" if ref else "failed", ref, len(shown), error)

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | Unreadable | None:
        """Read the thread, and note all that stands in it."""
        error = await self._poster.look(thread.place, thread.thread)
        shown = self._poster.of(key)
        if error is not None:
            return error
        return MessageRef(thread, shown.ids) if shown.whole else None

    async def find_thread(self, invocation: Invocation, key: str) -> ThreadRef | SendError | Unreadable | None:
        """Read the thread it was asked in, or the newest messages of the channel."""
        error = await self._poster.look(invocation.place, invocation.within)
        shown = self._poster.of(key)
        if error is not None:
            return error
        return _thread(invocation, shown.parts[1]) if shown.whole else None

    async def board(self, thread: ThreadRef, board: Board, *, revision: int) -> Receipt:
        """Put the board into the root, or into a plan of its own where people talk to the bot alone."""
        return failed(CLOSED) if self._native.closed else await self._boards.show(thread, board, revision)

    async def notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        """Tell the asker alone."""
        messages = doc_messages(replace(doc, mention=""), self._poster.style(invocation.place))
        for shown, message in enumerate(messages):
            error = await self._private.tell(invocation, message)
            if error is not None:
                return Receipt("partial", parts=shown, error=error) if shown else failed(error)
        return Receipt("sent", parts=len(messages))

    async def ask(self, invocation: Invocation, form: AskForm) -> Receipt:
        """Open the form, bound to its asker and channel. Only a gesture that was a click or a command can open one."""
        trigger = self._private.trigger(invocation.key)
        if not trigger:
            return failed(Rejected("no trigger"))
        quoted = next((file for file in invocation.attachments if file.text), None)
        fits = quoted is not None and len(quoted.text) <= QUOTED_LIMIT
        sealed = {
            "tenant": invocation.place.tenant,
            "channel": invocation.place.channel,
            "author": invocation.author,
            "thread": invocation.within,
            "quoted": quoted.ref if quoted is not None and not fits else "",
        }
        shown = replace(form, documents=quoted.text if quoted is not None and fits else "")
        error = await self._native.open_view(invocation.place, trigger, ask_view(shown, self._seal.seal(sealed)))
        return Receipt("sent", parts=1) if error is None else failed(error)

    async def fetch(self, invocation: Invocation, attachment: Attachment) -> bytes | Unfetched | SendError:
        """A file's content, or the messages above a mention with their authors."""
        where = _where(attachment.ref)
        try:
            client = await self._native.workspaces.client(invocation.place.tenant)
        except TokensUnread as error:
            return NotDispatched(str(error))
        if client is None:
            return NOT_INSTALLED
        if text_at(where, "thread"):
            return await self._evidence.quoted(client, invocation.place.channel, where)
        file: Any = {"url_private": text_at(where, "url"), "mimetype": text_at(where, "type")}
        if not file["url_private"]:
            # A file out of another organisation comes as its id alone.
            answer = await self._native.call(
                invocation.place, lambda client: client.files_info(file=text_at(where, "file"))
            )
            if not isinstance(answer, Mapping):
                return answer
            file = answer.get("file")
        url = text_at(file, "url_private_download") or text_at(file, "url_private")
        return await self._native.files.fetch(url, client.token or "", html=text_at(file, "mimetype") == "text/html")

    async def remove(self, ref: MessageRef) -> SendError | None:
        """Delete the native messages of a post, and its files."""
        for native in ref.ids:
            error = await self._native.delete(ref.thread.place, native)
            if error is not None:
                return error
            self._poster.forget(native)
        return None


def _thread(invocation: Invocation, root: str) -> ThreadRef:
    """A run's thread: the one it was asked in, or the one that hangs from its root."""
    return ThreadRef(invocation.place, invocation.within or root, root)


def _where(ref: str) -> Mapping[str, Any]:
    try:
        where = json.loads(ref)
    except ValueError:
        return {}
    return where if isinstance(where, Mapping) else {}
