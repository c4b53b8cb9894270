"""Several workspaces: whose token is kept where, encrypted at rest, and how a workspace installs the app.

Tables and pages are slack_sdk's and Bolt's. Ours are the encryption, that a state counts once whatever happens at the
same time, and that nothing is logged which they would quote: Bolt writes an installation's code into its warnings.
"""

import asyncio
import base64
import logging
import math
import re
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import sqlalchemy as sa
import structlog
from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.oauth.async_callback_options import AsyncCallbackOptions, AsyncFailureArgs, AsyncSuccessArgs
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.installation_store.sqlalchemy import SQLAlchemyInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from slack_sdk.oauth.state_store.sqlalchemy import SQLAlchemyOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.manifest import missing_scopes
from adapters.slack.names import parts_of, tenant_of
from adapters.slack.workspaces import TokensUnread

INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
STATE_SECONDS = 600
"""How long an installation that was begun can be ended."""
MOST_CACHED = 1_000
_APP = "panelist"
_SECRET_COLUMNS = (
    "bot_token",
    "bot_refresh_token",
    "user_token",
    "user_refresh_token",
    "incoming_webhook_url",
    "incoming_webhook_configuration_url",
)
_PURPOSE = b"panelist slack tokens 1"
_REASON = re.compile(r"[a-z_]{1,40}")
_CANCELLED = (
    "<html><body><h2>You cancelled; nothing was installed.</h2>"
    f'<p><a href="{INSTALL_PATH}">Back to the install page</a></p></body></html>'
)
_UNREACHED = "<html><body><h2>Slack did not answer</h2><p>Nothing was installed. Please begin again.</p></body></html>"
# Nothing gets through, whatever the process' logging is set to: what these libraries log quotes codes and states.
_MUTE = logging.Logger("slack.mute", logging.CRITICAL + 1)

log = structlog.get_logger()

T = TypeVar("T")


class _Cipher:
    """Encrypts with a key that is derived from `secret` for this purpose alone."""

    def __init__(self, secret: str) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._told = False

    def close(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, text: str) -> str | None:
        """What was encrypted; None, said once in the log, if that was done with another secret."""
        try:
            return self._fernet.decrypt(text).decode()
        except InvalidToken:
            if not self._told:
                log.error(
                    "slack.token_unreadable",
                    why="Slack tokens were kept under another SLACK_CLIENT_SECRET: set that one again, or let the "
                    f"workspaces install the app anew at {INSTALL_PATH}",
                )
            self._told = True
            return None


