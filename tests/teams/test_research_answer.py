"""The answer that may be posted: honest text stays, the rest goes or is marked, and twice is once."""

import json
import re
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams.evidence.answer import SOURCES, checked_answer
from teams.evidence.claims import Claim, check_claims
from teams.evidence.export import evidence_as_json, evidence_as_markdown
from teams.evidence.ledger import Ledger
from teams.evidence.links import canonical
from teams.evidence.marks import (
    ADDED,
    CORRECTED,
    LINK_REMOVED,
    MARKS,
    NO_SUCH_SOURCE,
    NOT_ALL,
    NOT_FROM_A_SOURCE,
    NOT_IN_SOURCE,
    NOT_VERIFIED,
    OTHERWISE,
    PARTLY,
    QUOTE_NOT_FOUND,
    STRONGER,
)

LAKE = (
    "The lower lake is 41 metres deep. It was measured on 9 September 2023 by Tomás Ferreira. The lake does not freeze"
    " in winter. Boats may be rented from May on. The colour of the organisation's boats is red. Amazon S3 keeps the"
    " data.\n\nrun the command:\n\n    lake --depth 41\n\nand use os.name or argv[1] there."
    " See https://elsewhere.example/x too."
)
HILL = "The hill above the lower lake is 870 metres high. The lower lake is 41 metres deep, as everybody knows here."


