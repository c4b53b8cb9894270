"""A gateway and one, two and four workers on one Postgres: runs a second, what a run costs in which process and in the
database, and how soon another worker goes on when one is killed.

All are processes as they are started from a shell. The fake Slack and the fake model are in this one and want a core of
their own: where there are two cores for everything, they are part of what limits the figures, so their share is told.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers.measuring import cpu_seconds
from bench.rows import Figure, Options, Row, percentile
from tests.desk import WHOLE
from tests.postgres import Server, server
from tests.scale_house import Asked, ScaleHouse, Site, scale_house, until

CASE = "scale"
SIZES = (1, 2, 4)
"""Workers, where `--sizes` says nothing."""

RUNS, SPACES, CHANNELS = 600, 30, 20
"""Runs in all, each in a channel of its own, and how those are spread: Slack lets twenty-five boards a minute be shown
in a workspace, and a post a second in a channel."""

PER_SECOND = 60
"""Questions delivered a second: more than are carried out."""

MODEL_SECONDS = 0.2
"""How long the model takes for each of the seven calls of a run."""

PACE_SECONDS = 6.0
"""What Slack's pace makes a run take at the least: nine posts in a channel, three of them at once."""

LEFT = 12
"""Runs under way when a worker is killed."""

TAKEOVER_SECONDS, ACK_MS = 3.0, 3_000.0
"""Targets: from a kill to the first post of a run that it left, and an acknowledgement at the latest."""

DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "shared_buffers": "128MB"}
"""A server as it is run in earnest; the one of the tests waits for no disk."""

SETTINGS = {"PANELIST_LOG": "warning", "PANELIST_RUNS_WAITING": "0"}
"""Nobody is refused, however many wait."""

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Used:
    """Seconds of processor time so far, and those that threads of the gateway waited for a core; what the database has
    come to in bytes."""

    workers: float
    gateway: float
    postgres: float
    bench: float
    waited: float
    wal: int
    database: int
    at: float


async def run(options: Options) -> list[Row]:
    """A fresh database and fresh processes for each number of workers, one after the other."""
    rows = []
    with server(**DURABLE) as postgres:
        for workers in options.sizes or SIZES:
            figures = await _measured(postgres, workers)
            rows.append(Row(CASE, str(workers), "panelist", figures))
            print(f"scale: {workers} workers, {figures['runs_per_s']} runs a second", flush=True)
    return rows


async def _measured(postgres: Server, workers: int) -> dict[str, Figure]:
    names = [f"worker-{number}" for number in range(workers)]
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        url = postgres.fresh().url.get_secret_value()
        async with scale_house(Path(folder), url, MODEL_SECONDS, **SETTINGS) as house:
            await house.started("gateway", *names)
            sites = await house.install(SPACES, CHANNELS)
            warm = await _asked(house, sites[::CHANNELS], "warm")
            await house.whole(*warm)
            before = _used(house, postgres, names)
            runs = await _asked(house, _spread(sites)[:RUNS], "run")
            connections = _connections(house)
            await house.whole(*runs, seconds=600.0)
            await until(lambda: set(house.statuses()) == {"finished"})
            after, lasting = _used(house, postgres, names), _lasting(house, runs)
            figures = _figures(house, runs, before, after)
            rows = sum(rows for (rows,) in house.rows(_ROWS)) / (RUNS + len(warm))
            taken = await _taken_over(house, names, sites) if workers > 1 else None
    ack = percentile([one.took * 1000 for one in runs], 0.99)
    kept = {
        "acknowledged": max(one.took for one in runs) * 1000 <= ACK_MS,
        "lost": not figures["posts_lost"],
        "doubled": not figures["posts_doubled"],
        "takeover": taken is None or taken <= TAKEOVER_SECONDS,
    }
    short = ", ".join(name for name, held in kept.items() if not held)
    return figures | {
        "p50_s": round(percentile(lasting, 0.5), 1),
        "p99_s": round(percentile(lasting, 0.99), 1),
        "least_s": PACE_SECONDS,
        "ack_p99_ms": round(ack, 1),
        "connections_per_process": round(connections / (workers + 1), 1),
        "rows_per_run": round(rows, 1),
        "takeover_s": None if taken is None else round(taken, 2),
        "target_takeover_s": TAKEOVER_SECONDS if workers > 1 else None,
        "load_1_min": round(os.getloadavg()[0], 2),
        "verdict": "short" if short else "ok",
        "short_of": short,
    }


