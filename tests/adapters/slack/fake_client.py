"""A hand-written stand-in for `AsyncWebClient`: it records what was asked and answers what a test scripted."""

import itertools
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.errors import SlackApiError

from adapters.slack.config import SLACK_API
from adapters.slack.files import Files
from adapters.slack.frontend import SlackFrontEnd
from adapters.slack.native import Native
from adapters.slack.sealed import Seal
from adapters.slack.workspaces import Identity, OneToken, Workspaces

TENANT = "T1"


@dataclass(frozen=True, slots=True)
class Said:
    """One call."""

    method: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What Slack's client hands out."""

    data: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    status_code: int = 200

    def get(self, name: str, otherwise: Any = None) -> Any:
        return self.data.get(name, otherwise)

    def __getitem__(self, name: str) -> Any:
        return self.data[name]


def refusal(code: str, status: int = 200, **headers: str) -> SlackApiError:
    """An error as the client raises it."""
    return SlackApiError("refused", Answer({"ok": False, "error": code}, headers, status))


class FakeClient:
    """Every method of Slack's that is called by name. Posts get rising timestamps."""

    token = "xoxb-canary"

    def __init__(self) -> None:
        self.said: list[Said] = []
        self._scripted: dict[str, deque[Any]] = defaultdict(deque)
        self._numbers = itertools.count(1)

    def script(self, method: str, *outcomes: Any) -> None:
        """What the next calls of a method give: a dictionary is an answer, an exception is raised."""
        self._scripted[method].extend(outcomes)

    def asked(self, method: str) -> list[dict[str, Any]]:
        return [said.arguments for said in self.said if said.method == method]

    def __getattr__(self, method: str) -> Any:
        async def call(**arguments: Any) -> Answer:
            self.said.append(Said(method, arguments))
            outcome = self._scripted[method].popleft() if self._scripted[method] else {}
            if isinstance(outcome, BaseException):
                raise outcome
            return Answer({"ok": True, "ts": f"17000000{next(self._numbers):02d}.000100"} | outcome)

        return call


class HandedClients(Workspaces):
    """Workspaces that are handed their client."""

    def __init__(self, client: FakeClient) -> None:
        super().__init__(OneToken(Identity(TENANT, "U0PANEL", "B0PANEL"), client.token), None)  # type: ignore[arg-type]
        self._handed = client

    async def client(self, tenant: str) -> Any:
        return self._handed if tenant == TENANT else None


def front_end(client: FakeClient) -> SlackFrontEnd:
    """The front end on a fake client; no socket is opened."""
    native = Native(HandedClients(client), None, Files(None, SLACK_API))  # type: ignore[arg-type]
    return SlackFrontEnd(native, Seal("secret"))
