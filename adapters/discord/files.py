"""Files that people attached. Their addresses are signed, so no token goes along; only Discord's hosts are asked."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from adapters.discord.errors import CALL_ERRORS, EDIT, send_error
from adapters.discord.inbound import text_in
from adapters.discord.native import Native
from adapters.discord.threads import channel_of
from adapters.download import BAD_ADDRESS, LARGEST_FILE, TOO_LARGE, content_of
from adapters.port import Attachment, Invocation, PermissionMissing, SendError, Unfetched

HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})

TIMEOUT = aiohttp.ClientTimeout(total=60.0, sock_connect=10.0)

_EXPIRED = Unfetched("Discord does not hand it out any more; attach it again")
_ELSEWHERE = Unfetched("it is kept outside of Discord; attach the file itself or paste its text")
_UNKNOWN = Unfetched("nobody knows where it is; attach it again")
_NOT_SHOWN = Unfetched("Discord does not show the bot this message; paste its text into the form")


class Files:
    """Fetches what was attached. `api` names a test server, whose host then counts as Discord's."""

    def __init__(self, api: str = "") -> None:
        self._own = urlsplit(api)

    async def fetch(self, url: str, size: int) -> bytes | Unfetched | SendError:
        """The content of a file. No redirect is followed: Discord's hosts answer themselves."""
        if not self.trusted(url):
            return _ELSEWHERE
        if size > LARGEST_FILE:
            return TOO_LARGE
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT) as session,
                session.get(url, allow_redirects=False) as answer,
            ):
                if answer.status in (301, 302, 303, 307, 308):
                    return _ELSEWHERE
                return await content_of(answer, "Discord", _EXPIRED)
        except (*CALL_ERRORS, ValueError) as error:
            return BAD_ADDRESS if isinstance(error, ValueError) else send_error(error, EDIT)

    def trusted(self, url: str) -> bool:
        """Whether an address is one that Discord keeps files at, or on the server that is set."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").casefold(), parts.port
        except ValueError:
            return False
        if parts.username or parts.password:
            return False
        own = self._own
        if host and (parts.scheme, host, port) == (own.scheme, own.hostname, own.port):
            return True
        return parts.scheme == "https" and port in (None, 443) and host in HOSTS


class Attachments:
    """What came with an invocation: files, or a message that it is about."""

    def __init__(self, native: Native, files: Files) -> None:
        self._native, self._files = native, files

    async def fetch(self, invocation: Invocation, attachment: Attachment) -> bytes | Unfetched | SendError:
        """The content of one."""
        where = _where(attachment.ref)
        url, message = where.get("url"), where.get("message")
        if isinstance(url, str) and url:
            size = where.get("size")
            return await self._files.fetch(url, size if isinstance(size, int) else 0)
        if isinstance(message, str) and message.isdecimal():
            channel = where.get("channel") or invocation.within or channel_of(invocation.place)
            return await self._message(str(channel), message)
        return _UNKNOWN

    async def _message(self, channel: str, native: str) -> bytes | Unfetched | SendError:
        if not channel.isdecimal():
            return _UNKNOWN
        message = await self._native.message(channel, native)
        if isinstance(message, SendError):
            return _NOT_SHOWN if isinstance(message, PermissionMissing) else message
        text = text_in(message)
        return f"{message.author.display_name}: {text}".encode() if text else _NOT_SHOWN


def _where(ref: str) -> Mapping[str, Any]:
    try:
        where = json.loads(ref)
    except ValueError:
        return {}
    return where if isinstance(where, Mapping) else {}
