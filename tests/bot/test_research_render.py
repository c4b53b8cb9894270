"""What a reader is told of research: how far it is, what was not read, and what an answer rests on."""

from dataclasses import replace

from adapters.plain import doc_source
from bot import digest, render
from teams.events import (
    ExpertAnswered,
    ExpertStarted,
    RunFinished,
    RunStarted,
    RunStopped,
    SeatProgressed,
    SourceLost,
)
from teams.evidence.answer import SOURCES
from teams.model import ExpertResult, Seat
from tests.bot.test_render import after, at, failed, said, written

SEATS = tuple(
    Seat(key, key.title(), "code" if key == "checker" else "flash") for key in ("searcher", "analyst", "checker")
)
STARTED = RunStarted(at(0), "run-1", "research", "Who bakes?", "research", SEATS, 3, "pro")
SLOW = SourceLost(at(16), "https://slow.example/", "slow.example did not send the page within 15 s")
TAVILY = SourceLost(at(2), "tavily", "tavily refuses the key (HTTP 401)")
END = RunFinished(at(80), ("searcher", "analyst", "checker"), (), 80.0)


def answered(key: str, headline: str = "3 searches made") -> ExpertAnswered:
    return ExpertAnswered(at(5), key, ExpertResult(key, headline, "What was found.", (), "", 0.0, "flash", 5.0))


def progressed(detail: str, key: str = "searcher") -> SeatProgressed:
    return SeatProgressed(at(4), key, detail)


def with_summary(summary: str):
    event = written()
    return replace(event, synthesis=replace(event.synthesis, summary=summary))


def rows(*events):
    return [(row.label, row.state, row.detail) for row in render.board(after(*events)).rows]


def test_the_board_of_research_says_how_far_a_seat_is_and_then_what_it_brought():
    events = [STARTED, ExpertStarted(at(1), "searcher"), progressed("1 search"), progressed("2 searches, 1 page read")]
    assert rows(*events)[0] == ("Searcher", "running", "2 searches, 1 page read")
    assert rows(*events)[1] == ("Analyst", "queued", "")
    assert rows(*events, answered("searcher"))[0] == ("Searcher", "done", "3 searches made")


def test_a_seat_of_research_that_is_stopped_keeps_how_far_it_was():
    stopped = RunStopped(at(9), (), ("searcher",), 9.0)
    assert rows(STARTED, ExpertStarted(at(1), "searcher"), progressed("1 search"), stopped)[0][1:] == (
        "stopped",
        "1 search",
    )


def test_research_progress_of_a_seat_that_is_not_there_changes_nothing():
    assert after(STARTED, progressed("1 search", "stranger")).seats == after(STARTED).seats


def test_each_stage_of_research_posts_as_it_finishes_and_its_progress_does_not():
    events = [STARTED, progressed("1 search"), SLOW, *(answered(seat.perspective) for seat in SEATS)]
    assert said(*events).count("\n---\n") == 2


def test_the_research_roster_names_each_source_that_was_not_read_once_with_its_reason():
    (post,) = render.posts(END, after(STARTED, SLOW, TAVILY, SLOW, answered("searcher"), END))
    text = doc_source(post.doc)
    assert (
        "Sources not read: https://slow.example/, slow.example did not send the page within 15 s; "
        "tavily refuses the key (HTTP 401)"
    ) in text


def test_many_lost_research_sources_are_counted():
    lost = [replace(SLOW, where=f"https://{number}.example/") for number in range(13)]
    (post,) = render.posts(END, after(STARTED, *lost, answered("searcher"), END))
    assert doc_source(post.doc).count("did not send") == render.LOST_SHOWN
    assert "and 3 more" in doc_source(post.doc)


def test_lost_research_sources_are_named_where_nobody_answered_too():
    (post,) = render.posts(END, after(STARTED, SLOW, *(failed(seat.perspective) for seat in SEATS), END))
    assert post.doc.title == "Nobody answered"
    assert "Sources not read" in doc_source(post.doc)


def test_a_long_research_answer_is_clipped_before_its_sources_are():
    listed = f"{SOURCES}\n\n- **S1** Opening hours (document, opening.md): 1 claim: 1 supported"
    for shown_by, file in ((render.posts, "synthesis.md"), (digest.posts, "research.md")):
        events = [STARTED, answered("searcher"), with_summary(f"{'word ' * 5_000}\n\n{listed}\n"), END]
        posts = [post for event in events for post in shown_by(event, after(*events))]
        text = "\n".join(doc_source(post.doc) for post in posts)
        assert f"more characters in {file}" in text
        assert file in [each.name for post in posts for each in post.doc.files]
        assert listed in text
        assert any(("word " * 5_000).strip() in file.text for post in posts for file in post.doc.files)


def test_a_short_research_answer_ends_with_its_sources():
    listed = f"{SOURCES}\n\n- **S1** Opening hours"
    text = said(STARTED, with_summary(f"For three hours [S1].\n\n{listed}\n"))
    assert text.index("For three hours") < text.index(listed)
    assert text.count(SOURCES) == 1


def test_the_digest_of_research_holds_every_stage_and_what_was_not_read():
    events = [STARTED, SLOW, *(answered(seat.perspective) for seat in SEATS), with_summary("All in all."), END]
    (post,) = digest.posts(END, after(*events))
    text = doc_source(post.doc)
    for words in ("**Checker**", "**Searcher**", "All in all.", "Sources not read: https://slow.example/"):
        assert words in text
    assert post.doc.files[0].name == "research.md"