async def _asked(house: ScaleHouse, sites: Sequence[Site], name: str) -> list[Asked]:
    """Ask in each of the sites, at their pace, whatever becomes of those before. Raises `RuntimeError` where one is not
    acknowledged."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        asking = []
        for number, site in enumerate(sites):
            await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
            asking.append(group.create_task(house.ask(f"{name}{number:04d}", site)))
    asked = [task.result() for task in asking]
    if None in asked:
        raise RuntimeError("a question was not acknowledged")
    return [one for one in asked if one is not None]


def _spread(sites: Sequence[Site]) -> list[Site]:
    """One channel of each workspace after the other."""
    return [sites[first + step] for step in range(CHANNELS) for first in range(0, len(sites), CHANNELS)]


def _figures(house: ScaleHouse, runs: Sequence[Asked], before: _Used, after: _Used) -> dict[str, Figure]:
    posts = [house.posts(one) for one in runs]
    wall = after.at - before.at
    workers, gateway, postgres = (
        (getattr(after, name) - getattr(before, name)) * 1000 / len(runs) for name in ("workers", "gateway", "postgres")
    )
    ours = workers + gateway + postgres
    return {
        "runs": len(runs),
        "runs_per_s": round(len(runs) / wall, 1),
        "cpu_ms_per_run": round(ours, 1),
        "worker_ms_per_run": round(workers, 1),
        "gateway_ms_per_run": round(gateway, 1),
        "postgres_ms_per_run": round(postgres, 1),
        "postgres_share": round(postgres / ours, 3),
        "cores_used": round(ours * len(runs) / 1000 / wall, 2),
        "gateway_waited_s": round(after.waited - before.waited, 1),
        "cores_of_the_bench": round((after.bench - before.bench) / wall, 2),
        "wal_kb_per_run": round((after.wal - before.wal) / 1024 / len(runs), 1),
        "database_kb_per_run": round((after.database - before.database) / 1024 / len(runs), 1),
        "posts_lost": sum(len(WHOLE - set(each)) for each in posts),
        "posts_doubled": sum(times - 1 for each in posts for times in each.values()),
    }


async def _taken_over(house: ScaleHouse, names: Sequence[str], sites: Sequence[Site]) -> float:
    """Seconds from the kill of a worker with runs to the first post of one of them by another."""
    house.model.let.clear()
    runs = await _asked(house, _spread(sites)[-LEFT:], "left")
    await until(lambda: sum(call.topic.startswith("left") for call in house.model.calls) == 6 * LEFT)
    victim = max(names, key=lambda name: len(house.owned_by(name)))
    left = house.owned_by(victim)
    clock = time.time() - time.monotonic()
    killed = await house.processes[victim].kill()
    await until(lambda: any(house.posts(one)["resumed/2"] for one in left))
    first = min(at for one in left if (at := house.shown_at(one).get("resumed/2")) is not None)
    house.model.let.set()
    await house.whole(*runs)
    return first - clock - killed


def _lasting(house: ScaleHouse, runs: Sequence[Asked]) -> list[float]:
    """Seconds from each run's first post to its last."""
    shown = [house.shown_at(one).values() for one in runs]
    return [max(times) - min(times) for times in shown]


def _used(house: ScaleHouse, postgres: Server, workers: Sequence[str]) -> _Used:
    by_name = {name: _cpu(served.process.pid) for name, served in house.processes.items()}
    wal, database = house.rows(_BYTES)[0]
    spent = sum(by_name[name] for name in workers), by_name["gateway"], _cpu_of_server(postgres)
    waited = _waited(house.processes["gateway"].process.pid)
    return _Used(*spent, cpu_seconds(), waited, int(wal), int(database), time.monotonic())


def _connections(house: ScaleHouse) -> int:
    return int(house.rows("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")[0][0]) - 1


def _cpu(pid: int, *, with_ended: bool = False) -> float:
    """Seconds of a process with all its threads; `with_ended` also those of children that have ended (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(value) for value in fields[11 : 15 if with_ended else 13]) / TICKS


def _waited(pid: int) -> float:
    """Seconds that the threads of a process waited for a core (the kernel's "sched-stats")."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[1]) for thread in threads) / 1e9


def _cpu_of_server(postgres: Server) -> float:
    """Seconds of the server: its first process, and one for each connection and each chore."""
    first = int((postgres.folder / "data" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    return _cpu(first, with_ended=True) + sum(map(_cpu_or_none, map(int, children)))


def _cpu_or_none(pid: int) -> float:
    try:
        return _cpu(pid)
    except OSError:  # it has ended meanwhile, and counts with the first then
        return 0.0


_BYTES = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), pg_database_size(current_database())"
_ROWS = """SELECT count(*) FROM runs UNION ALL SELECT count(*) FROM outbox UNION ALL SELECT count(*) FROM claims
UNION ALL SELECT count(*) FROM charges UNION ALL SELECT count(*) FROM dbos.workflow_status
UNION ALL SELECT count(*) FROM dbos.operation_outputs"""
