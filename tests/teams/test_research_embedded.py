"""Research on a real model, small as it is, and a real library: an honest end, whatever it says on the way."""

import re
from pathlib import Path

import pytest

from bot.compose import EMBEDDED_CHARACTERS, embedded_models
from teams.embedded import embedded_server
from teams.events import ExpertAnswered, ExpertFailed, RunFinished, SynthesisFailed, SynthesisWritten
from teams.lms import close_pools, make_lm
from teams.research import ResearchTeam
from teams.sources.kit import ResearchKit
from teams.sources.library import Library
from teams.sources.updating import update
from teams.tiers import ModelSettings
from tests.teams.research_fakes import of, told

PAGES = {
    "sundays.md": "# Sundays\n\nBakeries may open on Sundays for three hours. The council decides on exceptions.\n",
    "wages.md": "# Wages\n\nSunday work in a bakery is paid with a supplement of half the wage.\n",
    "ovens.md": "# Ovens\n\nAn oven is cleaned once a week and inspected once a year.\n",
}


@pytest.mark.embedded
async def test_research_on_the_built_in_model_and_a_library_ends_with_nothing_that_is_not_there(
    weights: Path, tmp_path
):
    folder, index = tmp_path / "pages", tmp_path / "library.sqlite"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / name).write_text(text)
    await update(index, [folder])
    kit = ResearchKit(library=Library(index), characters=EMBEDDED_CHARACTERS)
    async with embedded_server(weights, slots=2) as api_base:
        lm = make_lm(embedded_models(ModelSettings(), api_base).flash)
        events = await told(ResearchTeam(lm, lm, kit=kit), "May a bakery open on Sundays?")
        await close_pools(lm)

    settled = [*of(ExpertAnswered, events), *of(ExpertFailed, events)]
    assert settled
    assert len(of(SynthesisWritten, events)) + len(of(SynthesisFailed, events)) == 1
    assert isinstance(events[-1], RunFinished)
    for written in of(SynthesisWritten, events):
        summary = written.synthesis.summary
        assert set(re.findall(r"\[(S\d+)\]", summary)) <= {"S1", "S2", "S3"}
        assert "http" not in summary
        assert "Searched: library; " in summary