def ledger(*texts: str) -> Ledger:
    made = Ledger(lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    for number, text in enumerate(texts or (LAKE, HILL), start=1):
        made.add("page", f"https://lake{number}.example/report?id={number}", f"Report {number}", text)
    return made


LEDGER = ledger()
CLAIMS = check_claims(
    [
        Claim("The lower lake is 41 metres deep.", (("S1", "The lower lake is 41 metres deep."),)),
        Claim("The lake does not freeze in winter.", (("S1", "The lake does not freeze in winter."),)),
        Claim("Boats may be rented from May on.", (("S1", "Boats may be rented from May on."),)),
        Claim("The hill is 870 metres high.", (("S2", "The hill above the lower lake is 870 metres high."),)),
    ],
    LEDGER,
)


def body(summary: str) -> str:
    answer = checked_answer(summary, LEDGER, CLAIMS)
    assert checked_answer(answer.markdown, LEDGER, CLAIMS) == answer
    return answer.markdown.split(f"\n\n{SOURCES}")[0]


HONEST = [
    "The lower lake is 41 metres deep [S1].",
    "The lower lake is forty-one metres deep [S1, S2].",
    "- **Depth**: 41 m [S1]\n- **Hill**: 870 metres [S2]",
    "| what | how much |\n|---|---|\n| depth of the lower lake | 41 metres [S1] |",
    "It says “The lower lake is 41 metres deep” [S1].",
    "> The lower lake is 41 metres deep.\n> — Report 1 [S1]",
    "> “The lower lake is 41 metres deep.” [S1]",
    "The lake does not freeze in winter. [S1]",
    "See [the report](https://lake1.example/report?id=1) and https://lake2.example/report?id=2.",
    "Amazon S3 keeps the data; `os.name` and argv[1] are used.",
    "```\nlake --depth 41\n```",
    "For two reasons the lake is well known.",
    "1. First, the lake.\n2. Then, the hill.",
    "Boats may be rented from May on [S1].",
    "# The lake\n\nThe “lower lake” is deep [S1].",
]


@pytest.mark.parametrize("summary", HONEST)
def test_research_leaves_honest_text_as_it_is(summary):
    assert body(summary) == summary


MARKED = {
    "an id that does not exist": ("It is so [S9].", f"It is so {NO_SUCH_SOURCE}."),
    "one of two ids": ("It is 41 metres deep [S1, S9].", f"It is 41 metres deep [S1] {NO_SUCH_SOURCE}."),
    "a numbered reference": ("It is so [3].", f"It is so {NO_SUCH_SOURCE}."),
    "an author and a year": ("It is so (Marsh et al., 2019).", f"It is so {NO_SUCH_SOURCE}."),
    "a quote of nobody": ("He said “the lake is made of cheese”.", f"He said {QUOTE_NOT_FOUND}."),
    "a block of nobody": ("> The lake is made of cheese.", f"> {QUOTE_NOT_FOUND}"),
    "a word in quotation marks": ("It is “cheesy”.", f"It is “cheesy” {QUOTE_NOT_FOUND}."),
    "an address": ("See https://evil.example/a.", f"See {LINK_REMOVED}."),
    "an address that a source has in its text": ("See https://elsewhere.example/x.", f"See {LINK_REMOVED}."),
    "a link": ("See [it](https://evil.example/a).", f"See it {LINK_REMOVED}."),
    "another number": (
        "The lower lake is 42 metres deep [S1].",
        f"The lower lake is 42 metres {NOT_IN_SOURCE} deep [S1].",
    ),
    "a number without a source": ("The lower lake holds 42 fish.", f"The lower lake holds 42 {NOT_IN_SOURCE} fish."),
    "a name": ("The lower lake is deep, says Elena Marsh [S1].", None),
    "a negation lost": ("The lake does freeze in winter [S1].", f"The lake does freeze in winter [S1]. {OTHERWISE}"),
    "a hedge lost": ("Boats will be rented from May on [S1].", f"Boats will be rented from May on [S1]. {STRONGER}"),
    "a source that says nothing of it": (
        "Cheese is made of milk and salt [S2].",
        f"Cheese is made of milk and salt [S2]. {NOT_VERIFIED}",
    ),
    "all sources": (
        "All sources agree that the hill is high [S2].",
        f"All sources agree that the hill is high [S2]. {NOT_ALL}",
    ),
    "a quote of another source": (
        "“The lake does not freeze in winter” [S2].",
        f"“The lake does not freeze in winter” [S1] {CORRECTED}.",
    ),
    "a quote without a source": (
        "“The lake does not freeze in winter”.",
        f"“The lake does not freeze in winter” [S1] {ADDED}.",
    ),
    "a block of code": ("```\nrm -rf everything\n```", f"```\nrm -rf everything\n```\n{NOT_FROM_A_SOURCE}"),
}


@pytest.mark.parametrize("what", MARKED)
def test_research_marks_or_takes_out(what):
    summary, expected = MARKED[what]

    assert body(summary) == expected or (expected is None and body(summary).count(NOT_IN_SOURCE) == 2)


def test_research_sets_a_quote_in_the_words_of_its_source():
    text = "“The color of the organization's boats is red. Amazon S3 keeps the data” [S1]."

    assert body(text) == "“The colour of the organisation's boats is red. Amazon S3 keeps the data” [S1]."


def test_research_may_say_all_sources_when_all_were_checked():
    claims = check_claims(
        [
            Claim(
                "The lower lake is 41 metres deep.",
                (("S1", "lower lake is 41 metres deep"), ("S2", "lower lake is 41 metres deep")),
            )
        ],
        LEDGER,
    )

    answer = checked_answer("All sources agree that the lower lake is 41 metres deep [S1, S2].", LEDGER, claims)

    assert NOT_ALL not in answer.markdown


def test_research_does_not_take_two_copies_for_two_sources_that_agree():
    twice = ledger(LAKE, LAKE)
    claims = check_claims(
        [
            Claim(
                "The lower lake is 41 metres deep.",
                (("S1", "lower lake is 41 metres deep"), ("S2", "lower lake is 41 metres deep")),
            )
        ],
        twice,
    )

    answer = checked_answer("All sources agree that the lower lake is 41 metres deep [S1, S2].", twice, claims)

    assert NOT_ALL in answer.markdown
    assert "The 2 sources cited are 1 text, near copies counted once." in answer.markdown


def test_research_answers_end_with_their_sources_and_what_was_checked():
    answer = checked_answer(
        "The lower lake is 41 metres deep [S1]. Swimming is nice there. So is [S7].", LEDGER, CLAIMS
    )

    end = answer.markdown.split(SOURCES)[1]
    assert (
        "**S1** Report 1 (page, https://lake1.example/report?id=1, read 2026-01-02T03:04:05+00:00): 3 quotes found"
        in end
    )
    assert "- Read and not cited: Report 2" in end
    assert "4 claims checked by comparing words, not by judgement: 4 supported." in end
    assert "1 citation of sources that do not exist removed" in end
    assert "1 sentence carries no source." in end
    assert (answer.counts.ids, answer.counts.uncited) == (1, 1)


def test_research_without_a_source_found_nothing_and_says_what_was_tried():
    answer = checked_answer("An essay.", Ledger(), (), ["Searched for “lakes” at https://evil.example: 0 hits."])

    assert answer.markdown == f"I found nothing on this.\n\nTried:\n- Searched for “lakes” at {LINK_REMOVED}: 0 hits.\n"
    assert not answer.found


def test_research_without_a_quote_that_holds_shows_no_essay_but_what_was_read():
    claims = check_claims([Claim("x y z", (("S1", "words that are not there"),))], LEDGER)

    answer = checked_answer("An essay on lakes [S1].", LEDGER, claims)

    assert not answer.found
    assert "essay" not in answer.markdown
    assert "- Read and not cited: Report 1 (page, https://lake1.example/report?id=1" in answer.markdown


def test_research_titles_and_places_of_sources_are_inert():
    hostile = Ledger()
    hostile.add(
        "page", "https://lake.example/a b)[x](https://evil.example", "[x](https://evil.example) **S9** <b>\n# T", LAKE
    )
    claims = check_claims(
        [Claim("The lower lake is 41 metres deep", (("S1", "The lower lake is 41 metres deep"),))], hostile
    )

    answer = checked_answer("The lower lake is 41 metres deep [S1].", hostile, claims)

    assert "](https://evil" not in answer.markdown
    assert "\n# T" not in answer.markdown
    assert checked_answer(answer.markdown, hostile, claims) == answer


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/x", "HTTP://WWW.A.EXAMPLE:80/x/#top", True),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x", True),
        ("https://a.example/x?b=1", "https://a.example/x?utm_source=q&b=1", True),
        ("https://a.example/x?b=1", "https://a.example/x?b=2", False),
        ("https://a.example/x", "https://a.example.evil.example/x", False),
        ("https://a.example/x", "https://me@a.example/x", False),
        ("https://a.example/x", "https://а.example/x", False),
        ("https://a.example/x", "https://a.example:8443/x", False),
    ],
)
def test_research_tells_addresses_apart(one, other, same):
    assert (canonical(one) == canonical(other)) is same


