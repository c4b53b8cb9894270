"""A foreign file's content, read up to a limit, or one sentence why there is none."""

import aiohttp

from adapters.port import RateLimited, Unfetched

LARGEST_FILE = 20_000_000
"""Bytes of one attached file. A larger one would not fit into any prompt as text."""

TOO_LARGE = Unfetched(f"it is over {LARGEST_FILE // 1_000_000} MB; attach the part that matters")
BAD_ADDRESS = Unfetched("its address cannot be used")

DEFAULT_RETRY_AFTER = 30.0


async def content_of(
    answer: aiohttp.ClientResponse, platform: str, refused: Unfetched
) -> bytes | Unfetched | RateLimited:
    """What a platform's server answered for a file. `refused` says what to do where it does not hand the file out."""
    if answer.status == 429:
        return RateLimited(_seconds(answer.headers.get("Retry-After")))
    if answer.status in (401, 403):
        return refused
    if answer.status == 404:
        return Unfetched("it was deleted; attach it again")
    if answer.status != 200:
        return Unfetched(f"{platform} answered {answer.status}; ask again later")
    content = bytearray()
    async for chunk in answer.content.iter_chunked(65_536):
        content += chunk
        if len(content) > LARGEST_FILE:
            return TOO_LARGE
    return bytes(content)


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or DEFAULT_RETRY_AFTER))
    except ValueError:
        return DEFAULT_RETRY_AFTER
