"""One search with `ddgs`, as a process: the question is its input, one line of JSON its answer.

Imports nothing of ours. The parent ends it when its time is over.
"""

import json
import os
import sys
from typing import Any

# Bing's results by way of DuckDuckGo, Google's by way of Startpage, two indexes of their own, and an encyclopaedia that
# people write: the others are machine-written or closed to programs.
ENGINES = ("DuckDuckGo", "Brave", "Mojeek", "Startpage", "Wikipedia")


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    try:
        from ddgs import DDGS
        from ddgs.exceptions import DDGSException, TimeoutException
    except ImportError:
        return {"failed": "missing"}
    # Engines are asked two at a time; the second pair needs its turn too.
    patience = max(1, int(asked["seconds"] / 2.5))
    try:
        engines = DDGS(proxy=asked["proxy"], timeout=patience, verify=os.environ.get("SSL_CERT_FILE") or True)
        found = engines.text(asked["query"], max_results=asked["most"], backend=",".join(ENGINES).lower())
    except TimeoutException:
        return {"failed": "timed_out"}
    except DDGSException as error:
        return {"failed": "nothing" if "No results" in str(error) else "unavailable"}
    return {"found": [[str(row.get(key, "")) for key in ("title", "href", "body")] for row in found]}


def main() -> None:
    """The child: asks what its input says."""
    answer = _answer(json.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
