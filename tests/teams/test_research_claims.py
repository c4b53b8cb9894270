"""Claims held against their quotes: in doubt never supported."""

from itertools import pairwise
from pydoc_data.topics import topics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams.evidence.claims import Claim, check_claims
from teams.evidence.figures import figures
from teams.evidence.ledger import Ledger
from teams.wire import dump, load

TEXT = (
    "SQLite does not support joins of more than 64 tables. The maximum number of bytes in a string is 1,000,000,000. "
    "The feature may be removed in a later release. "
    "On 12 March 2024 Richard Hipp released version 3.45.2 with 17 fixes. "
    "It is not true that the write-ahead log slows down every reader of the database. Joins are safe in all modes. "
    "The bot posts nine messages in a thread. Usage rose from 5 to 7 percent in 2023. "
    "Python 3.10 needs 250 MB of memory. "
    "The store opened on 03/04/2021 and cost $4.5 million. "
    "The index is built if the table has more than 100 rows. "
    "It supports up to 40 clients. The lake, which is not open to boats, is 41 metres deep. "
    "Most experts agree that the lake is clean."
)
GERMAN = (
    "Der Speicher fasst 1.000 Nutzer und kostet 12,5 Prozent mehr. Die Stadt hat die Brücke nicht verkauft. "
    "Die Prüfung war am 3. Mai 2021. Angela Merkel sprach vor 1 200 Gästen."
)
LEDGER = Ledger()
LEDGER.add("page", "https://sqlite.example/limits.html", "Limits In SQLite", TEXT)
LEDGER.add("page", "https://speicher.example/", "Grenzen", GERMAN)
LEDGER.add("page", "https://empty.example/", "Empty", "")


def verdict(text: str, quote: str, source: str = "S1") -> str:
    (checked,) = check_claims([Claim(text, ((source, quote),))], LEDGER)
    assert checked.reason.endswith(".")
    return checked.verdict


SENTENCES = {sentence.split()[0] + sentence.split()[1]: sentence for sentence in TEXT.split(". ")}
FIXES, TABLES, BYTES = SENTENCES["On12"], SENTENCES["SQLitedoes"], SENTENCES["Themaximum"]
USAGE, STORE, MEMORY = SENTENCES["Usagerose"], SENTENCES["Thestore"], SENTENCES["Python3.10"]
POSTS, JOINS, LAKE = SENTENCES["Thebot"], SENTENCES["Joinsare"], SENTENCES["Thelake,"]

SUPPORTED = [
    (TABLES, TABLES),
    ("SQLite doesn't support joins of more than 64 tables", TABLES),
    ("The maximum number of bytes in a string is 1000000000", BYTES),
    ("The maximum number of bytes in a string is 1 000 000 000", BYTES),
    ("The maximum number of bytes in a string is 1 billion", BYTES),
    ("Richard Hipp released version 3.45.2 on 2024-03-12", FIXES),
    ("Richard Hipp released version 3.45.2 on March 12th, 2024", FIXES),
    ("Richard Hipp released version 3.45.2 on 12.03.2024", FIXES),
    ("Version 3.45.2 was released in March 2024", FIXES),
    ("Version 3.45.2 was released in 2024", FIXES),
    ("The bot posts 9 messages in a thread", POSTS),
    ("Usage rose to 7 % in 2023", USAGE),
    ("Usage rose from 5 % to 7 % in 2023", USAGE),
    ("Python 3.10 needs 250 megabytes of memory", MEMORY),
    ("The store cost 4,500,000 dollars", STORE),
    ("The store opened on 03/04/2021", STORE),
    ("According to the source, joins are safe in all modes", JOINS),
]
QUALIFIED = [
    ("A string has 1,000,000,001 characters", BYTES),
    ("The feature will be removed in a later release", SENTENCES["Thefeature"]),
    ("Elena Marsh released version 3.45.2", FIXES),
    ("DRH Corp released version 3.45.2", FIXES),
    ("Richard Hipp released version 3.45.2 with 17 fixes on 3.4.5", FIXES),
    ("The write-ahead log slows down every reader", "the write-ahead log slows down every reader of the database"),
    ("Joins are unsafe in all modes", JOINS),
    ("Joins are safe in all modes and releases", JOINS),
    ("The bot always posts nine messages", POSTS),
    ("Usage fell from 5 to 7 percent in 2023", USAGE),
    ("The lake is 41 metres deep", LAKE),
    ("Python 3.10 needs 250 kg of memory", MEMORY),
    ("The store opened on 3 April 2021", STORE),
    ("The store opened on 4 March 2021", STORE),
    ("The index is built", SENTENCES["Theindex"]),
    ("It supports 40 clients", SENTENCES["Itsupports"]),
    ("All experts agree that the lake is clean", "Most experts agree that the lake is clean"),
    ("Bananas are yellow", JOINS),
]
CONTRADICTED = [
    ("SQLite supports joins of more than 64 tables", TABLES),
    ("SQLite does not support joins of more than 32 tables", TABLES),
    ("Version 3.45.2 has 18 fixes", FIXES),
    ("Richard Hipp released version 3.45.2 on 13 March 2024", FIXES),
    ("Joins are not safe in all modes", JOINS),
    ("Python 3.1 needs 250 MB of memory", MEMORY),
    ("The bot never posts nine messages in a thread", POSTS),
    ("The bot posts twelve messages in a thread", POSTS),
]


@pytest.mark.parametrize(("claim", "quote"), SUPPORTED, ids=[claim for claim, _ in SUPPORTED])
def test_research_supports_a_claim_whose_figures_names_and_words_are_quoted(claim, quote):
    assert verdict(claim, quote) == "supported"


