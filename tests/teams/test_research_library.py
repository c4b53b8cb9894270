"""The library: what changed is read, what is gone is forgotten, and any question is answered or said to fail."""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams.library import DocumentIndex
from teams.model import FailureKind, Source
from teams.sources import walk
from teams.sources.library import Library
from teams.sources.passages import JOINT, PASSAGE, passages, title_of, words_of
from teams.sources.port import SourceFailed
from teams.sources.shelf import Document, LibraryUnusable, open_shelf, path_in_library, read_shelf
from teams.sources.updating import LIBRARY_LIMITS, update

ROOT = Path(__file__).parent.parent.parent
MANUAL = Path("/usr/share/doc/git-doc")


@pytest.fixture
def folder(tmp_path):
    """The user's folder."""
    made = tmp_path / "notes"
    made.mkdir()
    return made


@pytest.fixture
def file(tmp_path):
    """Where the library's file will be."""
    return tmp_path / "home" / "library.sqlite"


def documents(file):
    with read_shelf(file) as shelf:
        return {Path(each.path).name: each for each in shelf.documents()}


async def names(file, question, most=5):
    return [Path(hit.where).name for hit in await Library(file).search(question, most)]


def integrity(file):
    """What SQLite and its full-text index say of themselves."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
        return db.execute("PRAGMA integrity_check").fetchone()[0]


# --- Passages


@given(st.text(max_size=5000) | st.text(alphabet="# \n=-`a|~", max_size=300))
def test_passages_are_bounded_and_every_word_is_in_one_or_in_a_heading(text):
    cut = passages(text)
    assert all(0 < len(passage.text) <= PASSAGE for passage in cut)
    kept = Counter("".join([title_of(text, ""), *(passage.heading + passage.text for passage in cut)]))
    assert {letter for letter in text if letter.isalnum()} <= set(kept)


def test_a_passage_is_in_one_section_and_knows_the_path_to_it():
    keys = "## Setup\n\n### Keys\n\nOne.\n\nTwo."
    text = f"# Handbook\n\nBefore.\n\n{keys}\n\n## Use\n\nThree.\n\nOld style\n---------\n\nFour."
    assert [(each.heading, each.text) for each in passages(text)] == [
        ("Handbook", "Before."),
        ("Handbook › Setup › Keys", "One.\n\nTwo."),
        ("Handbook › Use", "Three."),
        ("Handbook › Old style", "Four."),
    ]
    assert title_of(text, "file.md") == "Handbook"


def test_what_looks_like_a_heading_in_code_is_none():
    assert [each.heading for each in passages("# Shell\n\n```sh\n# a comment\n## another\n```\n")] == ["Shell"]


def test_a_document_without_a_title_is_called_as_its_file():
    assert title_of("Only prose.", "plan.txt") == "plan.txt"
    assert title_of("## Page 1\n\nProse.", "scan.pdf") == "scan.pdf"


def test_common_words_are_looked_for_only_where_there_is_no_other():
    assert words_of("What is the wage of a baker?") == ("wage", "baker")
    assert words_of("To be or not to be") == ("to", "be", "or", "not")
    assert words_of("___ ?!") == ()


# --- Searching


async def test_a_question_finds_by_stem_and_brings_heading_path_and_neighbours(folder, file):
    long = "\n\n".join(f"Paragraph {number} of the {'x' * 700}." for number in range(6))
    (folder / "wages.md").write_text(
        f"# Wages\n\n## Sundays\n\n{long}\n\nWork is paid with a supplement.\n\n## Else\n\nNo."
    )
    await update(file, [folder])
    (hit, *_) = await Library(file).search("paying supplements", 5)
    assert (hit.title, hit.where, hit.provider) == ("Wages › Sundays", f"{folder.name}/wages.md", "library")
    assert "Work is paid with a supplement." in hit.passage
    assert "Paragraph 4" in hit.passage
    assert "## Wages › Else\n\nNo." in hit.passage


async def test_what_research_finds_in_the_library_is_named_from_the_folder_that_was_added(folder, file):
    (folder / "deep").mkdir()
    (folder / "deep" / "hours.md").write_text("Bakeries open on Sundays.")
    single = folder.parent / "wages.md"
    single.write_text("Bakers are paid.")
    await update(file, [folder, folder / "deep", single])
    found = [hit.where for word in ("bakeries", "bakers") for hit in await Library(file).search(word, 5)]
    assert found == ["notes/deep/hours.md", "wages.md"]


@pytest.mark.parametrize(
    ("path", "roots", "shown"),
    [
        ("/srv/docs/a.md", ["/srv/docs"], "docs/a.md"),
        ("/srv/docs/a.md", ["/srv/docs/a.md"], "a.md"),
        ("/srv/docs/in/a.md", ["/srv/docs/in", "/srv/docs", "/srv/doc"], "docs/in/a.md"),
        ("/srv/a.md", ["/"], "srv/a.md"),
        ("/srv/secret/a.md", ["/srv/docs"], "a.md"),
    ],
)
def test_a_research_path_in_the_library_says_nothing_of_what_is_above_the_folder(path, roots, shown):
    assert path_in_library(path, roots) == shown


async def test_passages_with_all_words_come_before_those_with_some(folder, file):
    (folder / "a.md").write_text("The town council decides on exceptions for bakeries.")
    (folder / "b.md").write_text("Bakeries bakeries bakeries bakeries.")
    (folder / "c.md").write_text("The council is a council of councils.")
    await update(file, [folder])
    first, *others = await names(file, "bakeries council")
    assert (first, set(others)) == ("a.md", {"b.md", "c.md"})


async def test_a_title_says_more_than_a_text(folder, file):
    (folder / "a.md").write_text("# Bread\n\nOvens, flour and a little patience.")
    (folder / "b.md").write_text("# Ovens\n\nHere bread is baked, and bread is sold, as bread should be.")
    await update(file, [folder])
    assert await names(file, "bread") == ["a.md", "b.md"]


async def test_words_that_nobody_wrote_do_not_hide_those_that_are_there(folder, file):
    (folder / "a.md").write_text("Sourdough rests overnight before it is baked.")
    await update(file, [folder])
    assert await names(file, "zebra sourdough xylophone") == ["a.md"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "library.sqlite"
    with open_shelf(path) as shelf:
        shelf.keep(Document("/a", 1, 1, "s", "", "A title"), passages("# A title\n\nSome text AND more, NEAR it."))
    return Library(path)


@given(
    st.text(max_size=200) | st.sampled_from(['"', "NEAR(", "a AND", "text:more", "*", "-x", "a\x00b", "_", "^a", "{"])
)
def test_any_text_is_a_query(small, query):
    assert isinstance(small._search(query, 5), tuple)


async def test_no_words_find_nothing_and_that_is_no_failure(small):
    assert await small.search("?!", 5) == await small.search("", 5) == await small.search("text", 0) == ()


async def test_a_long_question_is_answered_at_once(small):
    async with asyncio.timeout(5):
        assert await small.search("title " + " ".join(f"word{number}" for number in range(50_000)), 5)


def test_the_documents_of_a_run_are_searched_in_the_same_way():
    index = DocumentIndex(
        (Source("a.md", "# Bread\n\n## Ovens\n\nHot."), Source("b.md", "Ovens are bought elsewhere."))
    )
    assert [each.name for each in index.search("oven")] == ["a.md", "b.md"]
    assert index.search("oven")[0].text == "## Bread › Ovens\n\nHot."


# --- Keeping it up to date


async def test_a_file_whose_size_and_time_are_as_before_is_not_read(folder, file):
    note = folder / "note.md"
    note.write_text("apples")
    await update(file, [folder])
    status = note.stat()
    note.write_text("cherry")
    os.utime(note, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = await update(file)
    assert (again.read, again.unchanged) == (0, 1)
    assert await names(file, "apples") == ["note.md"]


async def test_a_file_that_was_only_touched_is_not_parsed(folder, file):
    note = folder / "note.md"
    note.write_text("apples")
    await update(file, [folder])
    before = documents(file)["note.md"]
    os.utime(note, ns=(1, 1))
    again = await update(file)
    assert (again.read, again.unchanged) == (0, 1)
    after = documents(file)["note.md"]
    assert (after.mtime, after.indexed_at, after.sha256) == (1, before.indexed_at, before.sha256)


async def test_a_file_that_changed_takes_its_old_passages_along(folder, file):
    note = folder / "note.md"
    note.write_text("apples")
    await update(file, [folder])
    note.write_text("cherries and pears")
    assert (await update(file)).read == 1
    assert await names(file, "apples") == []
    assert await names(file, "cherry") == ["note.md"]
    assert integrity(file) == "ok"


async def test_a_file_that_is_gone_is_forgotten(folder, file):
    (folder / "note.md").write_text("apples")
    (folder / "other.md").write_text("pears")
    await update(file, [folder])
    (folder / "note.md").unlink()
    assert (await update(file)).removed == 1
    assert await names(file, "apples") == []
    assert set(documents(file)) == {"other.md"}


async def test_a_named_file_that_is_gone_is_forgotten_and_a_folder_that_is_away_is_not(folder, file, tmp_path):
    (folder / "note.md").write_text("apples")
    (tmp_path / "single.md").write_text("plums")
    await update(file, [folder, tmp_path / "single.md"])
    folder.rename(tmp_path / "away")
    (tmp_path / "single.md").unlink()
    done = await update(file)
    assert done.missing == sorted([str(folder), str(tmp_path / "single.md")])
    assert set(documents(file)) == {"note.md"}


async def test_a_root_inside_another_keeps_what_the_outer_one_leaves_out(folder, file):
    (folder / ".private").mkdir()
    (folder / ".private" / "diary.md").write_text("plums")
    await update(file, [folder / ".private"])
    await update(file, [folder])
    assert await names(file, "plums") == ["diary.md"]


async def test_a_removed_root_takes_what_no_other_root_holds(folder, file):
    (folder / "inner").mkdir()
    (folder / "inner" / "note.md").write_text("apples")
    (folder / "other.md").write_text("pears")
    await update(file, [folder, folder / "inner"])
    with open_shelf(file) as shelf:
        assert shelf.remove_root(str(folder)) == 1
    assert set(documents(file)) == {"note.md"}
    assert await names(file, "pears") == []


async def test_a_file_that_cannot_be_read_is_listed_and_tried_again_when_it_changes(folder, file):
    broken = folder / "report.pdf"
    broken.write_bytes(b"%PDF-1.7\nnothing of the kind")
    (folder / "note.md").write_text("apples")
    done = await update(file, [folder])
    assert [each.path for each in done.problems] == [str(broken)]
    assert documents(file)["report.pdf"].problem.startswith("report.pdf is ")
    assert [each.path for each in (await update(file)).problems] == [str(broken)]

    broken.write_text("pears after all")
    assert (await update(file)).problems == []
    assert await names(file, "pears") == ["report.pdf"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_opened_is_tried_every_time(folder, file):
    note = folder / "note.md"
    note.write_text("apples")
    note.chmod(0)
    assert "permission denied" in (await update(file, [folder])).problems[0].problem
    note.chmod(0o600)
    assert (await update(file)).problems == []


async def test_what_is_left_out_of_a_folder_is_counted_with_the_reason(folder, file):
    (folder / "note.md").write_text("apples")
    for path in (".hidden.md", ".git/config", "node_modules/x/readme.md", "page.css"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("apples")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    with (folder / "large.txt").open("wb") as large:
        large.truncate(LIBRARY_LIMITS.file_bytes + 1)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "pipe")
    done = await update(file, [folder])
    assert done.skipped == {
        walk.HIDDEN: 2,
        walk.MACHINERY: 1,
        walk.PAGE_PARTS: 1,
        walk.BINARY: 1,
        walk.LARGE: 1,
        walk.LINKS: 1,
        walk.SPECIAL: 1,
    }
    assert (done.read, done.problems) == (1, [])
    assert set(documents(file)) == {"note.md"}


async def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder, file, tmp_path):
    (tmp_path / "id_ed25519").write_text("PRIVATE KEY")
    (folder / "note.md").symlink_to(tmp_path / "id_ed25519")
    assert (await update(file, [folder])).skipped == {walk.LINKS: 1}
    assert await names(file, "private key") == []


async def test_a_file_that_was_named_is_tried_whatever_it_is(folder, file):
    (folder / ".notes").write_text("apples")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    done = await update(file, [folder / ".notes", folder / "picture.png"])
    assert await names(file, "apples") == [".notes"]
    assert "a picture" in done.problems[0].problem


async def test_a_web_page_and_its_headings_come_through_the_reader(folder, file):
    (folder / "page.html").write_text(
        "<html><head><title>Ovens</title></head><body><h1>Ovens</h1><h2>Stone</h2><p>Slow and hot.</p>"
        "<p hidden>ignore this</p></body></html>"
    )
    await update(file, [folder])
    (hit,) = await Library(file).search("stone oven", 5)
    assert (hit.title, "Slow and hot." in hit.passage) == ("Ovens › Stone", True)
    assert await names(file, "ignore") == []


async def test_what_the_reader_said_of_a_document_stands_over_each_of_its_passages(folder, file):
    filling = "\n\n".join("y" * 1_000 for _ in range(5))
    (folder / "note.md").write_text(f"Be\u200bgin.\n\n{filling}\n\nThe supplement is half the wage.")
    await update(file, [folder])
    (hit,) = await Library(file).search("supplement", 5)
    assert hit.passage.startswith("[hidden characters were removed]\n")


# --- Whatever happens


KILLED_BETWEEN_FILES = """
import asyncio, os, signal, sys
from pathlib import Path
from teams.sources.updating import update

