"""Slack put together: from what is set up to a front end that is connected, and the routes it needs."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import sqlalchemy as sa
from aiohttp import web
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.app import bolt_app, dispatch
from adapters.slack.config import SlackConfig
from adapters.slack.files import Files
from adapters.slack.frontend import PACES, Paces, SlackFrontEnd
from adapters.slack.gate import Gate
from adapters.slack.installations import INSTALL_PATH, REDIRECT_PATH, Installations, oauth_flow
from adapters.slack.installations import routes as oauth_routes
from adapters.slack.manifest import SCOPES
from adapters.slack.native import Native
from adapters.slack.sealed import Seal
from adapters.slack.socket import DOWN_SECONDS, Socket
from adapters.slack.workspaces import OneToken, Tokens, Workspaces, identity_of, new_client, new_session

EVENTS_PATH = "/slack/events"

SHARED_SECONDS = 30.0
"""For how long a token is believed that another process may have replaced meanwhile."""


@dataclass(frozen=True, slots=True)
class Slack:
    """A front end, and the routes under which Slack and installers reach it."""

    front: SlackFrontEnd
    routes: tuple[web.RouteDef, ...] = ()


@asynccontextmanager
async def slack_front(
    config: SlackConfig,
    *,
    paces: Paces = PACES,
    down_seconds: float = DOWN_SECONDS,
    shared: Callable[[], sa.Engine] | None = None,
) -> AsyncIterator[Slack]:
    """The front end, until the block ends. `shared` opens the database that keeps the tokens for several processes.
    Raises `FrontEndFailed` where Slack refuses the token or is not reached."""
    async with new_session() as session:
        client = new_client(session, config.api)
        installations = _installations(config, shared) if config.many else None
        tokens: Tokens = await _one_token(session, config) if installations is None else installations
        workspaces = Workspaces(tokens, session, config.api)
        native = Native(workspaces, session, Files(session, config.api))
        front = SlackFrontEnd(native, Seal(_sealing_secret(config)), paces)
        routes: list[web.RouteDef] = []
        if config.listens:
            routes = _listening(front, config, (workspaces, installations), client, down_seconds)
        try:
            yield Slack(front, tuple(routes))
        finally:
            await front.close()
            if installations is not None:
                installations.engine.dispose()


def _listening(
    front: SlackFrontEnd,
    config: SlackConfig,
    where: tuple[Workspaces, Installations | None],
    client: AsyncWebClient,
    down_seconds: float,
) -> list[web.RouteDef]:
    """Have payloads come in; the routes that Slack and installers need for that."""
    workspaces, installations = where
    flow = None if installations is None else _flow(config, installations, client)
    app = bolt_app(front, workspaces, client, flow, _install_url(config))
    routes = [] if flow is None else list(oauth_routes(flow))
    if config.socket:
        socket = Socket(app, client, config.app_token, down_seconds=down_seconds)
        front.comes_by(socket.run, socket.trouble)
    else:
        gate = Gate(config.signing_secret, lambda body, headers: dispatch(app, body, headers))
        routes.append(web.post(EVENTS_PATH, gate.handle))
    return routes


async def _one_token(session: aiohttp.ClientSession, config: SlackConfig) -> OneToken:
    identity = await identity_of(new_client(session, config.api, config.bot_token))
    return OneToken(identity, config.bot_token)


def _installations(config: SlackConfig, shared: Callable[[], sa.Engine] | None) -> Installations:
    if shared is not None:
        return Installations(shared(), config.client_secret, known_seconds=SHARED_SECONDS)
    config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = sa.URL.create("sqlite", database=str(config.folder / "installations.sqlite"))
    return Installations(sa.create_engine(database, hide_parameters=True), config.client_secret)


def _flow(config: SlackConfig, installations: Installations, client: AsyncWebClient) -> AsyncOAuthFlow:
    redirect = f"{config.public_url}{REDIRECT_PATH}" if config.public_url else None
    return oauth_flow(installations, config.client_id, config.client_secret, tuple(SCOPES), client, redirect)


def _install_url(config: SlackConfig) -> str:
    """Where a workspace can install the app; empty where that is not known."""
    return f"{config.public_url}{INSTALL_PATH}" if config.many and config.public_url else ""


def _sealing_secret(config: SlackConfig) -> str:
    """What forms are sealed with: a secret that is there anyhow, and stays over restarts."""
    return config.signing_secret or config.client_secret or config.app_token or config.bot_token
