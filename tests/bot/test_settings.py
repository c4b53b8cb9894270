"""Settings: read once, all faults together, no value of a key ever shown."""

import traceback

import pytest

from bot.settings import BadSettings, load_settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in (
        "FLASH_TIMEOUT",
        "PRO_API_BASE",
        "PANELIST_LOG",
        "PANELIST_HOME",
        "OPENAI_API_KEY",
        "FLASH_MODEL",
        "DATABASE_URL",
    ):
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


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgresql://u:p%40@h:5433/d?sslmode=require", "postgresql://u:p%40@h:5433/d?sslmode=require"),
        ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+psycopg://u:p@h/d", "postgresql://u:p@h/d"),
        (" Postgres://u:p@one:1,two:2/d ", "postgresql://u:p@one:1,two:2/d"),
    ],
)
def test_a_database_is_named_by_a_url_of_postgres_in_any_usual_form(monkeypatch, given, taken):
    monkeypatch.setenv("DATABASE_URL", given)
    bot = load_settings().bot
    assert bot.database_url.get_secret_value() == taken
    assert "p%40" not in repr(bot)


@pytest.mark.parametrize("unset", ["", None])
def test_without_a_database_url_runs_are_in_files(monkeypatch, unset):
    if unset is not None:
        monkeypatch.setenv("DATABASE_URL", unset)
    assert load_settings().bot.database_url is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("mysql://u:CANARY@h/d", "it begins with mysql://, and only Postgres can be used"),
        ("sqlite:///CANARY", "it begins with sqlite://, and only Postgres can be used"),
        ("postgresql+asyncpg://u:CANARY@h/d", "it begins with postgresql+asyncpg://, and only"),
        ("u:CANARY@h/d", "it is no address of a database"),
        ("CANARY", "it is no address of a database"),
        ("postgresql://u:CANARY@h/d?CANARY=1", "Postgres cannot read it"),
        ("postgresql://u:CAN%ARY@h/d", "Postgres cannot read it"),
    ],
)
def test_a_database_url_that_cannot_be_used_is_one_sentence_without_the_password(monkeypatch, given, why):
    monkeypatch.setenv("DATABASE_URL", given)
    with pytest.raises(BadSettings) as caught:
        load_settings()
    (fault,) = caught.value.faults
    assert fault.startswith("DATABASE_URL: ")
    assert why.lower() in fault.lower()
    assert "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in fault
    told = "".join(traceback.format_exception(caught.value))
    assert "ARY" not in fault + told
