"""Calls to Slack, one method each: Slack's answer, or what its failure means for what was sent. Repeats nothing."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.port import NotDispatched, OutFile, PermissionMissing, Place, Rejected, SendError, ThreadRef, Unknown
from adapters.slack.blocks import Message
from adapters.slack.errors import CALL_ERRORS, REINSTALL, send_error
from adapters.slack.files import Files
from adapters.slack.names import text_at
from adapters.slack.plan_stream import Chunks
from adapters.slack.workspaces import TokensUnread, Workspaces

METADATA = "panelist_post"

READ_LIMIT = 200

CLOSED = NotDispatched("the Slack front end is closed")
NOT_INSTALLED = PermissionMissing("the app is not installed in this workspace", REINSTALL)

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """Which part of which post a message is; it travels in the message's metadata."""

    key: str
    part: int
    of: int

    @property
    def metadata(self) -> dict[str, Any]:
        """As Slack keeps it."""
        return {"event_type": METADATA, "event_payload": {"key": self.key, "part": self.part, "of": self.of}}


class Native:
    """Slack's methods as the rest of the adapter needs them."""

    def __init__(self, workspaces: Workspaces, session: aiohttp.ClientSession, files: Files) -> None:
        self.workspaces, self._session, self.files = workspaces, session, files
        self.closed = False

    async def call(self, place: Place, call: Callable[[AsyncWebClient], Awaitable[Any]]) -> Answer | SendError:
        """One call in the name of a place's workspace."""
        if self.closed:
            return CLOSED
        try:
            client = await self.workspaces.client(place.tenant)
        except TokensUnread as error:
            return NotDispatched(str(error))
        if client is None:
            return NOT_INSTALLED
        try:
            answer = await call(client)
        except CALL_ERRORS as error:
            return send_error(error)
        data = answer.data
        return data if isinstance(data, Mapping) else Unknown("an answer that is none")

    async def say(self, place: Place, thread_ts: str, message: Message, mark: Mark) -> str | SendError:
        """Post a message; its timestamp. Nothing in it is linked, previewed or turned into a mention by Slack."""
        answer = await self.call(
            place,
            lambda client: client.chat_postMessage(
                channel=place.channel,
                thread_ts=thread_ts or None,
                text=message.text,
                blocks=list(message.blocks),
                metadata=mark.metadata,
                parse="none",
                link_names=False,
                unfurl_links=False,
                unfurl_media=False,
            ),
        )
        return _ts_of(answer)

    async def update(self, place: Place, ts: str, message: Message) -> SendError | None:
        """Put a message in place of another; its metadata stays."""
        return error_of(
            await self.call(
                place,
                lambda client: client.chat_update(
                    channel=place.channel,
                    ts=ts,
                    text=message.text,
                    blocks=list(message.blocks),
                    parse="none",
                    link_names=False,
                ),
            )
        )

    async def say_privately(self, place: Place, user: str, thread_ts: str, message: Message) -> SendError | None:
        """Show a message to one person, until they reload."""
        return error_of(
            await self.call(
                place,
                lambda client: client.chat_postEphemeral(
                    channel=place.channel,
                    user=user,
                    thread_ts=thread_ts or None,
                    text=message.text,
                    blocks=list(message.blocks),
                    parse="none",
                    link_names=False,
                ),
            )
        )

    async def answer_gesture(self, url: str, message: Message) -> SendError | None:
        """Show a message to whoever made a gesture, through the address that came with it."""
        if self.closed:
            return CLOSED
        if not self.files.trusted(url):
            return Rejected("a response_url that is not Slack's")
        shown = {"text": message.text, "blocks": list(message.blocks)}
        body = {"response_type": "ephemeral", "replace_original": False, **shown}
        try:
            async with self._session.post(url, json=body, allow_redirects=False) as answer:
                return None if answer.status == 200 else Rejected(f"response_url answered {answer.status}")
        except CALL_ERRORS as error:
            return send_error(error)

    async def direct_channel(self, place: Place, user: str) -> str | SendError:
        """The channel in which the bot and one person talk."""
        answer = await self.call(place, lambda client: client.conversations_open(users=user))
        if not isinstance(answer, Mapping):
            return answer
        return text_at(answer, "channel", "id") or Unknown("an answer without a channel")

    async def delete(self, place: Place, native: str) -> SendError | None:
        """Take away a message, named by its timestamp, or a file, named by its id. Fine where it is gone already."""
        if native.startswith("F"):
            answer = await self.call(place, lambda client: client.files_delete(file=native))
        else:
            answer = await self.call(place, lambda client: client.chat_delete(channel=place.channel, ts=native))
        gone = isinstance(answer, Rejected) and answer.reason in ("message_not_found", "file_not_found", "file_deleted")
        return None if gone else error_of(answer)

    async def read(self, place: Place, thread_ts: str, cursor: str) -> Answer | SendError:
        """A page of a thread, or of a channel's newest messages."""
        if thread_ts:
            return await self.call(
                place,
                lambda client: client.conversations_replies(
                    channel=place.channel,
                    ts=thread_ts,
                    limit=READ_LIMIT,
                    include_all_metadata=True,
                    cursor=cursor or None,
                ),
            )
        return await self.call(
            place,
            lambda client: client.conversations_history(
                channel=place.channel, limit=READ_LIMIT, include_all_metadata=True, cursor=cursor or None
            ),
        )

    async def upload(self, thread: ThreadRef, file: OutFile) -> str | SendError:
        """Share a file in a thread; its id."""
        content, place = file.text.encode(), thread.place
        ticket = await self.call(
            place, lambda client: client.files_getUploadURLExternal(filename=file.name, length=len(content))
        )
        if not isinstance(ticket, Mapping):
            return ticket
        file_id = text_at(ticket, "file_id")
        error = await self._put(text_at(ticket, "upload_url"), content)
        if error is not None:
            return error
        done = await self.call(
            place,
            lambda client: client.files_completeUploadExternal(
                files=[{"id": file_id, "title": file.name}], channel_id=place.channel, thread_ts=thread.thread
            ),
        )
        return error_of(done) or file_id

    async def _put(self, url: str, content: bytes) -> SendError | None:
        if not self.files.trusted(url):
            return Rejected("Slack named an upload address that is not its own")
        try:
            async with self._session.post(url, data=content) as answer:
                return None if answer.status == 200 else Unknown(f"upload answered {answer.status}")
        except CALL_ERRORS as error:
            return send_error(error)

    async def open_view(self, place: Place, trigger: str, view: dict[str, Any]) -> SendError | None:
        """Open a modal for whoever made the gesture that the trigger is of."""
        return error_of(await self.call(place, lambda client: client.views_open(trigger_id=trigger, view=view)))

    async def set_status(self, thread: ThreadRef, status: str) -> SendError | None:
        """Set the status of an agent's session."""
        return error_of(
            await self.call(
                thread.place,
                lambda client: client.agents_sessions_setStatus(
                    channel_id=thread.place.channel, status=status, thread_ts=thread.thread
                ),
            )
        )

    # Streams

    async def start_stream(self, thread: ThreadRef, chunks: Chunks) -> str | SendError:
        """Begin a plan below a root; its timestamp."""
        answer = await self.call(
            thread.place,
            lambda client: client.chat_startStream(
                channel=thread.place.channel, thread_ts=thread.thread, chunks=chunks, task_display_mode="plan"
            ),
        )
        return _ts_of(answer)

    async def append_stream(self, thread: ThreadRef, ts: str, chunks: Chunks) -> SendError | None:
        """Change a plan."""
        channel = thread.place.channel
        return error_of(
            await self.call(
                thread.place, lambda client: client.chat_appendStream(channel=channel, ts=ts, chunks=chunks)
            )
        )

    async def stop_stream(self, thread: ThreadRef, ts: str, chunks: Chunks, *, over: bool) -> SendError | None:
        """End a plan. Slack takes a session for over with it, unless it is told otherwise."""
        status, channel = "active" if over else "processing", thread.place.channel
        return error_of(
            await self.call(
                thread.place,
                lambda client: client.chat_stopStream(
                    channel=channel, ts=ts, chunks=chunks or None, session_status=status
                ),
            )
        )


def _ts_of(answer: Answer | SendError) -> str | SendError:
    if isinstance(answer, Mapping):
        return text_at(answer, "ts") or Unknown("an answer without a timestamp")
    return answer


def error_of(answer: Answer | SendError) -> SendError | None:
    """What went wrong, if something did."""
    return None if isinstance(answer, Mapping) else answer
