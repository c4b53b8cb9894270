"""How long the event loops of processes stand still: asked over HTTP many times a second, from a process of its own.

`python -m tests.loop_prober NAME:PORT:PID…` asks until its stdin ends, and then prints as JSON the longest of each in
seconds. What a process, or this one, waited for a core meanwhile is no standstill, and is taken off: the machine is
shared.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

EVERY = 0.02


async def probe(port: int, pid: int) -> list[float]:
    """The seconds of every answer, until cancelled."""
    took: list[float] = []
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                waited, began = _waited(pid), time.perf_counter()
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                took.append(time.perf_counter() - began - (_waited(pid) - waited))
                await asyncio.sleep(EVERY)
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(EVERY)
        except asyncio.CancelledError:
            return took


def _waited(pid: int) -> float:
    """Seconds that the main thread of a process and of this one waited for a core (the kernel's "sched-stats")."""
    return sum(int(Path(f"/proc/{one}/task/{one}/schedstat").read_text().split()[1]) for one in (pid, _OWN)) / 1e9


async def main(words: list[str]) -> None:
    """Print the name of each process and its longest answer, and how many there were."""
    named = [word.split(":") for word in words]
    probes = {name: asyncio.create_task(probe(int(port), int(pid))) for name, port, pid in named}
    await asyncio.to_thread(sys.stdin.read)
    for task in probes.values():
        task.cancel()
    found = {name: await task for name, task in probes.items()}
    sys.stdout.write(json.dumps({name: {"longest": max(took), "answers": len(took)} for name, took in found.items()}))


if __name__ == "__main__":
    _OWN = Path("/proc/self").resolve().name
    asyncio.run(main(sys.argv[1:]))
