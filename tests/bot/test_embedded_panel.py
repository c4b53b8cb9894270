"""The whole path on a real model: the built-in one, through the same settings, engine and schema as any other."""

from pathlib import Path

import pytest

from bot.compose import embedded_models
from teams.embedded import embedded_server
from teams.events import ExpertAnswered, ExpertFailed, RunFinished, SynthesisFailed, SynthesisWritten
from teams.lms import close_pools, make_lm
from teams.model import PanelInputs, PanelSpec, Perspective
from teams.panel import ExpertPanel
from teams.tiers import ModelSettings

SEATS = (
    Perspective("cost_examiner", "Cost examiner", "Say what it costs and what it brings."),
    Perspective("people_advocate", "People advocate", "Say what it means for those who work there."),
)


@pytest.mark.embedded
async def test_a_real_model_answers_a_panel_in_the_form_that_is_asked_for(weights: Path):
    spec = PanelSpec("small", "Small", "for tests", SEATS).stretched(5)
    async with embedded_server(weights, slots=2) as api_base:
        choice = embedded_models(ModelSettings(), api_base).flash
        lm = make_lm(choice)
        async with ExpertPanel(lm, lm, spec=spec).run(PanelInputs("Should our bakery open on Sundays?")) as stream:
            events = [event async for event in stream]
        await close_pools(lm)

    answers = [event.answer for event in events if isinstance(event, ExpertAnswered)]
    # One answer in twenty of this tiny model does not fit its form; then that is what the events have to say.
    assert len(answers) + sum(isinstance(event, ExpertFailed) for event in events) == 2
    assert answers
    for answer in answers:
        assert 0 < len(answer.headline) <= 140
        assert len(answer.analysis) <= choice.longest_string
        assert 0 <= answer.confidence <= 1
    assert any(isinstance(event, SynthesisWritten | SynthesisFailed) for event in events)
    assert isinstance(events[-1], RunFinished)


@pytest.mark.embedded
async def test_an_answer_at_the_token_limit_is_cut_off_and_no_success(weights: Path):
    from dataclasses import replace

    spec = PanelSpec("small", "Small", "for tests", SEATS).stretched(5)
    async with embedded_server(weights, slots=2) as api_base:
        lm = make_lm(replace(embedded_models(ModelSettings(), api_base).flash, max_tokens=10))
        result = await ExpertPanel(lm, spec=spec).acall(topic="Should our bakery open on Sundays?")
        await close_pools(lm)
    assert {failed["kind"] for failed in result.failed} == {"cut_off"}
