"""What was said in a thread, as a document with its authors: material for a panel, and none of its instructions."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.port import PermissionMissing, SendError, Unfetched
from adapters.slack.errors import CALL_ERRORS, send_error
from adapters.slack.inbound import plain_text_of
from adapters.slack.names import text_at

MOST_MESSAGES = 200
"""Of a longer thread the newest are quoted, and the document says so."""

PAGE, MOST_PAGES = 200, 10
MOST_NAMES, NAMES_ASKED = 2_000, 30


class Evidence:
    """Reads threads and names of their authors; names are remembered."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def quoted(
        self, client: AsyncWebClient, channel: str, where: Mapping[str, Any]
    ) -> bytes | Unfetched | SendError:
        """The messages of `where["thread"]` above `where["before"]`, or the one message `where["message"]`."""
        try:
            messages = await _messages(client, channel, where)
        except CALL_ERRORS as error:
            translated = send_error(error)
            if isinstance(translated, PermissionMissing):
                return Unfetched(f"{translated.what}; {translated.fix}")
            return translated
        if not messages:
            return Unfetched("there is nothing above to read")
        left_out = len(messages) - MOST_MESSAGES
        lines = [f"(the first {left_out} messages are left out)"] if left_out > 0 else []
        asked = 0
        for message in messages[-MOST_MESSAGES:]:
            author = _author_of(message)
            known = (client.token or "", author) in self._names
            asked += not known
            name = await self._name(client, author, message, ask=known or asked <= NAMES_ASKED)
            lines.append(f"{name}: {_said(message)}")
        return "\n\n".join(lines).encode()

    async def _name(self, client: AsyncWebClient, author: str, message: Mapping[str, Any], *, ask: bool) -> str:
        """What people call an author; the id where Slack does not say."""
        key = (client.token or "", author)
        if key not in self._names and ask:
            self._names[key] = await _looked_up(client, author, message)
            if len(self._names) > MOST_NAMES:
                self._names.popitem(last=False)
        return self._names.get(key, author)


async def _messages(client: AsyncWebClient, channel: str, where: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    cursor, before, only = "", text_at(where, "before"), text_at(where, "message")
    for _ in range(MOST_PAGES):
        answer = await client.conversations_replies(
            channel=channel, ts=where["thread"], limit=PAGE, cursor=cursor or None, latest=before or None
        )
        found += [message for message in answer.get("messages") or [] if isinstance(message, Mapping)]
        cursor = text_at(answer.data, "response_metadata", "next_cursor")
        if not cursor:
            break
    if only:
        return [message for message in found if text_at(message, "ts") == only]
    return [message for message in found if not before or text_at(message, "ts") < before]


async def _looked_up(client: AsyncWebClient, author: str, message: Mapping[str, Any]) -> str:
    named = text_at(message, "bot_profile", "name") or text_at(message, "username")
    if named or not author.startswith(("U", "W")):
        return named or author or "somebody"
    try:
        answer = await client.users_info(user=author)
    except CALL_ERRORS:
        return author
    user = answer.get("user")
    return text_at(user, "profile", "display_name") or text_at(user, "real_name") or text_at(user, "name") or author


def _author_of(message: Mapping[str, Any]) -> str:
    return text_at(message, "user") or text_at(message, "bot_id") or text_at(message, "username")


def _said(message: Mapping[str, Any]) -> str:
    text = plain_text_of(text_at(message, "text")).strip()
    files = message.get("files")
    names = [text_at(file, "name") for file in files if isinstance(file, Mapping)] if isinstance(files, list) else []
    return " ".join([text, *(f"[file: {name}]" for name in names if name)]).strip() or "[no text]"
