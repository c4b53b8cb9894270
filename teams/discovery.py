"""Finds a model server that already runs on this machine: Ollama, LM Studio or llama.cpp. Starts and stops none."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import aiohttp

BODY_LIMIT = 1 << 20
"""The longest list of models that is read, in bytes."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server found. `api_base` ends in /v1 and speaks OpenAI's protocol, `model` is a name the server listed."""

    name: str
    api_base: str
    model: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where a server would be if it ran, and how to recognize it.

    A listing is `{key: [{name: "…"}, …]}`. If `owner` is given, an entry counts only if its `owned_by` says so.
    """

    name: str
    origin: str
    path: str
    shape: tuple[Literal["models", "data"], Literal["name", "id"]]
    owner: str | None = None


LOCAL_SERVERS = (
    # Ollama's documentation, "List models".
    Candidate("Ollama", "http://127.0.0.1:11434", "/api/tags", ("models", "name")),
    # LM Studio's documentation, "OpenAI compatibility endpoints".
    Candidate("LM Studio", "http://127.0.0.1:1234", "/v1/models", ("data", "id")),
    # llama.cpp, tools/server/README.md. Port 8080 is anybody's, so the owner has to be right.
    Candidate("llama.cpp", "http://127.0.0.1:8080", "/v1/models", ("data", "id"), owner="llamacpp"),
)
"""In order of preference."""


async def find_local_server(
    candidates: Sequence[Candidate] = LOCAL_SERVERS, *, seconds: float = 0.5
) -> LocalServer | None:
    """The first of `candidates` that answers within `seconds` and lists a model that can chat.

    All are asked at once. Whatever else listens on their ports is passed over: this never raises.
    """
    # No environment: a proxy must not be asked about this machine.
    async with aiohttp.ClientSession(trust_env=False) as session:
        found = await asyncio.gather(*(_probe(session, candidate, seconds) for candidate in candidates))
    return next((server for server in found if server is not None), None)


async def _probe(session: aiohttp.ClientSession, candidate: Candidate, seconds: float) -> LocalServer | None:
    try:
        async with (
            asyncio.timeout(seconds),
            session.get(candidate.origin + candidate.path, allow_redirects=False) as response,
        ):
            body = await _read(response) if response.status == 200 else b""
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
    model = first_chat_model(candidate, body)
    return LocalServer(candidate.name, f"{candidate.origin}/v1", model) if model else None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, or nothing if it is longer than `BODY_LIMIT`."""
    body = b""
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > BODY_LIMIT:
            return b""
    return body


def first_chat_model(candidate: Candidate, body: bytes) -> str | None:
    """The first model listed in `body` that is not an embedding model; None too if `body` is not such a list."""
    key, name = candidate.shape
    try:
        listing = json.loads(body)
    except (ValueError, RecursionError):
        return None
    entries = listing.get(key) if isinstance(listing, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or (candidate.owner and entry.get("owned_by") != candidate.owner):
            continue
        model = entry.get(name)
        if isinstance(model, str) and model and not _embeds(model):
            return model
    return None


def _embeds(model: str) -> bool:
    """Whether a model makes vectors instead of text, as far as its name tells."""
    words = model.lower()
    return any(word in words for word in ("embed", "minilm", "bge-", "rerank"))
