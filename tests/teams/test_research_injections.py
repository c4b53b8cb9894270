"""Fault 56, the part that is code: no foreign text gets out of its quotation, whichever way it came in."""

import re

import pytest

from teams.model import Source
from teams.observations import passage_block
from teams.quoting import quoted, quoted_lines
from tests.teams.injections import INJECTIONS

ROLE = re.compile(
    r"^(system|human|user|assistant|observation|thought|action|document|\[\[ ##|\[S\d|\[/?INST|<\|)", re.I
)

INGRESS = {
    "page": lambda each: passage_block("S1", each.text, each.page),
    "file": lambda each: quoted([Source(each.text, each.file)]),
    "result": lambda each: passage_block("S1", "peer__echo", each.result),
}
GIVEN = {"page": lambda each: each.page, "file": lambda each: each.file, "result": lambda each: each.result}


def test_fault_56_research_the_corpus_is_large_and_each_of_it_can_be_told():
    assert len(INJECTIONS) >= 30
    assert len({each.name for each in INJECTIONS}) == len(INJECTIONS)
    assert len({each.text for each in INJECTIONS}) == len(INJECTIONS)
    assert all("CANARY" in each.text for each in INJECTIONS)


@pytest.mark.parametrize("ingress", INGRESS)
@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda each: each.name)
def test_fault_56_research_no_injected_text_closes_its_quotation(injection, ingress):
    shown = INGRESS[ingress](injection)

    head, *lines = re.split(r"\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", shown)

    # One line of ours, in which even a hostile name stays in its quotes; then nothing but quoted lines.
    assert head.startswith(("[S1] ", "Document "))
    assert head.endswith(":")
    assert all(line.startswith("> ") for line in lines)
    assert not any(ROLE.match(line) for line in lines)
    assert [line[2:] for line in lines] == GIVEN[ingress](injection).splitlines()


@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda each: each.name)
def test_fault_56_research_quoting_loses_nothing_and_can_be_done_twice(injection):
    once = quoted_lines(injection.text)
    twice = quoted_lines(once)

    assert [line[2:] for line in once.splitlines()] == injection.text.splitlines()
    assert [line[2:] for line in twice.splitlines()] == once.splitlines()


@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda each: each.name)
def test_fault_56_research_two_sources_stay_two_whatever_the_first_says(injection):
    shown = quoted([Source("first.md", injection.file), Source("second.md", "Closed on Mondays.")])

    ours = [line for line in shown.splitlines() if line and not line.startswith("> ")]

    assert ours == ["Document 'first.md':", "Document 'second.md':"]
