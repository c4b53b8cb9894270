"""Windows: runs that one person sees, or where the bot is a guest. They are told by the tokens of that person's
gestures, and by direct message when none of them is of use any more.

A message of a window is known as `@original`, the first response to the gesture that opened it; as `key~id`, a further
message by the gesture of that key; or as `channel/id`, a direct message.
"""

from collections import OrderedDict
from dataclasses import replace

from adapters.discord.errors import DIRECTLY, OVER
from adapters.discord.layout import Message, doc_messages
from adapters.discord.native import Mark, Native, Spot
from adapters.discord.posting import MOST_READ, Poster, complete, receipt
from adapters.discord.responders import Responder, Responders
from adapters.discord.threads import ORIGINAL, gesture_of, person_of, window
from adapters.port import (
    Doc,
    Gone,
    Invocation,
    Markdown,
    MessageRef,
    PermissionMissing,
    Place,
    Receipt,
    Rejected,
    SendError,
    ThreadRef,
    Unreadable,
)
from adapters.shown import PostMemory, Shown

CLOSED_WINDOW = Rejected("Discord takes no more changes to this message; it does for 15 minutes")
NOT_SEEN = Unreadable("Discord does not let the bot read what one person alone sees")
NO_WAY = Gone("the window is closed, and its person takes no direct messages from the bot")
KEPT = Rejected("Discord lets only you dismiss a message that you alone see, once 15 minutes are over")

WHY_DIRECTLY = "Discord shows answers where you asked for 15 minutes only, or I was restarted, so here is the rest."

MOST_WINDOWS = 2_000


