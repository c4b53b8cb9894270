"""What is said to one person alone: by what came with a gesture, else unseen by others, else directly."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from adapters.port import Gone, Invocation, PermissionMissing, Rejected, SendError, Unknown
from adapters.slack.blocks import Message
from adapters.slack.inbound import Reply
from adapters.slack.native import Mark, Native

REPLY_SECONDS, REPLY_USES = 1_700.0, 5
"""How long and how often a `response_url` can be used: Slack says 30 minutes and five times."""

MOST_REPLIES = 5_000


@dataclass(slots=True)
class _Way:
    reply: Reply
    until: float
    uses: int = REPLY_USES


class Private:
    """Tells askers alone. What came with a gesture is kept in memory only: whoever holds such an address may post."""

    def __init__(self, native: Native, clock: Callable[[], float] = time.monotonic) -> None:
        self._native, self._clock = native, clock
        self._ways: OrderedDict[str, _Way] = OrderedDict()

    def remember(self, key: str, reply: Reply) -> None:
        """Keep what came with a gesture, for as long as Slack takes it."""
        if reply.url or reply.trigger:
            self._ways.setdefault(key, _Way(reply, self._clock() + REPLY_SECONDS))
            if len(self._ways) > MOST_REPLIES:
                self._ways.popitem(last=False)

    def trigger(self, key: str) -> str:
        """What a form can be opened with, if there is something."""
        way = self._ways.get(key)
        return way.reply.trigger if way is not None else ""

    async def tell(self, invocation: Invocation, message: Message) -> SendError | None:
        """Show a message to the asker. It is not tried in another way where the first may have shown it, and directly
        only where that mends it: whoever is to wait would have to wait there too."""
        if invocation.place.channel.startswith("D"):
            return await self._directly(invocation, message)
        error = await self._by_reply(invocation, message)
        if error is None or isinstance(error, Unknown):
            return error
        error = await self._ephemerally(invocation, message)
        if not isinstance(error, PermissionMissing | Gone | Rejected):
            return error
        return await self._elsewhere(invocation, message)

    async def _by_reply(self, invocation: Invocation, message: Message) -> SendError | None:
        way = self._ways.get(invocation.key)
        if way is None or not way.reply.url or not way.uses or self._clock() > way.until:
            return Rejected("no response_url")
        way.uses -= 1
        return await self._native.answer_gesture(way.reply.url, message)

    async def _ephemerally(self, invocation: Invocation, message: Message) -> SendError | None:
        return await self._native.say_privately(invocation.place, invocation.author, invocation.within, message)

    async def _elsewhere(self, invocation: Invocation, message: Message) -> SendError | None:
        channel = await self._native.direct_channel(invocation.place, invocation.author)
        if not isinstance(channel, str):
            return channel
        there = replace(invocation, place=replace(invocation.place, channel=channel), within="")
        return await self._directly(there, message)

    async def _directly(self, invocation: Invocation, message: Message) -> SendError | None:
        mark = Mark(f"{invocation.key}/told", 1, 1)
        sent = await self._native.say(invocation.place, invocation.within, message, mark)
        return None if isinstance(sent, str) else sent
