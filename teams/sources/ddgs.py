"""Web search without a key: `ddgs` asks public search engines as a browser would, in a process that ends with us.

It is synchronous and asks its engines in threads, which nobody can end; a process can be. It also parses what strangers
send. The engines turn programs away as they please: this is for trying things out and for the end of a chain.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from teams.model import FailureKind
from teams.sources.port import Hit, SourceFailed
from teams.sources.provider import LARGEST_ANSWER, MOST_HITS, SEARCH_SECONDS, hits_of, shortened

# -I: with the script's own folder on the path, this very module would be taken for the library.
DDGS_COMMAND = (sys.executable, "-I", "-X", "utf8", str(Path(__file__).with_name("ddgs_child.py")))

# What the child may know of the environment: how the network is reached, and what Windows starts no program without.
_PASSED_ON = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SYSTEMROOT")

_TITLE = "The search without a key"

_FAILURES = {
    "timed_out": (FailureKind.TIMED_OUT, "was answered by no search engine in time"),
    "unavailable": (FailureKind.UNAVAILABLE, "could reach no search engine"),
    # The engines give an empty page to whom they turn away, so the two look the same.
    "nothing": (
        FailureKind.UNAVAILABLE,
        "was given nothing: there is nothing, or the search engines turn programs away; a provider with a key does not",
    ),
    "missing": (FailureKind.UNAVAILABLE, "lacks its library; install panelist again, with what it needs"),
}


class DdgsSearch:
    """`ddgs` as a `SearchSource`. `command` is what runs it; tests have their own."""

    name = "ddgs"

    def __init__(
        self, seconds: float = SEARCH_SECONDS, *, proxy: str | None = None, command: Sequence[str] = DDGS_COMMAND
    ) -> None:
        self._seconds = seconds
        self._proxy = proxy
        self._command = command

    async def search(self, query: str, most: int) -> tuple[Hit, ...] | SourceFailed:
        """At most `most` hits. Cancelling ends the process."""
        most = max(1, min(most, MOST_HITS))
        asked = {"query": shortened(query), "most": most, "seconds": self._seconds, "proxy": self._proxy}
        try:
            async with asyncio.timeout(self._seconds):
                said = await self._run(json.dumps(asked).encode())
        except TimeoutError:
            return _failed(FailureKind.TIMED_OUT, f"had no answer within {self._seconds:g} s")
        except OSError:
            return _failed(FailureKind.UNAVAILABLE, "cannot be started now; try again in a while")
        match _parsed(said):
            case {"failed": str(why)} if why in _FAILURES:
                return _failed(*_FAILURES[why])
            case {"found": list(rows)}:
                return hits_of(((row[0], row[1], row[2]) for row in rows if _is_row(row)), self.name, most) or _failed(
                    *_FAILURES["nothing"]
                )
        return _failed(FailureKind.UNREADABLE, "gave an answer that cannot be read")

    async def _run(self, asked: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name.upper() in _PASSED_ON},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                process.stdin.write(asked)
                await process.stdin.drain()
            process.stdin.close()
            said = bytearray()
            while len(said) <= LARGEST_ANSWER and (part := await process.stdout.read(65_536)):
                said += part
            return bytes(said)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _failed(kind: FailureKind, says: str) -> SourceFailed:
    return SourceFailed(DdgsSearch.name, kind, f"{_TITLE} {says}")


def _parsed(said: bytes) -> object:
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        return None


def _is_row(row: object) -> bool:
    return isinstance(row, list) and len(row) == 3 and all(isinstance(each, str) for each in row)