def test_research_evidence_can_be_taken_away():
    plain = json.loads(json.dumps(evidence_as_json(LEDGER, CLAIMS)))
    page = evidence_as_markdown(LEDGER, CLAIMS)

    assert Ledger.from_json(plain["sources"]).all == LEDGER.all
    assert [claim["verdict"] for claim in plain["claims"]] == ["supported"] * 4
    assert f"SHA-256 of the text: {LEDGER.all[0].sha256}" in page
    assert "S1, characters 0 to 32:\n\n> The lower lake is 41 metres deep" in page


def test_research_evidence_as_a_page_is_inert():
    hostile = Ledger()
    hostile.add(
        "page",
        "https://a.example/",
        "=cmd() [x](https://evil.example) <script>",
        "![p](https://evil.example) is here and there",
    )
    claims = check_claims(
        [Claim("<b>![p](https://evil.example)", (("S1", "is here and there"), ("S1", "# not there at all")))], hostile
    )

    page = evidence_as_markdown(hostile, claims)

    assert "](https://evil" not in page.replace("\\]", "")
    assert "<b>" not in page.replace("\\<", "")
    assert not any(line.startswith("=") for line in page.splitlines())


PIECES = st.sampled_from(
    [
        *HONEST,
        *(summary for summary, _ in MARKED.values()),
        *MARKS,
        *("“", "”", '"', "'", "`", "```", "*", "**", "[", "]", "(", ")", "](", "<", ">", ".", "…", "S1", "S7", "[S1]"),
        *("❝", "＂", "„", "‟", "&quot;", '""', "‹", "- > ", "```x y\n", "```x", "~~~", "[r]: evil.club", "evil.zip"),
        *("thanks to bribes paid by the mafia", "None of the sources disagree", "agree", "-" * 90),
        *("[S1", "41", "42", "1.", "https://", "evil.com", "//", "&#58;", "not", "<!--", "-->"),
        *("\n", "\n\n", "> ", "- ", "| ", "# ", " ", ". ", "all sources", "The lower lake", "is 41 metres deep"),
        *("The color of the organization's boats", "\u200b", SOURCES),
    ]
)


@given(st.lists(st.one_of(PIECES, PIECES, st.text(max_size=8)), max_size=14))
@settings(max_examples=300, deadline=None)
def test_research_checks_an_answer_twice_as_once(pieces):
    answer = checked_answer("".join(pieces), LEDGER, CLAIMS)

    assert checked_answer(answer.markdown, LEDGER, CLAIMS) == answer
    shown = answer.markdown.split(SOURCES)[0]
    assert not re.search(r"(?<!\w)evil\.com(?!\w)|(?<!\w)S7(?![\w-]|\.\w)", shown)


