"""Which models are chosen from which settings, and that a key goes to its own provider only."""

import pytest
from pydantic import SecretStr, ValidationError

from teams.tiers import DEFAULT_FLASH, DEFAULT_PRO, ModelSettings, choose_models, default_models, local_models


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ModelSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def chosen(**settings):
    return choose_models(ModelSettings(**settings))


def test_without_any_setting_nothing_is_chosen_and_the_defaults_are_geminis():
    assert chosen() is None
    models = default_models(ModelSettings())
    assert (models.flash.model, models.pro.model) == (DEFAULT_FLASH, DEFAULT_PRO)


@pytest.mark.parametrize(
    ("key", "provider"),
    [("google_api_key", "gemini"), ("openai_api_key", "openai"), ("anthropic_api_key", "anthropic")],
)
def test_one_key_alone_chooses_fitting_defaults_and_is_used(key, provider):
    models = chosen(**{key: "k-1"})
    for choice in (models.flash, models.pro):
        assert choice.model.startswith(f"{provider}/")
        assert choice.api_key == SecretStr("k-1")
    assert models.flash.model != models.pro.model
    assert models.notice == ""


def test_a_key_is_never_sent_to_another_provider_or_to_a_server_of_ones_own():
    models = chosen(google_api_key="k-1", flash_model="openai/gpt", pro_api_base="http://host/v1", pro_model="m")
    assert models.flash.api_key is None
    assert models.pro.api_key is None


def test_a_server_of_ones_own_gets_the_key_meant_for_it():
    models = chosen(flash_api_base="http://host:1/v1", flash_model="m", flash_api_key="own", openai_api_key="k")
    assert models.flash.api_key == SecretStr("own")


def test_one_named_tier_serves_both_and_says_so():
    flash_only = chosen(flash_model="ollama/x")
    assert flash_only.pro.model == "ollama/x"
    assert flash_only.pro.max_parallel_requests == 100
    assert "PRO_MODEL is not set" in flash_only.notice

    pro_only = chosen(pro_model="ollama/y")
    assert pro_only.flash.model == "ollama/y"
    assert "FLASH_MODEL is not set" in pro_only.notice


def test_limits_and_formats_are_per_tier():
    models = chosen(openai_api_key="k", flash_max_parallel_requests=7, pro_timeout=9, pro_answer_format="json_schema")
    assert (models.flash.max_parallel_requests, models.pro.max_parallel_requests) == (7, 100)
    assert (models.flash.timeout, models.pro.timeout) == (120, 9)
    assert (models.flash.answer_format, models.pro.answer_format) == ("chat", "json_schema")


def test_a_local_server_constrains_answers_and_needs_no_key():
    models = local_models(ModelSettings(), "ollama/m", "m", "http://127.0.0.1:1/v1", "found")
    assert models.flash.answer_format == "json_schema"
    assert (models.flash.api_key, models.notice) == (None, "found")


@pytest.mark.parametrize(
    "bad",
    [{"flash_timeout": 0}, {"pro_max_parallel_requests": 0}, {"flash_api_base": "host:80"}, {"flash_timeout": "inf"}],
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValidationError):
        ModelSettings(**bad)


def test_white_space_around_a_key_is_dropped_and_a_key_of_other_signs_refused():
    assert ModelSettings(openai_api_key="k-1\n").openai_api_key == SecretStr("k-1")
    with pytest.raises(ValidationError, match="copy it again"):
        ModelSettings(openai_api_key="k\x1b1")


@pytest.mark.parametrize("base", ["http://user:word@host/v1", "http://host /v1"])
def test_an_address_with_a_login_or_a_gap_is_refused(base):
    with pytest.raises(ValidationError):
        ModelSettings(flash_model="m", flash_api_base=base)


def test_a_server_without_a_model_to_ask_it_for_is_refused():
    with pytest.raises(ValidationError, match="PRO_MODEL has to say"):
        ModelSettings(pro_api_base="http://host/v1")


def test_a_key_is_not_shown():
    assert "k-secret" not in repr(chosen(openai_api_key="k-secret")) + repr(ModelSettings(openai_api_key="k-secret"))
