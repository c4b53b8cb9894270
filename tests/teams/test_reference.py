"""The patterns that were asked for, with their names and shapes: fan-out, panel, degradation, tiers, shared models."""

import asyncio
import os

import dspy
import pytest

from teams.engine import PooledEngine
from teams.fanout import FanOutTeam
from teams.lms import forget_lms, get_flash_lm, get_pro_lm, get_shared_lm, use_models
from teams.model import Source
from teams.panel import ExpertPanel
from teams.pipeline import ParallelPipeline
from teams.research import ResearchTeam, format_analysis
from teams.retry import call_with_retry
from teams.scripted import Prompt, expert_reply, played, scripted_lm, synthesis_reply
from teams.tiers import DEFAULT_FLASH, DEFAULT_PRO, ModelSettings, default_models

MARKETING = (
    "trend_analyst",
    "brand_guardian",
    "performance_analyst",
    "platform_specialist",
    "contrarian",
    "audience_proxy",
)


async def answer(prompt: Prompt):
    if prompt.perspective:
        return expert_reply(f"{prompt.perspective} answers")
    if "expert_answers" in prompt.fields:
        return synthesis_reply("together")
    if "input_data" in prompt.fields:
        if prompt.fields["perspective"] == "broken":
            raise dspy.lm15.AuthError("no", status=401)
        return {"reasoning": "r", "analysis": f"{prompt.fields['perspective']} on {prompt.fields['input_data']}"}
    return {"reasoning": "r", "ideas": ["an idea"]} if "`ideas`" in prompt.text else {"evidence": ["a fact"]}


async def test_fan_out_runs_n_configurations_of_one_predictor():
    configs = [{"perspective": name, "instructions": "look"} for name in ("a", "b", "c")]
    team = FanOutTeam(scripted_lm(answer), configs)

    result = await team.acall(input_data="figures")

    assert [analysis.analysis for analysis in result.analyses] == ["a on figures", "b on figures", "c on figures"]
    assert result.results == result.analyses
    assert (result.error, result.failed) == (None, [])


async def test_a_failed_configuration_is_listed_and_the_others_stand():
    configs = [{"perspective": name, "instructions": "look"} for name in ("a", "broken", "c")]

    result = await FanOutTeam(scripted_lm(answer), configs).acall(input_data="figures")

    assert len(result.results) == 2
    assert result.error is None
    (failed,) = result.failed
    assert failed["config"] == configs[1]
    assert (failed["kind"], failed["attempts"]) == ("refused", 1)
    assert "key" in failed["error"]


async def test_when_all_fail_the_error_says_so():
    configs = [{"perspective": "broken", "instructions": "look"}] * 3

    result = await FanOutTeam(scripted_lm(answer), configs).acall(input_data="figures")

    assert result.error == "All 3 modules failed"
    assert result.results == []
    assert len(result.failed) == 3


async def test_the_stream_of_a_fan_out_is_in_the_order_finished():
    async def slow_first(prompt: Prompt):
        await asyncio.sleep({"a": 0.05, "b": 0.0}[prompt.fields["perspective"]])
        return {"reasoning": "r", "analysis": "done"}

    configs = [{"perspective": name, "instructions": "look"} for name in ("a", "b")]
    async with FanOutTeam(scripted_lm(slow_first), configs).run("figures") as finished:
        order = [config["perspective"] async for config, _ in finished]

    assert order == ["b", "a"]


async def test_a_cancelled_fan_out_counts_nobody_as_a_success():
    # gather(return_exceptions=True) hands out CancelledError, which is no Exception, as a result.
    started = asyncio.Event()

    async def hang(_: Prompt):
        started.set()
        await asyncio.Event().wait()

    lm = scripted_lm(hang)
    task = asyncio.create_task(FanOutTeam(lm, [{"perspective": "a", "instructions": "x"}]).acall(input_data="d"))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert played(lm).in_flight == 0


