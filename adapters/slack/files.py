"""Files that people attached, fetched with the bot's token; which goes to Slack's own hosts and nowhere else."""

from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from adapters.port import RateLimited, SendError, Unfetched
from adapters.slack.errors import CALL_ERRORS, send_error

LARGEST_FILE = 20_000_000
"""Bytes of one attached file. A larger one would not fit into any prompt as text."""

MOST_HOPS = 3

_TOO_LARGE = Unfetched(f"it is over {LARGEST_FILE // 1_000_000} MB; attach the part that matters")
_LOGIN_PAGE = Unfetched("Slack did not hand it out; the app needs the scope files:read, an admin can add it")
_ELSEWHERE = Unfetched("it is kept outside of Slack; attach the file itself or paste its text")


class Files:
    """Fetches what stands behind Slack's private addresses. `api` names the host of a test server, if there is one."""

    def __init__(self, session: aiohttp.ClientSession, api: str) -> None:
        self._session = session
        self._own = urlsplit(api)

    async def fetch(self, url: str, token: str, *, html: bool = False) -> bytes | Unfetched | SendError:
        """The content of a file. Redirects are followed by hand, for the token stays on Slack's hosts. A page is taken
        for a file only where `html` says that it is one: without the scope Slack answers 200 with its login page."""
        for _ in range(MOST_HOPS):
            if not self.trusted(url):
                return _ELSEWHERE
            try:
                headers = {"Authorization": f"Bearer {token}"}
                async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
                    if answer.status in (301, 302, 303, 307, 308):
                        url = str(answer.url.join(URL(answer.headers.get("Location", ""))))
                        continue
                    if answer.status == 200 and answer.content_type == "text/html" and not html:
                        return _LOGIN_PAGE
                    return await _content(answer)
            except (*CALL_ERRORS, ValueError) as error:
                return Unfetched("its address cannot be used") if isinstance(error, ValueError) else send_error(error)
        return Unfetched("it was moved too often; attach it again")

    def trusted(self, url: str) -> bool:
        """Whether an address may be asked with the token: https on slack.com, or the server that is set."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").casefold(), parts.port
        except ValueError:
            return False
        if parts.username or parts.password:
            return False
        if (parts.scheme, host, port) == (self._own.scheme, self._own.hostname, self._own.port):
            return True
        return parts.scheme == "https" and port in (None, 443) and (host == "slack.com" or host.endswith(".slack.com"))


async def _content(answer: aiohttp.ClientResponse) -> bytes | Unfetched | SendError:
    if answer.status == 429:
        return RateLimited(float(answer.headers.get("Retry-After", "30")))
    if answer.status in (401, 403):
        return _LOGIN_PAGE
    if answer.status == 404:
        return Unfetched("it was deleted; attach it again")
    if answer.status != 200:
        return Unfetched(f"Slack answered {answer.status}; ask again later")
    content = bytearray()
    async for chunk in answer.content.iter_chunked(65_536):
        content += chunk
        if len(content) > LARGEST_FILE:
            return _TOO_LARGE
    return bytes(content)
