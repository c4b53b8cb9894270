"""Composition: settings to models that answer. What has to be started and stopped is a context here."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bot.download import showing_download
from bot.model_teams import ModelTeams
from bot.receipts import Budgets, Tariff
from bot.rules import Rules, listed
from bot.settings import Settings
from bot.sources import sources_ready
from bot.stored import Quotas
from teams.discovery import find_local_server
from teams.embedded import EmbeddedUnavailable, embedded_server
from teams.prices import list_prices
from teams.sources.kit import ResearchKit
from teams.tiers import ModelChoice, Models, ModelSettings, choose_models, local_models
from teams.weights import WeightsUnavailable, fetch_weights

EMBEDDED_MODEL = "built-in/SmolLM2-135M"
EMBEDDED_NOTICE = "tiny built-in model, for trying the bot; set FLASH_MODEL and a key for real answers"
EMBEDDED_SLOTS = 6
EMBEDDED_PATIENCE = 5.0
"""A panel on it takes about a minute on two cores; on a machine five times slower it should still end."""

EMBEDDED_CHARACTERS = 4_000
"""Quoted text in one prompt of research: about a quarter of the tokens that the built-in model has for a call."""

Progress = Callable[[int, int], None]


class NoModel(RuntimeError):
    """No model can be had. The message is one sentence with what to set."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is needed to find models: the settings, and who is told how a download gets on (bytes done, in all)."""

    settings: Settings
    downloading: Progress


@dataclass(frozen=True, slots=True)
class Means:
    """What runs are carried out with: the two models, the teams on them, and what research can search."""

    models: Models
    teams: ModelTeams
    kit: ResearchKit


@asynccontextmanager
async def means_ready(settings: Settings, library: str = "") -> AsyncIterator[Means]:
    """The means of this process until the block ends; the teams are not loaded yet. `library` is a folder to search
    instead of the library. Raises `NoModel`, and what `sources_ready` raises."""
    with showing_download() as downloading:
        async with sources_ready(settings, library) as kit, models_ready(Wanted(settings, downloading)) as models:
            kit = fitted(kit, models)
            async with ModelTeams(models, kit) as teams:
                yield Means(models, teams, kit)


@asynccontextmanager
async def models_ready(wanted: Wanted) -> AsyncIterator[Models]:
    """The models of this process, ready to be asked: those that are set, else a server found on this machine, else the
    built-in model, which runs until the block ends. Raises `NoModel`."""
    async with AsyncExitStack() as stack:
        yield choose_models(wanted.settings.models) or await _on_this_machine(wanted, stack)


async def _on_this_machine(wanted: Wanted, stack: AsyncExitStack) -> Models:
    found = await find_local_server()
    settings = wanted.settings.models
    if found is not None:
        notice = f"no key is set; using {found.name} on this machine"
        return local_models(settings, f"{found.name.lower()}/{found.model}", found.model, found.api_base, notice)
    home: Path = wanted.settings.bot.panelist_home
    try:
        weights = await fetch_weights(home, wanted.downloading)
        api_base = await stack.enter_async_context(embedded_server(weights, slots=EMBEDDED_SLOTS))
    except (WeightsUnavailable, EmbeddedUnavailable) as error:
        raise NoModel(str(error)) from error
    return embedded_models(settings, api_base)


def embedded_models(settings: ModelSettings, api_base: str) -> Models:
    """Both tiers on the built-in model. Its answers are kept short: it fills whatever room it is given."""
    choice = ModelChoice(
        EMBEDDED_MODEL,
        api_base=api_base,
        served_as="SmolLM2-135M-Instruct",
        answer_format="json_schema",
        longest_string=160,
        longest_list=2,
        max_tokens=900,
        temperature=0.3,
        streamed=True,
        max_parallel_requests=EMBEDDED_SLOTS,
        timeout=settings.flash_timeout * EMBEDDED_PATIENCE,
    )
    return Models(choice, choice, EMBEDDED_NOTICE, EMBEDDED_PATIENCE)


def fitted(kit: ResearchKit, models: Models) -> ResearchKit:
    """The kit with as much quoted text to a prompt as the models take."""
    return replace(kit, characters=EMBEDDED_CHARACTERS) if models.flash.model == EMBEDDED_MODEL else kit


def status_lines(models: Models) -> tuple[str, ...]:
    """Which models are asked, as sentences for a thread's first post and for `/panel settings`."""
    lines = [f"experts: {models.flash.model}; synthesis: {models.pro.model}"]
    return (*lines, models.notice) if models.notice else tuple(lines)


def rules_of(settings: Settings) -> Rules:
    """Who may what, in what is served."""
    bot = settings.bot
    quotas = Quotas(
        bot.panelist_runs_per_day_person,
        bot.panelist_runs_per_day_channel,
        bot.panelist_runs_per_day_workspace,
    )
    admins = listed(bot.panelist_admins) or frozenset()
    channels = listed(bot.panelist_allowed_channels)
    return Rules(admins, channels, quotas, bot.panelist_runs_in_flight, bot.panelist_runs_waiting)


def budgets_of(settings: Settings) -> Budgets:
    """What may be spent."""
    return Budgets(settings.bot.panelist_budget_run, settings.bot.panelist_budget_day)


def tariff_of(models: Models) -> Tariff:
    """What is known of the models' prices. A server of one's own has only the price that was set for it."""
    choices = (models.flash, models.pro)
    prices = dict(list_prices(frozenset(choice.model for choice in choices if choice.api_base is None)))
    prices |= {choice.model: choice.price for choice in choices if choice.price is not None}
    return Tariff(models.flash.model, models.pro.model, prices)
