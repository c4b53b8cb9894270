import gc
import re
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.split import cut, split

LINE = st.one_of(
    st.sampled_from(
        [
            "",
            "",
            "   ",
            "```",
            "```python",
            "~~~",
            "~~~~ text",
            "  ```",
            "    ```js",
            "> ```sh",
            "> quoted ```",
            "1. ```bash",
            "`````",
            "```a`b",
            "| a | b |",
            "|---|---|",
            "| 1 | 2 |",
            "# Heading",
            "```" + "i" * 300,
            "`" * 90,
        ]
    ),
    st.text(alphabet="ab .!?|`~>-\u0301\u200d👩🏽🇩\ud83d\udc69", max_size=60),
    st.text(alphabet="word. ", min_size=150, max_size=700),
)
MARKDOWN = st.lists(LINE, max_size=60).map("\n".join)
LIMITS = st.integers(200, 900)


def open_fence(text: str, longest: int) -> str | None:
    """What a screen would still see open: CommonMark's rule, any indentation, quotes and list markers allowed.

    A marker longer than `longest` with its indentation is no fence to the splitter: closing it would fill the part.
    """
    marker, quoted = None, False
    for line in text.split("\n"):
        if marker and not (quoted and not line.lstrip().startswith(">")):
            closer = re.fullmatch(r"[ \t>]*(`+|~+)[ \t]*", line)
            if closer and closer[1][0] == marker[0] and len(closer[1]) >= len(marker):
                marker = None
            continue
        marker = None
        opener = re.match(r"([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,}(?!.*`)|~{3,})", line)
        if opener and len(opener[1] + opener[2]) <= longest:
            marker, quoted = opener[2], ">" in opener[1]
    return marker


@settings(max_examples=1500, deadline=None)
@given(MARKDOWN, LIMITS)
def test_the_bodies_are_the_text(markdown: str, limit: int) -> None:
    assert "".join(part.body for part in cut(markdown, limit)) == markdown


@settings(max_examples=1500, deadline=None)
@given(MARKDOWN, LIMITS)
def test_every_part_fits_and_adds_only_fences_and_table_heads(markdown: str, limit: int) -> None:
    for part in cut(markdown, limit):
        assert 0 < len(part.text) <= limit
        assert part.body
        assert re.fullmatch(r"|[ \t>]*(`{3,}|~{3,}).*\n|.*\|.*\n|.*\|.*\n[ |:-]+\n", part.opening)
        assert re.fullmatch(r"|\n?[ \t>]*(`{3,}|~{3,})", part.closing)


@settings(max_examples=1500, deadline=None)
@given(MARKDOWN, LIMITS)
def test_fences_are_balanced_in_every_part(markdown: str, limit: int) -> None:
    assert [part for part in split(markdown, limit) if open_fence(part, limit // 4 // 2)] == []


@settings(max_examples=1000, deadline=None)
@given(MARKDOWN, LIMITS)
@example("e\u0301" * 500, 200)
@example("👩🏽\u200d🔬" * 200, 201)
@example("🇩🇪" * 300, 203)
def test_no_mark_is_parted_from_its_character(markdown: str, limit: int) -> None:
    for before, part in pairwise(cut(markdown, limit)):
        if not before.body.endswith("\n") and not re.search("[\u0301\u200d🏽🇩]{20}", markdown):
            assert unicodedata.category(part.body[0]) not in ("Mn", "Mc", "Me")
            assert part.body[0] not in "\u200d🏽"


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet="abc \n", min_size=1, max_size=200).filter(str.strip))
def test_what_fits_is_one_part(markdown: str) -> None:
    assert split(markdown, 200) == (markdown.strip("\n"),)


@settings(max_examples=1000, deadline=None)
@given(st.integers(1, 40), st.integers(20, 200), st.integers(200, 2000), st.sampled_from(["```", "~~~", "~~~~~"]))
def test_code_that_is_cut_is_code_in_every_part(before: int, after: int, limit: int, marker: str) -> None:
    code = [f"line_{number} = {number}" for number in range(before + after)]
    parts = split("\n".join(["Intro.", "", f"{marker}python", *code, marker, "", "Outro."]), limit)
    inside = [part for part in parts if "line_" in part]
    for part in inside:
        assert part.count(f"{marker}python\n") == 1
        assert part.split(f"\n{marker}")[-1] in ("", "\n\nOutro.") or part.endswith(marker)
    assert [line for part in parts for line in part.split("\n") if line.startswith("line_")] == code


def test_a_long_table_says_its_head_in_every_part() -> None:
    rows = [f"| {number} | row {number} |" for number in range(10_000)]
    parts = split("\n".join(["Before.", "", "| n | name |", "|---|------|", *rows, "", "After."]), 2000)
    shown = [part for part in parts if "| row " in part]
    assert all("| n | name |\n|---|------|\n| " in part for part in shown)
    assert [line for part in shown for line in part.split("\n") if "| row " in line] == rows


def test_no_table_head_and_no_fence_is_left_alone_at_the_end_of_a_part() -> None:
    for size in range(100, 190):
        table = "x" * size + "\n\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 30
        assert not any(part.endswith(("|---|---|", "| a | b |")) for part in split(table, 200))
        code = "x" * size + "\n\n```py\n" + "call()\n" * 30 + "```\n"
        assert not any(re.search(r"```py\n```", part) for part in split(code, 200))


@pytest.mark.parametrize(
    ("markdown", "first"),
    [
        ("a " * 70 + "\n\n" + "b. " * 10 + "\n" + "c " * 50, "a " * 70),
        ("a " * 70 + "\n" + "b. " * 10 + "c " * 50, "a " * 70),
        ("a " * 70 + "end. " + "c " * 50, "a " * 70 + "end. "),
        ("a " * 200, "a " * 100),
        ("a" * 300, "a" * 200),
    ],
    ids=["blank line", "line", "sentence", "word", "character"],
)
def test_the_cut_is_at_the_best_boundary(markdown: str, first: str) -> None:
    assert split(markdown, 200)[0] == first


def test_a_limit_that_is_too_small_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="limit is 199: parts need at least 200"):
        split("text", 199)


@pytest.mark.parametrize(
    "markdown",
    [
        "x" * 200_000,
        "word " * 40_000,
        "\n" * 200_000,
        "```\n" * 50_000,
        "> " * 100_000,
        "- " * 100_000,
        "`" * 200_000,
        " " * 200_000 + "|",
        "|-" * 100_000,
        "|a|b|\n|-|-|\n" * 15_000,
        "a\u0301" * 100_000,
        "\u0301" * 200_000,
        "~~~x\n" + "code\n" * 40_000,
        "\n \t" * 66_000,
    ],
    ids=lambda text: repr(text[:8]),
)
@pytest.mark.parametrize("limit", [200, 2000, 12_000])
def test_200_000_characters_take_less_than_a_second(markdown: str, limit: int) -> None:
    # What this thread spends on it: others use the machine too, and the collector would walk over all that they hold.
    gc.freeze()
    before = time.thread_time()
    parts = cut(markdown, limit)
    took = time.thread_time() - before
    gc.unfreeze()
    assert took < 1
    assert "".join(part.body for part in parts) == markdown
