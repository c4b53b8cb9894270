"""The way from Discord's events to the front end: each gesture once, and an answer where nothing is handed on."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import discord
import structlog

from adapters.discord.controls import PREFIX, command_of
from adapters.discord.errors import CALL_ERRORS
from adapters.discord.inbound import (
    Gesture,
    departed,
    from_message,
    from_press,
    from_shortcut,
    from_submission,
    message_key,
    withdrawn,
)
from adapters.discord.modal import carried_in, submission_of
from adapters.port import Attachment, Inbound, Invocation, NotSafe

log = structlog.get_logger()

MOST_KEPT = 2_000
"""How many messages are remembered: those that asked something, and those that a form was opened about."""

NOWHERE = "I cannot be asked in this kind of channel. Ask me in a text channel or in a direct message."
NO_TOPIC = "Write what is to be asked, and send the form again."
OUTDATED = "This is out of date. Open it again, or ask me anew."
UNKNOWN_COMMAND = (
    "I have changed since Discord showed you this command. Reload Discord (Ctrl+R) and try again in a minute."
)
BROKE = "Something went wrong on my side. It is in my log; please try again."

Take = Callable[[Inbound, Gesture | None], Awaitable[None]]


class Incoming:
    """Hands on what people do. What is wrong with one gesture ends here, and is told to whoever made it."""

    def __init__(self, take: Take | None = None) -> None:
        self._take = take
        self._asked: OrderedDict[str, Invocation] = OrderedDict()
        self._files: OrderedDict[str, tuple[Attachment, ...]] = OrderedDict()

    def hands_to(self, take: Take) -> None:
        """Say where gestures go."""
        self._take = take

    async def asked(self, gesture: Gesture, invocation: Invocation | None) -> None:
        """A gesture that asks for something."""
        if invocation is None:
            await say(gesture, NOWHERE)
        else:
            await self._hand_on(invocation, gesture)

    async def shortcut(self, gesture: Gesture, message: discord.Message) -> None:
        """The command on a message. Its files are kept until the form comes back: a form carries none."""
        invocation = from_shortcut(gesture, message)
        if invocation is not None:
            _keep(self._files, f"{gesture.user.id}/{message.id}", invocation.attachments[1:])
        await self.asked(gesture, invocation)

    async def pressed(self, gesture: Gesture) -> None:
        """A button of the bot's own."""
        await self.asked(gesture, from_press(gesture))

    async def other(self, gesture: Gesture) -> None:
        """An interaction that nobody else sees to: a form that was sent off, or a button of another time."""
        custom_id = gesture.custom_id or ""
        if not custom_id.startswith(PREFIX):
            return
        if gesture.type is discord.InteractionType.modal_submit:
            await self._submitted(gesture, custom_id)
        elif command_of(custom_id) is None:
            await say(gesture, OUTDATED)

    async def _submitted(self, gesture: Gesture, custom_id: str) -> None:
        carried, submission = carried_in(custom_id), submission_of(gesture)
        if carried is None:
            await say(gesture, OUTDATED)
        elif submission is None:
            await say(gesture, NO_TOPIC)
        else:
            # Only of messages that the same person opened a form about: the id in it is hostile.
            kept = self._files.get(f"{gesture.user.id}/{carried.message}", ())
            await self.asked(gesture, from_submission(gesture, submission, carried, kept))

    async def message(self, message: discord.Message, bot: int) -> None:
        """A message, whoever it is for."""
        invocation = from_message(message, bot)
        if invocation is not None:
            _keep(self._asked, invocation.key, invocation)
            await self._hand_on(invocation)

    async def deleted(self, channel: int, message: int) -> None:
        """A message was deleted. It counts where it asked something, as far back as that is remembered."""
        invocation = self._asked.pop(message_key(channel, message), None)
        if invocation is not None:
            await self._hand_on(withdrawn(invocation))

    async def left(self, guild: int) -> None:
        """The bot was removed from a server."""
        await self._hand_on(departed(guild))

    async def _hand_on(self, inbound: Inbound, gesture: Gesture | None = None) -> None:
        if self._take is None:
            log.error("invocation.not_safe", why="the bot takes nothing in yet")
            return
        try:
            await self._take(inbound, gesture)
        except NotSafe as error:
            # Discord does not deliver it again. Who asked was told.
            log.error("invocation.not_safe", why=str(error))


async def seen_to(handling: Coroutine[Any, Any, None], gesture: Gesture | None = None) -> None:
    """Await what handles an event, and be the edge where a bug in it ends: the library would write its own log."""
    try:
        await handling
    except Exception as error:  # the edge of one event
        log.error("discord.listener_broke", exc_info=error)
        if gesture is not None:
            await say(gesture, BROKE)


async def say(gesture: Gesture, sentence: str) -> None:
    """Answer a gesture with one sentence that its maker alone sees, if it can be answered still."""
    if gesture.type is discord.InteractionType.autocomplete:
        return
    try:
        if gesture.response.is_done():
            await gesture.followup.send(sentence, ephemeral=True)
        else:
            await gesture.response.send_message(sentence, ephemeral=True)
    except CALL_ERRORS as error:
        log.warning("discord.not_told", error=type(error).__name__)


def _keep(kept: "OrderedDict[str, Any]", key: str, value: object) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MOST_KEPT:
        kept.popitem(last=False)
