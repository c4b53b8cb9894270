"""Quotes looked up in texts: found whatever became of their typography, and never with another meaning."""

import time
from pydoc_data.topics import topics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams.evidence.quotes import Searchable, as_it_stands, find_quote

TEXT = (
    "The cat is not supported on Linux. Infor-\nmation about “well-known” hosts — or 1,100 users — is\n"
    "stored in the data base. It costs 10.5 euros and 10² metres; ﬁnally, the **bold** colour changes `now`.\n\n"
    'He said "yes, of course" to the travelled manager of the\u00a0organisation. A long sentence may go on.\n'
    "There are no known faults in this release. The engine starts within a second. Café naïve; x-ray.\n"
    "Temperatures fell to -5 degrees. Das Werkzeug läuft unter Windows nicht. Nitrate was measured in all samples."
)

FOUND = {
    "the same words": "the data base. It costs 10.5 euros",
    "other capitals": "THE ENGINE STARTS within a second",
    "typographic marks and dashes": '"well-known" hosts – or 1,100 users - is stored',
    "a word broken at the end of a line": "Information about 'well-known' hosts",
    "a hyphen left out": "about wellknown hosts",
    "a sign": "-5 degrees. Das Werkzeug läuft",
    "a ligature": "finally, the bold colour",
    "emphasis left out": "the bold colour changes now",
    "a blank that does not break": "manager of the organisation",
    "an ellipsis": "The engine … a second",
    "an ellipsis of dots": "The engine ... within a second",
    "an ellipsis in brackets": "Information about “well-known” hosts [...] the data base",
    "ellipses at the ends": "…the engine starts within a second…",
    "a full stop set inside": "“The engine starts.”",
    "a letter set to fit": "[t]he engine starts within",
    "spelling of another country": "to the traveled manager of the organization",
    "an accent left out": "Cafe naive; x-ray. Temperatures fell",
    "words joined": "stored in the database. It costs 10.5 euros and",
    "a slip in a long word": "The engine starts within a secondd. Café naïve",
    "a power": "10.5 euros and 10^2 metres",
    "a negation and all": "There are no known faults in this release",
}

NOT_FOUND = {
    "nothing": "",
    "a word": "cat",
    "two short words": "the cat",
    "marks alone": "… — “” …",
    "other words": "The dog is not supported on Linux",
    "a negation left out": "The cat is supported on Linux",
    "the words behind a not": "supported on Linux",
    "the words behind a no": "known faults in this release",
    "the words before a nicht": "Das Werkzeug läuft unter Windows",
    "a not hidden by an ellipsis": "The cat is … supported on Linux",
    "a hedge hidden by an ellipsis": "A long sentence … go on",
    "a number cut in front": "100 users — is stored",
    "a number cut behind": "data base. It costs 10",
    "a power made a number": "10.5 euros and 102 metres",
    "a sign cut": "5 degrees. Das Werkzeug läuft",
    "another number": "about “well-known” hosts — or 1,200 users — is stored",
    "another mark in a number": "the data base. It costs 105 euros and",
    "a word cut in front": "ngine starts within a second",
    "a word cut behind": "The engine starts within a sec",
    "a word more": "The engine always starts within a second. Café naïve; x-ray",
    "a word less": "He said yes, of course to the manager of the organisation",
    "another short word": "He said yes, of course to her travelled manager of the organisation",
    "another beginning of a word": "Mitrate was measured in all samples of the sort",
    "pieces in another order": "within a second … The engine starts",
    "pieces of one word": "The … in … a … to … of",
    "words of two places": "The cat is not stored in the data base",
}


@pytest.mark.parametrize("what", FOUND)
def test_research_finds_a_quote_with(what):
    assert find_quote(TEXT, FOUND[what]) is not None


@pytest.mark.parametrize("what", NOT_FOUND)
def test_research_finds_no_quote_with(what):
    assert find_quote(TEXT, NOT_FOUND[what]) is None


def test_research_says_where_a_quote_is_in_the_original_text():
    span = find_quote(TEXT, "information about 'well-known' hosts - or 1,100 users")

    assert span is not None
    assert span.exact
    assert TEXT[span.start : span.end] == "Infor-\nmation about “well-known” hosts — or 1,100 users"


