"""Web search: the providers that are set up, one after the other until one has found something.

Who was asked, and why those before brought nothing, is part of the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from teams.model import FailureKind
from teams.sources.brave import brave
from teams.sources.ddgs import DdgsSearch
from teams.sources.exa import exa
from teams.sources.port import Hit, SearchSource, SourceFailed
from teams.sources.provider import SEARCH_SECONDS, ProviderSearch
from teams.sources.searxng import searxng
from teams.sources.settings import ProviderName, SourceSettings
from teams.sources.tavily import tavily


@dataclass(frozen=True, slots=True)
class Searched:
    """One search: its hits, who was asked in which order, and who of them failed and why.

    Who is asked and has not failed found nothing, but for the last one, whose hits these are. All of them failed: then
    nobody knows whether there is anything.
    """

    hits: tuple[Hit, ...]
    asked: tuple[str, ...]
    failed: tuple[SourceFailed, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether anybody said what there is, and be it nothing."""
        return len(self.failed) < len(self.asked)


class WebSearch:
    """A chain of sources as one. Each takes its own time, so a search takes at most the sum of them."""

    name = "web"

    def __init__(self, sources: Sequence[SearchSource]) -> None:
        self._sources = tuple(sources)

    @property
    def providers(self) -> tuple[str, ...]:
        """Who is asked, in this order."""
        return tuple(source.name for source in self._sources)

    async def ask(self, query: str, most: int) -> Searched:
        """The hits of the first source that has any. Cancelling ends the search."""
        asked: list[str] = []
        failed: list[SourceFailed] = []
        for source in self._sources:
            asked.append(source.name)
            found = await source.search(query, most)
            if isinstance(found, SourceFailed):
                failed.append(found)
            elif found:
                return Searched(found, tuple(asked), tuple(failed))
        return Searched((), tuple(asked), tuple(failed))

    async def search(self, query: str, most: int) -> tuple[Hit, ...] | SourceFailed:
        """As `ask`, for who wants no reasons: a failure only if nobody answered."""
        searched = await self.ask(query, most)
        if searched.answered:
            return searched.hits
        # The kind is the last one's: those before it were passed over for whoever came next.
        kind = searched.failed[-1].kind if searched.failed else FailureKind.UNAVAILABLE
        return SourceFailed(self.name, kind, "; ".join(each.sentence for each in searched.failed))


def web_search(settings: SourceSettings, seconds: float = SEARCH_SECONDS) -> WebSearch | None:
    """The web search that the settings name; None where it is off."""
    names = settings.web_providers
    return WebSearch([_source(name, settings, seconds) for name in names]) if names else None


def _source(name: ProviderName, settings: SourceSettings, seconds: float) -> SearchSource:
    match name:
        case "tavily":
            assert settings.tavily_api_key is not None
            return ProviderSearch(tavily(settings.tavily_api_key, settings.tavily_api_base), seconds)
        case "exa":
            assert settings.exa_api_key is not None
            return ProviderSearch(exa(settings.exa_api_key, settings.exa_api_base), seconds)
        case "brave":
            assert settings.brave_api_key is not None
            return ProviderSearch(brave(settings.brave_api_key, settings.brave_api_base), seconds)
        case "searxng":
            assert settings.searxng_url is not None
            return ProviderSearch(searxng(settings.searxng_url), seconds)
        case "ddgs":
            return DdgsSearch(seconds, proxy=settings.ddgs_proxy)
