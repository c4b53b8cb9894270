"""`panelist mcp`: what the MCP servers offer, and an admin's word that an agent may have it."""

import argparse
import asyncio
import difflib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from adapters.safety import one_line, visible
from bot.settings import Settings
from teams.sources.mcp import McpServers, open_mcp
from teams.sources.mcp_file import BadServerFile, load_servers
from teams.sources.mcp_pins import Pins, PinsUnreadable
from teams.sources.mcp_words import Definition, Judged, Server
from teams.sources.port import SourceFailed

FAULTY, USAGE = 1, 2
"""Exit codes: a server failed, or something is not approved; the command or a file cannot be used."""


def mcp(args: argparse.Namespace, settings: Settings) -> int:
    """Carry out `panelist mcp list` or `panelist mcp approve`; what is wrong is said on stderr."""
    if settings.bot.panelist_mcp is None:
        return _complain("no MCP server is set up; write a file that names them, and set PANELIST_MCP to its path")
    try:
        servers = load_servers(settings.bot.panelist_mcp)
        return asyncio.run(_carried_out(args, servers, settings.bot.panelist_home))
    except BadServerFile as error:
        return _complain(*error.faults)
    except PinsUnreadable as error:
        return _complain(str(error))


async def _carried_out(args: argparse.Namespace, servers: tuple[Server, ...], home: Path) -> int:
    pins = Pins(home)
    wanted = getattr(args, "server", None)
    chosen = [server for server in servers if wanted in (None, server.name)]
    if not chosen and wanted is not None:
        names = ", ".join(server.name for server in servers) or "none"
        return _complain(f"there is no MCP server {wanted!r}; there are {names}")
    async with open_mcp(chosen, pins, os.environ) as opened:
        if args.action == "approve":
            return await _approve(args, opened, pins)
        return max([await _listed(opened, name) for name in opened.names], default=0)


async def _listed(opened: McpServers, name: str) -> int:
    found = await _look(opened, name)
    if isinstance(found, int):
        return found
    _say(f"{name}: {len(found)} tool{'' if len(found) == 1 else 's'}")
    for each in found:
        why = f": {each.sentence}" if each.sentence else ""
        _say(f"  {each.state:<8} {one_line(each.definition.name)}{why}")
    return 0 if all(each.state == "approved" for each in found) else FAULTY


async def _approve(args: argparse.Namespace, opened: McpServers, pins: Pins) -> int:
    found = await _look(opened, args.server)
    if isinstance(found, int):
        return found
    if args.tool is not None:
        found = tuple(each for each in found if each.definition.name == args.tool)
        if not found:
            return _complain(f"{args.server} has no tool {args.tool!r}; see 'panelist mcp list'")
    code = 0
    for each in found:
        name = f"{args.server}: {one_line(each.definition.name)}"
        if each.state == "approved":
            _say(f"{name} is approved already")
        elif each.state in ("unfit", "gone"):
            code = FAULTY
            _say(f"{name} cannot be approved: {each.sentence}")
        else:
            _say(shown(args.server, each))
            if not args.yes and not sys.stdin.isatty():
                return _complain("nobody is here to be asked; read the definition above, then add --yes")
            if args.yes or _agreed(input):
                pins.approve(args.server, each.definition)
                _say(f"{name} is approved")
            else:
                code = FAULTY
                _say(f"{name} is not approved")
    return code


async def _look(opened: McpServers, name: str) -> tuple[Judged, ...] | int:
    found = await opened.look(name)
    if not isinstance(found, SourceFailed):
        return found
    _complain(f"{name}: {found.sentence}")
    if words := opened.last_words(name):
        _complain(*(f"{name} wrote: {line}" for line in words.splitlines()[-5:]))
    return FAULTY


def shown(server: str, found: Judged) -> str:
    """All that a definition says, for an admin's eyes: whatever a screen would hide or obey is written out."""
    now = _lines(found.definition)
    text = "\n".join(now)
    parts = [f"{server}: {one_line(found.definition.name)} ({found.state})", *(f"  {line}" for line in now)]
    if visible(text) != text or any(ord(sign) > 127 and not sign.isprintable() for sign in text):
        parts.append("  Careful: this holds characters that a screen does not show. They are written out above.")
    if found.before is not None:
        changes = difflib.unified_diff(_lines(found.before), now, "approved", "now", lineterm="")
        parts += ["  What has changed since it was approved:", *(f"  {line}" for line in changes)]
    return "\n".join(visible(part) for part in parts)


def _lines(definition: Definition) -> list[str]:
    lines = ["description:", *(f"| {line}" for line in definition.description.splitlines())]
    for what, schema in (("arguments", definition.input_schema), ("results", definition.output_schema)):
        if schema is not None:
            written = json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False)
            lines += [f"{what}:", *(f"| {line}" for line in written.splitlines())]
    return [*lines, f"sha256: {definition.sha256}"]


def _agreed(ask: Callable[[str], str]) -> bool:
    try:
        return ask("An agent is told all of this and may use the tool. Approve? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _complain(*sentences: str) -> int:
    for sentence in sentences:
        sys.stderr.write(f"panelist: {one_line(sentence)}\n")
    return USAGE
