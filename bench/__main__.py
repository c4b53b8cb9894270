"""`python -m bench [case…]`: run the cases, print a table each, write bench/results.json."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import ack, delivery, durability, fanout, library, panel, runs, startup
from bench.machine import describe
from bench.rows import Options, Row, nested, table

CASES: dict[str, Callable[[Options], Awaitable[list[Row]]]] = {
    panel.CASE: panel.run,
    fanout.CASE: fanout.run,
    startup.CASE: startup.run,
    durability.CASE: durability.run,
    runs.CASE: runs.run,
    ack.CASE: ack.run,
    delivery.CASE: delivery.run,
    library.CASE: library.run,
}

RESULTS = Path(__file__).with_name("results.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when all cases ran, whatever their figures."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the project on this machine.")
    parser.add_argument("cases", nargs="*", type=_case, metavar="case", help=f"of {', '.join(CASES)}; or all")
    parser.add_argument(
        "--sizes", type=_sizes, default=Options().sizes, help="panels or runs in flight, as in 1,10,100"
    )
    parser.add_argument(
        "--repeats", type=int, default=Options().repeats, help="fresh processes per row of fanout and durability"
    )
    parser.add_argument("--panels", type=int, default=Options().panels, help="panels asked at once in delivery")
    parser.add_argument("--channels", type=int, default=Options().channels, help="channels they are asked in")
    parser.add_argument("--seconds", type=float, default=Options().seconds, help="how long ack delivers events")
    args = parser.parse_args(argv)
    options = Options(args.sizes, args.repeats, panels=args.panels, channels=args.channels, seconds=args.seconds)
    asyncio.run(_run(args.cases or list(CASES), options))
    return 0


async def _run(names: list[str], options: Options) -> None:
    machine, rows = describe(), []
    began = datetime.now(UTC).isoformat(timespec="seconds")
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    for name in names:
        found = await CASES[name](options)
        rows += found
        print(f"\n{name}\n{table(found)}", flush=True)
    results = {"machine": machine, "date": began, "cases": nested(rows)}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


# Not `choices`: Python 3.11 checks them against the empty list too when no case is named.
def _case(name: str) -> str:
    if name not in CASES:
        raise argparse.ArgumentTypeError(f"there is no case {name!r}; there are {', '.join(CASES)}")
    return name


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(part) for part in text.split(",")}))


if __name__ == "__main__":
    sys.exit(main())
