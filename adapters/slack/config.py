"""What the Slack front end is set up with. Light: it loads nothing of Slack's."""

from dataclasses import dataclass, field
from pathlib import Path

SLACK_API = "https://slack.com/api/"


@dataclass(frozen=True, slots=True)
class SlackConfig:
    """How to talk to Slack. With an `app_token` payloads come over a socket, else over HTTP with the `signing_secret`.
    With a client id and secret any workspace can install the bot; `folder` then keeps their tokens, encrypted. Without
    them `bot_token` is that of the one workspace. `public_url` is where Slack reaches this process, without a path. A
    front end that does not `listen` posts only."""

    bot_token: str = field(default="", repr=False)
    app_token: str = field(default="", repr=False)
    signing_secret: str = field(default="", repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    api: str = SLACK_API
    folder: Path = Path()
    public_url: str = ""
    listens: bool = True

    @property
    def many(self) -> bool:
        """Whether any workspace can install the bot."""
        return bool(self.client_id and self.client_secret)

    @property
    def socket(self) -> bool:
        """Whether payloads come over a socket."""
        return bool(self.app_token)

    @property
    def web(self) -> bool:
        """Whether Slack or an installer's browser has to reach this process."""
        return self.listens and (self.many or not self.socket)

    @property
    def missing(self) -> str:
        """What has to be set for this to work, as one sentence; empty where nothing is missing."""
        if not self.bot_token and not self.many:
            if self.app_token or self.signing_secret or self.client_id or self.client_secret:
                return "set SLACK_BOT_TOKEN, or SLACK_CLIENT_ID and SLACK_CLIENT_SECRET for several workspaces"
            return "set SLACK_BOT_TOKEN, and SLACK_APP_TOKEN (socket) or SLACK_SIGNING_SECRET (HTTP)"
        if self.listens and not self.app_token and not self.signing_secret:
            return "set SLACK_APP_TOKEN (socket) or SLACK_SIGNING_SECRET (HTTP) too"
        return ""
