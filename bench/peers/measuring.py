"""Panels in flight on a mock model, and what they cost: the same measurement for the project and for its peers.

It imports the standard library only, so that it runs in the environment of a peer, where the project is not installed.
"""

import asyncio
import gc
import json
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

EXPERTS = 6

FILES = 16_384
"""Open files that the largest load needs: 3,000 runs have some 10,000 connections."""

AskPanel = Callable[[], Awaitable[int]]
"""Asks one panel; the number of experts that did not answer."""

Contender = Callable[[str, int], AbstractAsyncContextManager[AskPanel]]
"""From an API base and the most calls in flight to a way to ask a panel."""

AskTexts = Callable[[], Awaitable[Sequence[object]]]
"""Asks one panel; each expert's answer as text, or whatever came instead of it."""


@dataclass(frozen=True, slots=True)
class Load:
    """`size` panels in flight all the time, each asked again `rounds` times over, after `warmups` rounds unmeasured.

    With `held` the mock model then holds one more round back until that many calls are in flight: with a fixed delay
    alone, a busy client would have its first answers before its last question is out. `loop` is asyncio or uvloop, and
    empty for the one that the project uses. `transport` is a peer's. After `patience` seconds, 0 for none, whoever was
    not answered counts as failed.
    """

    contender: str
    base: str
    size: int = 1
    rounds: int = 10
    warmups: int = 2
    limit: int = 2000
    held: int = 0
    loop: str = ""
    transport: str = ""
    patience: float = 0.0

    @property
    def label(self) -> str:
        """For an error message."""
        return f"{self.contender} at {self.size}"


@dataclass(slots=True)
class _Asked:
    """What became of the panels that were asked: the seconds of each, how many experts did not answer, and how many of
    those were still waited for when patience ended."""

    seconds: list[float]
    failed: int = 0
    late: int = 0


async def measure(load: Load, contender: Contender) -> dict[str, Any]:
    """Figures of the load; `panel_ms` has every panel, `failed` counts experts that did not answer."""
    async with contender(load.base, load.limit) as ask:
        await _asked(ask, 1, load.warmups, load.patience)
        await _asked(ask, load.size, 1, load.patience)
        gc.collect()
        before = memory_mb("VmRSS")
        await _reset(load.base, 0)
        cpu, began = cpu_seconds(), time.perf_counter()
        asked = await _asked(ask, load.size, load.rounds, load.patience)
        wall, cpu = time.perf_counter() - began, cpu_seconds() - cpu
        peak, memory = await _peak(load.base), memory_mb("VmHWM")
        answered = load.size * load.rounds * EXPERTS - asked.failed
        figures = {
            "cpu_ms_per_call": cpu * 1000 / answered if answered else None,
            "calls_per_s": answered / wall,
            "cpu_share": cpu / wall,
            "rss_before_mb": before,
            "peak_rss_mb": memory,
            "peak_in_flight": peak,
            "failed": asked.failed,
            "late": asked.late,
            "panel_ms": [seconds * 1000 for seconds in asked.seconds],
            "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
        }
        if load.held:
            await _reset(load.base, load.held)
            held = await _asked(ask, load.size, 1, load.patience)
            figures |= {"held_in_flight": await _peak(load.base), "failed": asked.failed + held.failed}
        return figures


async def _asked(ask: AskPanel, size: int, rounds: int, patience: float) -> _Asked:
    asked = _Asked([])

    async def again_and_again() -> None:
        for _ in range(rounds):
            began = time.perf_counter()
            asked.failed += await ask()
            asked.seconds.append(time.perf_counter() - began)

    try:
        async with asyncio.timeout(patience or None), asyncio.TaskGroup() as group:
            for _ in range(size):
                group.create_task(again_and_again())
    except TimeoutError:
        asked.late = EXPERTS * (size * rounds - len(asked.seconds))
        asked.failed += asked.late
    return asked


async def _reset(base: str, hold: int) -> None:
    await asyncio.to_thread(_got, Request(f"{_root(base)}/reset?hold={hold}", method="POST"))


async def _peak(base: str) -> int:
    return int(json.loads(await asyncio.to_thread(_got, Request(f"{_root(base)}/stats")))["peak"])


def prompts(base: str) -> list[tuple[str, str]]:
    """System and user text of each expert, as the project has posted them to the mock model."""
    bodies = [json.loads(body) for body in json.loads(_got(Request(f"{_root(base)}/kept")))]
    texts = [{message["role"]: message["content"] for message in body["messages"]} for body in bodies]
    return [(each["system"], each["user"]) for each in texts]


def _root(base: str) -> str:
    return base.removesuffix("/v1")


def _got(request: Request) -> bytes:
    with urlopen(request, timeout=30) as reply:
        read: bytes = reply.read()
        return read


def cpu_seconds() -> float:
    """Seconds of processor time, user and system, of this process with all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def many_files() -> None:
    """Let this process have as many connections open as the bench needs: each is a file, and shells allow for 1,024."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def memory_mb(name: str) -> float:
    """`VmRSS` or `VmHWM` of this process in MB. Linux gives a child its parent's `ru_maxrss`, so /proc goes first."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        unit = 1024 * 1024 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


_SECTION = re.compile(r"^\[\[ ## (\w+) ## \]\]$", re.MULTILINE)


def is_whole(text: str) -> bool:
    """Whether an answer has every section that an expert's has, and each is of its kind."""
    parts = _SECTION.split(text)
    sections = {name: said.strip() for name, said in zip(parts[1::2], parts[2::2], strict=True)}
    try:
        points, confidence = json.loads(sections["key_points"]), float(sections["confidence"])
    except (KeyError, ValueError):
        return False
    prose = ("reasoning", "headline", "analysis", "recommendation")
    return all(sections.get(name) for name in prose) and isinstance(points, list) and 0.0 <= confidence <= 1.0


def checked(ask: AskTexts, errors: Counter[str]) -> AskPanel:
    """A panel whose answers are parsed and checked. What was raised is counted by the name of its kind."""

    async def asked() -> int:
        try:
            said = await ask()
        except Exception as error:  # noqa: BLE001 - a panel that raises is lost as a whole, and told
            errors[type(error).__name__] += EXPERTS
            return EXPERTS
        errors.update(type(each).__name__ for each in said if isinstance(each, Exception))
        return EXPERTS - sum(isinstance(each, str) and is_whole(each) for each in said)

    return asked


def run_on(loop: str, main: Coroutine[Any, Any, Any]) -> Any:
    """Run `main` on asyncio's own loop, or on uvloop's where that is asked for."""
    many_files()
    if loop != "uvloop":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)


def script(opened: Callable[[Load], AbstractAsyncContextManager[AskTexts]]) -> None:
    """What a peer's script does: measure the load in its first argument, and print the figures as JSON."""
    load, errors = Load(**json.loads(sys.argv[1])), Counter[str]()

    @asynccontextmanager
    async def contender(base: str, limit: int) -> Any:
        async with opened(load) as ask:
            yield checked(ask, errors)

    figures = run_on(load.loop, measure(load, contender))
    print(json.dumps({**figures, "errors": dict(errors)}))
