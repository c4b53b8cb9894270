"""The doctor: looks at settings, models, sources and the data folder, and says what to do about each fault."""

import os
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from adapters.safety import one_line
from bot import chat, compose
from bot.download import showing_download
from bot.errors import StoreFailed
from bot.model_teams import ModelTeams
from bot.settings import BadSettings, Settings
from teams.catalog import Catalog
from teams.tiers import KEY_BY_PROVIDER, ModelChoice

PING_SECONDS = 60.0
"""How long one tiny call may take; the built-in model needs a few seconds to load."""


def report_settings(error: BadSettings) -> int:
    """Say which settings cannot be used; exit code 1."""
    for fault in error.faults:
        _say(False, "settings", fault)
    return 1


async def examine(settings: Settings, catalog: Catalog) -> int:
    """Look at everything and report each finding on stdout; exit code 0 when nothing is wrong, else 1."""
    healthy = _say(True, "settings", "read")
    healthy &= _data_folder(settings.bot.panelist_home)
    healthy &= _run_databases(settings.bot.panelist_home, settings.bot.database_url)
    for problem in catalog.problems:
        healthy &= _say(False, "panels", problem)
    healthy &= _say(True, "panels", f"{', '.join(catalog.names)}")
    async for fine, what, sentence in _models(settings):
        healthy &= _say(fine, what, sentence)
    async for fine, what, sentence in _sources(settings):
        healthy &= _say(fine, what, sentence)
    healthy &= await _chat(settings)
    return 0 if healthy else 1


async def _sources(settings: Settings) -> AsyncIterator[tuple[bool, str, str]]:
    from bot.examine_sources import examine_sources

    async for finding in examine_sources(settings):
        yield finding


async def _chat(settings: Settings) -> bool:
    """Each chat platform: what is missing to set it up, or whether it answers and grants what the bot needs."""
    from bot.house import served_folder

    healthy = True
    setup = chat.setup_of(settings.bot, served_folder(settings.bot.panelist_home))
    for sentence in setup.missing:
        _say(True, "chat", sentence)
    if not setup.slack.missing:
        from adapters.slack.examine import examine as examine_slack

        async for fine, sentence in examine_slack(setup.slack):
            healthy &= _say(fine, "slack", sentence)
    if not setup.discord.missing:
        from adapters.discord.examine import examine as examine_discord

        async for fine, sentence in examine_discord(setup.discord):
            healthy &= _say(fine, "discord", sentence)
    return healthy


def _say(fine: bool, what: str, sentence: str) -> bool:
    sys.stdout.write(f"{'ok   ' if fine else 'FAULT'} {one_line(what)}: {one_line(sentence)}\n")
    return fine


def _data_folder(home: Path) -> bool:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else "not writable"
        return _say(False, "data folder", f"{home}: {why}; set PANELIST_HOME to a folder you may write to")
    return _say(True, "data folder", str(home))


def _run_databases(home: Path, url: SecretStr | None) -> bool:
    # SQLAlchemy takes a moment to import; whoever only wants help does not wait for it.
    from bot.house import run_databases, served_folder
    from bot.runs_at import runs_at
    from bot.store import read_runs

    try:
        kept = [run for at in run_databases(home, url) for run in read_runs(at.reader(), most=1_000)]
        served = runs_at(served_folder(home), url).in_use()
    except StoreFailed as error:
        return _say(False, "runs", str(error) if url else f"{error}; put the file aside to begin with a new one")
    under_way = sum(not run.ended for run in kept)
    said = f"{len(kept)} kept in {f'Postgres and {home}' if url else home / 'runs'}, {under_way} of them not over"
    return _say(True, "runs", f"{said}; served now" if served else said)


async def _models(settings: Settings) -> AsyncIterator[tuple[bool, str, str]]:
    with showing_download() as downloading:
        try:
            async with (
                compose.models_ready(compose.Wanted(settings, downloading)) as models,
                ModelTeams(models) as teams,
            ):
                await teams.load()
                if models.notice:
                    yield True, "models", models.notice
                for tier, choice in (("flash", models.flash), ("pro", models.pro)):
                    yield await _ping(tier, choice)
        except compose.NoModel as error:
            yield False, "models", str(error)


class _Ping:
    """One tiny call in the shape that `call_with_retry` takes."""

    def __init__(self, lm: Any) -> None:
        self._lm = lm

    async def acall(self, **_: Any) -> Any:
        return await self._lm.acall("Answer with one word: ready")


async def _ping(tier: str, choice: ModelChoice) -> tuple[bool, str, str]:
    from teams.failures import CallFailed
    from teams.lms import get_flash_lm, get_pro_lm
    from teams.model import FailureKind
    from teams.retry import CallLimits, call_with_retry

    lm = get_flash_lm() if tier == "flash" else get_pro_lm()
    what = f"{tier} model {choice.model}"
    try:
        await call_with_retry(_Ping(lm), f"doctor.{tier}", limits=CallLimits(seconds=PING_SECONDS, tries=1))
    except CallFailed as failed:
        # A model that talks past its limit is there and talks.
        if failed.failure.kind is not FailureKind.CUT_OFF:
            where = f" at {choice.api_base}" if choice.api_base else ""
            return False, what, f"{failed.failure.sentence}{where}; {_remedy(tier, choice)}"
    return True, what, "answers"


def _remedy(tier: str, choice: ModelChoice) -> str:
    name = tier.upper()
    if choice.api_base is not None:
        return f"check {name}_API_BASE, {name}_MODEL and, if the server wants one, {name}_API_KEY"
    key = KEY_BY_PROVIDER.get(choice.model.partition("/")[0], "the provider's key")
    return f"check {name}_MODEL and {key.upper() if key.endswith('_api_key') else key}"
