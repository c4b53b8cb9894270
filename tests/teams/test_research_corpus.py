"""Research on real manuals: what an answer cites is there, and what it quotes stands in the file."""

import asyncio
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bot.compose import EMBEDDED_CHARACTERS, embedded_models
from teams.embedded import embedded_server
from teams.events import SynthesisWritten
from teams.evidence.answer import SOURCES
from teams.evidence.quotes import as_it_stands
from teams.lms import close_pools, make_lm
from teams.research import STAGE_LIMITS, ResearchTeam
from teams.scripted import Prompt, scripted_lm
from teams.sources.kit import ResearchKit
from teams.sources.library import Library
from teams.sources.updating import update
from teams.steps import MemorySteps
from teams.tiers import ModelSettings
from teams.trail import recorded_evidence
from tests.teams.research_fakes import answer, of, told, turn

MANUAL = Path("/usr/share/doc/git-doc")
PAGES = """
    add am apply archive bisect blame branch bundle checkout cherry-pick clean clone commit describe diff fetch
    grep log merge merge-base pull push rebase revert stash
    """.split()  # noqa: SIM905 - a list of 25 quoted words would be half a page

PATIENT = replace(STAGE_LIMITS, seconds=240.0)
"""A machine that is busy with other tests takes its time."""

QUESTIONS = {
    "How does git find a merge base of two commits?": ("best common ancestor\nthree-way merge", "git-merge-base.txt"),
    "Which commit introduced a bug?": ("binary search commit introduced bug", "git-bisect.txt"),
    "Can I put away changes of a dirty working directory?": ("dirty working directory save changes", "git-stash.txt"),
    "Who changed a line last?": ("annotate each line revision author", "git-blame.txt"),
}


@pytest.fixture(scope="module")
def manual(tmp_path_factory) -> Path:
    """The manual's pages as a folder of the user's."""
    if not MANUAL.exists():
        pytest.skip("the Debian package git-doc is not installed")
    folder = tmp_path_factory.mktemp("home") / "git-doc"
    folder.mkdir()
    for page in PAGES:
        shutil.copy(MANUAL / f"git-{page}.txt", folder)
    return folder


@pytest.fixture(scope="module")
def library(manual: Path) -> Library:
    """A library of these pages, read as any folder is."""
    file = manual.parent / "library.sqlite"
    done = asyncio.run(update(file, [manual]))
    assert (done.read, done.problems) == (len(PAGES), [])
    return Library(file)


def evidence_of(steps: MemorySteps):
    return recorded_evidence({key: json.loads(result) for key, result in steps.results.items()})


def one_line(text: str) -> str:
    return " ".join(text.split())


def file_text(manual: Path, where: str) -> str:
    """What stands in the file that a source names."""
    return one_line((manual.parent / where).read_text())


def quoted(summary: str) -> list[tuple[str, str]]:
    """What an answer quotes, inline or as a block, and the source named behind it."""
    body = summary.split(SOURCES)[0]
    found = re.findall(r"“([^”]+)” \[(S\d+)\]", body) + re.findall(r"^> (.+) \[(S\d+)\]$", body, re.MULTILINE)
    return [(one_line(re.sub(r"\\(?=\W)", "", words)), source) for words, source in found]


class Reader:
    """Models that read: one searches with words of its own and cites a line of each passage, one answers with these."""

    def __init__(self, words: str) -> None:
        self.turns = [turn("search_library", query=words), turn()]
        self.lines: dict[str, str] = {}

    async def search(self, prompt: Prompt):
        if "`next_tool_name` (str)" in prompt.text:
            return self.turns.pop(0)
        if "`raw_results`" in prompt.text:
            return {"reasoning": "r", "raw_results": "See the passages."}
        for source, passage in re.findall(r"^\[(S\d+)\] .*:\n((?:> .*\n?)+)", prompt.fields["data"], re.MULTILINE):
            self.lines[source] = max((line[2:].strip() for line in passage.splitlines()), key=len)
        findings = [{"claim": line, "source": source, "quote": line} for source, line in self.lines.items()]
        return {"findings": findings, "gaps": []}

    async def answer(self, _: Prompt):
        return answer(" ".join(f"It says “{line}” [{source}]." for source, line in self.lines.items()))


@pytest.mark.parametrize("question", QUESTIONS)
async def test_research_in_real_manuals_cites_sources_that_exist_and_quotes_what_stands_in_the_file(
    library, manual, question
):
    words, page = QUESTIONS[question]
    reader, steps = Reader(words), MemorySteps()
    made = ResearchTeam(
        scripted_lm(reader.search), scripted_lm(reader.answer, "scripted/pro"), kit=ResearchKit(library=library)
    )
    (written,) = of(SynthesisWritten, await told(made, question, steps=steps))
    summary = written.synthesis.summary
    ledger, claims = evidence_of(steps)

    assert f"git-doc/{page}" in [evidence.where for evidence in ledger.all]
    assert {claim.verdict for claim in claims} <= {"supported", "qualified"}
    for claim in claims:
        for each in claim.spans:
            evidence = ledger.get(each.source)
            assert one_line(as_it_stands(evidence.text, each.span)) in file_text(manual, evidence.where)
    cited = set(re.findall(r"\[(S\d+)\]", summary))
    assert cited == set(reader.lines) <= {evidence.id for evidence in ledger.all}
    assert len(quoted(summary)) == len(reader.lines)
    for text, source in quoted(summary):
        assert text in file_text(manual, ledger.get(source).where)
    assert str(manual.parent) not in summary


@pytest.mark.embedded
async def test_research_in_real_manuals_on_the_built_in_model_cites_a_source_that_exists(weights, library, manual):
    steps = MemorySteps()
    kit = ResearchKit(library=library, characters=EMBEDDED_CHARACTERS)
    async with embedded_server(weights, slots=2) as api_base:
        lm = make_lm(embedded_models(ModelSettings(), api_base).flash)
        events = await told(
            ResearchTeam(lm, lm, kit=kit, limits=PATIENT), "How does git find a merge base?", steps=steps
        )
        await close_pools(lm)
    (written,) = of(SynthesisWritten, events)
    summary = written.synthesis.summary
    ledger, _ = evidence_of(steps)

    cited = set(re.findall(r"\[(S\d+)\]", summary))
    assert cited
    assert cited <= {evidence.id for evidence in ledger.all}
    for text, source in quoted(summary):
        assert text in file_text(manual, ledger.get(source).where)
    assert str(manual.parent) not in summary
