"""Files that people attached, fetched with the bot's token; which goes to Slack's own hosts and nowhere else."""

from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from adapters.download import BAD_ADDRESS, content_of
from adapters.port import SendError, Unfetched
from adapters.slack.errors import CALL_ERRORS, send_error

MOST_HOPS = 3

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
                    return await content_of(answer, "Slack", _LOGIN_PAGE)
            except (*CALL_ERRORS, ValueError) as error:
                return BAD_ADDRESS if isinstance(error, ValueError) else send_error(error)
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
