"""The ledger of evidence: ids in order, the same source once, back from JSON as it was."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from teams.evidence.ledger import Ledger, independent_sources

TEXT = " ".join(f"word{number} stands here in a row of many" for number in range(60))


def test_research_sources_are_numbered_in_the_order_they_come():
    ledger = Ledger()

    ids = [ledger.add("page", f"https://a.example/{n}", "A", f"text {n}").id for n in range(3)]

    assert ids == ["S1", "S2", "S3"]
    assert [evidence.id for evidence in ledger.all] == ids
    assert ledger.get("S2") is ledger.all[1]
    assert ledger.get("S9") is None


def test_research_reads_the_same_text_from_the_same_place_as_one_source():
    ledger = Ledger()
    first = ledger.add("page", "https://a.example/", "A", "text", "tavily")

    assert ledger.add("page", "https://a.example/", "Other title", "text") is first
    assert ledger.add("page", "https://a.example/", "A", "text that changed").id == "S2"
    assert ledger.add("page", "https://b.example/", "A", "text").id == "S3"


def test_research_notes_when_a_source_was_read_in_utc():
    ledger = Ledger(lambda: datetime(2026, 3, 4, 7, 6, 5, tzinfo=timezone(timedelta(hours=2))))

    assert ledger.add("document", "a.md", "A", "text").at == "2026-03-04T05:06:05+00:00"


def test_research_ledgers_come_back_from_json_as_they_were():
    ledger = Ledger(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    ledger.add("page", "https://a.example/", "Ä", "text — “ünïcode” \U0001f600 \udc80", "exa")
    ledger.add("tool", "server/tool", "B", "")

    again = Ledger.from_json(json.loads(json.dumps(ledger.to_json())))

    assert again.all == ledger.all
    assert again.add("document", "c", "C", "c").id == "S3"


def test_research_refuses_a_ledger_whose_text_is_not_what_was_read():
    plain = [{**each, "text": "tampered"} for each in _two().to_json()]

    with pytest.raises(ValueError, match="not the one that was read"):
        Ledger.from_json(plain)


def test_research_refuses_a_ledger_with_ids_out_of_order():
    with pytest.raises(ValueError, match="does not come next"):
        Ledger.from_json(_two().to_json()[::-1])


def test_research_texts_are_in_no_representation():
    assert "secret words" not in repr(Ledger().add("page", "https://a.example/", "A", "secret words"))


def test_research_counts_copies_of_one_text_once():
    ledger = Ledger()
    ledger.add("page", "https://agency.example/", "A", TEXT)
    ledger.add("page", "https://paper.example/", "A", TEXT.replace("word7 ", "word seven "))
    ledger.add("page", "https://portal.example/", "A", "Subscribe now. " + TEXT.upper() + " Read also our other news.")
    ledger.add("page", "https://own.example/", "A", "An article of its own, by somebody who was there and saw it.")
    ledger.add("page", "https://empty.example/", "A", " ")

    assert independent_sources(ledger, ["S1"]) == 1
    assert independent_sources(ledger, ["S1", "S2", "S3"]) == 1
    assert independent_sources(ledger, ["S1", "S1", "S4"]) == 2
    assert independent_sources(ledger, ["S1", "S2", "S3", "S4", "S5", "S9"]) == 2
    assert independent_sources(ledger, []) == 0


def _two() -> Ledger:
    ledger = Ledger()
    ledger.add("page", "https://a.example/", "A", "a")
    ledger.add("page", "https://b.example/", "B", "b")
    return ledger