@pytest.mark.parametrize(("claim", "quote"), QUALIFIED, ids=[claim for claim, _ in QUALIFIED])
def test_research_qualifies_a_claim_that_says_more_than_its_quote(claim, quote):
    assert verdict(claim, quote) == "qualified"


@pytest.mark.parametrize(("claim", "quote"), CONTRADICTED, ids=[claim for claim, _ in CONTRADICTED])
def test_research_calls_a_claim_contradicted_when_the_quote_negates_it_or_has_another_number(claim, quote):
    assert verdict(claim, quote) == "contradicted"


@pytest.mark.parametrize(
    ("claim", "quote", "expected"),
    [
        ("Der Speicher fasst 1000 Nutzer", "Der Speicher fasst 1.000 Nutzer", "supported"),
        ("Der Speicher kostet 12,5 % mehr", "kostet 12,5 Prozent mehr", "supported"),
        ("Der Speicher fasst 1.000 Nutzer und kostet 12,5 % mehr", GERMAN.split(". ")[0], "supported"),
        ("Die Prüfung war am 03.05.2021", "Die Prüfung war am 3. Mai 2021", "supported"),
        ("Die Stadt hat die Brücke verkauft", "Die Stadt hat die Brücke nicht verkauft", "contradicted"),
        ("Angela Merkel sprach vor 1.200 Gästen", "Angela Merkel sprach vor 1 200 Gästen", "supported"),
        ("Helmut Kohl sprach vor 1.200 Gästen", "Angela Merkel sprach vor 1 200 Gästen", "qualified"),
        ("The store holds 1,000 users", "Der Speicher fasst 1.000 Nutzer", "qualified"),
    ],
)
def test_research_checks_claims_in_german(claim, quote, expected):
    assert verdict(claim, quote, "S2") == expected


def test_research_leaves_a_claim_unverified_without_a_quote_that_is_there():
    for cites in [
        (),
        (("S1", ""),),
        (("S1", "joins"),),
        (("S1", "words that are not there"),),
        (("S9", JOINS),),
        (("S2", JOINS),),
    ]:
        (checked,) = check_claims([Claim(JOINS, cites)], LEDGER)
        assert checked.verdict == "unverified"


def test_research_needs_every_quote_of_a_claim_to_be_there():
    (checked,) = check_claims([Claim(JOINS, (("S1", JOINS), ("S1", "words that are not there")))], LEDGER)

    assert checked.verdict == "unverified"
    assert [span.source for span in checked.spans] == ["S1"]


def test_research_takes_the_quotes_of_a_claim_together():
    (checked,) = check_claims([Claim(f"{JOINS}; {POSTS}", (("S1", JOINS), ("S1", POSTS)))], LEDGER)

    assert checked.verdict == "supported"


def test_research_says_of_a_check_that_broke_that_nothing_was_checked():
    broken = Claim("x", (("S1", None),))  # type: ignore[arg-type]
    missing = Claim("x", (("S3", "words that were there"),))

    checked = check_claims([broken, missing, Claim(JOINS, (("S1", JOINS),))], LEDGER)

    assert [each.verdict for each in checked] == ["unchecked", "unchecked", "supported"]


def test_research_supports_no_word_that_only_a_misspelled_quote_has():
    ledger = Ledger()
    ledger.add("page", "a", "a", "The samples show a sulphite content above the limit that was set for drinking water.")
    quote = "The samples show a sulphate content above the limit that was set for drinking water."

    (checked,) = check_claims([Claim(quote, (("S1", quote),))], ledger)

    assert checked.spans
    assert checked.verdict == "qualified"


def test_research_claims_are_plain_json_and_come_back():
    checked = check_claims([Claim(JOINS, (("S1", JOINS),))], LEDGER)

    assert load(type(checked[0]), dump(checked[0])) == checked[0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1,000 users", "1000 users", True),
        ("1 000 users", "1,000 users", True),
        ("twelve users", "12 users", True),
        ("twenty-five", "25", True),
        ("5 percent", "5 %", True),
        ("5 per cent", "5%", True),
        ("$5 million", "5,000,000 dollars", True),
        ("5–10 kg", "5 kg to 10 kg", True),
        ("5.0 metres", "5 metres", True),
        ("10 ms", "10ms", True),
        ("14:30", "14:30", True),
        ("3.10", "3.1", False),
        ("5 percent", "5", False),
        ("5 km", "5 kg", False),
        ("-5 degrees", "5 degrees", False),
        ("10^5", "105", False),
        ("utf-8", "utf-16", False),
        ("v1.2.3", "v1.2.4", False),
        ("in May 2020", "in June 2020", False),
        ("1980s", "1980 s", False),
    ],
)
def test_research_compares_figures_however_they_are_written(one, other, same):
    ledger = Ledger()
    ledger.add("page", "a", "a", f"It is written that the value is {other} here.")

    (checked,) = check_claims([Claim(f"The value is {one} here", (("S1", f"the value is {other} here"),))], ledger)

    assert (checked.verdict == "supported") is same


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_research_reads_figures_in_any_text_at_their_places(text):
    found = figures(text)

    assert all(0 <= figure.start < figure.end <= len(text) for figure in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


@given(st.text(max_size=120), st.text(max_size=120))
@settings(max_examples=150, deadline=None)
def test_research_checks_any_claim_without_breaking(text, quote):
    ledger = Ledger()
    ledger.add("document", "a", "b", f"{quote} and {topics['assert'][:300]}")

    (checked,) = check_claims([Claim(text, (("S1", quote),))], ledger)

    assert checked.verdict != "unchecked"
