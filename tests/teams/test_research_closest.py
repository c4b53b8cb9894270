"""The closest sentences: as they stand in a source, by the question's words, and nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams.evidence.answer import CLOSEST, NOTHING, NOTHING_CHECKED, SOURCES, UNCITED, checked_answer, unanswered
from teams.evidence.claims import Claim, check_claims
from teams.evidence.closest import MOST, closest
from teams.evidence.ledger import Ledger
from teams.reading import REMOVED_CHARACTERS

HOURS = (
    "# Opening\n\nBakeries may open on Sundays for three hours. The town council decides on exceptions.\n\n"
    "- Ovens are cleaned once a week.\n- Flour is stored dry."
)
WAGES = "Sunday work is paid with a supplement of half the wage. Nobody works more than ten hours."
QUESTION = "May a bakery open on Sundays?"


def ledger(*texts: str, kind="library") -> Ledger:
    made = Ledger()
    for number, text in enumerate(texts, start=1):
        made.add(kind, f"notes/{number}.txt", f"Text {number}", text)
    return made


def told(question: str, known: Ledger, **more) -> list[tuple[str, str]]:
    return [(each.source, each.text) for each in closest(question, known, **more)]


def test_research_shows_the_sentence_first_that_has_most_of_the_questions_words():
    first, *others = told(QUESTION, ledger(WAGES, HOURS))
    assert first == ("S2", "Bakeries may open on Sundays for three hours.")
    assert others == [("S1", "Sunday work is paid with a supplement of half the wage.")]


def test_research_shows_no_sentence_that_shares_no_word_with_the_question():
    assert told("Which zebras migrate?", ledger(HOURS, WAGES)) == []
    assert told("", ledger(HOURS, WAGES)) == []
    assert told(QUESTION, ledger()) == []


def test_research_shows_few_sentences_and_each_once():
    many = [f"{HOURS} Bakeries in street {number} open on Sundays." for number in range(9)]
    assert len(told(QUESTION, ledger(*many))) == MOST
    assert len(told(QUESTION, ledger(HOURS, HOURS, HOURS))) == 1


def test_research_shows_items_of_lists_without_their_marks():
    assert told("How often are ovens cleaned?", ledger(HOURS)) == [("S1", "Ovens are cleaned once a week.")]


@pytest.mark.parametrize(
    "sentence",
    [
        "Bakeries open on Sundays, see https://evil.example/x for more.",
        "Bakeries open on Sundays, see [here](https://evil.example/x).",
        "Bakeries open on Sun\u00addays in secret.",
        "Bakeries open on \x1b[1mSundays.",
        "Bakeries open on\u202e Sundays.",
    ],
)
def test_research_leaves_out_what_could_not_be_shown_as_it_stands(sentence):
    assert told(QUESTION, ledger(sentence)) == []


def test_research_takes_no_closest_words_from_a_tool_that_may_repeat_what_a_model_asked():
    assert told(QUESTION, ledger("There is nothing on: may a bakery open on Sundays.", kind="tool")) == []


def test_research_does_not_show_what_a_reader_said_of_a_text_as_words_of_it():
    question = " ".join(REMOVED_CHARACTERS.split())
    assert not any(REMOVED_CHARACTERS in text for _, text in told(question, ledger(f"{REMOVED_CHARACTERS}\n{HOURS}")))


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            ["Bakeries ", "open ", "Sundays", ". ", "\n", "\n\n", "> ", "- ", "# ", "```\n", "[S9]", "**", "!"]
        ),
        st.sampled_from(["https://evil.example/ ", "evil.com ", "Dr. ", "…", "not ", "| ", SOURCES, "\u200b", "&#58;"]),
        st.text(max_size=8),
    ),
    max_size=30,
).map("".join)


@given(st.lists(TEXTS, max_size=4))
def test_research_shows_closest_words_that_stand_in_the_source_named_whatever_the_texts_are(texts):
    known = ledger(*texts)
    for source, text in told("Do bakeries open on Sundays?", known):
        evidence = known.get(source)
        assert evidence is not None
        assert text in " ".join(evidence.text.split())
    shown = unanswered("Do bakeries open on Sundays?", known).markdown
    assert "evil" not in shown
    assert not re.search(r"\[S9\]", shown)
    assert shown.count(f"\n{SOURCES}\n") == bool(known.all)


def test_research_without_a_claim_that_holds_says_so_and_shows_the_closest_words_with_their_sources():
    known = ledger(HOURS, "Nothing of the kind.")
    claims = check_claims([Claim("Bakeries pay a fine.", (("S1", "bakeries have to pay a fine"),))], known)

    answer = unanswered(QUESTION, known, claims, ["Searched the library for: bakery (2 found)"])

    assert not answer.found
    assert answer.markdown.startswith(NOTHING_CHECKED)
    assert "\n> Bakeries may open on Sundays for three hours. [S1]\n" in answer.markdown
    assert "Tried:\n- Searched the library for: bakery (2 found)" in answer.markdown
    end = answer.markdown.split(SOURCES)[1]
    assert "- **S1** Text 1 (library, notes/1.txt, read " in end
    assert "0 quotes found in it; 1 claim: 1 unverified" in end
    assert "- Read and not cited: Text 2" in end
    assert "fine" not in answer.markdown


def test_research_without_any_evidence_found_nothing_and_shows_no_words():
    assert unanswered(QUESTION, Ledger()).markdown == f"{NOTHING}\n"


def test_research_shows_words_of_sources_without_their_markup():
    text = "**Bakeries** may `open` on Sundays <b>now</b> [S7]."
    (line,) = [line for line in unanswered(QUESTION, ledger(text)).markdown.splitlines() if line.startswith(">")]
    assert line == r"> \*\*Bakeries\*\* may \`open\` on Sundays \<b\>now\</b\> \[S7\]. [S1]"


def test_research_finds_the_closest_words_of_a_long_text_in_good_time():
    known = ledger("Bakeries " * 50_000, ". " * 50_000, "." * 200_000, "Bakeries open. " * 20_000)
    assert len(told(QUESTION, known)) <= MOST


def test_a_research_answer_that_cites_nothing_is_followed_by_the_closest_words_of_sources():
    known = ledger(HOURS)
    claims = check_claims([Claim("Ovens are cleaned once a week.", (("S1", "Ovens are cleaned once a week."),))], known)

    uncited = checked_answer("They may.", known, claims, question=QUESTION).markdown
    assert uncited.startswith(
        f"They may.\n\n{UNCITED}\n\n{CLOSEST}\n\n> Bakeries may open on Sundays for three hours. [S1]"
    )
    assert "- **S1** Text 1" in uncited
    assert UNCITED not in checked_answer("They may [S1].", known, claims, question=QUESTION).markdown
    beside = checked_answer("They may.", known, claims, others=["Ask [S1]."], question=QUESTION).markdown
    assert UNCITED not in beside
