"""Bolt's app: Slack's payloads, of whichever transport, to what was asked.

A listener returns once what was asked is safe, and only then is the payload acknowledged; the run belongs to the bot.
Bolt is told to process before it responds: it would otherwise go on in a future that nobody drains.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from adapters.port import Departed, NotSafe
from adapters.slack.frontend import SlackFrontEnd
from adapters.slack.inbound import Asked, from_action, from_command, from_event, from_shortcut, from_submission
from adapters.slack.manifest import SHORTCUT
from adapters.slack.modal import CALLBACK, submission_of
from adapters.slack.names import tenant_of
from adapters.slack.workspaces import Workspaces

log = structlog.get_logger()


Parse = Callable[[Mapping[str, Any]], Asked | None]


class KnownWorkspaces(AsyncAuthorize):
    """Lets payloads of workspaces in where the bot is installed, and no other. It asks Slack nothing."""

    def __init__(self, workspaces: Workspaces) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._workspaces = workspaces

    async def __call__(
        self,
        *,
        context: AsyncBoltContext,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None,
        **_: Any,
    ) -> AuthorizeResult | None:
        """Who the bot is there."""
        tenant = tenant_of(enterprise_id, team_id)
        client = await self._workspaces.client(tenant)
        if client is None:
            log.warning("slack.unknown_workspace", tenant=tenant)
            return None
        bot_user = await self._workspaces.bot_user(tenant)
        return AuthorizeResult(
            enterprise_id=enterprise_id, team_id=team_id, bot_user_id=bot_user, bot_token=client.token
        )


def bolt_app(
    front: SlackFrontEnd,
    workspaces: Workspaces,
    client: AsyncWebClient,
    oauth: AsyncOAuthFlow | None = None,
    install_url: str = "",
) -> AsyncApp:
    """The app with all its listeners. Signatures are checked before it (`adapters/slack/gate.py`)."""
    app = AsyncApp(
        name="panelist",
        client=client,
        user_facing_authorize_error_message=_not_installed(install_url),
        authorize=KnownWorkspaces(workspaces),  # type: ignore[arg-type] # Bolt takes these too
        oauth_flow=oauth,
        signing_secret="checked in front of it",  # noqa: S106 - no secret
        process_before_response=True,
        request_verification_enabled=False,
        ssl_check_enabled=False,
        url_verification_enabled=False,
        attaching_conversation_kwargs_enabled=False,
    )
    app.command(re.compile(".*"))(_listener(front, from_command))
    app.shortcut(SHORTCUT)(_listener(front, from_shortcut))
    app.action(re.compile(r"panelist\..*"))(_listener(front, from_action))
    app.view(CALLBACK)(_form_listener(front))
    app.event(re.compile(".*"))(_event_listener(front, workspaces))
    app.error(_unsafe)
    return app


def _listener(front: SlackFrontEnd, parse: Parse) -> Callable[..., Awaitable[None]]:
    """A listener for what a person pressed or typed. Slack does not deliver that again: whoever could not be served was
    told so, and it is acknowledged."""

    async def listen(body: dict[str, Any], ack: Callable[[], Awaitable[Any]]) -> None:
        asked = parse(body)
        if asked is None:
            log.warning("slack.unreadable_payload", type=str(body.get("type", "command")))
        else:
            try:
                await front.take(asked.inbound, asked.reply)
            except NotSafe as error:
                log.error("invocation.not_safe", why=str(error))
        await ack()

    return listen


def _form_listener(front: SlackFrontEnd) -> Callable[..., Awaitable[None]]:
    """A listener for the form. What is wrong with it is shown in it, with all that was filled in still there."""

    async def listen(body: dict[str, Any], ack: Callable[..., Awaitable[Any]]) -> None:
        view = body.get("view")
        submission = submission_of(view) if isinstance(view, dict) else None
        sealed = front.unseal(str(view.get("private_metadata", ""))) if isinstance(view, dict) else None
        asked = None if submission is None or sealed is None else from_submission(body, submission, sealed)
        if asked is None:
            why = "Write what is asked." if submission is None else "This form is out of date: open it again."
            await ack(response_action="errors", errors={"topic": why})
            return
        try:
            await front.take(asked.inbound, asked.reply)
        except NotSafe as error:
            log.error("invocation.not_safe", why=str(error))
            await ack(response_action="errors", errors={"topic": f"Not taken in: {error}. Send it again."})
            return
        await ack()

    return listen


def _event_listener(front: SlackFrontEnd, workspaces: Workspaces) -> Callable[..., Awaitable[None]]:
    """A listener for all events. One that could not be made safe is not acknowledged: Slack delivers it again."""

    async def listen(body: dict[str, Any], ack: Callable[[], Awaitable[Any]]) -> None:
        asked = from_event(body)
        if asked is not None:
            match asked.inbound:
                case Departed(_, tenant, at) if not await workspaces.remove(tenant, at):
                    log.info("slack.removal_told_late", tenant=tenant)
                case inbound:
                    await front.take(inbound, asked.reply)
        await ack()

    return listen


def _not_installed(install_url: str) -> str:
    again = f"Install it again: {install_url}" if install_url else "Ask an admin to install the app again."
    return f"Panelist is not installed in this workspace. {again}"


async def _unsafe(error: Exception) -> BoltResponse:
    if not isinstance(error, NotSafe):
        log.error("slack.listener_broke", exc_info=error)
    return BoltResponse(status=503, body="")


async def dispatch(app: AsyncApp, body: str, headers: Mapping[str, str]) -> tuple[int, str, dict[str, str]]:
    """One verified HTTP request through Bolt: status, body and headers of the answer."""
    request = AsyncBoltRequest(body=body, headers={name: [value] for name, value in headers.items()})
    response = await app.async_dispatch(request)
    return response.status, response.body or "", response.first_headers_without_set_cookie()