async def test_different_modules_run_side_by_side_and_fail_alone():
    result = await ParallelPipeline(scripted_lm(answer)).acall(question="why?")
    assert (result.ideas, result.evidence, result.failed) == (["an idea"], ["a fact"], [])

    async def no_ideas(prompt: Prompt):
        if "`ideas`" in prompt.text:
            raise dspy.lm15.BillingError("no", status=402)
        return {"evidence": ["a fact"]}

    result = await ParallelPipeline(scripted_lm(no_ideas)).acall(question="why?")
    assert result.ideas is None
    assert result.evidence == ["a fact"]
    assert [failed["module"] for failed in result.failed] == ["ideas"]


async def test_the_panel_takes_the_reference_call_and_gives_its_shape():
    panel = ExpertPanel(scripted_lm(answer))

    result = await panel.acall(research_docs="docs", entity_profile="who", content_pillars="what")

    assert tuple(key for key, _ in panel.perspectives) == MARKETING
    assert tuple(analysis.perspective for analysis in result.expert_analyses) == MARKETING
    assert result.expert_analyses[0].headline == "trend_analyst answers"
    assert (result.failed, result.error, result.synthesis) == ([], None, None)


async def test_one_shared_predictor_serves_all_six_perspectives():
    everyone_is_asked = asyncio.Barrier(6)

    async def together(prompt: Prompt):
        await everyone_is_asked.wait()
        return await answer(prompt)

    lm = scripted_lm(together)
    panel = ExpertPanel(lm)
    await panel.acall(research_docs="docs", entity_profile="who", content_pillars="what")

    experts = [name for name, _ in panel.named_predictors() if name.startswith("expert")]
    assert experts == ["expert.predict"]
    assert {prompt.perspective for prompt in played(lm).asked} == set(MARKETING)
    assert played(lm).most_in_flight == 6


async def test_an_experts_prompt_names_its_own_perspective_and_no_other():
    lm = scripted_lm(answer)
    await ExpertPanel(lm).acall(topic="Open on Sundays?")

    for prompt in played(lm).asked:
        others = [key for key in MARKETING if key != prompt.perspective and key in prompt.text]
        assert others == []


async def test_inputs_that_are_empty_are_absent_from_the_prompt():
    lm = scripted_lm(answer)
    await ExpertPanel(lm).acall(topic="Open on Sundays?", entity_profile="a bakery")

    for prompt in played(lm).asked:
        assert "entity_profile" in prompt.text
        assert "research_docs" not in prompt.text
        assert "content_pillars" not in prompt.text


async def test_the_strong_model_writes_the_synthesis_and_no_expert_uses_it():
    flash, pro = scripted_lm(answer), scripted_lm(answer, "scripted/pro")

    result = await ExpertPanel(flash, pro).acall(topic="Open on Sundays?")

    assert result.synthesis.summary == "together"
    assert result.synthesis.model == "scripted/pro"
    assert [prompt.perspective for prompt in played(pro).asked] == [""]
    assert all(prompt.perspective for prompt in played(flash).asked)


@pytest.mark.parametrize(
    "make", [lambda: ExpertPanel(None), lambda: FanOutTeam(None, []), lambda: ParallelPipeline(None)]
)
def test_a_team_without_its_model_is_refused(make):
    with pytest.raises(ValueError, match="shared_lm required"):
        make()


@pytest.mark.parametrize("given", [(None, None), ("flash", None), (None, "pro")])
def test_research_needs_both_models(given):
    with pytest.raises(ValueError, match="Both flash_lm and pro_lm required"):
        ResearchTeam(*given)


