"""Many panels at once: what a model call costs the client, and whether all calls that may be in flight are.

The bare client posts the same bytes: it is the floor that everybody else is held against. Peers are asked the same on
the same mock model, as they come and on the fastest transport that their client's documents name.
"""

from dataclasses import dataclass
from typing import Any

from bench import loops
from bench.environments import PEERS, Peer, python_of
from bench.fanout_figures import Measured, figures
from bench.peers.measuring import EXPERTS, Load
from bench.processes import measured, measured_peer, model_server
from bench.rows import Options, Row

CASE = "fanout"
LIMIT = 2000
"""The default of FLASH_MAX_PARALLEL_REQUESTS."""

SIZES = (1, 10, 100, 500)
"""Panels in flight, where `--sizes` says nothing."""

STOCK_LIMIT = 100
"""What DSPy's native client has in flight at most (lm15 DEFAULT_MAX_CONNECTIONS)."""

PEER_SECONDS, PEER_SECONDS_OF_MANY = 120.0, 60.0
"""How long a peer's panels may take before whoever was not answered counts as failed; and over 100 panels."""

MANY = 100
"""More panels than this a peer is asked for in one repeat alone: those that do not fail take minutes."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One row: its load and, where it is a peer's, whose."""

    name: str
    load: Load
    peer: Peer | None = None
    repeats: int = 1


def planned(base: str, options: Options) -> list[Planned]:
    """Every row. At one size both loops are measured, and at the largest panelist also keeps to DSPy's number in
    flight."""
    sizes = options.sizes or SIZES
    rows = []
    for size in sizes:
        ours = [
            ("panelist", _load(base, "panelist", size)),
            ("raw_aiohttp", _load(base, "raw_aiohttp", size)),
            ("dspy_stock", _load(base, "dspy_stock", size, limit=STOCK_LIMIT)),
        ]
        if size == (MANY if MANY in sizes else max(sizes)) and loops.product_loop() != "asyncio":
            ours += [
                (f"{name}_asyncio", _load(base, name, size, loop="asyncio")) for name in ("panelist", "raw_aiohttp")
            ]
        if size == max(sizes):
            ours.append((f"panelist_limit_{STOCK_LIMIT}", _load(base, "panelist", size, limit=STOCK_LIMIT)))
        rows += [Planned(name, load, repeats=options.repeats) for name, load in ours]
        rows += [each for peer in PEERS if options.peers for each in _of_peer(base, peer, size, options.repeats)]
    return rows


async def run(options: Options) -> list[Row]:
    """Rows of medians over repeats; contenders take turns, so that a busy minute hits them all."""
    for peer in PEERS if options.peers else ():
        await python_of(peer)
    async with model_server(options.delay) as base:
        # The mock model keeps the bodies of this panel: the others post them.
        await measured(Load("panelist", base, rounds=1, warmups=0))
        rows = planned(base, options)
        found: list[list[dict[str, Any]]] = [[] for _ in rows]
        for repeat in range(options.repeats):
            for row, repeats in zip(rows, found, strict=True):
                if repeat < row.repeats:
                    repeats.append(await _measured(row))
    whole = [Measured(row.name, row.load, tuple(repeats), row.peer) for row, repeats in zip(rows, found, strict=True)]
    return [Row(CASE, str(each.load.size), each.name, figures(each, whole)) for each in whole]


async def _measured(row: Planned) -> dict[str, Any]:
    if row.peer is None:
        return await measured(row.load)
    # Two warm-ups, one round at the full size and the rounds that are measured may take that long each, and cancelling
    # what is then under way takes its time too.
    try:
        return await measured_peer(row.load, row.peer, 4 * row.load.patience + 60)
    except RuntimeError as error:
        print(error, flush=True)
        calls = EXPERTS * row.load.size * row.load.rounds
        return {"cpu_ms_per_call": None, "panel_ms": [], "failed": calls, "errors": {"the process failed": calls}}


def _load(base: str, contender: str, size: int, *, limit: int = LIMIT, loop: str = "") -> Load:
    held = min(EXPERTS * size, limit)
    return Load(contender, base, size, rounds=_rounds(size), limit=limit, held=held, loop=loop)


def _rounds(size: int) -> int:
    return max(2 if size > MANY else 4, 15 // size)


def _of_peer(base: str, peer: Peer, size: int, repeats: int) -> list[Planned]:
    rounds = _rounds(size) if size < MANY else 2 if size == MANY else 1
    patience = PEER_SECONDS_OF_MANY if size > MANY else PEER_SECONDS
    kinds = [("", "default", "asyncio"), ("_aiohttp", "aiohttp", "asyncio")]
    if size == MANY and loops.product_loop() != "asyncio":
        # Nobody's documents ask for it, but it is what the project itself runs on.
        kinds.append((f"_aiohttp_{loops.product_loop()}", "aiohttp", loops.product_loop()))
    return [
        Planned(
            peer.name + name,
            Load(peer.name, base, size, rounds=rounds, loop=loop, transport=transport, patience=patience),
            peer,
            1 if size > MANY else repeats,
        )
        for name, transport, loop in kinds
    ]