class Windows:
    """Tells runs through windows. Nothing of a window outlives the process but what was sent directly."""

    def __init__(self, native: Native, responders: Responders, memory: PostMemory) -> None:
        self._native, self._responders, self._memory = native, responders, memory
        self._poster = Poster(native, memory)
        # The post that said why it comes directly, for each window.
        self._explained: OrderedDict[str, str] = OrderedDict()

    async def open(self, invocation: Invocation, message: Message, key: str) -> ThreadRef | SendError:
        """Show a root: as the first response, as a further message, or directly."""
        root = await self._root(invocation, message, key)
        if isinstance(root, SendError):
            return root
        shown = self._memory.of(key)
        shown.parts, shown.of = {1: root}, 1
        return window(invocation.place, invocation.key, root)

    async def _root(self, invocation: Invocation, message: Message, key: str) -> str | SendError:
        shown = self._memory.of(key)
        if shown.whole:
            return shown.parts[1]
        responder = self._responders.of(invocation.key)
        if responder is not None:
            first = await self._responders.respond(responder, message, Mark(key))
            if first is not None:
                return first if isinstance(first, SendError) else ORIGINAL
        return await self._say(invocation.place, invocation.key, message, Mark(key))

    async def post(self, thread: ThreadRef, doc: Doc, key: str) -> Receipt:
        """Show what of a document does not stand yet. One that the window closes on is told anew, directly and
        whole."""
        place, gesture = thread.place, gesture_of(thread)
        shown, directly = self._memory.of(key), _directly(key)
        if not self._memory.of(directly).of:
            error = await complete(
                shown, doc_messages(doc), key, lambda message, mark: self._follow(place, gesture, message, mark)
            )
            if error is not OVER:
                return receipt(thread, shown, error)
        told = self._memory.of(directly)
        error = await complete(
            told,
            doc_messages(self._explaining(thread, doc, key)),
            directly,
            lambda message, mark: self._say_directly(place, message, mark),
        )
        ids = (*shown.ids, *told.ids)
        found = receipt(thread, told, error)
        return replace(found, ref=MessageRef(thread, ids)) if found.ref is not None else found

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | Unreadable | None:
        """Where a post stands, as far as this process showed it or it was sent directly."""
        shown = self._memory.of(key)
        if shown.whole:
            return MessageRef(thread, shown.ids)
        told = await self._look(thread.place, _directly(key))
        if not isinstance(told, Shown):
            return told
        # Of what went by tokens nobody can tell.
        return MessageRef(thread, (*shown.ids, *told.ids)) if told.whole else NOT_SEEN

    async def find_thread(self, invocation: Invocation, key: str) -> ThreadRef | SendError | Unreadable | None:
        """The window whose root has this key, the same way."""
        shown = self._memory.of(key)
        responder = self._responders.of(invocation.key)
        if not shown.whole and responder is not None:
            first = await self._responders.standing(responder, key)
            if isinstance(first, SendError):
                return first
            if first is None and not responder.settled:
                return None
            if first is not None:
                shown.parts, shown.of = {1: ORIGINAL}, 1
        if not shown.whole:
            found = await self._look(invocation.place, key)
            if not isinstance(found, Shown):
                return found
            shown = found
        return window(invocation.place, invocation.key, shown.parts[1]) if shown.whole else NOT_SEEN

    async def change(self, thread: ThreadRef, message: Message, mark: int) -> SendError | None:
        """Put a message in place of the root. A window that closed says so as a refusal: its posts go on directly."""
        if channel := _direct_channel(thread.root):
            return await self._native.edit(channel, thread.root.partition("/")[2], _unpressed(message), mark)
        responder, native = self._by(thread, thread.root)
        if responder is None:
            return CLOSED_WINDOW
        error = await self._responders.change(responder, native, message, mark)
        return CLOSED_WINDOW if error is OVER or isinstance(error, Gone | PermissionMissing) else error

    async def remove(self, thread: ThreadRef, native: str) -> SendError | None:
        """Take a message away, where Discord still lets the bot."""
        if channel := _direct_channel(native):
            return await self._native.delete(channel, native.partition("/")[2])
        responder, message = self._by(thread, native)
        if responder is None:
            return KEPT
        error = await self._responders.take_away(responder, message)
        return KEPT if error is OVER else None if isinstance(error, Gone) else error

    def _by(self, thread: ThreadRef, native: str) -> tuple[Responder | None, str]:
        """The gesture that a message was sent by, and its id there; none for the first response."""
        key, further, message = native.rpartition("~")
        return self._responders.of(key if further else gesture_of(thread)), message if further else ""

    async def _say(self, place: Place, gesture: str, message: Message, mark: Mark) -> str | SendError:
        sent = await self._follow(place, gesture, message, mark)
        return await self._say_directly(place, message, mark) if sent is OVER else sent

    async def _follow(self, place: Place, gesture: str, message: Message, mark: Mark) -> str | SendError:
        """A further message by the newest gesture of the window; `OVER` where there is none."""
        responder = self._responders.window(place, gesture)
        if responder is None:
            return OVER
        sent = await self._responders.follow(responder, message, mark)
        return sent if isinstance(sent, SendError) else f"{responder.key}~{sent}"

    async def _say_directly(self, place: Place, message: Message, mark: Mark) -> str | SendError:
        channel = await self._native.direct_channel(person_of(place))
        if isinstance(channel, SendError):
            return _refused(channel)
        sent = await self._native.say(Spot(channel, DIRECTLY), _unpressed(message), mark)
        return _refused(sent) if isinstance(sent, SendError) else f"{channel}/{sent}"

    async def _look(self, place: Place, key: str) -> Shown | SendError | Unreadable:
        """What of a post stands among the direct messages."""
        shown = self._memory.of(key)
        if shown.whole:
            return shown
        channel = await self._native.direct_channel(person_of(place))
        if isinstance(channel, PermissionMissing):
            return Unreadable(channel.what)
        if isinstance(channel, SendError):
            return channel
        found = await self._native.standing(channel, key, MOST_READ)
        if isinstance(found, PermissionMissing):
            return Unreadable(found.what)
        if isinstance(found, SendError):
            return found
        there = {number: f"{channel}/{native}" for number, native in found.parts.items()}
        shown.parts, shown.of = {**there, **shown.parts}, found.of or shown.of
        return shown

    def _explaining(self, thread: ThreadRef, doc: Doc, key: str) -> Doc:
        """The first that is told directly says why; the same each time that it is tried."""
        first = self._explained.setdefault(thread.thread, key)
        if len(self._explained) > MOST_WINDOWS:
            self._explained.popitem(last=False)
        return replace(doc, blocks=(Markdown(WHY_DIRECTLY), *doc.blocks)) if first == key else doc


def _direct_channel(native: str) -> str:
    """The channel of a direct message; empty for one that went by a gesture's token."""
    channel, _, message = native.partition("/")
    return channel if channel.isdecimal() and message.isdecimal() else ""


def _unpressed(message: Message) -> Message:
    """A message of a window as it is told directly: there a press would be asked in another place than the run's."""
    return replace(message, buttons=())


def _directly(key: str) -> str:
    """The key of a post that is told directly: it is one of its own, for it may be cut in another way."""
    return f"{key}/directly"


def _refused(error: SendError) -> SendError:
    return NO_WAY if isinstance(error, PermissionMissing) else error
