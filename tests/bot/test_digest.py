"""A run in one document: all that a thread would have shown is in it or in its file, and it is one post."""

from dataclasses import replace

import pytest

from adapters.memory import MemoryFrontEnd
from adapters.plain import doc_source
from adapters.port import Capabilities, Fold
from bot import digest
from teams.events import RunFinished, RunStopped, SynthesisFailed
from teams.lms import forget_lms
from teams.model import FailureKind
from tests.bot.test_render import after, answered, at, failed, started, written
from tests.house import served


def ending(*events):
    """The one document that a run makes which ended after these."""
    finished = RunFinished(at(80), (), (), 80.0)
    (post,) = digest.posts(finished, after(started(), *events, finished))
    return post.doc


def test_nothing_is_posted_before_the_end():
    progress = after(started(), answered("optimist"), failed("contrarian"), written())
    for event in (answered("optimist"), failed("contrarian"), written()):
        assert digest.posts(event, progress) == ()


def test_the_synthesis_the_headlines_and_the_roster_are_shown():
    doc = ending(answered("optimist"), answered("lawyer"), failed("contrarian"), written())
    shown = doc_source(doc)
    assert doc.title == "Synthesis"
    for words in ("All in all.", "optimist says yes", "lawyer says yes", "failed: Contrarian, timed out after 60 s"):
        assert words in shown
    assert doc.controls == ("retry",)


def test_the_file_holds_every_answer_whole():
    long = "word " * 9_000
    doc = ending(answered("optimist", analysis=long), answered("lawyer", analysis="Short."), written())
    (file,) = doc.files
    assert file.name == "panel.md"
    for words in (long.strip(), "Short.", "Open on Sundays?", "All in all.", "from 2 of 3"):
        assert words in file.text


def test_a_long_summary_is_clipped_and_says_so():
    event = written()
    doc = ending(answered("optimist"), replace(event, synthesis=replace(event.synthesis, summary="s" * 20_000)))
    shown = doc_source(doc)
    assert "15,000 more characters in panel.md" in shown
    assert doc.files[0].name == "panel.md"
    assert len(shown) < 7_000
    assert "s" * 20_000 in doc.files[0].text


def test_without_a_synthesis_it_says_why():
    no = SynthesisFailed(at(70), FailureKind.TIMED_OUT, "timed out after 60 s", 3)
    shown = doc_source(ending(answered("optimist"), answered("lawyer"), no))
    assert "The synthesis failed: timed out after 60 s, 3 tries" in shown
    assert "optimist says yes" in shown


def test_a_run_that_nobody_answered_has_no_file():
    doc = ending(failed("optimist"), failed("contrarian"), failed("lawyer"))
    assert doc.title == "Nobody answered"
    assert doc.files == ()


def test_a_run_that_was_stopped_says_so():
    stopped = RunStopped(at(9), (), (), 9.0)
    (post,) = digest.posts(stopped, after(started(), answered("optimist"), stopped))
    assert post.doc.title == "Stopped: 1 of 3 had answered"
    assert not [block for block in post.doc.blocks if isinstance(block, Fold)]


@pytest.fixture
async def _no_models():
    yield
    await forget_lms()


@pytest.mark.usefixtures("_no_models")
async def test_a_place_that_takes_few_posts_gets_one(tmp_path):
    front = MemoryFrontEnd(capabilities=Capabilities(digest=True))
    async with served(folder=tmp_path, front=front) as (_, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        posts = [call for call in front.calls if call.operation == "post"]
        assert [call.key for call in posts] == ["run/roster"]
        assert (await house.store.get("run")).status == "finished"
