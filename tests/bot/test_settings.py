"""Settings: read once, all faults together, no value of a key ever shown."""

import pytest

from bot.settings import BadSettings, load_settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("FLASH_TIMEOUT", "PRO_API_BASE", "PANELIST_LOG", "PANELIST_HOME", "OPENAI_API_KEY", "FLASH_MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_all_faults_are_reported_together(monkeypatch):
    monkeypatch.setenv("FLASH_TIMEOUT", "soon")
    monkeypatch.setenv("PRO_API_BASE", "sk-CANARY")
    monkeypatch.setenv("PANELIST_LOG", "loud")
    with pytest.raises(BadSettings) as caught:
        load_settings()
    text = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 3
    for name in ("FLASH_TIMEOUT", "PRO_API_BASE", "PANELIST_LOG"):
        assert name in text
    assert "CANARY" not in text


def test_an_empty_variable_is_no_variable(monkeypatch):
    monkeypatch.setenv("FLASH_TIMEOUT", "")
    assert load_settings().models.flash_timeout == 120


def test_settings_do_not_show_keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY")
    assert "CANARY" not in repr(load_settings())


def test_the_data_folder_has_a_default_outside_the_working_directory():
    assert load_settings().bot.panelist_home.is_absolute()
