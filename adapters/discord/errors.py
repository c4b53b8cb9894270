"""What Discord's and the network's errors mean for a send, in one table. Nothing here repeats anything."""

import asyncio
from dataclasses import dataclass

import aiohttp
import discord

from adapters.port import Gone, NotDispatched, PermissionMissing, RateLimited, Rejected, SendError, Unknown

DEFAULT_RETRY_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class Need:
    """What a call needs an admin to grant. Discord names no permission when it refuses, so whoever calls does."""

    what: str
    fix: str


POST = Need(
    "the bot may not post in this channel",
    "an admin can grant it View Channel, Send Messages and Attach Files here",
)
POST_IN_THREAD = Need(
    "the bot may not post in this thread",
    "an admin can grant it View Channel, Send Messages in Threads and Attach Files here",
)
ATTACH = Need("the bot may not attach files in this channel", "an admin can grant it Attach Files here")
REPLY = Need("the bot may not reply in this channel", "an admin can grant it Read Message History here")
EDIT = Need("the bot may not see this channel", "an admin can grant it View Channel here")
READ = Need(
    "the bot may not read this channel",
    "an admin can grant it View Channel and Read Message History here",
)
HANG = Need(
    "the bot may not create threads in this channel",
    "an admin can grant it Create Public Threads and Send Messages in Threads here",
)
MANAGE = Need("the bot may not delete or reopen this thread", "an admin can grant it Manage Threads here")
RENAME = Need(
    "the bot may not delete the thread, so an empty one with its name stays",
    "an admin can delete it, and grant the bot Manage Threads here",
)
DIRECTLY = Need(
    "the bot may not send you direct messages",
    "allow direct messages from members of the server in its privacy settings",
)
ANSWER = Need("the bot may not answer here", "an admin can allow apps to be used in this channel")

OVER = Rejected("Discord takes no more answers to this gesture")
ANSWERED = Rejected("this gesture was answered already")
USED_UP = Rejected("Discord takes no further messages by this gesture")

ARCHIVED = 50083
HAS_THREAD = 160004
NO_REPLIES = 160002
"""A reply by whoever may not read the history of messages."""
UNKNOWN_CHANNEL, UNKNOWN_MESSAGE = 10003, 10008
TOKEN_REFUSED = NotDispatched("Discord does not accept the bot's token")
"""Not a right that one place lacks: with a new token everything that waits can be sent."""

_OVER = frozenset({10015, 10062, 50027})
"""Of a gesture's token: unknown, never known, invalid."""

MESSAGE_GONE = Gone("the message was deleted")
_GONE = {
    UNKNOWN_CHANNEL: Gone("the channel was deleted"),
    10004: Gone("the bot is not in this server any more"),
    UNKNOWN_MESSAGE: MESSAGE_GONE,
}
_PERMISSIONS = {
    20012: ("the app may not do that", "an admin can add the bot again"),
    40001: ("Discord does not let the bot do that", "an admin can add the bot again"),
    50008: ("messages cannot be sent in this channel", "ask in a text channel"),
    ARCHIVED: ("this thread is closed and locked", "ask in another one"),
    160005: ("this thread is locked", "ask in another one"),
}
_LIMITED = frozenset({20016, 20018, 20022, 20028, 30046, 40062})
"""Slow mode, write limits, edits of old messages: to be tried again later."""


def send_error(error: BaseException, need: Need) -> SendError:
    """What an exception out of a call to Discord says about what was sent. A connection that was not made is told as
    `NotDispatched` although the library may have tried before and been answered with a 5xx; its nonce makes a post that
    is sent again harmless."""
    match error:
        case discord.RateLimited():
            return RateLimited(error.retry_after)
        case discord.InteractionResponded():
            return ANSWERED
        case discord.HTTPException():
            return _http_error(error, need)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError() | aiohttp.InvalidURL():
            return NotDispatched(type(error).__name__)
        case aiohttp.ClientError() | asyncio.TimeoutError() | OSError():
            return Unknown(type(error).__name__)
        case discord.ClientException():
            return Rejected(type(error).__name__)
        case _:
            raise error


CALL_ERRORS = (
    discord.HTTPException,
    discord.RateLimited,
    discord.ClientException,
    aiohttp.ClientError,
    asyncio.TimeoutError,
    OSError,
)
"""All that a call to Discord can end with besides an answer."""


def refuses_token(error: BaseException) -> bool:
    """Whether Discord does not take the bot's own token; it answers 401 for that of a gesture, too."""
    return isinstance(error, discord.HTTPException) and error.status == 401 and error.code not in _OVER


def counts_as_invalid(error: BaseException) -> bool:
    """Whether Discord counts the request among those for which it bans a host (its page "Rate Limits")."""
    if isinstance(error, discord.HTTPException):
        return error.status in (401, 403, 429)
    return False


def code_of(error: BaseException) -> int:
    """Discord's own number for an error; 0 where it gave none."""
    return error.code if isinstance(error, discord.HTTPException) else 0


def _http_error(error: discord.HTTPException, need: Need) -> SendError:
    status, code = error.status, error.code
    if status == 429 or code in _LIMITED:
        return RateLimited(_retry_after(error))
    if status >= 500:
        return Unknown(f"an answer that is none ({status})")
    if code in _OVER:
        return OVER
    if status == 401:
        return TOKEN_REFUSED
    if code in _GONE:
        return _GONE[code]
    if code == 50007:
        return PermissionMissing("you take no direct messages from the bot", DIRECTLY.fix)
    if code in _PERMISSIONS:
        return PermissionMissing(*_PERMISSIONS[code])
    if code == 40060:
        return ANSWERED
    if code == 40094:
        return USED_UP
    if status == 403 and code in (0, 50001, 50013):
        return PermissionMissing(need.what, need.fix)
    return Rejected(_reason(error))


def _reason(error: discord.HTTPException) -> str:
    """Discord's words for what it did not take, as one line; they name fields and say nothing of what stood there."""
    said = " ".join(error.text.split())
    return f"{error.code or error.status}: {said if len(said) <= 200 else said[:199] + '…'}".removesuffix(": ")


def _retry_after(error: discord.HTTPException) -> float:
    headers = getattr(error.response, "headers", None) or {}
    try:
        return max(0.0, float({name.lower(): value for name, value in headers.items()}["retry-after"]))
    except (KeyError, TypeError, ValueError):
        return DEFAULT_RETRY_AFTER
