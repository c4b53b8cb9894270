"""A SearXNG server of one's own (docs.searxng.org, "Search API")."""

from collections.abc import Iterable, Mapping

from teams.model import FailureKind
from teams.sources.provider import Failure, Provider, Request, Row, Unanswered, rows_at, text_at


def searxng(base: str) -> Provider:
    """The server at `base`. It needs no key; how many hits it gives is its own affair."""

    def request(query: str, most: int) -> Request:
        return Request(f"{base.rstrip('/')}/search", query={"q": query, "format": "json"})

    return Provider("searxng", "SearXNG", "SEARXNG_URL", "SEARXNG_URL", request, _rows, _meaning)


def _rows(answer: Mapping[str, object]) -> Iterable[Row]:
    found = list(rows_at(answer, "results"))
    if not found and answer.get("unresponsive_engines"):
        raise Unanswered("was answered by none of the search engines it asks")
    return ((text_at(row, "title"), text_at(row, "url"), text_at(row, "content")) for row in found)


def _meaning(status: int, body: bytes) -> Failure | None:
    if status == 403:
        return FailureKind.REFUSED, "gives no JSON; add json to search.formats in its settings.yml"
    return None
