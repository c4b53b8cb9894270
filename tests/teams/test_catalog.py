"""Rules of the catalog: which panels there are, and what is said about a file that is none."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams.catalog import UnknownPanel, load_catalog
from teams.model import PanelSpec, Perspective
from teams.panel_file import (
    FILE_LIMIT,
    INSTRUCTIONS_LIMIT,
    LINE_LIMIT,
    MOST,
    NAME_LIMIT,
    PANEL_KEYS,
    PERSPECTIVE_KEYS,
    BrokenPanel,
    load_panel,
)

BUILT_IN = ("decision", "engineering", "marketing", "product")
UNREADABLE = Path("/proc/self/mem")
DOC = Path(__file__).parents[2] / "docs" / "panels.md"

HEAD = "title: Menu\ndescription: What to bake\n"
SEATS = """perspectives:
  - key: baker
    title: Baker
    instructions: Find out what it takes to bake.
  - key: guest
    title: Guest
    instructions: Find out who would eat it.
"""
GOOD = HEAD + SEATS


def fault(text: str, origin: str = "menu.yaml") -> str:
    with pytest.raises(BrokenPanel) as caught:
        load_panel(text, origin)
    return str(caught.value)


def seats(count: int) -> str:
    entry = "  - key: seat_{0}\n    title: Title {0}\n    instructions: Find out.\n"
    return "perspectives:\n" + "".join(entry.format(number) for number in range(count))


# The built-in panels


def test_the_built_in_panels_load_in_the_order_of_their_names():
    catalog = load_catalog(None)

    assert catalog.names == BUILT_IN
    assert tuple(panel.name for panel in catalog) == BUILT_IN
    assert catalog.problems == ()


def test_the_default_panel_exists():
    catalog = load_catalog(None)

    assert catalog.default == "decision"
    assert catalog.get(catalog.default).name == "decision"


def test_the_files_of_the_built_in_panels_are_data_of_the_package():
    folder = files("teams").joinpath("panels")

    assert all(folder.joinpath(f"{name}.yaml").is_file() for name in BUILT_IN)


def test_the_marketing_panel_has_its_six_perspectives_in_order():
    assert [seat.key for seat in load_catalog(None).get("marketing").perspectives] == [
        "trend_analyst",
        "brand_guardian",
        "performance_analyst",
        "platform_specialist",
        "contrarian",
        "audience_proxy",
    ]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_panel_has_six_perspectives_on_the_flash_model(name):
    panel = load_catalog(None).get(name)

    assert len(panel.perspectives) == 6
    assert {seat.tier for seat in panel.perspectives} == {"flash"}


@pytest.mark.parametrize("name", BUILT_IN)
def test_no_instructions_name_another_seat_of_the_panel(name):
    panel = load_catalog(None).get(name)

    named = [
        (seat.key, other.key)
        for seat in panel.perspectives
        for other in panel.perspectives
        if other is not seat and names(seat.instructions, other)
    ]

    assert named == []


@pytest.mark.parametrize("name", BUILT_IN)
def test_no_synthesis_instructions_name_a_seat_because_any_may_be_missing(name):
    panel = load_catalog(None).get(name)

    assert [seat.key for seat in panel.perspectives if names(panel.synthesis_instructions, seat)] == []


def names(text: str, seat: Perspective) -> bool:
    spoken = " ".join(text.casefold().replace("_", " ").replace("-", " ").split())
    return any(name.casefold().replace("_", " ") in spoken for name in (seat.key, seat.title))


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_instructions_are_a_job_with_an_evidence_duty_and_no_character(name):
    for seat in load_catalog(None).get(name).perspectives:
        text = seat.instructions
        assert 60 <= len(text.split()) <= 140, seat.key
        assert "vidence is" in text, seat.key
        assert "assumption" in text or "assum" in text, seat.key
        assert not re.search(r"\bYou are\b|world-class|\bexpert\b", text, re.IGNORECASE), seat.key


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_synthesis_instructions_have_two_to_four_sentences(name):
    assert 2 <= len(re.findall(r"[.?!](?:\s|$)", load_catalog(None).get(name).synthesis_instructions)) <= 4


# Asking for a panel


def test_an_unknown_panel_is_one_sentence_with_the_close_match_and_all_names():
    with pytest.raises(UnknownPanel) as caught:
        load_catalog(None).get("Desicion")

    assert str(caught.value) == (
        "there is no panel 'Desicion' (did you mean 'decision'?); there are decision, engineering, marketing, product"
    )


def test_an_unknown_panel_without_a_close_match_has_no_guess():
    with pytest.raises(UnknownPanel) as caught:
        load_catalog(None).get("zzz" * 5_000)

    assert "did you mean" not in str(caught.value)
    assert len(str(caught.value)) < 200


# A panel of one's own


def test_the_example_of_the_documentation_is_a_panel():
    example = re.search(r"```yaml\n(.*?)```", DOC.read_text(), re.DOTALL)

    assert example is not None
    panel = load_panel(example[1], "hiring.yaml")

    assert (panel.name, panel.quorum, len(panel.perspectives)) == ("hiring", 2, 3)


def test_the_documentation_names_every_key_limit_and_default():
    doc = DOC.read_text()

    assert [key for key in {*PANEL_KEYS, *PERSPECTIVE_KEYS} if f"| `{key}` |" not in doc] == []
    for limit in (f"{INSTRUCTIONS_LIMIT:,}", f"{FILE_LIMIT // 1024} KiB", f"2 to {MOST}", str(LINE_LIMIT)):
        assert limit in doc
    assert f"at most {NAME_LIMIT} characters" in doc
    panel = load_panel(GOOD, "menu.yaml")
    for key in ("expert_seconds", "run_seconds", "synthesis_seconds"):
        assert re.search(rf"\| `{key}` .*; {getattr(panel, key):g} \|", doc)


def test_a_short_panel_has_the_defaults_of_the_model():
    assert load_panel(GOOD, "menu.yaml") == PanelSpec(
        "menu",
        "Menu",
        "What to bake",
        (
            Perspective("baker", "Baker", "Find out what it takes to bake."),
            Perspective("guest", "Guest", "Find out who would eat it."),
        ),
    )


def test_every_key_of_the_schema_is_read():
    panel = load_panel(
        "name: sweet-menu\nsynthesis: Choose one.\nquorum: 2\nexpert_seconds: 30\nrun_seconds: 90.5\n"
        "synthesis_seconds: 45\nallow_pro_fanout: true\n" + GOOD + "    tier: pro\n",
        "menu.yaml",
    )

    assert panel.name == "sweet-menu"
    assert panel.synthesis_instructions == "Choose one."
    assert (panel.quorum, panel.expert_seconds, panel.run_seconds, panel.synthesis_seconds) == (2, 30, 90.5, 45)
    assert [seat.tier for seat in panel.perspectives] == ["flash", "pro"]


def test_words_that_yaml_takes_for_something_else_stay_the_words_that_were_written():
    text = GOOD.replace("title: Menu", "title: No").replace("Guest", "2026").replace("What to bake", "on")

    panel = load_panel(text, "menu.yaml")

    assert (panel.title, panel.description, panel.perspectives[1].title) == ("No", "on", "2026")


def test_text_of_any_script_is_kept():
    panel = load_panel(GOOD.replace("Menu", "Menü 🥐 — 菜单").replace("\n", "\r\n"), "menu.yaml")

    assert panel.title == "Menü 🥐 — 菜单"


BROKEN = {
    "an empty file": ("", 1, "the file is empty; begin with 'title:'"),
    "a file of comments": ("# nothing\n", 1, "the file is empty"),
    "a list as root": ("- a\n- b\n", 1, "a panel is made of 'key: value' lines, not a list"),
    "a word as root": ("\nmarketing\n", 2, "not 'marketing'"),
    "two documents": ("title: a\n---\ntitle: b\n", 2, "expected a single document"),
    "an unclosed quote": ("title: 'Menu\n", 2, "from line 1, found unexpected end of stream"),
    "a tab": ("title: Menu\n\tname: menu\n", 2, r"'\t'"),
    "a colon in text": ("title: Menu: sweet\n", 1, "in quotes"),
    "an escape beyond Unicode": ('title: "\\UFFFFFFFF"\n', 1, "a number is too large"),
    "a NUL": ("title: a\nname: a\0b\n", 2, r"the character '\x00' is not text"),
    "an alias": ("title: &menu Menu\nname: *menu\n", 1, "anchors and aliases are not read (menu)"),
    "an alias of nothing": ("title: Menu\nname: *menu\n", 2, "anchors and aliases are not read (menu)"),
    "a Python tag": ("title: Menu\nname: !!python/object/apply:os.system [ls]\n", 2, "python/object/apply:os.system"),
    "a tag of YAML": ("title: !!str Menu\n", 1, "tags are not read"),
    "brackets without end": ("title: " + "[" * 50_000, 1, "nesting more than 8 deep"),
    "a key twice": ("title: Menu\nname: a\ntitle: Menu\n", 3, "title is on line 1 already; remove one of the two"),
    "a key twice in a perspective": (GOOD + "    key: guest\n", 10, "key is on line 7 already"),
    "an unknown key": (GOOD + "quorom: 2\n", 10, "'quorom' is no key of a panel (did you mean 'quorum'?); remove it"),
    "an unknown key of a perspective": (
        GOOD + "    teir: pro\n",
        10,
        "'teir' is no key of perspective 2 (did you mean 'tier'?)",
    ),
    "a boolean as key": (GOOD + "yes: 2\n", 10, "'yes' is no key of a panel"),
    "a list as key": (GOOD + "? [a, b]\n: 2\n", 10, "'a list' is no key of a panel"),
    "a merge key": (GOOD + "<<: {quorum: 2}\n", 10, "'<<' is no key of a panel"),
    "no title": (SEATS + "description: What to bake\n", 1, "a panel has no title; add 'title:'"),
    "an empty title": (GOOD.replace("Menu", ""), 1, "title is empty"),
    "a null title": (GOOD.replace("Menu", "null"), 1, "title is empty"),
    "a list as title": (GOOD.replace("Menu", "[Menu]"), 1, "title has to be text, not a list; put it in quotes"),
    "a title of two lines": (
        GOOD.replace("Menu", "|\n  Menu\n  again"),
        1,
        r"title cannot be 'Menu\nagain'; write one line",
    ),
    "a long title": (GOOD.replace("Menu", "m" * (LINE_LIMIT + 1)), 1, f"one line of at most {LINE_LIMIT} characters"),
    "a control character": (GOOD.replace("Menu", r'"Me\enu"'), 1, r"the control character '\x1b'; remove it"),
    "a lone surrogate": (GOOD.replace("Menu", r'"Me\ud800nu"'), 1, r"the control character '\ud800'"),
    "no description": ("title: Menu\n" + SEATS, 1, "a panel has no description"),
    "a name with a space": (
        GOOD + "name: Our menu\n",
        10,
        "name cannot be 'Our menu'; write at most 40 of a-z 0-9 - _",
    ),
    "a long name": (GOOD + f"name: {'n' * 41}\n", 10, "at most 40"),
    "no perspectives": (HEAD, 1, "a panel has no perspectives"),
    "a word as perspectives": (HEAD + "perspectives: many\n", 3, "perspectives has to be a list, not 'many'"),
    "nothing as perspectives": (HEAD + "perspectives:\n", 3, "not nothing; begin each perspective with '- key:'"),
    "one perspective": (HEAD + seats(1), 3, "there are 1 perspectives; list 2 to 12 of them"),
    "thirteen perspectives": (HEAD + seats(13), 3, "there are 13 perspectives"),
    "a thousand experts": (HEAD + seats(1_000), 3, "there are 1000 perspectives; list 2 to 12 of them"),
    "a word as perspective": (GOOD + "  - cook\n", 10, "perspective 3 is made of 'key: value' lines, not 'cook'"),
    "a perspective without key": (GOOD + "  - title: Cook\n", 10, "perspective 3 has no key"),
    "a perspective without instructions": (
        GOOD + "  - key: cook\n    title: Cook\n",
        10,
        "perspective 3 has no instructions",
    ),
    "a key that is no snake_case": (
        GOOD.replace("key: guest", "key: Our-Guest"),
        7,
        "key cannot be 'Our-Guest'; write",
    ),
    "two perspectives of one key": (
        GOOD.replace("key: guest", "key: baker"),
        7,
        "the key 'baker' is another perspective's",
    ),
    "two perspectives of one title": (
        GOOD.replace(": Guest", ": BAKER"),
        8,
        "the title 'BAKER' is another perspective's",
    ),
    "a mapping as instructions": (
        GOOD + "  - key: cook\n    title: Cook\n    instructions: {a: b}\n",
        12,
        "not a mapping",
    ),
    "long instructions": (GOOD.replace("Find out who", "who " * 1_001), 9, "characters; shorten it to 4,000"),
    "an unknown tier": (GOOD + "    tier: ultra\n", 10, "tier cannot be 'ultra'; write flash or pro"),
    "a pro tier": (GOOD + "    tier: pro\n", 10, "perspective 2 asks for the tier 'pro', but up to 2 calls"),
    "an unclear permission": (GOOD + "allow_pro_fanout: yes\n", 10, "write true or false after 'allow_pro_fanout:'"),
    "a quorum of one": (GOOD + "quorum: 1\n", 10, "quorum cannot be '1'; write a whole number from 2 to 2"),
    "a quorum above the experts": (GOOD + "quorum: 3\n", 10, "quorum cannot be '3'"),
    "half a quorum": (GOOD + "quorum: 2.0\n", 10, "quorum cannot be '2.0'"),
    "a quorum of nothing": (GOOD + "quorum:\n", 10, "quorum is empty; write something or remove the line"),
    "NaN seconds": (
        GOOD + "run_seconds: .nan\n",
        10,
        "run_seconds cannot be '.nan'; write a number of seconds above 0",
    ),
    "Python's NaN": (GOOD + "expert_seconds: nan\n", 10, "expert_seconds cannot be 'nan'"),
    "infinite seconds": (GOOD + "run_seconds: 1e999\n", 10, "run_seconds cannot be '1e999'"),
    "no seconds": (GOOD + "synthesis_seconds: 0\n", 10, "synthesis_seconds cannot be '0'"),
    "negative seconds": (GOOD + "expert_seconds: -1\n", 10, "expert_seconds cannot be '-1'"),
    "a time of day": (GOOD + "run_seconds: 5:00\n", 10, "run_seconds cannot be '5:00'"),
    "a run shorter than its synthesis": (GOOD + "run_seconds: 60\n", 10, "run_seconds (60) leaves the experts no time"),
    "a synthesis longer than its run": (
        GOOD + "synthesis_seconds: 300\n",
        10,
        "synthesis_seconds (300); make run_seconds the larger",
    ),
    "a huge file": (GOOD + "#" * FILE_LIMIT, 1, "the file is larger than 256 KiB; shorten"),
}


@pytest.mark.parametrize(("text", "line", "part"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_panel_is_one_sentence_with_file_line_and_fix(text, line, part):
    said = fault(text)

    assert said.startswith(f"menu.yaml, line {line}: ")
    assert part in said
    assert "; " in said
    assert "\n" not in said
    assert len(said) < 400


def test_a_file_whose_name_cannot_be_a_panels_name_needs_a_name_inside():
    assert "name cannot be 'Our menu'" in fault(GOOD, "Our menu.yaml")
    assert load_panel("name: menu\n" + GOOD, "Our menu.yaml").name == "menu"


def test_the_pro_tier_is_refused_with_the_reason_and_the_way_out():
    said = fault(GOOD + "    tier: pro\n")

    assert "slow and dear" in said
    assert "'allow_pro_fanout: true'" in said


def test_the_pro_tier_is_allowed_to_a_panel_that_accepts_its_price():
    panel = load_panel(GOOD + "    tier: pro\nallow_pro_fanout: true\n", "menu.yaml")

    assert panel.allow_pro_fanout
    assert panel.perspectives[1].tier == "pro"


# A folder of panels


def test_a_panel_of_the_folder_joins_the_built_in_ones(tmp_path):
    (tmp_path / "menu.yaml").write_text(GOOD)
    (tmp_path / "drinks.yml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("not a panel")
    (tmp_path / ".menu.yaml").write_text("an editor's leftovers")

    catalog = load_catalog(tmp_path)

    assert catalog.names == ("decision", "drinks", "engineering", "marketing", "menu", "product")
    assert catalog.problems == ()


def test_a_panel_of_the_folder_replaces_the_built_in_one_of_its_name(tmp_path):
    (tmp_path / "decision.yaml").write_text(GOOD)

    catalog = load_catalog(tmp_path)

    assert catalog.names == BUILT_IN
    assert catalog.get("decision").title == "Menu"
    assert load_catalog(None).get("decision").title != "Menu"


def test_one_broken_file_is_reported_and_hides_no_other(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD + "quorum: many\n")
    (tmp_path / "decision.yaml").write_text("")
    (tmp_path / "menu.yaml").write_text(GOOD)

    catalog = load_catalog(tmp_path)

    assert catalog.names == ("decision", "engineering", "marketing", "menu", "product")
    assert catalog.get("decision") == load_catalog(None).get("decision")
    assert catalog.problems == (
        f"{tmp_path}/a.yaml, line 10: quorum cannot be 'many'; write a whole number from 2 to 2 after 'quorum:'",
        f"{tmp_path}/decision.yaml, line 1: the file is empty; begin with 'title:'",
    )


def test_two_files_of_one_name_are_a_problem_and_the_first_one_counts(tmp_path):
    (tmp_path / "a.yaml").write_text("name: menu\n" + GOOD)
    (tmp_path / "b.yaml").write_text("name: menu\n" + GOOD.replace("title: Menu", "title: Other"))

    catalog = load_catalog(tmp_path)

    assert catalog.get("menu").title == "Menu"
    assert catalog.problems == (
        f"{tmp_path}/b.yaml, line 1: another file names a panel 'menu'; give one another 'name:'",
    )


def test_a_binary_file_is_a_problem_that_names_the_place(tmp_path):
    (tmp_path / "cat.yaml").write_bytes(b"title: a\n\x89PNG\r\n\x1a\n\xff")

    (problem,) = load_catalog(tmp_path).problems

    assert problem.startswith(f"{tmp_path}/cat.yaml, line 2: ")
    assert "save the file as UTF-8" in problem


@pytest.mark.parametrize("byte", [b"#", b"\xff", "é".encode()])
def test_a_huge_file_is_a_problem_whatever_is_in_it(tmp_path, byte):
    (tmp_path / "huge.yaml").write_bytes(byte * FILE_LIMIT * 3)

    (problem,) = load_catalog(tmp_path).problems

    assert "larger than 256 KiB" in problem


def test_a_folder_that_looks_like_a_file_and_a_link_to_nothing_are_problems(tmp_path):
    (tmp_path / "menu.yaml").mkdir()
    (tmp_path / "lost.yaml").symlink_to(tmp_path / "nowhere")

    problems = load_catalog(tmp_path).problems

    assert [problem.partition(":")[0] for problem in problems] == [
        f"{tmp_path}/lost.yaml, line 1",
        f"{tmp_path}/menu.yaml, line 1",
    ]
    assert all("not a regular file" in problem for problem in problems)


@pytest.mark.skipif(not UNREADABLE.exists(), reason="needs a file that opens and cannot be read")
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    (tmp_path / "menu.yaml").symlink_to(UNREADABLE)

    (problem,) = load_catalog(tmp_path).problems

    assert problem.startswith(f"{tmp_path}/menu.yaml cannot be read (")


@pytest.mark.parametrize("content", [None, "a file"])
def test_a_folder_that_is_missing_or_none_is_a_problem(tmp_path, content):
    folder = tmp_path / "panels"
    if content is not None:
        folder.write_text(content)

    catalog = load_catalog(folder)

    assert catalog.names == BUILT_IN
    (problem,) = catalog.problems
    assert problem.startswith(f"the folder of panels {folder} cannot be read (")
    assert problem.endswith("create it or correct PANELIST_PANELS")


# Any text

YAML_WORDS = st.sampled_from(
    [
        *(*PANEL_KEYS, *PERSPECTIVE_KEYS, *":-?[]{},#&*!|>'\"%@`~.<=\\\t\r\n\x85\u2028\ufeff\ud800\0🥐"),
        *(
            "\n  ",
            "\n  - ",
            ": ",
            "\n---\n",
            "\n...\n",
            "&a ",
            "*a",
            "<<: ",
            "!!python/name:os ",
            "!!int ",
            "|\n",
            ">-\n",
        ),
        *("%YAML 1.1\n", "%TAG ! a\n", '"\\UFFFFFFFF"', '"\\x00"', "yes", "null", "true", "pro", "flash", "k" * 5_000),
        *(".nan", "-.inf", "0b_", "1e9", "2001-99-99", "12:30:99", "%YAML 1." + "9" * 5_000 + "\n"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
RIGHT = {
    "name": "menu",
    "title": "Menu",
    "description": "What to bake",
    "perspectives": "[{key: a, title: A, instructions: Find out}, {key: b, title: B, instructions: Find out}]",
    "synthesis": "Choose one",
    "quorum": "2",
    "allow_pro_fanout": "true",
    "expert_seconds": "30",
    "run_seconds": "90.5",
    "synthesis_seconds": "45",
    "instructions": "Find out",
    "tier": "pro",
}


def almost_panels() -> st.SearchStrategy[str]:
    """Panels in YAML's flow style, right or with something of another kind in any place."""
    wrong = SCALARS.map(lambda value: ascii(value).replace("'", '"'))

    def mostly(key: str) -> st.SearchStrategy[str]:
        return st.integers(0, 9).flatmap(lambda roll: wrong if roll == 9 else st.just(RIGHT[key]))

    def mapping(needed: dict[str, st.SearchStrategy[str]], optional: tuple[str, ...]) -> st.SearchStrategy[str]:
        parts = st.fixed_dictionaries(needed, optional={key: mostly(key) for key in optional})
        return parts.map(lambda values: "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}")

    def seat(number: int) -> st.SearchStrategy[str]:
        names = {"key": st.just(f"seat_{number}"), "title": st.just(f"Seat {number}")}
        return mapping({**names, "instructions": mostly("instructions")}, ("tier",))

    lists = st.integers(1, 13).flatmap(lambda count: st.tuples(*(seat(number) for number in range(count))))
    perspectives = lists.map(lambda items: f"[{', '.join(items)}]") | mostly("perspectives")
    optional = tuple(key for key in PANEL_KEYS if key not in ("title", "description", "perspectives"))
    lines = {"title": mostly("title"), "description": mostly("description")}
    return mapping({**lines, "perspectives": perspectives}, optional)


@settings(max_examples=700, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.lists(YAML_WORDS | st.text(max_size=3), max_size=40).map("".join),
        st.lists(YAML_WORDS, max_size=8).map(lambda words: GOOD + "".join(words)),
        st.tuples(st.integers(0, len(GOOD)), YAML_WORDS).map(lambda cut: GOOD[: cut[0]] + cut[1] + GOOD[cut[0] :]),
        almost_panels(),
    )
)
def test_any_text_is_a_panel_or_a_broken_panel(text):
    try:
        panel = load_panel(text, "menu.yaml")
    except BrokenPanel as broken:
        said = str(broken)
        assert re.match(r"menu\.yaml, line [1-9][0-9]*: .+; .+", said)
        assert len(said.splitlines()) == 1
        assert int(said.split(":")[0].rpartition(" ")[2]) <= len(text.splitlines()) + 1
    else:
        assert isinstance(panel, PanelSpec)
        assert 2 <= panel.needed <= len(panel.perspectives) <= MOST
        assert 0 < panel.synthesis_seconds < panel.run_seconds < float("inf")
        assert all(seat.instructions.encode() for seat in panel.perspectives)
