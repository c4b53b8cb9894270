"""Posts: each message once, whatever had been shown of it, and found again by the marks that messages carry."""

from collections.abc import Awaitable, Callable, Sequence

from adapters.discord.errors import POST, POST_IN_THREAD
from adapters.discord.layout import Message, doc_messages
from adapters.discord.native import Mark, Native, Spot
from adapters.discord.threads import hangs
from adapters.port import Doc, MessageRef, PermissionMissing, Receipt, SendError, ThreadRef, Unknown, Unreadable
from adapters.shown import PostMemory, Shown

MOST_READ = 1_000
"""Messages of a thread that are read to find a post: ten pages."""

NEWEST = 100
"""Messages of a channel that are read to find a root: one page."""

Say = Callable[[Message, Mark], Awaitable[str | SendError]]


def receipt(thread: ThreadRef, shown: Shown, error: SendError | None) -> Receipt:
    """What became of a post of which this stands."""
    ref = MessageRef(thread, shown.ids) if shown.ids else None
    if error is None:
        return Receipt("sent", ref, len(shown.ids))
    if isinstance(error, Unknown):
        return Receipt("unknown", error=error)
    return Receipt("partial" if ref else "failed", ref, len(shown.ids), error)


def failed(error: SendError) -> Receipt:
    """A send that was not shown, as far as is known."""
    return Receipt("unknown" if isinstance(error, Unknown) else "failed", error=error)


async def complete(shown: Shown, messages: Sequence[Message], key: str, say: Say) -> SendError | None:
    """Show what of a post does not stand yet, in order."""
    shown.of = len(messages)
    for number, message in enumerate(messages, 1):
        if number not in shown.parts:
            sent = await say(message, Mark(key, number, shown.of))
            if isinstance(sent, SendError):
                return sent
            shown.parts[number] = sent
    return None


class Poster:
    """Posts by the bot's token, and remembers what of each post stands."""

    def __init__(self, native: Native, memory: PostMemory) -> None:
        self._native, self._memory = native, memory

    async def post(self, thread: ThreadRef, doc: Doc, key: str) -> Receipt:
        """Post what of a document does not stand yet: into the thread, or as replies to its root."""
        in_channel = thread.thread == thread.place.channel
        replies_to = "" if hangs(thread) else thread.root
        spot = Spot(thread.thread, POST if in_channel else POST_IN_THREAD, replies_to)
        shown = self._memory.of(key)
        error = await complete(
            shown, doc_messages(doc), key, lambda message, mark: self._native.say(spot, message, mark)
        )
        return receipt(thread, shown, error)

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | Unreadable | None:
        """Where a post stands whole, out of its thread's newest messages."""
        found = await self.look(thread.thread, key, MOST_READ)
        if not isinstance(found, Shown):
            return found
        return MessageRef(thread, found.ids) if found.whole else None

    async def look(self, channel: str, key: str, most: int) -> Shown | SendError | Unreadable:
        """What of a post stands in a channel or thread; it is remembered."""
        shown = self._memory.of(key)
        if shown.whole:
            return shown
        found = await self._native.standing(channel, key, most)
        if isinstance(found, PermissionMissing):
            return Unreadable(found.what)
        if not isinstance(found, Shown):
            return found
        shown.parts, shown.of = {**found.parts, **shown.parts}, found.of or shown.of
        return shown
