"""What the app needs of Slack, in one place: scopes with their reasons, events, and the manifest that asks for them."""

import re
from collections.abc import Iterable
from typing import Any

SCOPES: dict[str, str] = {
    "app_mentions:read": "to be asked by a mention",
    "assistant:write": "to appear among the agents and show their status",
    "channels:history": "to read the thread above a mention, and to find its own posts again after a crash",
    "chat:write": "to answer",
    "commands": "to be asked by /panel, /research and the message shortcut",
    "files:read": "to read what is attached to a question",
    "files:write": "to attach what is too long for a message",
    "groups:history": "the same as channels:history in private channels",
    "im:history": "to be asked in direct messages",
    "im:write": "to open a direct message with an asker",
    "mpim:history": "the same as channels:history in group messages",
    "users:read": "to name the authors of the messages that it quotes",
}
"""The bot's scopes, each with why."""

PUBLIC_SCOPE = "chat:write.public"
"""Lets it answer in public channels that it was not invited to; asked for only where an admin wants that."""

EVENTS = (
    "agent_session_stopped",
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "message.im",
    "tokens_revoked",
)
"""The events it is told of. Without `agent_session_stopped` Slack shows no Stop button."""

SHORTCUT = "panelist.ask_about"
"""The `callback_id` of the message shortcut."""

_DESCRIPTION = "Ask a panel of experts, and be told who answered and who did not."
_LONG_DESCRIPTION = (
    "Panelist asks several language-model experts one question, each with a perspective of its own, and shows every "
    "answer in the thread as it comes. Then it writes a synthesis, and says who was not heard and why. /panel asks a "
    "panel; /research searches what is attached and what is set up (a library, the web), and looks up what it cites. "
    "Answers are written by language models and can be wrong: check what matters."
)
_PROMPTS = (
    ("Weigh a decision", "panel Should we rewrite our billing service, or repair it step by step?"),
    ("Find the risks", "panel What could go wrong when we move our database to another region?"),
    ("Read a text", "panel What is missing in the document that I attach?"),
)
_COMMANDS = (
    ("/panel", "Ask a panel of experts", "[question] or help"),
    ("/research", "Have a question answered from sources", "[question] or help"),
)


def missing_scopes(granted: Iterable[str]) -> dict[str, str]:
    """The scopes that were not granted, each with what it is for."""
    held = set(granted)
    return {scope: why for scope, why in SCOPES.items() if scope not in held}


def manifest(url: str | None = None, *, name: str = "Panelist", socket: bool, public: bool = False) -> dict[str, Any]:
    """The app manifest, to be pasted into "Create an app from a manifest".

    `url` is where this process is reached from outside, without a path. With `socket` events come over a socket, and a
    url is only for installing in several workspaces. Raises ValueError without either.
    """
    if url is None and not socket:
        raise ValueError("without a socket Slack needs the url to deliver to")
    base = (url or "").rstrip("/")
    events = {} if socket else {"request_url": f"{base}/slack/events"}
    command = {} if socket else {"url": f"{base}/slack/events"}
    scopes = sorted([*SCOPES, PUBLIC_SCOPE] if public else SCOPES)
    return {
        "display_information": {
            "name": name,
            "description": _DESCRIPTION,
            "long_description": _LONG_DESCRIPTION,
            "background_color": "#1d3557",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "agent_view": {
                "agent_description": _DESCRIPTION,
                "suggested_prompts": [{"title": title, "message": message} for title, message in _PROMPTS],
            },
            "bot_user": {"display_name": _display_name(name), "always_online": True},
            "shortcuts": [
                {
                    "name": "Ask a panel about this",
                    "type": "message",
                    "callback_id": SHORTCUT,
                    "description": "Opens a form with the message as the question",
                }
            ],
            "slash_commands": [
                {"command": command_name, "description": what, "usage_hint": hint, "should_escape": False, **command}
                for command_name, what, hint in _COMMANDS
            ],
        },
        "oauth_config": {
            **({"redirect_urls": [f"{base}/slack/oauth_redirect"]} if url else {}),
            "scopes": {"bot": scopes},
        },
        "settings": {
            "event_subscriptions": {**events, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **events},
            "org_deploy_enabled": True,
            "socket_mode_enabled": socket,
            "token_rotation_enabled": False,
        },
    }


def _display_name(name: str) -> str:
    """The name as a bot user may have it: `a-z`, `0-9`, `-`, `_` and `.` ("App manifest reference")."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-") or "panelist"
