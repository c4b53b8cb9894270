"""Intake: what comes in, as commands, to runs that are safe before they are acknowledged; and what is wrong with it, as
one sentence."""

from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, assert_never

from adapters.port import AskForm, Departed, Doc, Inbound, Invocation, NotSafe, Withdrawn
from bot import notices
from bot.asking import Reach, Unaskable, brief_for, panel_for, text_of
from bot.brief import Brief
from bot.commands import Ask, Command, Delete, Help, Panels, Rate, Research, Retry, Settings, Stop, parse
from bot.conduct import Conductor
from bot.controls import Controls
from bot.courier import Courier
from bot.departure import Departures
from bot.errors import StoreFailed
from bot.line import Line
from bot.place_settings import PlaceSettings, set_in_place, settings_of
from bot.reading import to_fetch
from bot.receipts import Ledger
from bot.removal import Removals
from bot.rounds import RoundId
from bot.rules import Rules
from bot.store import Store
from bot.stored import Accepted, Duplicate, OverQuota, StoredRun
from teams.catalog import Catalog
from teams.model import Source


@dataclass(frozen=True, slots=True)
class Parts:
    """What intake works with."""

    store: Store
    courier: Courier
    conductor: Conductor
    line: Line
    catalog: Catalog
    ledger: Ledger
    removals: Removals
    departures: Departures
    rules: Rules = Rules()
    status: tuple[str, ...] = ()
    reach: Reach = Reach()