@pytest.mark.parametrize(
    "part",
    [
        *(
            "[",
            "(",
            "“",
            '"a ',
            "a.",
            "<q>",
            "> ",
            "1 ",
            "S1 ",
            "[S1](",
            "`",
            "*",
            "https://",
            "a@",
            "all ",
            "not ",
            "A. ",
        ),
        *(
            "-",
            "-.",
            "a-",
            "a1",
            "–",
            "_",
            "=",
            "a. ",
            "''",
            '""',
            "”",
            "- > ",
            "```a\n",
            "no source ",
            "&quot;",
            "+",
            "a+",
        ),
    ],
)
def test_research_checks_hostile_text_in_good_time(part):
    began = time.process_time()

    checked_answer(part * 3000, LEDGER, CLAIMS)

    assert time.process_time() - began < 5


def posted(summary: str, of: Ledger = LEDGER) -> str:
    answer = checked_answer(summary, of, CLAIMS)
    assert checked_answer(answer.markdown, of, CLAIMS) == answer
    return answer.markdown.split(f"\n\n{SOURCES}")[0]


INVENTED = "The mayor stole the boats of the lake"


@pytest.mark.parametrize(
    "summary",
    [
        f"```x``` {INVENTED}: “{INVENTED}” 9,999 euros [S1].",
        f"```{INVENTED} for 9,999 euros\n```",
        f"~~~ {INVENTED}\nlake --depth 41\n~~~",
        f"```\nlake --depth 41\n```~~~\n{INVENTED}",
        "```\n```",
        f"- ```\n  lake --depth 41\n  ```\nThe mayor: “{INVENTED}” [S1].",
    ],
)
def test_research_checks_what_stands_on_the_opening_line_of_a_fence(summary):
    assert re.search(f"{re.escape(NOT_FROM_A_SOURCE)}|{re.escape(QUOTE_NOT_FOUND)}", posted(summary))


def test_research_leaves_the_language_of_a_fence_as_it_is():
    assert posted("```sh\nlake --depth 41\n```") == "```sh\nlake --depth 41\n```"
    assert posted("```x``` 9,999 boats.") == f"```x``` 9,999 {NOT_IN_SOURCE} boats."


@pytest.mark.parametrize("before", ["- ", "1. ", "    ", "\t", "  * ", "- 2) ", "Well.\n\n     ", "> - "])
def test_research_checks_a_quotation_wherever_it_stands(before):
    assert INVENTED not in posted(f"{before}> {INVENTED}")


def test_research_leaves_a_true_quotation_in_an_item():
    items = "- > The lower lake is 41 metres deep. [S1]\n- > The lake does not freeze in winter. [S1]"

    assert posted(items) == items


def test_research_lets_no_line_join_a_quotation():
    text = "> The lower lake is 41 metres deep. [S1]\n```\nlake --depth 41\n```"

    assert posted(text) == text.replace("[S1]\n", "[S1]\n\n")
    assert posted(f"> The lower lake is 41 metres deep. [S1]\n{INVENTED}.").endswith(f"\n\n{INVENTED}.")


@pytest.mark.parametrize(
    "marks",
    [
        *('""|""', '"""|"""', "❝|❞", "＂|＂", "〝|〞", "″|″", "‟|”", "„|‟", "&ldquo;|&rdquo;", "&quot;|&quot;", "‹|›"),
        *(
            "「|」",
            "『|』",
            "›|‹",
            "““|””",
            "''|''",
            "‚|‘",
            "”|”",
            "“|„",
            "&laquo;|&raquo;",
            "&bdquo;|&ldquo;",
            "&#34;|&#34;",
        ),
    ],
)
def test_research_looks_up_quotes_in_all_quotation_marks(marks):
    assert INVENTED not in posted(
        "The report says {}{}{} [S1].".format(marks.split("|")[0], INVENTED, marks.split("|")[1])
    )
    kept = "The lower lake is 41 metres deep"
    assert kept in posted("It says {}{}{} [S1].".format(marks.split("|")[0], kept, marks.split("|")[1]))