def test_research_says_which_pieces_an_ellipsis_left():
    span = find_quote(TEXT, "The engine … a second")

    assert span is not None
    assert [TEXT[start:end] for start, end in span.pieces] == ["The engine", "a second"]
    assert as_it_stands(TEXT, span) == "The engine … a second"


def test_research_says_when_a_quote_is_spelled_otherwise_and_how_the_source_has_it():
    span = find_quote(TEXT, "to the traveled manager of the organization")

    assert span is not None
    assert not span.exact
    assert as_it_stands(TEXT, span) == "to the travelled manager of the organisation"


def test_research_finds_the_fair_place_of_words_that_stand_twice():
    text = "It is not safe to run as root. Elsewhere it is safe to run as root."

    span = find_quote(text, "safe to run as root")

    assert span is not None
    assert span.start == text.rindex("safe")


def test_research_bridges_no_gap_wider_than_a_few_sentences():
    far = "The beginning is here. " + "Filler stands between the two. " * 40 + "The ending is there."

    assert find_quote(far, "The beginning is here … The ending is there") is None
    assert find_quote(far, "beginning is here … Filler stands between") is not None


@pytest.mark.parametrize(
    "text", ["東京の人口は約千四百万人であり、日本で最も多い。", "Столица не продаёт старый мост через реку."]
)
def test_research_finds_quotes_in_other_scripts(text):
    assert find_quote(text, text[:14]) is not None or find_quote(text, text) is not None
    assert find_quote(text, text.replace("продаёт", "покупает").replace("千四百", "千五百")) is None


BIG = "\n".join(topics.values())[:400_000]


@pytest.mark.parametrize(
    "quote", [BIG[300_000:300_600].split(" ", 1)[1].rsplit(" ", 1)[0], "of words that are nowhere at all " * 9]
)
def test_research_looks_up_a_quote_in_a_long_text_at_once(quote):
    """CPU time, for other work of the machine is not the lookup's."""
    began = time.process_time()
    ready = Searchable(BIG)
    prepared = time.process_time()
    ready.find(quote)

    assert prepared - began < 0.2  # 30 ms where it was measured
    assert time.process_time() - prepared < 0.05  # 2 ms


@pytest.mark.parametrize(
    "text",
    ["a " * 200_000, "ab-\n" * 100_000, "the same line again and again\n" * 13_000, "ﬁ…" * 100_000, "*" * 400_000],
)
def test_research_looks_up_quotes_in_hostile_texts_in_good_time(text):
    began = time.process_time()

    find_quote(text, "the same line again and agaim " * 8)
    find_quote(text, "a … a … a b … the same line … again")

    assert time.process_time() - began < 3


WORDS = st.lists(
    st.sampled_from(["the", "quick", "brown", "harbour", "charges", "fees", "for", "ships", "of", "great", "length"]),
    min_size=5,
    max_size=30,
)


@given(WORDS, st.data())
@settings(max_examples=100, deadline=None)
def test_research_finds_every_stretch_of_three_words_however_it_is_set(listed, data):
    start = data.draw(st.integers(0, len(listed) - 3))
    end = data.draw(st.integers(start + 3, len(listed)))
    blanks = data.draw(
        st.lists(st.sampled_from([" ", "\n", "  ", "\u00a0", " \u200b"]), min_size=len(listed), max_size=len(listed))
    )
    text = "".join(word + blank for word, blank in zip(listed, blanks, strict=True))

    span = find_quote(text, " ".join(listed[start:end]).upper())

    assert span is not None
    assert text[span.start : span.end].split() == listed[start:end] or "\u200b" in text


@given(st.text(max_size=300), st.text(max_size=120))
@settings(max_examples=200, deadline=None)
def test_research_gives_places_inside_the_text_or_none(text, quote):
    for wanted in (quote, text[10:60]):
        span = find_quote(text, wanted)
        if span is not None:
            assert 0 <= span.start < span.end <= len(text)
            assert all(span.start <= start < end <= span.end for start, end in span.pieces)
