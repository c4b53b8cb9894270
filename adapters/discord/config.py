"""What the Discord front end is set up with. Light: it loads nothing of Discord's."""

from dataclasses import dataclass, field
from pathlib import Path

DISCORD_API = "https://discord.com/api/v10"


@dataclass(frozen=True, slots=True)
class DiscordConfig:
    """How to talk to Discord. `panels` are the names and titles that a command offers; `folder` keeps which commands
    Discord has been told. A front end that does not `listen` posts through REST alone and opens no gateway."""

    token: str = field(default="", repr=False)
    api: str = DISCORD_API
    gateway: str = ""
    shard_count: int | None = None
    folder: Path = Path()
    panels: tuple[tuple[str, str], ...] = ()
    listens: bool = True

    @property
    def missing(self) -> str:
        """What has to be set for this to work, as one sentence; empty where nothing is missing."""
        return "" if self.token else "set DISCORD_TOKEN"
