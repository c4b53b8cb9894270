"""A model that makes things up, over texts that are real: nothing of it is posted, and what is true survives."""

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pydoc_data.topics import topics

import pytest

from teams.evidence.answer import NOTHING_CHECKED, CheckedAnswer, checked_answer
from teams.evidence.claims import CheckedClaim, Claim, check_claims
from teams.evidence.ledger import Ledger
from teams.evidence.marks import MARKS, NOT_ALL, NOT_IN_SOURCE
from teams.evidence.words import is_negation, words

CASES = 50
"""Of each kind of fabrication."""

HARBOUR = """The harbour of Lindholm handled 48,200 containers in 2021 and 53,750 in 2022. It was opened
on 14 June 1987 by the minister Ingrid Solberg. The new quay is 640 metres long and cost 31.5 million
euros. Ships with a draught of more than 12 metres cannot enter the inner basin. The port authority does
not charge fees for sailing boats. Nine pilots work in three shifts. In 2022 the port used 18 percent
less electricity than in 2019. The eastern breakwater has never been repaired since the storm of 3
January 1995. The customs office is not open on Sundays. About 230 people work for the authority, and
1,400 more for the forwarding companies. The ferry to Karlsund takes 75 minutes and leaves four times a
day. No ship was turned away in 2022."""

BRIDGE = """Die Brücke über die Aller wurde am 12. Mai 1964 eröffnet und ist 418 Meter lang. Sie trägt
täglich 23.600 Fahrzeuge. Die Stadt hat die Brücke nicht verkauft. Der Neubau kostet 74,5 Millionen Euro
und dauert vier Jahre. Lastwagen über 30 Tonnen dürfen die Brücke nicht befahren. Im Jahr 2019 fanden
die Prüfer 112 Risse in den Trägern. Für Radfahrer gibt es keine Umleitung. Die Maut bringt 1.250 Euro
am Tag ein."""

GLACIER = """The Hale glacier lost 3.4 metres of ice in 2020. Measurements began in 1952 with two stakes;
today there are 26. The team of Tomás Ferreira found no evidence of a sudden break. The lower lake is 41
metres deep. Melt water reaches the valley within 36 hours. The glacier did not advance in any year
after 1985. A hut for 64 guests stands at 2,870 metres. Only 7 percent of the area is covered by debris.
The last survey took place on 9 September 2023. Snow fell on 118 days. The mass balance was never
positive between 2003 and 2023. Neither radar nor drones were used before 2011."""

MANUAL = "\n\n".join(
    topics[name] for name in ("assert", "try", "with", "import", "class", "lambda", "yield", "numbers")
)
TEXTS = (HARBOUR, GLACIER, BRIDGE, MANUAL)
WHERE = (
    ("page", "https://harbour.example/report?id=5", "The harbour of Lindholm"),
    ("page", "https://glacier.example/hale/", "Hale glacier"),
    ("library", "texts/aller.md", "Die Brücke"),
    ("document", "reference.txt", "The reference"),
)
INVENTED_WORDS = [
    "granular",
    "tariff",
    "beacon",
    "velvet",
    "orchard",
    "quorum",
    "lantern",
    "copper",
    "ledger",
    "meadow",
    "signal",
    "harvest",
]


def sentences_of(text: str) -> list[str]:
    flat = " ".join(text.split())
    found = re.findall(r"(?<=[.!?] )[A-ZÄÖÜ][^.!?]{30,240}[.](?= [A-ZÄÖÜ]|$)|^[A-ZÄÖÜ][^.!?]{30,240}[.](?= )", flat)
    return [each for each in found if not re.search(r"[\[\]{}<>=*|\\]|::|--|\"|”|“|\b(?:e\.g|i\.e)", each)]


SENTENCES = [(number, each) for number, text in enumerate(TEXTS, start=1) for each in sentences_of(text)]
OF_FACTS = [(number, each) for number, each in SENTENCES if number < 4]