class _Encrypted(sa.types.TypeDecorator[str]):
    """A text that is encrypted in the database. What cannot be read is None."""

    impl = sa.Text
    # Statements of one cipher must not be taken for those of another.
    cache_ok = False

    def __init__(self, cipher: _Cipher) -> None:
        super().__init__()
        self._cipher = cipher

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else self._cipher.close(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else self._cipher.open(value)


class Installations(AsyncInstallationStore):
    """The installations of the one app whose database `engine` is, for Bolt and for whoever needs a token.

    `secret` encrypts what is kept: it is the app's client secret, so a new one makes all tokens unreadable. Tables are
    made at first use. Errors of the database are SQLAlchemy's, so `engine` should hide parameters. What was looked up
    is believed for `known_seconds`, where other processes change it too, and longer while the database does not answer.
    """

    def __init__(self, engine: sa.Engine, secret: str, *, known_seconds: float = math.inf) -> None:
        self.engine = engine
        self._store = SQLAlchemyInstallationStore(_APP, engine, logger=_MUTE)
        cipher = _Cipher(secret)
        for table in (self._store.bots, self._store.installations):
            for name in _SECRET_COLUMNS:
                if name in table.c:
                    table.c[name].type = _Encrypted(cipher)
        self._tables = _Tables(engine, self._store.metadata)
        self._cached: dict[str, tuple[Bot, float]] = {}
        self._known_seconds = known_seconds
        self._changes = 0

    @property
    def logger(self) -> logging.Logger:
        """Where slack_sdk logs to: nowhere."""
        return _MUTE

    async def token_of(self, tenant: str) -> str | None:
        """The bot's token for a tenant: the workspace's own, else its organisation's; None where there is none."""
        bot = await self._bot_of(tenant)
        return None if bot is None else bot.bot_token

    async def bot_user_of(self, tenant: str) -> str:
        """The bot's own user there; empty where it is not installed."""
        bot = await self._bot_of(tenant)
        return "" if bot is None else bot.bot_user_id or ""

    async def tenants(self) -> tuple[str, ...]:
        """Where the app is installed, by name; `E1/` is the whole organisation E1."""
        return await self._run(self._all)

    async def remove(self, tenant: str, at: float | None = None) -> bool:
        """Forget all tokens of a workspace, but not those of its organisation; of an organisation, which is the tenant
        `E1/`, also those of its workspaces. With `at` only those that were installed before it. False if the tenant
        itself is still installed then: its removal was told late."""
        return await self._change(lambda: self._removed(tenant, at))

    async def async_save(self, installation: Installation) -> None:
        """Keep an installation."""
        await self._change(lambda: self._store.save(installation))

    async def async_save_bot(self, bot: Bot) -> None:
        """Keep the bot of an installation."""
        await self._change(lambda: self._store.save_bot(bot))

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        """The newest bot of a workspace or organisation."""
        return await self._run(
            lambda: self._store.find_bot(
                enterprise_id=enterprise_id, team_id=team_id, is_enterprise_install=is_enterprise_install
            )
        )

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """The newest installation of a workspace or organisation, by one person where `user_id` is given."""
        return await self._run(
            lambda: self._store.find_installation(
                enterprise_id=enterprise_id,
                team_id=team_id,
                user_id=user_id,
                is_enterprise_install=is_enterprise_install,
            )
        )

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Forget the bots of a workspace or organisation."""
        await self._change(lambda: self._store.delete_bot(enterprise_id=enterprise_id, team_id=team_id))

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Forget the installations of a workspace or organisation, or those by one person."""
        await self._change(
            lambda: self._store.delete_installation(enterprise_id=enterprise_id, team_id=team_id, user_id=user_id)
        )

    async def _bot_of(self, tenant: str) -> Bot | None:
        now = time.monotonic()
        if (known := self._cached.get(tenant)) is not None and now - known[1] < self._known_seconds:
            return known[0]
        enterprise, team = parts_of(tenant)
        changes = self._changes
        for each in dict.fromkeys((team, None) if enterprise else (team,)):
            try:
                bot = await self.async_find_bot(enterprise_id=enterprise, team_id=each)
            except sa.exc.DBAPIError as error:
                if known is not None:
                    return known[0]
                raise TokensUnread("the database with the tokens of workspaces does not answer") from error
            if bot is not None and bot.bot_token:
                if changes == self._changes and len(self._cached) < MOST_CACHED:
                    self._cached[tenant] = (bot, now)
                return bot
        return None

    def _all(self) -> tuple[str, ...]:
        bots = self._store.bots.c
        found = sa.select(bots.enterprise_id, bots.team_id).distinct()
        with self.engine.connect() as connection:
            rows = connection.execute(found.where(bots.bot_token.is_not(None))).all()
        return tuple(sorted(tenant_of(enterprise, team) for enterprise, team in rows))

    def _removed(self, tenant: str, at: float | None) -> bool:
        enterprise, team = parts_of(tenant)
        left = False
        with self.engine.begin() as connection:
            for table in (self._store.bots, self._store.installations):
                own = (table.c.enterprise_id == enterprise, table.c.team_id == team)
                meant = own[:1] if enterprise and team is None else own
                before = () if at is None else (table.c.installed_at < _stored_time(at),)
                connection.execute(sa.delete(table).where(*meant, *before))
                left = left or connection.execute(sa.select(table.c.id).where(*own)).first() is not None
        return not left

    async def _change(self, work: Callable[[], T]) -> T:
        try:
            return await self._run(work)
        finally:
            # Also what is being looked up meanwhile is of before.
            self._changes += 1
            self._cached.clear()

    async def _run(self, work: Callable[[], T]) -> T:
        return await self._tables.run(work)


class States(AsyncOAuthStateStore):
    """The states of installations that were begun: each good once, and for `seconds`."""

    def __init__(self, engine: sa.Engine, seconds: int = STATE_SECONDS) -> None:
        self._engine = engine
        self._store = SQLAlchemyOAuthStateStore(seconds, engine, logger=_MUTE)
        self._tables = _Tables(engine, self._store.metadata)

    @property
    def logger(self) -> logging.Logger:
        """Where slack_sdk logs to: nowhere."""
        return _MUTE

    async def async_issue(self, *args: object, **kwargs: object) -> str:
        """A new state."""
        return await self._tables.run(self._store.issue)

    async def async_consume(self, state: str) -> bool:
        """Use a state up. False if it is none, is too old, or was used before."""
        return await self._tables.run(lambda: self._consumed(state))

    def _consumed(self, state: str) -> bool:
        states = self._store.oauth_states
        now = _stored_time(time.time())
        with self._engine.begin() as connection:
            connection.execute(states.delete().where(states.c.expire_at <= now))
            # slack_sdk looks and then deletes, so that of two at once both would find it.
            return connection.execute(states.delete().where(states.c.state == state)).rowcount == 1


def _stored_time(at: float) -> datetime:
    """A time as slack_sdk keeps it."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)


class _Tables:
    """Work on tables in a thread; they are made before the first."""

    def __init__(self, engine: sa.Engine, metadata: sa.MetaData) -> None:
        self._engine = engine
        self._metadata = metadata
        self._making = threading.Lock()
        self._made = False

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(self._with_tables, work)

    def _with_tables(self, work: Callable[[], T]) -> T:
        with self._making:
            if not self._made:
                self._make()
                self._made = True
        return work()

    def _make(self) -> None:
        try:
            self._metadata.create_all(self._engine)
        except (sa.exc.IntegrityError, sa.exc.ProgrammingError):
            # Another process made them at the same moment; now they are there.
            self._metadata.create_all(self._engine)


def oauth_flow(
    installations: Installations,
    client_id: str,
    client_secret: str,
    scopes: Sequence[str],
    client: AsyncWebClient,
    redirect_uri: str | None = None,
) -> AsyncOAuthFlow:
    """Bolt's pages for installing, which keep what they get in `installations`. A state is good once, and only in the
    browser that it was given to. Without `redirect_uri` Slack sends installers to the first one that the app names."""
    settings = AsyncOAuthSettings(
        client_id=client_id,
        client_secret=client_secret,
        scopes=scopes,
        user_scopes=(),
        redirect_uri=redirect_uri,
        install_path=INSTALL_PATH,
        redirect_uri_path=REDIRECT_PATH,
        callback_options=AsyncCallbackOptions(success=_installed, failure=_refused),
        installation_store=installations,
        installation_store_bot_only=True,
        state_store=States(installations.engine),
        state_expiration_seconds=STATE_SECONDS,
        logger=_MUTE,
    )
    return AsyncOAuthFlow(client=client, logger=_MUTE, settings=settings)


def routes(flow: AsyncOAuthFlow) -> list[web.RouteDef]:
    """The routes of the pages. None answers HEAD, for whoever only looks must not use a state up."""

    async def install(request: web.Request) -> web.Response:
        return await _page(request, flow.handle_installation)

    async def returned(request: web.Request) -> web.Response:
        return await _page(request, flow.handle_callback)

    return [
        web.get(flow.install_path, install, allow_head=False),
        web.get(flow.redirect_uri_path, returned, allow_head=False),
    ]


async def _page(request: web.Request, handle: Callable[[AsyncBoltRequest], Awaitable[BoltResponse]]) -> web.Response:
    try:
        # Without a body: these pages need none, and one in an odd encoding could not be read.
        asked = AsyncBoltRequest(body="", query=request.query_string, headers=dict(request.headers))
        page = await to_aiohttp_response(await handle(asked))
    except Exception as error:  # noqa: BLE001 - the edge: the message may quote the code or the state
        log.error("slack.install_failed", error=type(error).__name__)
        page = web.Response(status=502, text=_UNREACHED, content_type="text/html")
    for cookie in page.cookies.values():
        cookie["samesite"] = "Lax"
    page.headers.update({"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"})
    return page


async def _installed(args: AsyncSuccessArgs) -> BoltResponse:
    installation = args.installation
    log.info(
        "slack.installed",
        tenant=tenant_of(installation.enterprise_id, installation.team_id),
        missing=sorted(missing_scopes(installation.bot_scopes or ())),
    )
    return await args.default.success(args)


async def _refused(args: AsyncFailureArgs) -> BoltResponse:
    # Anybody can write a reason into the address.
    reason = args.reason if _REASON.fullmatch(args.reason) else "other"
    log.warning("slack.install_refused", reason=reason)
    page = await args.default.failure(args)
    if reason == "access_denied":
        page.body = _CANCELLED
    return page
