"""What Slack's and the network's errors mean for a send, in one table. Nothing here repeats anything."""

import asyncio

import aiohttp
from slack_sdk.errors import SlackApiError

from adapters.port import (
    Gone,
    NotDispatched,
    PermissionMissing,
    RateLimited,
    Rejected,
    SendError,
    TooLarge,
    Unknown,
)

UPDATE_TEXT_LIMIT = 4_000
BLOCKS_TEXT_LIMIT = 13_200
DEFAULT_RETRY_AFTER = 30.0

INVITE = "type /invite @Panelist in the channel, then ask again"
REINSTALL = "an admin has to install the app again"

_PERMISSIONS = {
    "not_in_channel": ("the bot is not in this channel", INVITE),
    "channel_not_found": ("the bot cannot see this channel", INVITE),
    "user_not_in_channel": ("the asker is not in this channel", "ask in a channel that you are in"),
    "is_inactive": ("this channel is not in use any more", "ask in another channel"),
    "no_permission": ("the bot may not post here", "an admin of the workspace can allow it"),
    "restricted_action": ("posting is restricted in this channel", "an admin of the workspace can allow the bot"),
    "restricted_action_read_only_channel": ("this channel is read-only", "ask in another channel"),
    "restricted_action_thread_only_channel": ("only replies are allowed here", "mention the bot in a thread"),
    "restricted_action_thread_locked": ("this thread is locked", "ask in another one"),
    "ekm_access_denied": ("the workspace's key management refuses posts", "an admin of the organisation can allow it"),
    "access_denied": ("Slack denies the bot access", "an admin of the workspace can allow it"),
    "team_access_not_granted": (
        "the app is not granted to this workspace",
        "an admin of the organisation can grant it",
    ),
    "not_allowed_token_type": ("this kind of token may not do that", REINSTALL),
    "cannot_reply_to_message": ("replies to this message are not possible", "ask in the channel itself"),
    "invalid_auth": ("Slack does not accept the bot's token", REINSTALL),
    "not_authed": ("Slack does not accept the bot's token", REINSTALL),
    "token_revoked": ("the bot's token was revoked", REINSTALL),
    "token_expired": ("the bot's token has expired", REINSTALL),
    "account_inactive": ("the bot was removed from the workspace", REINSTALL),
    "org_login_required": ("the workspace is being moved", "ask again when that is over"),
}

_GONE = {"is_archived": "the channel is archived", "thread_not_found": "the thread was deleted"}
_UNSURE = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "accesslimited", "team_added_to_org"}
)


def send_error(error: BaseException) -> SendError:
    """What an exception out of a call to Slack says about what was sent."""
    match error:
        case SlackApiError():
            return _api_error(error)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError() | aiohttp.InvalidURL():
            return NotDispatched(type(error).__name__)
        case aiohttp.ClientError() | asyncio.TimeoutError() | OSError():
            return Unknown(type(error).__name__)
        case _:
            raise error


CALL_ERRORS = (SlackApiError, aiohttp.ClientError, asyncio.TimeoutError, OSError)
"""All that a call to Slack can end with besides an answer."""


def code_of(error: BaseException) -> str:
    """Slack's own word for an error, as in `not_in_channel`; empty where Slack gave none."""
    data = getattr(getattr(error, "response", None), "data", None)
    code = data.get("error") if isinstance(data, dict) else None
    return code if isinstance(code, str) else ""


def trouble_of(error: BaseException) -> str:
    """Why Slack did not answer what was asked, with what to do; empty where it did, for it refuses."""
    match send_error(error):
        case RateLimited(seconds):
            return f"Slack asks to wait; try again in {seconds:.0f} s"
        case Unknown(reason) if isinstance(error, SlackApiError):
            return f"Slack does not answer as it should ({reason}); check the network, and try again in a few minutes"
        case Unknown(reason) | NotDispatched(reason):
            return f"Slack cannot be reached ({reason}); check the network, and SLACK_API_URL if it is set"
        case _:
            return ""


def _api_error(error: SlackApiError) -> SendError:
    code, status = code_of(error), getattr(error.response, "status_code", 200)
    if status == 429 or code in ("ratelimited", "rate_limited", "message_limit_exceeded"):
        return RateLimited(_retry_after(error))
    if not code or status >= 500 or code in _UNSURE:
        return Unknown(code or f"an answer that is none ({status})")
    if code in _PERMISSIONS:
        return PermissionMissing(*_PERMISSIONS[code])
    if code == "missing_scope":
        needed = error.response.data.get("needed", "a scope")
        return PermissionMissing(
            f"the app lacks the scope {needed}", f"{REINSTALL} with it; panelist doctor lists them"
        )
    if code in _GONE:
        return Gone(_GONE[code])
    if code in ("msg_too_long", "msg_blocks_too_long"):
        return TooLarge(UPDATE_TEXT_LIMIT if code == "msg_too_long" else BLOCKS_TEXT_LIMIT)
    return Rejected(code)


def _retry_after(error: SlackApiError) -> float:
    headers = getattr(error.response, "headers", None) or {}
    try:
        return max(0.0, float({name.lower(): value for name, value in headers.items()}["retry-after"]))
    except (KeyError, TypeError, ValueError):
        return DEFAULT_RETRY_AFTER
