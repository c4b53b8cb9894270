"""Which tool definitions an admin approved, word for word, in one small file. Knows no server."""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from teams.sources.mcp_words import Definition

FILE_NAME = "mcp.json"


class PinsUnreadable(Exception):
    """The file of approvals cannot be used, as one sentence. Nothing counts as approved then."""


class Pins:
    """The approvals under `home`. Read anew each time: what was approved meanwhile counts at once."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE_NAME

    def of(self, server: str) -> Mapping[str, Definition]:
        """The approved definitions of a server, by the tools' names. Raises `PinsUnreadable`."""
        return {name: _definition(self.path, pin) for name, pin in self._read().get(server, {}).items()}

    def approve(self, server: str, definition: Definition) -> None:
        """Let agents have the tool for as long as it says exactly this. On disk when it returns.

        Raises `PinsUnreadable`, and `OSError` where the file cannot be written.
        """
        pins = self._read()
        at = datetime.now(UTC).isoformat(timespec="seconds")
        pin = {"sha256": definition.sha256, "approved": at, "definition": definition.plain()}
        pins.setdefault(server, {})[definition.name] = pin
        self._write(pins)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            plain = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise PinsUnreadable(f"{self.path} cannot be read; mend it, or remove it and approve again") from error
        pins = plain.get("servers") if isinstance(plain, dict) else None
        if not isinstance(pins, dict) or not all(isinstance(each, dict) for each in pins.values()):
            raise PinsUnreadable(f"{self.path} does not hold approvals; remove it and approve again")
        return pins

    def _write(self, pins: Mapping[str, Any]) -> None:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A temporary file is open to its owner alone from its first moment.
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{FILE_NAME}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"servers": pins}, file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise


def _definition(path: Path, pin: Any) -> Definition:
    try:
        definition = Definition(**pin["definition"])
        whole = definition.sha256 == pin["sha256"]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise PinsUnreadable(f"{path} does not hold approvals; remove it and approve again") from error
    if not whole:
        raise PinsUnreadable(f"{path} was changed by hand; remove it and approve again")
    return definition
