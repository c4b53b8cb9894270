"""Logs: structlog, for people on a terminal and as one JSON object a line elsewhere. No chat text, no secrets."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from adapters.safety import visible


def configure_logs(level: str, to: TextIO = sys.stderr) -> None:
    """Set up logging for the process. `level` is a level's name; what lies below it is dropped."""
    lowest = logging.getLevelNamesMapping()[level.upper()]
    human = to.isatty()
    renderer = structlog.dev.ConsoleRenderer(colors=human) if human else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            one_line if human else _as_is,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.PrintLoggerFactory(to),
        cache_logger_on_first_use=False,
    )
    # What libraries log may quote prompts and answers: only their warnings pass, and DSPy's not even those.
    logging.basicConfig(stream=to, level=max(lowest, logging.WARNING), format="%(name)s: %(message)s", force=True)
    # Slack's quote whole payloads, codes and addresses with tickets in theirs too; Discord's, whatever an error says;
    # aiohttp's server, malformed headers; MCP's, what servers answer.
    quoting = ("dspy", "LiteLLM", "httpx", "slack_sdk", "discord", "aiohttp.access", "aiohttp.server", "mcp", "httpx2")
    for chatty in quoting:
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    # Bolt gives each of its loggers the root's level: one for all of them would count for nothing.
    bolt = logging.getLogger("slack_bolt")
    bolt.handlers, bolt.propagate = [logging.NullHandler()], False


def one_line(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make every text of a log entry a single line without control characters, so that none can pass for another."""
    for key, value in event.items():
        if isinstance(value, str):
            shown = visible(value)
            event[key] = shown if key == "exception" else shown.replace("\n", "\\n").replace("\t", "\\t")
    return event


def _as_is(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return event
