"""Files that people attached. Their addresses are signed, so no token goes along; only Discord's hosts are asked."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from adapters.discord.errors import CALL_ERRORS, EDIT, send_error
from adapters.download import BAD_ADDRESS, LARGEST_FILE, TOO_LARGE, content_of
from adapters.port import Attachment, SendError, Unfetched

HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})

TIMEOUT = aiohttp.ClientTimeout(total=60.0, sock_connect=10.0)

_EXPIRED = Unfetched("Discord does not hand it out any more; attach it again")
_ELSEWHERE = Unfetched("it is kept outside of Discord; attach the file itself or paste its text")
_UNKNOWN = Unfetched("nobody knows where it is; attach it again")


class Files:
    """Fetches what was attached. `api` names a test server, whose host then counts as Discord's."""

    def __init__(self, api: str = "") -> None:
        self._own = urlsplit(api)

    async def fetch(self, attachment: Attachment) -> bytes | Unfetched | SendError:
        """The content of a file. No redirect is followed: Discord's hosts answer themselves."""
        where = _where(attachment.ref)
        url, size = where.get("url"), where.get("size")
        if not isinstance(url, str) or not url:
            return _UNKNOWN
        if not self.trusted(url):
            return _ELSEWHERE
        if isinstance(size, int) and size > LARGEST_FILE:
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


def _where(ref: str) -> Mapping[str, Any]:
    try:
        where = json.loads(ref)
    except ValueError:
        return {}
    return where if isinstance(where, Mapping) else {}
