"""`panelist library` as a person meets it: what it says, and its exit codes."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from bot.library_verbs import library

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "notes"
    made.mkdir()
    (made / "wages.md").write_text("# Wages\n\nSunday work is paid with a supplement.")
    (made / "report.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind")
    (made / ".git").mkdir()
    return made


async def panelist(home, *words):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot.cli", "library", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PANELIST_HOME": str(home)},
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert "Traceback" not in err.decode()
    return process.returncode, out.decode(), err.decode()


async def test_a_research_library_is_filled_listed_and_emptied_from_the_command_line(home, folder):
    code, out, err = await panelist(home, "add", str(folder))
    assert code == 0
    assert "read 1 file into 1 passage; 0 unchanged, 0 gone\nleft out 1: hidden\n" in out
    assert f"panelist: {folder}{os.sep}: report.pdf is a PDF that is damaged" in err

    code, out, _ = await panelist(home, "list")
    assert code == 0
    assert out.startswith(f"{folder}: 1 file, 1 passage\ncould not be read")
    assert "report.pdf is a PDF that is damaged" in out

    code, out, _ = await panelist(home, "remove", str(folder))
    assert (code, out) == (0, f"took out {folder}: 2 files\n")
    code, out, _ = await panelist(home, "list")
    assert "panelist library add FOLDER" in out


def test_the_research_library_says_nothing_of_files_that_stay_as_they_are(home, folder, capsys):
    assert library("add", [folder], home) == 0
    capsys.readouterr()
    assert library("add", [], home) == 0
    assert capsys.readouterr().out.startswith("read 0 files into 0 passages; 2 unchanged, 0 gone\n")


def test_a_path_that_is_not_there_is_said_before_the_research_library_is_made(home, folder, capsys):
    assert library("add", [folder, folder / "absent"], home) == 2
    assert f"{folder / 'absent'} is not there" in capsys.readouterr().err
    assert not home.exists()


def test_a_named_file_that_cannot_be_read_is_exit_code_1_of_the_research_library(home, folder, capsys):
    assert library("add", [folder / "report.pdf"], home) == 1
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["add", "list", "remove"])
def test_without_a_research_library_each_action_says_how_to_begin(home, folder, capsys, action):
    assert library(action, [folder] if action == "remove" else [], home) == (0 if action == "list" else 2)
    said = capsys.readouterr()
    assert "panelist library add FOLDER" in said.out + said.err
    assert not home.exists()


def test_what_was_not_added_to_the_research_library_is_not_removed(home, folder, capsys):
    library("add", [folder], home)
    assert library("remove", [folder / "wages.md"], home) == 2
    assert f"came with {folder}" in capsys.readouterr().err
    assert library("remove", [home], home) == 2
    assert "was not added" in capsys.readouterr().err
    library("list", [], home)
    assert capsys.readouterr().out.startswith(f"{folder}: 1 file")


def test_a_folder_that_is_gone_is_named_and_can_be_taken_out_of_the_research_library(home, folder, capsys):
    library("add", [folder], home)
    folder.rename(folder.with_name("away"))
    library("add", [], home)
    assert f"{folder} is not there" in capsys.readouterr().err
    assert library("remove", [folder], home) == 0


def test_a_damaged_research_library_is_one_sentence(home, folder, capsys):
    home.mkdir()
    (home / "library.sqlite").write_bytes(b"nothing" * 1_000)
    for action in ("add", "list", "remove"):
        assert library(action, [folder] if action != "list" else [], home) == 2
        assert capsys.readouterr().err.startswith("panelist: the library is damaged; remove library.sqlite")
