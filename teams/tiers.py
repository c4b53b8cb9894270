"""Which model serves which tier, decided once from settings. Knows no client of any model."""

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from teams.model import Tier
from teams.prices import PRICE, Price, parsed_price

AnswerFormat = Literal["chat", "json_schema"]

DEFAULT_FLASH = "gemini/gemini-2.5-flash"
DEFAULT_PRO = "gemini/gemini-2.5-pro"


MODEL_NAME = r"^\S*[^\s/]$"
"""`provider/name` or a bare name: no spaces, and something behind the slash."""


API_BASE = r"^https?://[^\s/@]+(/[^\s]*)?$"
"""A server's address without a login in it: a key goes into `*_API_KEY`, where it is kept from logs."""


class ModelSettings(BaseSettings):
    """The settings of both tiers, read from environment variables of the same names in capitals."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    flash_model: str | None = Field(None, pattern=MODEL_NAME)
    pro_model: str | None = Field(None, pattern=MODEL_NAME)
    google_api_key: SecretStr | None = None
    openai_api_key: SecretStr | None = None
    anthropic_api_key: SecretStr | None = None
    flash_api_base: str | None = Field(None, pattern=API_BASE)
    pro_api_base: str | None = Field(None, pattern=API_BASE)
    flash_api_key: SecretStr | None = None
    pro_api_key: SecretStr | None = None
    flash_answer_format: AnswerFormat = "chat"
    pro_answer_format: AnswerFormat = "chat"
    flash_max_parallel_requests: int = Field(2000, ge=1)
    pro_max_parallel_requests: int = Field(100, ge=1)
    flash_price: str | None = Field(None, pattern=PRICE)
    pro_price: str | None = Field(None, pattern=PRICE)
    flash_timeout: float = Field(120.0, gt=0, allow_inf_nan=False)
    pro_timeout: float = Field(120.0, gt=0, allow_inf_nan=False)

    @field_validator("google_api_key", "openai_api_key", "anthropic_api_key", "flash_api_key", "pro_api_key")
    @classmethod
    def _key_is_one_word(cls, key: SecretStr | None) -> SecretStr | None:
        word = key.get_secret_value().strip() if key is not None else ""
        if not all("!" <= char <= "~" for char in word):
            raise ValueError("a key has letters, digits and signs only; copy it again")
        return SecretStr(word) if word else None

    @field_validator("flash_api_base", "pro_api_base")
    @classmethod
    def _server_needs_a_model(cls, base: str | None, read: ValidationInfo) -> str | None:
        model = str(read.field_name).replace("api_base", "model")
        if base is not None and not read.data.get(model):
            raise ValueError(f"{model.upper()} has to say which model that server is to be asked for")
        return base


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One model and how to reach it.

    `model` is what people see and, without `api_base`, how DSPy routes it (`provider/name`). With `api_base` it is
    asked for as `served_as` on that OpenAI-compatible server. `answer_format="json_schema"` constrains answers by a
    schema whose strings have at most `longest_string` characters and whose lists at most `longest_list` items.
    `temperature` None is the server's own. `streamed` takes the answer as a stream, for servers that notice only then
    that a caller has gone. `timeout` is seconds per try. `price` is the one that was set for it.
    """

    model: str
    api_key: SecretStr | None = None
    api_base: str | None = None
    served_as: str | None = None
    answer_format: AnswerFormat = "chat"
    longest_string: int = 4_000
    longest_list: int = 8
    max_tokens: int | None = None
    temperature: float | None = None
    streamed: bool = False
    max_parallel_requests: int = 2000
    timeout: float = 120.0
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Models:
    """The two tiers. `notice` is one sentence the user should see, or nothing. `patience` stretches every deadline of a
    run: 1 is right for a service, a model on a small machine needs more."""

    flash: ModelChoice
    pro: ModelChoice
    notice: str = ""
    patience: float = 1.0


# The provider's key that chooses defaults for both tiers, in this order: model of the flash tier, of the pro tier.
_DEFAULTS_BY_KEY: tuple[tuple[str, str, str], ...] = (
    ("google_api_key", DEFAULT_FLASH, DEFAULT_PRO),
    ("openai_api_key", "openai/gpt-5.4-mini", "openai/gpt-5.4"),
    ("anthropic_api_key", "anthropic/claude-haiku-4-5", "anthropic/claude-sonnet-4-6"),
)
KEY_BY_PROVIDER = {"gemini": "google_api_key", "openai": "openai_api_key", "anthropic": "anthropic_api_key"}


def choose_models(settings: ModelSettings) -> Models | None:
    """The models that the settings name, or None when they name no model, key or server at all."""
    defaults = next(((flash, pro) for key, flash, pro in _DEFAULTS_BY_KEY if getattr(settings, key)), None)
    flash_named = bool(settings.flash_model or settings.flash_api_base)
    pro_named = bool(settings.pro_model or settings.pro_api_base)
    if not (defaults or flash_named or pro_named):
        return None
    flash = _named(settings, "flash", defaults[0] if defaults else DEFAULT_FLASH)
    pro = _named(settings, "pro", defaults[1] if defaults else DEFAULT_PRO)
    if defaults is None and not pro_named:
        return Models(
            flash, _limited(flash, settings, "pro"), f"PRO_MODEL is not set: {flash.model} writes the syntheses too"
        )
    if defaults is None and not flash_named:
        return Models(
            _limited(pro, settings, "flash"), pro, f"FLASH_MODEL is not set: {pro.model} answers as the experts too"
        )
    return Models(flash, pro)


def default_models(settings: ModelSettings) -> Models:
    """The models that the settings name, else the defaults, which then have no key."""
    return choose_models(settings) or Models(
        _named(settings, "flash", DEFAULT_FLASH), _named(settings, "pro", DEFAULT_PRO)
    )


def local_models(settings: ModelSettings, model: str, served_as: str, api_base: str, notice: str) -> Models:
    """Both tiers on one server of this machine, which constrains answers by a schema."""
    local = ModelChoice(model, None, api_base, served_as, answer_format="json_schema", streamed=True)
    return Models(_limited(local, settings, "flash"), _limited(local, settings, "pro"), notice)


def _named(settings: ModelSettings, tier: Tier, default: str) -> ModelChoice:
    model = getattr(settings, f"{tier}_model") or default
    api_base = getattr(settings, f"{tier}_api_base")
    choice = ModelChoice(
        model,
        _key(settings, model, api_base, getattr(settings, f"{tier}_api_key")),
        api_base,
        answer_format=getattr(settings, f"{tier}_answer_format"),
    )
    return _limited(choice, settings, tier)


def _limited(choice: ModelChoice, settings: ModelSettings, tier: Tier) -> ModelChoice:
    return replace(
        choice,
        max_parallel_requests=getattr(settings, f"{tier}_max_parallel_requests"),
        timeout=getattr(settings, f"{tier}_timeout"),
        price=parsed_price(price) if (price := getattr(settings, f"{tier}_price")) else None,
    )


def _key(settings: ModelSettings, model: str, api_base: str | None, own: SecretStr | None) -> SecretStr | None:
    # A provider's key goes to that provider alone: a server named by an API base gets only the key meant for it.
    if own is not None or api_base is not None:
        return own
    name = KEY_BY_PROVIDER.get(model.partition("/")[0])
    key: SecretStr | None = getattr(settings, name) if name else None
    return key
