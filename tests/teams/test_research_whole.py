"""A model that fabricates, against a whole run: nothing that it made up stands in anything that is posted.

Each case is generated from a seed: what is planted is known, and is looked for in every text of every event.
"""

import random
import re

import pytest

from teams.events import ExpertAnswered, RunFinished, SynthesisWritten, event_to_json
from teams.model import Source
from teams.scripted import played
from teams.sources.kit import ResearchKit
from teams.sources.port import Hit
from tests.teams.research_fakes import FakePages, FakeSearch, answer, flash, of, pro, team, told, turn

SEEDS = range(60)

FACTS = (
    ("The harbour was opened in 1974 by the county.", "harbour"),
    ("The ferry takes 35 minutes to the northern island.", "ferry"),
    ("The lighthouse stands 41 metres above the water.", "lighthouse"),
    ("The fish market opens at six in the morning.", "market"),
    ("The council closed the old quay after the storm.", "quay"),
)

ADDRESSES = (
    "https://{}.invented.example/{}",
    "http://{}.made-up.test/p?q={}",
    "www.{}-invented.com/{}",
    "{}-fake.org/{}",
)
INVENTED = (
    "the harbour was sold to a foreign company",
    "ninety captains have signed the petition",
    "the ferry sank twice in the same winter",
    "the lighthouse was never lit at all",
    "visitors are advised to stay away for good",
)


def planted(seed: int):
    """A run on real facts with fabrications among its models' words, and what was planted."""
    rng = random.Random(seed)
    facts = rng.sample(FACTS, 3)
    documents = tuple(Source(f"{word}.md", fact) for fact, word in facts[:2])
    page_url = f"https://port.example/{facts[2][1]}"
    pages = FakePages({page_url: facts[2][0]})
    web = FakeSearch((Hit("Port", page_url, "a snippet that nobody read", "fake"),))
    urls = [rng.choice(ADDRESSES).format(rng.randrange(10**6), rng.randrange(10**6)) for _ in range(5)]
    quotes = rng.sample(INVENTED, 3)
    number = str(rng.randrange(2_000, 9_000))
    ids = [f"S{rng.randrange(8, 99)}" for _ in range(3)]

    words = "\n".join(word for _, word in facts[:2])
    turns = [
        turn("search_documents", query=words),
        turn("search_web", query=f"port {urls[0]}"),
        turn("read_page", page=rng.choice([f"1, {urls[1]}", f"1 {urls[1]}"])),
        turn(),
    ]
    true = [{"claim": fact, "source": f"S{at}", "quote": fact} for at, (fact, _) in enumerate(facts, start=1)]
    false = [
        {"claim": f"{quotes[0].capitalize()}, see {urls[2]}.", "source": "S1", "quote": quotes[0]},
        {"claim": facts[0][0], "source": ids[0], "quote": facts[0][0]},
        {"claim": f"It cost {number} crowns.", "source": "S2", "quote": facts[1][0]},
        {"claim": quotes[1], "source": urls[3], "quote": quotes[1]},
    ]
    findings = [*rng.sample(true, rng.randrange(1, 4)), *rng.sample(false, rng.randrange(1, 5))]
    rng.shuffle(findings)
    shapes = (
        f"All sources agree [S1, {ids[1]}].",
        f"“{quotes[2].capitalize()}” [S1].",
        f"It cost {number} crowns [S2].",
        f"See [the report]({urls[4]}) and {urls[2]}.",
        f'As the page says, "{quotes[1]}" [S3].',
        f"> {quotes[0]}\n\n",
        f"{facts[0][0]} [{ids[2]}]",
        f"{facts[1][0]} [S2]",
    )
    said = rng.sample(shapes, rng.randrange(3, len(shapes) + 1))
    reply = answer(
        " ".join(said),
        recommendation=rng.choice(shapes),
        agreements=[rng.choice(shapes), f"All sources agree that {quotes[0]} [S1, S2, S3]."],
        disagreements=[
            {
                "claim": rng.choice(shapes),
                "positions": [
                    {"perspective": "S1", "says": f"“{quotes[2]}”"},
                    {"perspective": "S2", "says": f"{number} crowns"},
                    {"perspective": ids[0], "says": "whatever"},
                ],
                "would_settle": rng.choice(shapes),
            }
        ],
    )
    extract = {"reasoning": "r", "raw_results": f"“{quotes[0]}” [{ids[0]}] {urls[0]}"}
    gaps = [f"why {quotes[1]} ({urls[1]})"]
    made = team(flash(turns, findings=findings, gaps=gaps, extract=extract), pro(reply), sources=documents)
    made.kit = ResearchKit(web=web, pages=pages)
    return made, {"urls": urls, "quotes": quotes, "ids": ids, "number": number, "page": page_url, "pages": pages}


def texts(value) -> list[str]:
    """All strings in an event, however deep."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    return [text for each in value for text in texts(each)] if isinstance(value, list | tuple) else []


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_that_a_model_made_up_is_posted_as_evidence(seed):
    made, plant = planted(seed)
    events = await told(made, "What about the port?")
    assert len(of(ExpertAnswered, events)) == 3
    assert isinstance(events[-1], RunFinished)
    assert plant["pages"].read_urls == [plant["page"]]

    posted = [text for event in events for text in texts(event_to_json(event))]
    for text in posted:
        for url in plant["urls"]:
            assert re.sub(r"^\w+://", "", url).split("/")[0] not in text
        for source in plant["ids"]:
            assert not re.search(rf"\[[^\]]*\b{source}\b[^\]]*\]", text)
        for quote in plant["quotes"]:
            assert not re.search(rf"[“\"‘']{quote}[^\n“\"]{{0,3}}[”\"’'](?! ?\[quote not found\])", text, re.IGNORECASE)
            assert not re.search(rf"^> {quote}", text, re.IGNORECASE | re.MULTILINE)
        for sentence in re.split(r"(?<=[.!?\]])\s+|\n", text):
            if plant["number"] in sentence and "[S" in sentence and "does not say" not in text:
                assert "(not in the source)" in text

    (written,) = of(SynthesisWritten, events)
    for text in [written.synthesis.summary, *written.synthesis.agreements]:
        assert "All sources agree" not in text or "(not checked for all sources)" in text
    for disagreement in written.synthesis.disagreements:
        assert {position.perspective for position in disagreement.positions} <= {"S1", "S2", "S3"}


@pytest.mark.parametrize("seed", SEEDS[:5])
async def test_the_synthesizer_never_sees_a_finding_that_is_not_there(seed):
    made, plant = planted(seed)
    await told(made, "What about the port?")
    (prompt,) = played(made.synthesizer.predict.lm).asked
    findings, gaps = prompt.fields["analysis"].split("\n\nGaps:\n")
    assert not any(quote in findings.casefold() for quote in plant["quotes"])
    assert not any(url in gaps for url in plant["urls"])
