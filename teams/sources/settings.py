"""Which web search there is, decided once from settings. Knows no client of any provider."""

from typing import Literal, get_args

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from teams.tiers import API_BASE

ProviderName = Literal["tavily", "exa", "brave", "searxng", "ddgs"]
PROVIDERS: tuple[ProviderName, ...] = get_args(ProviderName)

# What has to be set for a provider to be asked.
_NEEDS: dict[ProviderName, str] = {
    "tavily": "tavily_api_key",
    "exa": "exa_api_key",
    "brave": "brave_api_key",
    "searxng": "searxng_url",
}


class SourceSettings(BaseSettings):
    """The settings of the web search, read from environment variables of the same names in capitals.

    `panelist_web` is `auto`, `off`, or names in the order in which they are asked, with commas between them.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    tavily_api_key: SecretStr | None = None
    exa_api_key: SecretStr | None = None
    brave_api_key: SecretStr | None = None
    searxng_url: str | None = Field(None, pattern=API_BASE)
    tavily_api_base: str = Field("https://api.tavily.com", pattern=API_BASE)
    exa_api_base: str = Field("https://api.exa.ai", pattern=API_BASE)
    brave_api_base: str = Field("https://api.search.brave.com", pattern=API_BASE)
    ddgs_proxy: str | None = Field(None, pattern=r"^(https?|socks5h?)://[^\s]+$", repr=False)
    # Behind what its names need: a field is checked in this order.
    panelist_web: str = "auto"

    @field_validator("tavily_api_key", "exa_api_key", "brave_api_key")
    @classmethod
    def _key_is_one_word(cls, key: SecretStr | None) -> SecretStr | None:
        word = key.get_secret_value().strip() if key is not None else ""
        if not all("!" <= char <= "~" for char in word):
            raise ValueError("a key has letters, digits and signs only; copy it again")
        return SecretStr(word) if word else None

    @field_validator("panelist_web")
    @classmethod
    def _names_are_set_up(cls, said: str, read: ValidationInfo) -> str:
        said = said.strip().lower()
        if said in {"auto", "off"}:
            return said
        names = [name.strip() for name in said.split(",") if name.strip()]
        if not names or not set(names) <= set(PROVIDERS):
            raise ValueError(f"has to be auto, off, or names with commas between them, of {', '.join(PROVIDERS)}")
        for name, needs in _NEEDS.items():
            # A setting that is there but wrong is reported on its own.
            if name in names and needs in read.data and not read.data[needs]:
                raise ValueError(f"names {name}, for which {needs.upper()} has to be set")
        return ",".join(dict.fromkeys(names))

    @property
    def web_providers(self) -> tuple[ProviderName, ...]:
        """Who is asked, in this order: who is named, else all that are set up, else the one that needs nothing.

        Of `auto`, the last is not part otherwise: who has chosen a provider has not chosen strangers beside it.
        """
        if self.panelist_web == "off":
            return ()
        if self.panelist_web == "auto":
            return tuple(name for name, needs in _NEEDS.items() if getattr(self, needs)) or ("ddgs",)
        return tuple(name for said in self.panelist_web.split(",") for name in PROVIDERS if name == said)
