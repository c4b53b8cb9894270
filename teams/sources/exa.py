"""Exa's search (exa.ai/docs/reference, "Search" and "Error codes")."""

from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from teams.sources.provider import Provider, Request, Row, rows_at, text_at

_PASSAGE = 1_000
"""Characters of excerpts per hit."""


def exa(key: SecretStr, base: str) -> Provider:
    """Exa, with the account's key."""

    def request(query: str, most: int) -> Request:
        return Request(
            f"{base.rstrip('/')}/search",
            {"x-api-key": key.get_secret_value()},
            body={
                "query": query,
                "type": "auto",
                "numResults": most,
                "contents": {"highlights": {"maxCharacters": _PASSAGE}},
            },
        )

    return Provider("exa", "Exa", "EXA_API_KEY", "EXA_API_BASE", request, _rows)


def _rows(answer: Mapping[str, object]) -> Iterable[Row]:
    return ((text_at(row, "title"), text_at(row, "url"), _passage(row)) for row in rows_at(answer, "results"))


def _passage(row: Mapping[str, object]) -> str:
    highlights = row.get("highlights")
    if isinstance(highlights, list):
        return " … ".join(each for each in highlights if isinstance(each, str))
    return text_at(row, "text")
