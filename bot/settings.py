"""Settings: read once from the environment into one frozen value; all faults are reported together."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import platformdirs
from pydantic import AnyHttpUrl, AnyWebsocketUrl, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from teams.sources.settings import SourceSettings
from teams.tiers import ModelSettings


class BadSettings(ValueError):
    """Some settings cannot be used. `faults` has one sentence for each."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _home() -> Path:
    return Path(platformdirs.user_data_dir("panelist", appauthor=False))


class BotSettings(BaseSettings):
    """The settings of the bot itself, read from environment variables of the same names in capitals."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    panelist_home: Path = Field(default_factory=_home)
    database_url: SecretStr | None = None
    panelist_panels: Path | None = None
    panelist_mcp: Path | None = None
    panelist_log: Literal["debug", "info", "warning", "error"] | None = None
    panelist_admins: str | None = None
    panelist_allowed_channels: str | None = None
    panelist_runs_per_day_person: int = Field(20, ge=0)
    panelist_runs_per_day_channel: int = Field(100, ge=0)
    panelist_runs_per_day_workspace: int = Field(500, ge=0)
    panelist_runs_in_flight: int = Field(200, ge=0)
    panelist_runs_waiting: int = Field(200, ge=0)
    panelist_budget_run: float = Field(0.0, ge=0, allow_inf_nan=False)
    panelist_budget_day: float = Field(0.0, ge=0, allow_inf_nan=False)
    panelist_keep_days: float = Field(30.0, gt=0, allow_inf_nan=False)
    panelist_grace: float = Field(20.0, ge=0, allow_inf_nan=False)
    slack_bot_token: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    slack_api_url: AnyHttpUrl = AnyHttpUrl("https://slack.com/api/")
    panelist_url: AnyHttpUrl | None = None
    port: int | None = Field(None, ge=1, le=65_535)
    discord_token: SecretStr | None = None
    discord_api_url: AnyHttpUrl = AnyHttpUrl("https://discord.com/api/v10")
    discord_gateway_url: AnyWebsocketUrl | None = None
    discord_shard_count: int | None = Field(None, ge=1)

    @field_validator("database_url")
    @classmethod
    def _one_of_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        return None if url is None else _postgres_url(url)


_WRITE = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_KIND = re.compile(r"([a-z0-9]{1,20})(\+[a-z0-9]{1,20})?://", re.IGNORECASE)


def _postgres_url(url: SecretStr) -> SecretStr:
    """The URL as libpq takes it. Raises `ValueError` with a sentence that quotes at most how the URL begins."""
    given = url.get_secret_value().strip()
    begins = _KIND.match(given)
    if begins is None:
        raise ValueError(f"it is no address of a database; {_WRITE}")
    if begins[1].lower() not in ("postgresql", "postgres") or (begins[2] or "+psycopg").lower() != "+psycopg":
        raise ValueError(f"it begins with {begins[0]}, and only Postgres can be used; {_WRITE}")
    # Its driver takes a moment to import, and whoever has no Postgres does not wait for it.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    fresh = f"postgresql://{given[begins.end() :]}"
    try:
        conninfo_to_dict(fresh)
    except ProgrammingError:
        # What it says may quote the password.
        readable = False
    else:
        readable = True
    if not readable:
        raise ValueError(f"Postgres cannot read it; {_WRITE}, with % and two digits for each of :/@?#% in the password")
    return SecretStr(fresh)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set: the bot's own settings, those of the models, and those of what research searches."""

    bot: BotSettings
    models: ModelSettings
    sources: SourceSettings


S = TypeVar("S", bound=BaseSettings)


def load_settings() -> Settings:
    """The settings of this process. Raises `BadSettings` with every fault at once."""
    faults: list[str] = []
    bot, models, sources = _read(BotSettings, faults), _read(ModelSettings, faults), _read(SourceSettings, faults)
    if bot is None or models is None or sources is None:
        raise BadSettings(tuple(faults))
    return Settings(bot, models, sources)


def _read(kind: type[S], faults: list[str]) -> S | None:
    try:
        return kind()
    except ValidationError as error:
        faults += [_fault(name, why) for name, why in _each(error)]
        return None


def _each(error: ValidationError) -> list[tuple[str, str]]:
    # The value itself is left out: it may be a key that was put into the wrong variable.
    return [
        (str(item["loc"][0]).upper(), item["msg"].removeprefix("Value error, "))
        for item in error.errors(include_input=False, include_url=False)
    ]


def _fault(name: str, why: str) -> str:
    return f"{name}: {why[0].lower()}{why[1:]}; correct it or unset it"
