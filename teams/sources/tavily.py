"""Tavily's search (docs.tavily.com, "Tavily Search")."""

from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from teams.model import FailureKind
from teams.sources.provider import Failure, Provider, Request, Row, rows_at, text_at


def tavily(key: SecretStr, base: str) -> Provider:
    """Tavily, with the account's key."""

    def request(query: str, most: int) -> Request:
        return Request(
            f"{base.rstrip('/')}/search",
            {"Authorization": f"Bearer {key.get_secret_value()}"},
            # Two credits a search and not one: in published comparisons `basic` finds far less of what was asked for.
            body={"query": query, "max_results": most, "search_depth": "advanced"},
        )

    return Provider("tavily", "Tavily", "TAVILY_API_KEY", "TAVILY_API_BASE", request, _rows, _meaning)


def _rows(answer: Mapping[str, object]) -> Iterable[Row]:
    return ((text_at(row, "title"), text_at(row, "url"), text_at(row, "content")) for row in rows_at(answer, "results"))


def _meaning(status: int, body: bytes) -> Failure | None:
    # 432: the plan's limit; 433: that of paying as one goes. Both are Tavily's own.
    if status in {432, 433}:
        return FailureKind.REFUSED, "has given all that this account's plan allows; look at the account"
    return None
