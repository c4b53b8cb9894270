"""Rows of the run database: values to columns and back, and what is asked of single tables within a transaction."""

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from adapters.port import Invocation, MessageRef, Place, ThreadRef
from bot.brief import Brief
from bot.inserts import insert_new
from bot.receipts import RunReceipt
from bot.rules import channel_of
from bot.schema import claims, runs
from bot.stored import OverQuota, Posted, Quotas, StoredRun
from teams.model import PanelSpec
from teams.wire import dump, load

log = structlog.get_logger()

NO_CRASHES = {"stuck": 0, "blamed": 0, "steps_seen": 0, "paused": False}
COUNTED = ("calls", "input_tokens", "output_tokens", "unmetered")

RUN = [column for column in runs.c if column not in {runs.c.thread_id, runs.c.owner}]
"""What is read of a run. The others are for looking up, and databases that a terminal left behind may lack them."""

_DOOR = 7002
"""The advisory lock that one process at a time goes through."""

# Made once: SQLAlchemy then finds the compiled statement by identity.
_CLAIMED = sa.select(claims.c.run).where(claims.c.key == sa.bindparam("key"))


def claimed(connection: sa.Connection, key: str) -> str | None:
    """The run on behalf of which a gesture was carried out before; empty where it was about none."""
    return connection.execute(_CLAIMED, {"key": key}).scalar()


def claim(connection: sa.Connection, key: str, run_id: str, now: float) -> bool:
    """Note that a gesture is carried out; False where it was before."""
    return insert_new(connection, claims, {"key": key, "run": run_id, "at": now})


def alone(connection: sa.Connection) -> None:
    """Until the transaction ends, let no other process do what it does behind this: count quotas, and stand in line.
    On SQLite nobody else writes anyhow."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_DOOR, 0)))


def over_quota(connection: sa.Connection, invocation: Invocation, quotas: Quotas, since: float) -> OverQuota | None:
    """Which quota is used up by the runs that began since then, if any is."""
    if quotas == Quotas():
        return None
    place = invocation.place
    workspace = [runs.c.surface == place.surface, runs.c.tenant == place.tenant, runs.c.created_at >= since]
    limits: tuple[tuple[Literal["person", "channel", "workspace"], int, list[Any]], ...] = (
        ("person", quotas.person, [runs.c.author == invocation.author]),
        ("channel", quotas.channel, [in_channel(place)]),
        ("workspace", quotas.workspace, []),
    )
    for whom, limit, those in limits:
        if limit and _count(connection, *workspace, *those) >= limit:
            return OverQuota(whom, limit)
    return None


def in_channel(place: Place) -> sa.ColumnElement[bool]:
    """Whether a run is of a place's channel, or of what one person alone sees there."""
    channel = channel_of(place)
    return sa.or_(runs.c.channel == channel, runs.c.channel.startswith(f"{channel}/", autoescape=True))


def _count(connection: sa.Connection, *where: Any) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(runs).where(*where)).scalar_one())


def new_run(invocation: Invocation, brief: Brief, now: float) -> dict[str, Any]:
    """The row of a run that nobody has begun, all but its turn."""
    place = invocation.place
    return {
        "id": invocation.key,
        "round": 1,
        "status": "accepted",
        "surface": place.surface,
        "tenant": place.tenant,
        "channel": place.channel,
        "author": invocation.author,
        **asked(invocation, brief),
        "boots": 0,
        **NO_CRASHES,
        "cost": 0.0,
        **dict.fromkeys(COUNTED, 0),
        "created_at": now,
    }


def asked(invocation: Invocation, brief: Brief) -> dict[str, Any]:
    """What was asked, as columns."""
    # Texts of attachments are in the brief; they are not kept twice.
    bare = replace(invocation, attachments=tuple(replace(file, text="") for file in invocation.attachments))
    return {"invocation": json.dumps(dump(bare)), "brief": json.dumps(dump(brief))}


def _stored(row: Any) -> StoredRun:
    return StoredRun(
        id=row.id,
        round=row.round,
        status=row.status,
        invocation=load(Invocation, json.loads(row.invocation)),
        brief=_with_shared_panel(load(Brief, json.loads(row.brief))),
        thread=None if row.thread is None else load(ThreadRef, json.loads(row.thread)),
        boots=row.boots,
        stuck=row.stuck,
        blamed=row.blamed,
        steps_seen=row.steps_seen,
        stop_by=row.stop_by,
        steps={} if row.steps is None else json.loads(row.steps),
        events=[] if row.events is None else json.loads(row.events),
        paused=row.paused,
        receipt=RunReceipt(row.calls, row.input_tokens, row.output_tokens, row.cost, unmetered=row.unmetered),
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _with_shared_panel(brief: Brief) -> Brief:
    return brief if brief.panel is None else replace(brief, panel=_shared(brief.panel))


@lru_cache(maxsize=64)
def _shared(panel: PanelSpec) -> PanelSpec:
    """One for all that are equal: a thousand runs of a panel need not hold its instructions a thousand times."""
    return panel


def readable(row: Any) -> StoredRun | None:
    """The run, or None where another version wrote what this one cannot read. The error would quote it, so it is not
    shown."""
    try:
        return _stored(row)
    except (ValidationError, ValueError) as error:
        log.error("run.unreadable", run=row.id, error=type(error).__name__)
        return None


def all_readable(rows: Iterable[Any]) -> list[StoredRun]:
    """Those of the runs that can be read."""
    return [stored for row in rows if (stored := readable(row)) is not None]


def posted(row: Any) -> Posted:
    """One row of the outbox."""
    ref = None if row.ref is None else load(MessageRef, json.loads(row.ref))
    return Posted(row.key, row.state, ref)