@pytest.mark.parametrize(
    ("title", "summary", "mark"),
    [
        ("5,000 euros", "The boat costs 5,000 euros.", NOT_IN_SOURCE),
        ("2024", "It was drained in 2024.", NOT_IN_SOURCE),
        ("All experts agree", "All experts agree on the lake [S1].", NOT_ALL),
    ],
)
def test_research_lets_no_title_switch_off_a_check(title, summary, mark):
    made = Ledger(lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    made.add("page", "https://lake1.example/report?id=1", title, LAKE)
    made.add("page", "https://lake2.example/report?id=2", "A hill", HILL)

    assert mark in posted(summary, made)
    link = f"See [{title}](https://lake1.example/report?id=1)."
    assert posted(link, made) == link


def test_research_compares_the_texts_of_sources_once_for_an_answer():
    long = ledger(*(f"{LAKE} {' '.join(f'word{number}x{each}' for each in range(4000))}" for number in range(8)))
    began = time.process_time()

    checked_answer("All sources agree that the lower lake is 41 metres deep [S1]. " * 100, long, CLAIMS)

    assert time.process_time() - began < 8


@pytest.mark.parametrize(
    "sentence",
    [
        "Boats may be rented from May on thanks to bribes paid by the mafia [S1].",
        "The lower lake is 41 metres deep because aliens excavated the valley secretly [S1].",
        "| boats | Boats may be rented from May on thanks to bribes paid by the mafia [S1] |",
    ],
)
def test_research_marks_what_a_cited_sentence_adds_to_its_source(sentence):
    answer = checked_answer(sentence, LEDGER, CLAIMS)

    assert PARTLY in posted(sentence)
    assert "1 sentence only partly in its source marked" in answer.markdown


def test_research_marks_a_sentence_that_repeats_a_claim_which_is_more_than_its_quote():
    said = "Boats may be rented from May on thanks to bribes paid by the mafia"
    claims = check_claims([Claim(said, (("S1", "Boats may be rented from May on."),))], LEDGER)

    assert PARTLY in checked_answer(f"{said} [S1].", LEDGER, claims).markdown


@pytest.mark.parametrize(
    "sentence",
    [
        "Overall, renting boats is possible from May on, the answer being that boats may be rented [S1].",
        "In short, the lower lake has a depth of 41 metres, so it is deep [S1].",
        "Furthermore, the report states that the lake does not freeze in winter [S1].",
    ],
)
def test_research_lets_a_cited_sentence_have_a_few_words_of_its_own(sentence):
    assert PARTLY not in posted(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        *("The sources are in full agreement.", "There is no disagreement among the sources.", "Both agree."),
        *(
            "None of the sources disagree.",
            "They speak with one voice.",
            "Everything read agrees.",
            "Nobody disputes it.",
        ),
        *(
            "All of them agree on this.",
            "Neither report contradicts it.",
            "It is undisputed.",
            "Keine Quelle widerspricht.",
        ),
        *("The reports are of one mind.", "Everything that was read concurs.", "No one disagrees."),
    ],
)
def test_research_marks_every_way_to_say_that_all_agree(sentence):
    assert NOT_ALL in posted(sentence)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "See evil.club.",
            "See evil.zip for it.",
            "[it][r]\n\n[r]: evil.club",
            "See evil.horse, too.",
            "[x](evil.horse)",
        ),
        *(
            '[it][r]\n\n[r]: evil "A title"',
            "[it][r]\n\n[r]: <evil horse>",
            f"See {'-' * 90}evil.horse.",
            "> See evil.horse",
        ),
        *("[it][r]\n\n[r]: /evil/horse", "See sub.evil.horse/ here.", "See a@evil.horse."),
    ],
)
def test_research_posts_no_name_that_may_be_an_address_whatever_it_ends_in(text):
    assert "evil" not in posted(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "See README.md and notes.txt.",
            "Use os.name there.",
            "It is deep.The lake is red.",
            "It takes 3.x or 9.September.",
        ),
        *(
            "See `asyncio.run` for it.",
            "Many, e.g. boats, i.e. these.",
            "[S1]: The lake is deep.",
            "The U.S.A. is far.",
        ),
    ],
)
def test_research_keeps_names_with_dots_that_are_no_addresses(text):
    assert LINK_REMOVED not in posted(text)


def test_research_leaves_marks_of_inches_and_empty_strings_and_all_parties_alone():
    text = 'Report 1 says: a treaty is what all parties agreed to; use `x = ""` or `f("", y, "")` there.'

    assert posted(text) == text
    assert QUOTE_NOT_FOUND not in posted("A 6″ pipe and a 3″ pipe.")
    assert posted("“a “lower lake” there”") == "“a “lower lake” there”"
