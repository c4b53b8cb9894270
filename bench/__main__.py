"""`python -m bench [case…]`: run the cases, print a table each, and keep their figures in bench/results.json."""

import argparse
import asyncio
import shlex
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import ack, delivery, durability, fanout, first_answer, kill, library, panel, runs, scale, startup
from bench.document import COLUMNS, markdown, refreshed
from bench.machine import describe
from bench.results import Made, merged, read, write
from bench.rows import Options, Row, table

CASES: dict[str, Callable[[Options], Awaitable[list[Row]]]] = {
    panel.CASE: panel.run,
    fanout.CASE: fanout.run,
    first_answer.CASE: first_answer.run,
    startup.CASE: startup.run,
    durability.CASE: durability.run,
    runs.CASE: runs.run,
    ack.CASE: ack.run,
    delivery.CASE: delivery.run,
    kill.CASE: kill.run,
    scale.CASE: scale.run,
    library.CASE: library.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when all cases ran, whatever their figures."""
    words = sys.argv[1:] if argv is None else list(argv)
    args = _parser().parse_args(words)
    if args.markdown:
        print("\n".join(f"## {case}\n\n{text}" for case in COLUMNS if (text := markdown(read(), case))))
        return 0
    if args.refresh:
        args.refresh.write_text(refreshed(args.refresh.read_text(), read()))
        return 0
    options = Options(
        args.sizes,
        args.repeats,
        panels=args.panels,
        channels=args.channels,
        seconds=args.seconds,
        peers=args.peers,
        kills=args.kills,
        workers=args.workers,
    )
    return asyncio.run(_run(args.cases or list(CASES), options, shlex.join(["python", "-m", "bench", *words])))


def _parser() -> argparse.ArgumentParser:
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the project on this machine.")
    parser.add_argument("cases", nargs="*", type=_case, metavar="case", help=f"of {', '.join(CASES)}; or all")
    parser.add_argument(
        "--sizes", type=_sizes, default=default.sizes, help="panels or runs in flight, as in 1,10,100; workers in scale"
    )
    parser.add_argument(
        "--repeats", type=int, default=default.repeats, help="fresh processes per row of fanout, durability and runs"
    )
    parser.add_argument(
        "--peers", action="store_true", help="in fanout other libraries as well, in environments of their own"
    )
    parser.add_argument("--panels", type=int, default=default.panels, help="panels asked at once in delivery")
    parser.add_argument("--channels", type=int, default=default.channels, help="channels they are asked in")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="how long ack delivers events")
    parser.add_argument("--kills", type=int, default=default.kills, help="how often kill kills")
    parser.add_argument(
        "--workers", type=int, default=default.workers, help="in kill so many on one Postgres as well, where over 1"
    )
    parser.add_argument("--markdown", action="store_true", help="measure nothing; print the last results as tables")
    parser.add_argument(
        "--refresh", type=Path, metavar="FILE", help="measure nothing; put the last results into this document's tables"
    )
    return parser


async def _run(names: list[str], options: Options, command: str) -> int:
    """Run one case after the other; what one has measured is kept before the next begins."""
    failed = []
    for name in names:
        machine = describe()
        made = Made(datetime.now(UTC).isoformat(timespec="seconds"), command, machine)
        if name == names[0]:
            print(", ".join(f"{what} {value}" for what, value in machine.items()))
        print(f"\n{name}: begun {made.date}", flush=True)
        began = time.monotonic()
        try:
            rows = await CASES[name](options)
        except Exception:  # noqa: BLE001 - what the other cases measure is wanted all the same
            traceback.print_exc()
            failed.append(name)
            continue
        write(merged(read(), rows, made))
        print(f"\n{name}: {time.monotonic() - began:.0f} s\n{table(rows)}", flush=True)
    if failed:
        print(f"\nnot measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


# Not `choices`: Python 3.11 checks them against the empty list too when no case is named.
def _case(name: str) -> str:
    if name not in CASES:
        raise argparse.ArgumentTypeError(f"there is no case {name!r}; there are {', '.join(CASES)}")
    return name


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(part) for part in text.split(",")}))


if __name__ == "__main__":
    sys.exit(main())