async def test_research_searches_analyses_and_answers_on_the_tiers_of_the_reference():
    async def flash_script(prompt: Prompt):
        if "next_tool_name" in prompt.text:
            return {"next_thought": "enough", "next_tool_name": "finish", "next_tool_args": {}}
        if "`raw_results`" in prompt.text:
            return {"reasoning": "r", "raw_results": "shops open on Sundays [S1]"}
        assert prompt.fields["data"].startswith("[S1] 'a.md':\n> Shops open")
        quote = "Shops open on Sundays"
        return {"findings": [{"claim": "Shops open on Sundays.", "source": "S1", "quote": quote}], "gaps": ["why"]}

    async def pro_script(prompt: Prompt):
        assert prompt.fields["analysis"].startswith("Findings:\n- Shops open on Sundays. [S1] says:")
        return synthesis_reply("Shops open on Sundays [S1].")

    sources = [Source("a.md", "Shops open on Sundays, as they say.")]
    team = ResearchTeam(scripted_lm(flash_script), scripted_lm(pro_script, "scripted/pro"), sources=sources)
    result = await team.acall(query="Do shops open?")

    assert isinstance(team.search_agent, dspy.ReAct)
    assert team.search_agent.max_iters == 5
    assert result.summary.startswith("Shops open on Sundays [S1].\n\n### Sources and what was checked\n\n- **S1** a.md")


def test_format_analysis_names_findings_and_gaps():
    text = format_analysis(dspy.Prediction(findings=["x"], gaps=[]))
    assert text == "Findings:\n- x\n\nGaps:\n- none"


async def test_retry_and_degradation_work_together():
    tries = 0

    async def flaky(prompt: Prompt):
        nonlocal tries
        if prompt.fields["perspective"] == "flaky":
            tries += 1
            if tries == 1:
                raise dspy.lm15.ServerError("once", status=500)
        return await answer(prompt)

    configs = [{"perspective": name, "instructions": "x"} for name in ("flaky", "broken")]
    result = await FanOutTeam(scripted_lm(flaky), configs).acall(input_data="d")

    assert tries == 2
    assert len(result.results) == 1
    assert [failed["config"]["perspective"] for failed in result.failed] == ["broken"]


async def test_call_with_retry_gives_what_the_module_gives():
    class Module:
        async def acall(self, **inputs):
            return inputs

    assert await call_with_retry(Module(), "module_0", input={"a": 1}) == {"input": {"a": 1}}


@pytest.fixture
async def fresh_lms():
    await forget_lms()
    yield
    await forget_lms()


@pytest.mark.usefixtures("fresh_lms")
async def test_two_lm_objects_exist_after_a_hundred_panels():
    use_models(default_models(ModelSettings(_env_file=None)))
    made = {id(lm) for _ in range(100) for lm in _models_of(ExpertPanel(get_flash_lm(), get_pro_lm()))}

    assert made == {id(get_flash_lm()), id(get_pro_lm())}
    assert get_shared_lm() is get_flash_lm()


def _models_of(panel):
    return [predictor.lm for predictor in panel.predictors()]


@pytest.mark.usefixtures("fresh_lms")
async def test_the_tiers_have_the_references_defaults_and_limits():
    use_models(default_models(ModelSettings.model_construct(**_no_environment())))

    flash, pro = get_flash_lm(), get_pro_lm()

    assert (flash.model, pro.model) == (DEFAULT_FLASH, DEFAULT_PRO)
    assert flash.engine.choice.max_parallel_requests == 2000
    assert pro.engine.choice.max_parallel_requests == 100
    assert flash.engine.choice.timeout == pro.engine.choice.timeout == 120
    assert isinstance(flash.engine.pooled, PooledEngine)
    assert (flash.cache, flash.num_retries) == (False, 0)


def _no_environment() -> dict:
    names = ModelSettings.model_fields
    assert not {name.upper() for name in names} & os.environ.keys(), "unset the models' variables to run the tests"
    return {name: field.default for name, field in names.items()}


async def test_forward_serves_callers_without_a_loop_and_refuses_inside_one():
    panel = ExpertPanel(scripted_lm(answer))

    result = await asyncio.to_thread(panel, topic="Open?")
    assert len(result.expert_analyses) == 6

    with pytest.raises(RuntimeError, match=r"await \.acall"):
        panel(topic="Open?")
