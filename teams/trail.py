"""The trail of one piece of research: all it searched, read and found, as a fold of its recorded tool calls. Pure.

A tool call gives a `Look`, which is kept whole in its step. The trail is made from looks alone, so that a replay has
the same sources under the same ids and asks nobody again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from teams.evidence.claims import CheckedClaim
from teams.evidence.ledger import Evidence, Ledger
from teams.evidence.links import canonical
from teams.sources.port import Hit, SourceFailed
from teams.wire import dump, load

CHECK = "check"
"""The step that holds the checked claims."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage of a source as the agent was shown it."""

    source: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Look:
    """One tool call: what the agent is told, and what came of it.

    `evidence` is what was not known before, `results` are pages that were found and may now be read. `searched` are
    sources with the query they were asked, `calls` those of foreign tools, `pages` how many were asked for. `tried` are
    sentences for people, `lost` are sources that failed.
    """

    observation: str = field(repr=False)
    evidence: tuple[Evidence, ...] = ()
    shown: tuple[Shown, ...] = ()
    results: tuple[Hit, ...] = ()
    searched: tuple[tuple[str, str], ...] = ()
    calls: int = 0
    pages: int = 0
    tried: tuple[str, ...] = ()
    lost: tuple[SourceFailed, ...] = ()


@dataclass(frozen=True, slots=True)
class Trail:
    """All looks so far, together."""

    ledger: Ledger = field(default_factory=Ledger)
    shown: tuple[Shown, ...] = ()
    results: tuple[Hit, ...] = ()
    searched: tuple[tuple[str, str], ...] = ()
    calls: int = 0
    pages: int = 0
    tried: tuple[str, ...] = ()
    lost: tuple[SourceFailed, ...] = ()

    def after(self, look: Look) -> "Trail":
        """This trail and one more look. A source is lost once for each reason."""
        ledger = self.ledger
        if look.evidence:
            ledger = Ledger.from_json([*ledger.to_json(), *map(dump, look.evidence)])
        return Trail(
            ledger,
            tuple(dict.fromkeys([*self.shown, *look.shown])),
            (*self.results, *look.results),
            (*self.searched, *look.searched),
            self.calls + look.calls,
            self.pages + look.pages,
            (*self.tried, *look.tried),
            tuple(dict.fromkeys([*self.lost, *look.lost])),
        )

    def page(self, url: str) -> Hit | None:
        """The result with this address, in whatever form; None for an address that no search gave."""
        wanted = canonical(url)
        return next((hit for hit in self.results if wanted and canonical(hit.where) == wanted), None)

    @property
    def searches(self) -> int:
        """Searches and calls of foreign tools, which share a cap."""
        return len(self.searched) + self.calls

    @property
    def counted(self) -> str:
        """How much was searched and read: "3 searches, 2 pages read"."""
        parts = [_count(self.searches, "search", "searches")]
        return ", ".join([*parts, f"{_count(self.pages, 'page', 'pages')} read"] if self.pages else parts)


class Finding:
    """New sources of one tool call: they get the ids that follow those of the trail."""

    def __init__(self, trail: Trail) -> None:
        self._known = {evidence.id for evidence in trail.ledger.all}
        self._ledger = Ledger.from_json(trail.ledger.to_json())
        self.shown: list[Shown] = []

    def add(self, kind: Any, where: str, title: str, text: str, provider: str, passages: Iterable[str]) -> Evidence:
        """A source and the passages of it that are shown."""
        evidence = self._ledger.add(kind, where, title, text, provider)
        self.shown += [Shown(evidence.id, passage) for passage in passages]
        return evidence

    def look(self, observation: str, **rest: Any) -> Look:
        """The look that brought these sources."""
        new = tuple(evidence for evidence in self._ledger.all if evidence.id not in self._known)
        return Look(observation, evidence=new, shown=tuple(self.shown), **rest)


def look_from(recorded: Mapping[str, Any]) -> Look:
    """The look that a step holds."""
    look: Look = load(Look, recorded)
    return look


def recorded_evidence(steps: Mapping[str, Mapping[str, Any]]) -> tuple[Ledger, tuple[CheckedClaim, ...]]:
    """Sources and checked claims out of a run's recorded steps, by key: what is exported."""
    found = [each for key, step in steps.items() if key.startswith("tool:") for each in step.get("evidence", ())]
    ledger = Ledger.from_json(sorted(found, key=lambda each: int(each["id"][1:])))
    claims = steps.get(CHECK, {}).get("claims", ())
    return ledger, tuple(load(CheckedClaim, claim) for claim in claims)


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
