"""Brave's web search (api-dashboard.search.brave.com, "Web Search")."""

from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from teams.model import FailureKind
from teams.sources.provider import Failure, Provider, Request, Row, rows_at, text_at, without_tags


def brave(key: SecretStr, base: str) -> Provider:
    """Brave, with the account's key."""

    def request(query: str, most: int) -> Request:
        return Request(
            f"{base.rstrip('/')}/res/v1/web/search",
            {"X-Subscription-Token": key.get_secret_value()},
            {"q": query, "count": str(most), "result_filter": "web", "text_decorations": "false"},
        )

    return Provider("brave", "Brave", "BRAVE_API_KEY", "BRAVE_API_BASE", request, _rows, _meaning)


def _rows(answer: Mapping[str, object]) -> Iterable[Row]:
    # Where nothing was found, the part for the web is missing.
    if answer.get("type") == "search" and "web" not in answer:
        return ()
    return (
        (without_tags(text_at(row, "title")), text_at(row, "url"), without_tags(text_at(row, "description")))
        for row in rows_at(answer, "web", "results")
    )


def _meaning(status: int, body: bytes) -> Failure | None:
    # Brave answers a wrong key with the status of a wrong parameter.
    if status == 422 and b"SUBSCRIPTION_TOKEN_INVALID" in body:
        return FailureKind.REFUSED, "refused the key; check BRAVE_API_KEY"
    return None