def ledger() -> Ledger:
    made = Ledger(lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    for (kind, where, title), text in zip(WHERE, TEXTS, strict=True):
        made.add(kind, where, title, text)
    return made


LEDGER = ledger()
TRUE_CLAIMS = check_claims(
    [
        Claim("The lower lake is 41 metres deep.", (("S2", "The lower lake is 41 metres deep."),)),
        Claim("Nine pilots work in three shifts.", (("S1", "Nine pilots work in three shifts."),)),
    ],
    LEDGER,
)


def posted(summary: str, *claims: CheckedClaim) -> CheckedAnswer:
    """What may be posted of a summary; that it is found again unchanged is a rule for every case."""
    answer = checked_answer(summary, LEDGER, (*TRUE_CLAIMS, *claims))
    assert checked_answer(answer.markdown, LEDGER, (*TRUE_CLAIMS, *claims)).markdown == answer.markdown
    return answer


def check(text: str, source: int, quote: str) -> CheckedClaim:
    (checked,) = check_claims([Claim(text, ((f"S{source}", quote),))], LEDGER)
    return checked


def in_a_source(quote: str) -> bool:
    """By a way of its own: letters and digits alone, in any source."""
    return any(bare(quote) in bare(text) for text in TEXTS)


def bare(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def put_in_quotes(chance: random.Random, quote: str, source: int) -> str:
    """A sentence, or a block, that quotes."""
    forms = (
        "The source says “{}” [S{}].",
        'As it puts it, "{}" [S{}].',
        "„{}“ [S{}]",
        "It is said: «{}» [S{}]",
        "> {}\n> — the source [S{}]",
        "Intro first.\n\n> {} [S{}]\n\nThen more.",
        "- **Finding**: “{}” [S{}]",
        "| a | “{}” [S{}] |",
        "*“{}”* [S{}]",
        "<q>{}</q> [S{}]",
        "It reads ‘{}’ [S{}].",
        "“{} [S{}]",
    )
    return chance.choice(forms).format(quote, source)


def cases(kind: str) -> list[random.Random]:
    return [random.Random(f"{kind} {number}") for number in range(CASES)]


def invented_quote(chance: random.Random) -> tuple[int, str]:
    number, sentence = chance.choice(SENTENCES)
    mixed = sentence.strip(".").split() + chance.sample(INVENTED_WORDS, 3)
    chance.shuffle(mixed)
    return number, " ".join(mixed[: chance.randint(4, 20)])


def one_word_altered(chance: random.Random) -> tuple[int, str]:
    while True:
        number, sentence = chance.choice(SENTENCES)
        listed = sentence.split()
        at = chance.randrange(len(listed))
        other = chance.choice(chance.choice(SENTENCES)[1].split()).strip(".,;:()")
        old = listed[at].strip(".,;:()")
        if len(old) > 3 and len(other) > 3 and bare(old) != bare(other) and old.isalpha():
            listed[at] = listed[at].replace(old, other)
            return number, " ".join(listed)


def digits_altered(chance: random.Random) -> tuple[int, str]:
    number, sentence = chance.choice([each for each in OF_FACTS if re.search(r"\d", each[1])])
    places = [match.start() for match in re.finditer(r"\d", sentence)]
    at = chance.choice(places)
    new = str((int(sentence[at]) + chance.randint(1, 8)) % 10 or 9)
    return number, sentence[:at] + (new if new != sentence[at] else "5") + sentence[at + 1 :]


def negation_dropped(chance: random.Random) -> tuple[int, str]:
    negated = [each for each in SENTENCES if any(is_negation(word) for word in words(each[1]))]
    number, sentence = chance.choice(negated)
    listed = sentence.split()
    at = next(place for place, word in enumerate(listed) if any(map(is_negation, words(word))))
    listed[at] = "can" if listed[at] == "cannot" else ""
    return number, " ".join(" ".join(listed).split())


def torn_out(chance: random.Random) -> tuple[int, str]:
    """The words right behind a negation, or around one that an ellipsis hides."""
    while True:
        number, sentence = chance.choice(SENTENCES)
        listed = sentence.split()
        places = [place for place, word in enumerate(listed) if is_negation(bare(word))]
        if places and 2 <= places[0] < len(listed) - 4:
            before, after = listed[: places[0]], listed[places[0] + 1 :]
            return number, chance.choice(
                (
                    " ".join(after),
                    f"{' '.join(before)} … {' '.join(after)}",
                    f"{' '.join(before)} [...] {' '.join(after)}",
                )
            )


MADE_UP: dict[str, Callable[[random.Random], tuple[int, str]]] = {
    "invented": invented_quote,
    "one word altered": one_word_altered,
    "digits altered": digits_altered,
    "negation dropped": negation_dropped,
    "torn out": torn_out,
}


@pytest.mark.parametrize("kind", MADE_UP)
def test_research_posts_no_made_up_quote(kind):
    for chance in cases(kind):
        number, quote = MADE_UP[kind](chance)
        if kind not in ("torn out", "negation dropped"):  # what is left of those may stand behind a "no"
            assert not in_a_source(quote), quote
        claim = check(quote, number, quote)

        answer = posted(put_in_quotes(chance, quote, number), claim)

        assert claim.verdict != "supported", quote
        assert bare(quote) not in bare(answer.markdown), answer.markdown


@pytest.mark.parametrize("kind", ["one word altered", "digits altered", "negation dropped"])
def test_research_supports_no_altered_claim_over_a_true_quote(kind):
    """The quote is right and the claim is not: found for numbers and negations, and for words where lists know them."""
    wrong = 0
    for chance in cases(f"{kind} over a true quote"):
        number, altered = MADE_UP[kind](chance)
        true = min(
            (sentence for source, sentence in SENTENCES if source == number),
            key=lambda sentence: len(set(altered.split()) ^ set(sentence.split())),
        )

        claim = check(altered, number, true)

        wrong += claim.verdict == "supported"
    assert wrong <= (CASES // 4 if kind == "one word altered" else 0)


INVENTED_IDS = (
    "This is so [S{}].",
    "This is so [S1, S{}].",
    "This is so [S2][S{}].",
    "This is so (S{}).",
    "According to S{}, this is so.",
    "This is so [s{}].",
    "This is so 【S{}】.",
    "This is so [S{}, p. 4].",
    "This is so [source: S{}].",
    "This is so [^S{}].",
    "| row | this is so [S{}] |",
    "> The lower lake is 41 metres deep. [S{}]",
    "“The lower lake is 41 metres deep” [S{}]",
    "`see [S{}]`",
    "This is so [S{}](https://glacier.example/hale/).",
    "This is so[{}].",
    "This is so [{}, 4].",
    "This is so [^{}].\n\n[^{}]: A book.",
)


def test_research_posts_no_invented_id():
    for chance in cases("ids"):
        invented = chance.randint(5, 99)
        summary = chance.choice(INVENTED_IDS).replace("{}", str(invented))

        answer = posted(summary)

        assert not re.search(rf"\bS{invented}\b|\[\^?{invented}\b", answer.markdown, re.IGNORECASE), answer.markdown
        assert set(re.findall(r"\bS\d+\b", answer.markdown)) <= {"S1", "S2", "S3", "S4"}
        assert answer.counts.ids >= 1
        assert re.search(r"\d citations? of sources that do not exist removed", answer.markdown)


def test_research_posts_no_invented_author_and_year():
    for chance in cases("authors"):
        name, year = chance.choice(("Marsh", "Okafor", "Lindqvist", "O'Neil")), chance.randint(1990, 2025)
        form = chance.choice(
            ("({} et al., {})", "({}, {})", "({} & Webb, {})", "[{} {}]", "(see {} and Webb {}; Falk, 2001)")
        )

        answer = posted(f"The lake is deep {form.format(name, year)}.")

        assert name not in answer.markdown
        assert answer.counts.ids == 1


INVENTED_URLS = (
    "See https://{}.example/report.",
    "See HTTPS://WWW.{}.ORG/A for more.",
    "See [the report](https://{}.com/a).",
    "See [the report](<https://{}.com/a b>).",
    "See [https://harbour.example/report?id=5](https://{}.com/a).",
    '![chart](http://{}.net/chart.png "title")',
    "<https://{}.de/x>",
    "<https://{}.de/x|the report>",
    "See www.{}.com/path?utm_source=x.",
    "See {}.com for more.",
    "See {}.co.uk/a, or ask.",
    "`curl https://{}.io/install.sh`",
    "```\nwget http://{}.org/x.tar.gz\n```",
    '[the report][1]\n\n[1]: https://{}.com/a "title"',
    "See http://münchen-{}.de/a.",
    "See http://xn--mnchen-{}.de/a.",
    "See https://harbour.example.{}.com/report?id=5.",
    "See https://harbour.example/{}?id=5.",
    "See https://harbour.example/report?id=5&next={}.",
    "See https://harbour.example@{}.com/.",
    "See https://{}@harbour.example/report?id=5.",
    "See //{}.com/a.",
    "See hxxps://{}[.]com/a.",
    "See https&#58;//{}.com/a.",
    "See https\\://{}.com/a.",
    "Write to someone@{}.org.",
    '<a href="https://{}.com/a">the report</a>',
    "See doi:10.1234/{}.5 or 10.5555/{}.",
    "See javascript:alert('{}').",
    "See ftp://{}.com/a and magnet:?xt={}",
    "| a | https://{}.com/a |",
    "# https://{}.com/a",
    "See ht\u200btps://{}.c\u200bom/a.",
    "See https://{}。com/a.",
    "<!-- https://{}.com/a --> Well.",
    "See bit.ly/{} or t.co/{}.",
    "“The lower lake is 41 metres deep https://{}.com/a” [S2]",
    "> The lower lake is 41 metres deep. [see](https://{}.com/a)",
)


def test_research_posts_no_invented_address():
    for number, form in enumerate(INVENTED_URLS * 2):
        host = f"{'qzvx' if number % 2 else 'xyqzw'}{number}"

        answer = posted(form.replace("{}", host))

        assert host not in answer.markdown.casefold(), answer.markdown
        assert answer.counts.links + answer.counts.quotes >= 1 or form.startswith("<!--"), answer.markdown
        allowed = re.sub(r"https://(?:harbour\.example/report\?id=5|glacier\.example/hale/)", "", answer.markdown)
        assert "://" not in allowed, answer.markdown


def test_research_keeps_the_addresses_of_its_sources_without_what_tracks():
    for chance in cases("true addresses"):
        address = chance.choice(("https://harbour.example/report?id=5", "https://glacier.example/hale/"))
        tail = chance.choice(
            (
                "",
                "#top",
                "&utm_source=mail" if "?" in address else "?utm_source=mail",
                "&gclid=7" if "?" in address else "?fbclid=9",
            )
        )
        shown = (
            chance.choice((address, address.replace("https", "HTTPS"), address.replace("example", "EXAMPLE"))) + tail
        )

        answer = posted(chance.choice(("See {}.", "See [it]({}).", "See <{}>.", "`{}`")).format(shown))

        assert answer.counts.links == 0
        assert address in answer.markdown.split("###")[0]
        assert not re.search("utm|clid|#top", answer.markdown)


WRONG_NUMBERS = (
    "The lower lake is {} metres deep [S2].",
    "In all, {} pilots work in shifts [S1].",
    "It cost {} million euros [S1].",
    "The share is {} % [S2].",
    "- Depth: {} m [S2]",
    "| depth | {} metres [S2] |",
    "**{}** pilots work in three shifts [S1].",
    "The lake was measured in {} [S2].",
    "There are {}.5 metres of ice [S2]; nine pilots work.",
    "On {} May 2020 the lake was measured [S2].",
    "The lake is ${} deep [S2].",
    "A depth of `{}` metres [S2].",
    "The lake holds {} litres, nobody knows why.",
    "### {} metres deep",
    "About {}-metre lakes [S2]",
    "Depth [{} metres] [S2].",
)


def test_research_marks_every_number_that_no_cited_words_have():
    for chance in cases("numbers"):
        wrong = str(chance.choice([n for n in range(13, 32) if n not in (3, 9)]))

        answer = posted(chance.choice(WRONG_NUMBERS).replace("{}", wrong))

        body = answer.markdown.split("### Sources")[0]
        assert re.search(rf"{wrong}[^!?\n]*?{re.escape(NOT_IN_SOURCE)}", body), body
        assert answer.counts.not_in_source >= 1


@pytest.mark.parametrize(
    "word", ["seven", "zwölf", "twenty-five", "a dozen", "1,041", "4.1", "-41", "41 %", "41 km", "410", "041.5"]
)
def test_research_marks_numbers_however_they_are_written(word):
    answer = posted(f"The lower lake is {word} deep [S2].")

    assert answer.counts.not_in_source == 1


def test_research_moves_a_quote_to_the_source_that_has_it():
    for chance in cases("wrong source"):
        number, sentence = chance.choice([each for each in SENTENCES if 30 < len(each[1]) < 200])
        wrong = chance.choice([other for other in (1, 2, 3, 4) if other != number])
        claim = check(sentence, wrong, sentence)

        answer = posted(put_in_quotes(chance, sentence.rstrip("."), wrong), claim)

        body = answer.markdown.split("### Sources")[0]
        assert claim.verdict == "unverified"
        assert f"[S{number}]" in body, body
        assert f"[S{wrong}]" not in body, body
        assert bare(sentence) in bare(body)


ALL_AGREE = (
    "All sources agree that the lower lake is 41 metres deep [S2].",
    "All sources agree.",
    "Every source confirms that nine pilots work in three shifts [S1][S2].",
    "The sources unanimously say that nine pilots work in three shifts [S1].",
    "There is a consensus that the lower lake is deep [S2].",
    "All four documents say the lower lake is 41 metres deep [S1, S2, S3, S4].",
    "Both sources confirm that nine pilots work in three shifts [S1, S2].",
    "Most experts agree on the lower lake [S2].",
    "It is widely accepted that nine pilots work in three shifts [S1].",
    "Without exception, the lower lake is called deep [S2].",
    "Alle Quellen stimmen darin überein [S3].",
    "Toutes les sources confirment cela [S1].",
    "- **All the studies** confirm it [S1].",
    "No source contradicts this [S1].",
)


@pytest.mark.parametrize("sentence", ALL_AGREE)
def test_research_marks_what_is_said_of_all_sources(sentence):
    answer = posted(sentence)

    assert NOT_ALL in answer.markdown
    assert answer.counts.agreement == 1


def test_research_with_nothing_but_fabrication_is_no_answer():
    for chance in cases("nothing"):
        number, quote = invented_quote(chance)

        answer = checked_answer(f"A long essay. “{quote}” [S{number}].", LEDGER, (check(quote, number, quote),))

        assert not answer.found
        assert answer.markdown.startswith(NOTHING_CHECKED)
        assert "essay" not in answer.markdown


def honest(chance: random.Random) -> tuple[str, str]:
    """A claim and its quote as honest models write them: the sentence, other digits, other quotation marks, shorter."""
    _, sentence = number_and_sentence = chance.choice(SENTENCES)
    assert number_and_sentence
    claim, quote = sentence, sentence
    form = chance.randrange(6)
    if form == 1:
        quote = quote.replace("'", "’").replace("-", "‑").rstrip(".")
    if form == 2:
        claim = re.sub(r"(\d),(\d{3})", r"\1\2", claim)
    if form == 3:
        for word, digit in (("nine", "9"), ("three", "3"), ("four", "4"), ("two", "2"), ("vier", "4")):
            claim = re.sub(rf"\b{word}\b", digit, claim, flags=re.IGNORECASE)
    if form == 4:
        quote = "\n".join(quote.replace("  ", " ").split(" ", 3))
    if form == 5:
        claim = (
            f"As the source says, {claim[0].lower()}{claim[1:]}"
            if claim.split()[0].lower() in ("the", "a", "in", "it")
            else claim
        )
    return claim, quote


def test_research_supports_what_is_true():
    """At least 95 of 100 honest claims are supported, and no honest quote is taken out of an answer."""
    many, supported, kept = 240, 0, 0
    for number in range(many):
        chance = random.Random(f"honest {number}")
        source, sentence = chance.choice(SENTENCES)
        claim, quote = honest(random.Random(f"honest {number}"))

        checked = check(claim, source, quote)
        answer = posted(f"It says “{quote}” [S{source}].", checked)

        supported += checked.verdict == "supported"
        kept += bare(sentence) in bare(answer.markdown.split("### Sources")[0]) and answer.counts.quotes == 0
    assert supported / many >= 0.95, supported
    assert kept / many >= 0.99, kept


def test_research_leaves_an_honest_answer_as_it_is():
    clean = many = 0
    for number in range(100):
        chance = random.Random(f"honest answer {number}")
        picked = chance.sample(OF_FACTS, 3)
        claims = [check(sentence, source, sentence) for source, sentence in picked]
        summary = "\n\n".join(f"{sentence.rstrip('.')} [S{source}]." for source, sentence in picked)

        answer = posted(summary, *claims)

        many += 1
        clean += answer.markdown.startswith(summary) and not any(mark in answer.markdown for mark in MARKS)
    assert clean / many >= 0.95, clean
