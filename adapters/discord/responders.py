"""Gestures that want an answer: the first response to each within three seconds, and what else their tokens allow for.

A token lives for 15 minutes and only in memory: whoever holds it may post. Nothing that has to last is told by it, but
where there is no other way.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import discord
import structlog

from adapters.discord.errors import ANSWERED, OVER, USED_UP
from adapters.discord.layout import Message
from adapters.discord.marks import found_in
from adapters.discord.native import Mark, Native, edited, ids_of, posted
from adapters.discord.refusals import monotonic
from adapters.discord.threads import has_window, is_private
from adapters.port import Gone, Invocation, Place, Rejected, SendError, Unknown

log = structlog.get_logger()

TOKEN_SECONDS = 880.0
"""How long a token is used. Discord takes it for 15 minutes (its page "Receiving and Responding to Interactions")."""

PATIENCE = 2.0
"""Seconds after which a gesture without an answer is told that one is coming. Discord waits for three."""

MOST_GESTURES, MOST_WINDOWS = 5_000, 2_000

GUESTS_FOLLOW_UPS = 5
"""How many further messages a gesture takes where the bot itself is not (the same page)."""

Gesture = discord.Interaction[Any]
State = Literal["open", "thinking", "acknowledged", "answered", "over"]


async def patience() -> None:
    """Wait as long as an answer may take before Discord has to be told that one is coming."""
    await asyncio.sleep(PATIENCE)


@dataclass(slots=True)
class Responder:
    """One gesture, and how far its answer is. `thinking`: Discord shows that an answer is coming, and the first one
    takes that place. `acknowledged`: there is no such place. `over`: its token is of no use any more."""

    key: str
    gesture: Gesture
    place: Place
    until: float
    state: State = "open"
    follow_ups: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    watch: asyncio.Task[None] | None = None

    @property
    def private(self) -> bool:
        """Whether its answers are seen by its author alone."""
        return is_private(self.place)

    @property
    def settled(self) -> bool:
        """Whether further messages are messages of their own."""
        return self.state in ("acknowledged", "answered")

    @property
    def of_component(self) -> bool:
        """Whether it was a press on a button."""
        return self.gesture.type is discord.InteractionType.component


class Responders:
    """The gestures of the last minutes. `wait` is how long one may stay without an answer."""

    def __init__(
        self,
        native: Native,
        wait: Callable[[], Awaitable[None]] = patience,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._native, self._wait, self._clock = native, wait, clock
        self._by_key: OrderedDict[str, Responder] = OrderedDict()
        self._windows: OrderedDict[Place, list[Responder]] = OrderedDict()
        self._watching: set[asyncio.Task[None]] = set()

    def remember(self, invocation: Invocation, gesture: Gesture) -> None:
        """Keep a gesture, and see to it that it is answered in time. One that is delivered again is the first one."""
        self._forget_old()
        if invocation.key in self._by_key:
            return
        responder = Responder(invocation.key, gesture, invocation.place, self._clock() + TOKEN_SECONDS)
        self._by_key[invocation.key] = responder
        if has_window(invocation.place):
            alive = [each for each in self._windows.pop(invocation.place, []) if self._alive(each)]
            self._windows[invocation.place] = [*alive, responder]
            if len(self._windows) > MOST_WINDOWS:
                self._windows.popitem(last=False)
        task = asyncio.create_task(self._watch(responder), name=f"gesture {invocation.key}")
        responder.watch = task
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    def of(self, key: str) -> Responder | None:
        """A gesture whose token can be used."""
        responder = self._by_key.get(key)
        return responder if responder is not None and self._alive(responder) else None

    def window(self, place: Place, key: str) -> Responder | None:
        """The newest gesture in a window that takes further messages; that of `key` where it is as good."""
        usable = [each for each in self._windows.get(place, []) if self._alive(each) and each.settled]
        usable = [each for each in usable if each.private or each.follow_ups < GUESTS_FOLLOW_UPS]
        return next((each for each in usable if each.key == key), usable[-1] if usable else None)

    async def close(self) -> None:
        """Watch over nothing any more."""
        watching = list(self._watching)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    # Answers

    async def respond(self, responder: Responder, message: Message, mark: Mark) -> str | SendError | None:
        """Show a message as the first response; its id. None where there was one already, or there can be none."""
        async with responder.lock:
            if responder.state == "open":
                answer = await self._first(responder, message, mark, ephemeral=responder.private)
                if answer is not ANSWERED:
                    return None if answer is OVER else answer
            if responder.state == "thinking":
                sent = await self._in_place(responder, message, mark.id)
                return None if sent is OVER else sent
            return None

    async def standing(self, responder: Responder, key: str) -> str | SendError | None:
        """The first response, if it is the message with this key."""
        async with responder.lock:
            return await self._original(responder, key)

    async def tell(self, responder: Responder, message: Message, mark: Mark) -> SendError | None:
        """Show a message to its author alone. `OVER` where that cannot be done by its token."""
        async with responder.lock:
            if responder.state == "open":
                answer = await self._first(responder, message, mark, ephemeral=True)
                if answer is not ANSWERED:
                    return answer if isinstance(answer, SendError) else None
            if responder.state == "thinking" and responder.private:
                sent = await self._in_place(responder, message, mark.id)
                return sent if isinstance(sent, SendError) else None
            if responder.state == "thinking":
                # What follows would take its place, where all see it.
                gone = await self._native.by_token(responder.gesture.delete_original_response)
                if isinstance(gone, SendError):
                    return OVER
                responder.state = "acknowledged"
            followed = await self._follow(responder, message, mark, ephemeral=True)
            return followed if isinstance(followed, SendError) else None

    async def follow(self, responder: Responder, message: Message, mark: Mark) -> str | SendError:
        """Show a further message where the gesture was made; its id."""
        async with responder.lock:
            return await self._follow(responder, message, mark, ephemeral=responder.private)

    async def change(self, responder: Responder, native: str, message: Message, mark: int) -> SendError | None:
        """Put a message in place of the first response, or of a further one."""
        changed: discord.Message | SendError
        if native:
            followup = responder.gesture.followup
            changed = await self._native.by_token(lambda: followup.edit_message(int(native), **edited(message, mark)))
        else:
            changed = await self._native.by_token(
                lambda: responder.gesture.edit_original_response(**edited(message, mark))
            )
        return self._over(responder, changed) if isinstance(changed, SendError) else None

    async def take_away(self, responder: Responder, native: str) -> SendError | None:
        """Take the first response away, or a further one."""
        gesture = responder.gesture
        if native:
            done = await self._native.by_token(lambda: gesture.followup.delete_message(int(native)))
        else:
            done = await self._native.by_token(gesture.delete_original_response)
        return self._over(responder, done) if isinstance(done, SendError) else None

    async def open_form(self, responder: Responder, form: discord.ui.Modal) -> SendError | None:
        """Answer with a form, which only the first response can be."""
        async with responder.lock:
            if responder.state != "open":
                return ANSWERED
            answer = await self._native.by_token(lambda: responder.gesture.response.send_modal(form))
            if isinstance(answer, SendError):
                return self._unanswered(responder, answer)
            self._settle(responder, "answered")
            return None

    async def acknowledge(self, responder: Responder) -> None:
        """Say that the gesture arrived, where nothing else was said."""
        async with responder.lock:
            if responder.state != "open":
                return
            response, private = responder.gesture.response, responder.private
            if responder.of_component:
                answer = await self._native.by_token(response.defer)
            else:
                answer = await self._native.by_token(lambda: response.defer(thinking=True, ephemeral=private))
            if isinstance(answer, SendError):
                log.info("gesture.not_acknowledged", gesture=responder.key, error=type(answer).__name__)
                if answer is ANSWERED:
                    # The library may have said it twice, because it was told a 5xx; or somebody else has answered.
                    await self._original(responder, responder.key)
                    if responder.state == "open":
                        self._settle(responder, "acknowledged" if responder.of_component else "answered")
                else:
                    self._unanswered(responder, answer)
                return
            self._settle(responder, "acknowledged" if responder.of_component else "thinking")

    async def _watch(self, responder: Responder) -> None:
        await self._wait()
        responder.watch = None
        await self.acknowledge(responder)

    async def _first(self, responder: Responder, message: Message, mark: Mark, *, ephemeral: bool) -> str | SendError:
        """The first response itself. One whose end is not known stays watched over: nobody else would see to it."""
        answer = await self._native.by_token(
            lambda: responder.gesture.response.send_message(**posted(message, mark.id), ephemeral=ephemeral)
        )
        if answer is ANSWERED:
            # The library may have sent it twice, because it was told a 5xx; or somebody else has answered.
            stands = await self._original(responder, mark.key)
            if responder.state == "open":
                self._settle(responder, "answered")
            return ANSWERED if stands is None else stands
        if isinstance(answer, SendError):
            return self._unanswered(responder, answer)
        self._settle(responder, "answered")
        return str(answer.message_id) if answer.message_id else Unknown("an answer without a message")

    async def _in_place(self, responder: Responder, message: Message, mark: int) -> str | SendError:
        answer = await self._native.by_token(lambda: responder.gesture.edit_original_response(**edited(message, mark)))
        if isinstance(answer, SendError):
            return self._over(responder, answer)
        self._settle(responder, "answered")
        return str(answer.id)

    async def _follow(self, responder: Responder, message: Message, mark: Mark, *, ephemeral: bool) -> str | SendError:
        if not responder.settled:
            return OVER
        responder.follow_ups += 1
        sent = await self._native.by_token(
            lambda: responder.gesture.followup.send(**posted(message, mark.id), ephemeral=ephemeral, wait=True)
        )
        if sent is USED_UP:
            # What was said by it can still be changed.
            responder.follow_ups = GUESTS_FOLLOW_UPS
            return OVER
        return self._over(responder, sent) if isinstance(sent, SendError) else str(sent.id)

    async def _original(self, responder: Responder, key: str) -> str | SendError | None:
        """The id of the first response where it is the message with this key. What else it is, is noted."""
        stands = await self._native.by_token(responder.gesture.original_response)
        if isinstance(stands, SendError):
            return None if isinstance(stands, Gone | Rejected) else stands
        if found_in(ids_of(stands.components), key) is not None:
            self._settle(responder, "answered")
            return str(stands.id)
        if stands.flags.loading:
            self._settle(responder, "thinking")
        return None

    # States

    def _settle(self, responder: Responder, state: State) -> None:
        responder.state = state
        if responder.watch is not None:
            responder.watch.cancel()
            responder.watch = None

    def _unanswered(self, responder: Responder, error: SendError) -> SendError:
        """A first response that was not taken."""
        if error is OVER:
            self._settle(responder, "over")
        return error

    def _over(self, responder: Responder, error: SendError) -> SendError:
        if error is OVER:
            responder.state = "over"
        return error

    def _alive(self, responder: Responder) -> bool:
        return responder.state != "over" and self._clock() < responder.until

    def _forget_old(self) -> None:
        while self._by_key:
            key, oldest = next(iter(self._by_key.items()))
            if self._clock() < oldest.until and len(self._by_key) < MOST_GESTURES:
                return
            del self._by_key[key]