class Intake:
    """Carries out what front ends take in. Runs outlive the call that began them."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._store, self._line = parts, parts.store, parts.line
        self._controls = Controls(parts.store, parts.courier, parts.conductor, parts.line, parts.removals, parts.rules)

    async def take(self, inbound: Inbound) -> None:
        """Carry out what came in. It returns when what was asked is safe, not when it is done. Raises `NotSafe`."""
        match inbound:
            case Invocation():
                await self._asked(inbound)
            case Withdrawn():
                await self._controls.withdraw(inbound)
            case Departed():
                try:
                    await self._parts.departures.take(inbound)
                except StoreFailed as error:
                    raise NotSafe(str(error)) from error
            case _:
                assert_never(inbound)

    async def begin(self, brief: Brief, invocation: Invocation) -> str:
        """Make a run safe and start it; its id. A second delivery of one gesture is the run of the first.

        Raises `Unaskable` and `StoreFailed`.
        """
        self._refuse_where_not_allowed(invocation)
        if (why := self._no_room()) is not None and await self._store.claimed(invocation.key) is None:
            raise Unaskable(why)
        await self._arrives(self._accept(invocation, brief), invocation)
        return invocation.key

    def _refuse_where_not_allowed(self, invocation: Invocation) -> None:
        if not self._parts.rules.allows(invocation.place):
            channel = invocation.place.channel
            raise Unaskable(f"runs are not allowed here; an admin can add {channel} to PANELIST_ALLOWED_CHANNELS")

    def _no_room(self) -> str | None:
        if self._parts.ledger.used_up:
            return notices.BUDGET_USED_UP
        return notices.too_many(self._parts.rules.runs_waiting) if self._line.full else None

    async def _arrives(self, accepting: Coroutine[Any, Any, RoundId | None], invocation: Invocation) -> None:
        position = await self._line.arrives(accepting)
        if position:
            # It is safe: whoever waits for the acknowledgement need not wait for the notice.
            self._line.spawn(self._tell(invocation, notices.busy(position, len(self._line.started))), "busy")

    async def _accept(self, invocation: Invocation, brief: Brief) -> RoundId | None:
        match await self._store.accept(invocation, brief, self._parts.rules.quotas_of(invocation)):
            case OverQuota() as over:
                raise Unaskable(notices.over_quota(over))
            case Duplicate():
                return None
            case Accepted():
                return RoundId(invocation.key, 1)

    async def settled(self) -> None:
        """Wait until every run is over, and what is to be removed is."""
        await self._line.settled()
        await self._parts.removals.settled()

    async def stop_all(self, who: str = "the process") -> None:
        """Stop every run that is under way."""
        for round_id in list(self._line.started):
            if await self._store.ask_stop(round_id.run, f"{round_id}/stop_all", who):
                self._parts.conductor.stop(round_id)

    async def _asked(self, invocation: Invocation) -> None:
        try:
            await self._carry_out(parse(invocation.text), invocation)
        except Unaskable as error:
            await self._tell(invocation, notices.problem(str(error)))
        except StoreFailed as error:
            await self._tell(invocation, notices.not_taken(str(error)))
            raise NotSafe(str(error)) from error

    async def _carry_out(self, command: Command, invocation: Invocation) -> None:
        match command:
            case Ask() if not command.topic and self._can_ask_by_form(invocation):
                await self._ask_by_form(command, invocation)
            case Ask() | Research():
                await self._ask(command, invocation)
            case Stop():
                await self._controls.stop(invocation)
            case Retry():
                await self._retry(invocation)
            case Rate():
                await self._controls.rate(invocation, command)
            case Delete():
                await self._controls.delete(invocation)
            case Panels():
                await self._tell(invocation, notices.panel_list(self._parts.catalog))
            case Settings():
                await self._settings(command, invocation)
            case Help():
                await self._tell(invocation, notices.help_text(command.instead_of))
            case _:
                assert_never(command)

    # Questions

    async def _ask(self, command: Ask | Research, invocation: Invocation) -> None:
        unread = [attached for attached in invocation.attachments if attached.problem]
        if unread:
            await self._tell(invocation, notices.unread(unread))
        files = [file for file in invocation.attachments if not file.problem and file.text]
        sources = tuple(Source(file.name, file.text) for file in files)
        more_to_come = bool(to_fetch(invocation))
        brief = brief_for(command, self._parts.catalog, sources, more_to_come=more_to_come, reach=self._parts.reach)
        if isinstance(command, Ask):
            profile, pillars = await self._given(invocation)
            brief = replace(brief, profile=profile, pillars=pillars)
        await self.begin(brief, invocation)

    async def _given(self, invocation: Invocation) -> tuple[str, str]:
        """The profile and the pillars of a question: what its form said, or else what its place remembers."""
        options = invocation.options
        if options is not None:
            return text_of(options.profile, "profile"), text_of(options.pillars, "pillars")
        here = await settings_of(self._store, invocation.place)
        return here.profile, here.pillars

    def _can_ask_by_form(self, invocation: Invocation) -> bool:
        # An empty form that comes back is told what it lacks, like any other line.
        forms = self._parts.courier.fronts[invocation.place.surface].capabilities(invocation.place).forms
        return forms and invocation.origin != "form"

    async def _ask_by_form(self, command: Ask, invocation: Invocation) -> None:
        self._refuse_where_not_allowed(invocation)
        catalog = self._parts.catalog
        panel = panel_for(command, catalog)
        here = await settings_of(self._store, invocation.place)
        panels = tuple((each.name, each.title) for each in catalog)
        form = AskForm("", panels, panel.name, here.profile, here.pillars)
        # Nothing has to be safe for it: whoever waits for the acknowledgement need not wait for the form.
        self._line.spawn(self._show_form(invocation, form), "form")

    async def _show_form(self, invocation: Invocation, form: AskForm) -> None:
        receipt = await self._parts.courier.ask(invocation, form)
        if receipt.outcome != "sent":
            await self._tell(invocation, notices.form_not_shown())

    async def _retry(self, invocation: Invocation) -> None:
        run = await self._controls.to_retry(invocation)
        if run is None:
            return
        if (why := self._no_room()) is not None:
            raise Unaskable(why)
        await self._arrives(self._again(run, invocation.key), invocation)
        await self._controls.told(invocation, notices.ASKING_AGAIN)

    async def _again(self, run: StoredRun, key: str) -> RoundId | None:
        match await self._store.retry(run.id, key):
            case RoundId() as round_id:
                return round_id
            case Duplicate():
                return None
            case None:
                raise Unaskable("the run is under way again already")

    async def _settings(self, command: Settings, invocation: Invocation) -> None:
        if command.name is None:
            here: PlaceSettings = await settings_of(self._store, invocation.place)
        else:
            value = text_of(command.value, command.name)
            here = await set_in_place(self._store, invocation, command.name, value)
        await self._tell(invocation, notices.settings(self._parts.status, here))

    async def _tell(self, invocation: Invocation, doc: Doc) -> None:
        # Whoever waits for the acknowledgement need not wait until the place may be told something again.
        await self._parts.courier.notify(invocation, doc, self._line.spawn)