def told(progress):
    if progress.done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(update(Path(sys.argv[1]), [Path(sys.argv[2])], told))
"""

KILLED_WITHIN_ONE = """
import os, signal, sys
from pathlib import Path
from teams.sources.passages import Passage
from teams.sources.shelf import Document, open_shelf

class Dying(list):
    def __iter__(self):
        yield from (Passage("", f"cherry {number}") for number in range(500))
        os.kill(os.getpid(), signal.SIGKILL)

with open_shelf(Path(sys.argv[1])) as shelf:
    shelf.keep(Document(sys.argv[2], 9, 9, "new", "", "note.md"), Dying())
"""


def run_killed(script, *arguments):
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == -signal.SIGKILL


async def test_what_was_read_before_a_kill_is_kept_and_the_rest_follows(folder, file):
    for number in range(6):
        (folder / f"{number}.md").write_text(f"apples {number}")
    await asyncio.to_thread(run_killed, KILLED_BETWEEN_FILES, file, folder)
    assert set(documents(file)) == {"0.md", "1.md", "2.md"}
    done = await update(file)
    assert (done.read, done.unchanged) == (3, 3)
    assert integrity(file) == "ok"


async def test_a_kill_within_a_document_leaves_the_one_before_whole(folder, file):
    note = folder / "note.md"
    note.write_text("apples")
    await update(file, [folder])
    await asyncio.to_thread(run_killed, KILLED_WITHIN_ONE, file, note)
    assert await names(file, "apples") == ["note.md"]
    assert await names(file, "cherry") == []
    assert integrity(file) == "ok"


async def test_a_cancelled_update_keeps_whole_documents(folder, file):
    for number in range(20):
        (folder / f"{number:02}.md").write_text(f"apples {number}")
    task = None

    def told(progress):
        if progress.done == 5:
            task.cancel()

    task = asyncio.create_task(update(file, [folder], told))
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = len(documents(file))
    assert 5 <= kept < 20
    assert integrity(file) == "ok"
    done = await update(file, [folder])
    assert (done.unchanged, done.read) == (kept, 20 - kept)


async def test_two_updates_at_once_end_with_every_document_once(folder, file):
    for number in range(10):
        (folder / f"{number}.md").write_text(f"apples {number}")
    await asyncio.gather(update(file, [folder]), update(file, [folder]))
    assert len(documents(file)) == 10
    assert len(await names(file, "apples", 50)) == 10
    assert integrity(file) == "ok"


async def test_a_search_does_not_wait_for_whoever_writes(folder, file):
    (folder / "note.md").write_text("apples")
    await update(file, [folder])
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM passages")
        async with asyncio.timeout(2):
            assert await names(file, "apples") == ["note.md"]
        writer.execute("ROLLBACK")


async def test_many_searches_at_once_agree(folder, file):
    for number in range(30):
        (folder / f"{number}.md").write_text(f"apples and fruit number{number}")
    await update(file, [folder])
    library = Library(file)
    found = await asyncio.gather(*(library.search(f"number{number % 30}", 1) for number in range(300)))
    assert [Path(hit.where).stem for (hit,) in found] == [str(number % 30) for number in range(300)]


@pytest.mark.skipif(os.name != "posix", reason="rights of files as POSIX has them")
async def test_the_library_is_for_its_owner_alone(folder, file):
    (folder / "note.md").write_text("apples")
    await update(file, [folder])
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert {path.name for path in file.parent.iterdir()} >= {file.name, f"{file.name}-wal"}
        assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    file.chmod(0o644)
    await update(file)
    assert file.stat().st_mode & 0o777 == 0o600


def failed(outcome):
    assert isinstance(outcome, SourceFailed)
    assert (outcome.what, outcome.kind) == ("library", FailureKind.UNAVAILABLE)
    return outcome.sentence


async def test_a_library_that_is_missing_is_said_to_be(file):
    assert "panelist library add" in failed(await Library(file).search("apples", 5))
    assert not file.exists()


async def test_a_library_that_is_damaged_is_said_to_be_wherever_it_is(folder, file):
    for number in range(200):
        (folder / f"{number}.md").write_text(f"apples {number} " * 100)
    await update(file, [folder])
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = file.read_bytes()
    library, chance = Library(file), random.Random(6)
    sentences = set()
    for _ in range(40):
        at = chance.randrange(0, len(whole) - 4_096)
        file.unlink()
        file.write_bytes(whole[:at] + chance.randbytes(4_096) + whole[at + 4_096 :])
        outcome = await library.search("apples number", 5)
        sentences |= {failed(outcome)} if isinstance(outcome, SourceFailed) else set()
    file.unlink()
    file.write_bytes(b"no database at all" * 1_000)
    sentences.add(failed(await library.search("apples", 5)))
    assert all("damaged" in sentence or "another version" in sentence for sentence in sentences)
    with pytest.raises(LibraryUnusable, match="damaged"):
        await update(file, [folder])


async def test_another_programs_database_is_left_alone(file, folder):
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    assert "another version" in failed(await Library(file).search("apples", 5))
    with pytest.raises(LibraryUnusable, match="another version"):
        await update(file, [folder])


async def test_a_library_that_was_made_again_is_the_one_that_is_searched(folder, file):
    note = folder / "note.md"
    note.write_text("apples")
    await update(file, [folder])
    library = Library(file)
    assert await library.search("apples", 5)
    for path in file.parent.iterdir():
        path.unlink()
    note.write_text("cherries")
    await update(file, [folder])
    for _ in range(20):
        assert await library.search("apples", 5) == ()
        assert await library.search("cherry", 5)


# --- A real manual


def copied(folder):
    pages = sorted(MANUAL.glob("git[a-z]*.html"))[:12]
    for page in pages:
        shutil.copyfile(page, folder / page.name)
    return len(pages)


@pytest.mark.skipif(not MANUAL.is_dir(), reason="needs the Debian package git-doc (apt-get install git-doc)")
async def test_sections_of_a_real_manual_are_found_by_their_titles(folder, file):
    pages = await asyncio.to_thread(copied, folder)
    done = await update(file, [folder])
    assert (done.read, done.problems) == (pages, [])
    with closing(sqlite3.connect(file)) as db:
        headings = db.execute("SELECT DISTINCT document, heading FROM passages").fetchall()
    titles = Counter(heading.split(JOINT)[-1] for _, heading in headings)
    asked = [heading for _, heading in headings if titles[heading.split(JOINT)[-1]] == 1]
    library, found = Library(file), 0
    for heading in asked:
        hits = await library.search(heading.split(JOINT)[-1], 5)
        found += any(hit.title.endswith(heading) for hit in hits)
    assert len(asked) >= 100
    assert found / len(asked) >= 0.58
