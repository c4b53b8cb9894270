"""The file that names the MCP servers: what it may hold, and a sentence for each fault. Knows no secret."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from teams.sources.mcp_words import HttpServer, Server, StdioServer

FILE_LIMIT = 256 * 1024

OWN_VARIABLES = frozenset(
    {"GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "FLASH_API_KEY", "PRO_API_KEY"}
)
OWN_PREFIXES = ("PANELIST_", "SLACK_", "DISCORD_")
"""What is this process's own: keys of models and tokens of platforms are handed to no server, whoever asks."""

_NAME = re.compile(r"(?=.{1,40}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
_URL = re.compile(r"https?://[^\s/@?#]+(?:/[^\s@?#]*)?")


class BadServerFile(ValueError):
    """The file cannot be used. `faults` has one sentence for each thing to mend; none quotes a value."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def load_servers(path: Path) -> tuple[Server, ...]:
    """The servers that the YAML or JSON file names, in its order. Raises `BadServerFile`, for all servers at once."""
    plain = _parsed(path)
    if not isinstance(plain, dict) or set(plain) != {"servers"} or not isinstance(plain["servers"], dict):
        raise BadServerFile((f"{path}: the file holds one key, 'servers', with an entry for each server by its name",))
    servers: list[Server] = []
    faults: list[str] = []
    for name, entry in plain["servers"].items():
        try:
            servers.append(_server(name, entry, path))
        except _Fault as fault:
            faults.append(f"{path}: server {name!r}: {fault}")
    if faults:
        raise BadServerFile(tuple(faults))
    return tuple(servers)


class _Fault(ValueError):
    """What is wrong with one server's entry."""


def _server(name: Any, entry: Any, path: Path) -> Server:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _Fault("a name is made of at most 40 of a-z, 0-9 and -, a letter first")
    if not isinstance(entry, dict) or ("command" in entry) == ("url" in entry):
        raise _Fault("it needs either a command or a url")
    known = ("command", "args", "env") if "command" in entry else ("url", "headers")
    if strange := [key for key in entry if key not in known]:
        raise _Fault(f"{strange[0]!r} is none of {', '.join(known)}; remove it")
    return _http(name, entry) if "url" in entry else _program(name, entry, path.parent.resolve())


def _program(name: str, entry: dict[str, Any], folder: Path) -> Server:
    command, args, env = entry["command"], entry.get("args", []), entry.get("env", [])
    if not isinstance(command, str) or not command.strip() or "\0" in command:
        raise _Fault("its command has to be the name or path of a program")
    if not isinstance(args, list) or not all(isinstance(each, str) and "\0" not in each for each in args):
        raise _Fault("its args have to be a list of texts; put numbers in quotes")
    if not isinstance(env, list):
        raise _Fault("its env has to be a list of variables' names; their values stay in the environment")
    return StdioServer(name, command, tuple(args), tuple(_variable(each, "env") for each in env), folder)


def _http(name: str, entry: dict[str, Any]) -> Server:
    url, headers = entry["url"], entry.get("headers", {})
    if not isinstance(url, str) or not _URL.fullmatch(url):
        raise _Fault("its url has to be http:// or https:// with a host, without a login, a query or a fragment")
    if not isinstance(headers, dict) or not all(isinstance(each, str) and _HEADER.fullmatch(each) for each in headers):
        raise _Fault("its headers have to be lines of 'Header: NAME_OF_A_VARIABLE'")
    return HttpServer(name, url, tuple((header, _variable(each, header)) for header, each in headers.items()))


def _variable(name: Any, where: str) -> str:
    # What stands there may be the secret itself, so it is not quoted unless it is a variable's name.
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise _Fault(f"{where} takes the name of an environment variable, not its value")
    if name in OWN_VARIABLES or name.startswith(OWN_PREFIXES):
        raise _Fault(f"{where} names {name}, which is Panelist's own and handed to no server; use another variable")
    return name


def _parsed(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            content = stream.read(FILE_LIMIT + 1)
    except OSError as error:
        raise BadServerFile((f"{path} cannot be read ({error.strerror}); correct PANELIST_MCP",)) from error
    if len(content) > FILE_LIMIT:
        raise BadServerFile((f"{path}: the file is larger than {FILE_LIMIT // 1024} KiB",))
    try:
        text = content.decode()
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_once)
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise BadServerFile((f"{path}{line}: this cannot be read as YAML: {error.problem}",)) from error
    except json.JSONDecodeError as error:
        raise BadServerFile((f"{path}, line {error.lineno}: this cannot be read as JSON: {error.msg}",)) from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        said = error if isinstance(error, _Twice) else "it is not text in UTF-8, or nested too deep"
        raise BadServerFile((f"{path}: this cannot be read: {said}",)) from error


class _Twice(ValueError):
    def __init__(self, key: object) -> None:
        super().__init__(f"{key!r} stands there twice; remove one of the two")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise _Twice(key)
        made[key] = value
    return made


class _Loader(yaml.SafeLoader):
    """Plain YAML, but a key that stands there twice is a fault: one of two servers would be dropped in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise _Twice(key)
        return super().construct_mapping(node, deep)
