"""The names that a process among others holds alone, each in its space of leases."""

from bot.leases import Lease

WORKERS, _REAPERS, _SHARDS, _JOBS = 7001, 7003, 7004, 7005
"""The spaces. One key of 7002 is the door in `bot.rows`."""

REAPER = Lease(_REAPERS, "reaper")
"""Whoever takes over from dead workers now."""


def worker_lease(worker: str) -> Lease:
    """A worker that lives."""
    return Lease(WORKERS, worker)


def shard_lease(shard: int) -> Lease:
    """The gateway session of one Discord shard."""
    return Lease(_SHARDS, str(shard))


def job_lease(name: str) -> Lease:
    """Work in the background that is to be done once."""
    return Lease(_JOBS, name)
