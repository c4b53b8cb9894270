"""Workspaces: whose token speaks where, as one client each on the process' one session."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.port import FrontEndFailed, NotSafe
from adapters.slack.config import SLACK_API
from adapters.slack.errors import CALL_ERRORS, code_of, trouble_of
from adapters.slack.names import covers, tenant_of, text_at

CALL_SECONDS = 30.0
"""How long one call to Slack may take. A post that takes longer counts as one whose end nobody knows."""

MOST_CLIENTS = 1_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is in a workspace, and what it was granted there."""

    tenant: str
    bot_user: str
    bot: str
    scopes: tuple[str, ...] = ()
    name: str = ""


class TokensUnread(NotSafe):
    """Tokens cannot be read at the moment."""


class Tokens(Protocol):
    """Whose token speaks for a tenant. Whoever cannot tell now raises `TokensUnread`."""

    async def token_of(self, tenant: str) -> str | None:
        """The bot's token there; None where it is not installed."""

    async def bot_user_of(self, tenant: str) -> str:
        """The bot's own user there; empty where it is not installed."""

    async def remove(self, tenant: str, at: float | None = None) -> bool:
        """Forget the tokens of a tenant that removed the bot; `E1/` is an organisation with all its workspaces. With
        `at` only those from before. False if the tenant has installed the bot again since."""


@dataclass(frozen=True, slots=True)
class OneToken:
    """The token of the one workspace that was set up by hand."""

    identity: Identity
    token: str = field(repr=False)

    async def token_of(self, tenant: str) -> str | None:
        """The token, for its own workspace alone."""
        return self.token if tenant == self.identity.tenant else None

    async def bot_user_of(self, tenant: str) -> str:
        """The bot's user, for its own workspace alone."""
        return self.identity.bot_user if tenant == self.identity.tenant else ""

    async def remove(self, tenant: str, at: float | None = None) -> bool:
        """Nothing: the token is in the settings, and nobody knows since when."""
        return True


def new_session() -> aiohttp.ClientSession:
    """The one session of all calls to Slack. Its limits are ours: a client that is handed a session sets none."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=CALL_SECONDS, sock_connect=10.0),
        connector=aiohttp.TCPConnector(limit=200),
    )


def new_client(session: aiohttp.ClientSession, api: str, token: str | None = None) -> AsyncWebClient:
    """A client that repeats nothing by itself: Slack's own would post again what may stand already."""
    return AsyncWebClient(token=token, base_url=api, session=session, retry_handlers=[])


class Workspaces:
    """The clients of all workspaces where the bot is."""

    def __init__(self, tokens: Tokens, session: aiohttp.ClientSession, api: str = SLACK_API) -> None:
        self._tokens, self._session, self._api = tokens, session, api
        self._clients: OrderedDict[str, AsyncWebClient] = OrderedDict()

    async def client(self, tenant: str) -> AsyncWebClient | None:
        """The client that speaks there; None where the bot is not installed. The token is asked for each time: whoever
        keeps tokens knows when one was granted or went."""
        token = await self._tokens.token_of(tenant)
        if token is None:
            self._clients.pop(tenant, None)
            return None
        client = self._clients.get(tenant)
        if client is None or client.token != token:
            client = self._clients[tenant] = new_client(self._session, self._api, token)
        self._clients.move_to_end(tenant)
        if len(self._clients) > MOST_CLIENTS:
            self._clients.popitem(last=False)
        return client

    async def bot_user(self, tenant: str) -> str:
        """The bot's own user there; empty where it is not installed."""
        return await self._tokens.bot_user_of(tenant)

    async def remove(self, tenant: str, at: float | None = None) -> bool:
        """Let go of a tenant that removed the bot; `E1/` is an organisation with all its workspaces. False if it has
        installed the bot again since `at`."""
        gone = await self._tokens.remove(tenant, at)
        for known in [each for each in self._clients if covers(tenant, each)]:
            del self._clients[known]
        return gone


async def identity_of(client: AsyncWebClient) -> Identity:
    """Who a token is, asked of Slack. Raises `FrontEndFailed` with what to do."""
    try:
        answer = await client.auth_test()
    except CALL_ERRORS as error:
        refused = (
            f"Slack refuses SLACK_BOT_TOKEN ({code_of(error)}); install the app and copy the token anew from its page, "
            "it begins with xoxb-"
        )
        raise FrontEndFailed(trouble_of(error) or refused) from error
    headers = {name.lower(): value for name, value in (answer.headers or {}).items()}
    scopes = tuple(part.strip() for part in headers.get("x-oauth-scopes", "").split(",") if part.strip())
    data = answer.data if isinstance(answer.data, dict) else {}
    tenant = tenant_of(text_at(data, "enterprise_id"), text_at(data, "team_id"))
    return Identity(tenant, text_at(data, "user_id"), text_at(data, "bot_id"), scopes, text_at(data, "team"))


async def identity_within(client: AsyncWebClient, seconds: float) -> Identity:
    """The same, for whoever cannot wait long."""
    async with asyncio.timeout(seconds):
        return await identity_of(client)
