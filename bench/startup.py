"""How long the command line takes to answer where no model is needed, and serving to get ready and to answer."""

import asyncio
import re
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.processes import model_server
from bench.rows import Figure, Options, Row, percentile, verdict
from bench.serving import Served, script, serving, shell
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import GENERAL

CASE = "startup"
HELP_TARGET, READY_TARGET = 0.25, 4.0
"""Seconds: that --help and --version may take, and serving to get ready (3 are aimed for)."""

STARTS, SERVED = 10, 5
"""Fresh processes: of the command line, and of serving."""

PANEL_SECONDS = 60.0
"""How long the first panel may take."""

_IMPORTED = re.compile(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Start:
    """One start of serving, in seconds: until it was ready, and from a command to the first post of its run and to the
    first of an expert."""

    ready: float
    root: float
    expert: float


async def run(options: Options) -> list[Row]:
    """Wall seconds, medians of fresh processes that take turns, with bytecode compiled before. Serving starts on SQLite
    in an empty folder, with Slack over HTTP; `imports` are the modules of another start, under `-X importtime`."""
    commands = {
        "panelist --help": (str(script()), "--help"),
        "panelist --version": (str(script()), "--version"),
        "python -c pass": ("-c", "pass"),
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(prefix="bench-bytecode-") as folder:
        environment = shell(Path(folder))
        imports = {name: await _imports(words, environment) for name, words in commands.items()}
        for _turn in range(STARTS):
            for name, words in commands.items():
                times[name].append(await _seconds(words, environment))
        rows = [_row(name, found, imports[name]) for name, found in times.items()]
        return [*rows, await _serving(options, environment)]


def _row(name: str, times: Sequence[float], imports: Sequence[str]) -> Row:
    figures: dict[str, Figure] = {
        "seconds_median": round(median(times), 3),
        "seconds_p90": round(percentile(times, 0.9), 3),
        "imports": len(imports),
    }
    if name.startswith("panelist"):
        figures |= {
            "dspy_imported": "yes" if "dspy" in imports else "no",
            "target": HELP_TARGET,
            "verdict": verdict(median(times), HELP_TARGET),
        }
    return Row(CASE, "1", name, figures)


async def _seconds(words: tuple[str, ...], environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=DEVNULL, env=environment)
    async with asyncio.timeout(30):
        code = await process.wait()
    seconds = time.perf_counter() - began
    if code:
        raise RuntimeError(f"{' '.join(words)} ended with exit code {code}")
    return seconds


async def _imports(words: tuple[str, ...], environment: Mapping[str, str]) -> list[str]:
    """The modules that it imports. Bytecode is compiled on the way."""
    command = (sys.executable, "-X", "importtime", *words)
    process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=PIPE, env=environment)
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    return _IMPORTED.findall(said.decode())


async def _serving(options: Options, environment: Mapping[str, str]) -> Row:
    async with model_server(options.delay) as model:
        await _start(model, environment)
        starts = [await _start(model, environment) for _ in range(SERVED)]
        async with FakeSlack() as slack, serving(slack, model, environment, ("-X", "importtime")) as served:
            imports = _IMPORTED.findall(await asyncio.to_thread(served.errors.read_text))
    ready = median(start.ready for start in starts)
    return Row(
        CASE,
        "1",
        "panelist serve",
        {
            "seconds_median": round(ready, 2),
            "seconds_p90": round(percentile([start.ready for start in starts], 0.9), 2),
            "imports": len(imports),
            "dspy_imported": "yes" if "dspy" in imports else "no",
            "first_root_s": round(median(start.root for start in starts), 2),
            "first_answer_s": round(median(start.expert for start in starts), 2),
            "model_s": options.delay,
            "target": READY_TARGET,
            "verdict": verdict(ready, READY_TARGET),
        },
    )


async def _start(model: str, environment: Mapping[str, str]) -> _Start:
    """Start once, and ask for a panel as soon as it is ready."""
    async with FakeSlack() as slack, serving(slack, model, environment) as served:
        return await _asked(slack, served)


async def _asked(slack: FakeSlack, served: Served) -> _Start:
    began = time.time()
    payload = payloads.slash_command(slack.gesture(), "Should we open on Sundays?")
    answer = await slack.deliver(served.events, payload, "command")
    if answer.status != 200:
        raise RuntimeError(f"the command was answered with {answer.status}: {answer.body[:200]}")
    seen: dict[str, float] = {}
    async with asyncio.timeout(PANEL_SECONDS):
        while "expert" not in seen:
            await asyncio.sleep(0.005)
            for message in slack.messages(GENERAL.id):
                key = message.get("metadata", {}).get("event_payload", {}).get("key", "")
                seen.setdefault(key.partition("/")[2].partition("/")[0], float(message["ts"]))
    return _Start(served.seconds, seen["root"] - began, seen["expert"] - began)
