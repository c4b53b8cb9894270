"""Results as the tables of docs/performance.md, so that no figure there is written by hand."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.rows import Figure, shown

Columns = Sequence[tuple[str, str]]
"""Figures by name, and what a table calls them."""

COLUMNS: Mapping[str, tuple[str, Columns]] = {
    "panel": ("panels", (("ratio_median", "median ÷ delay"), ("ratio_p90", "p90 ÷ delay"), ("loop", "loop"))),
    "fanout": (
        "panels",
        (
            ("cpu_ms_per_call", "CPU ms/call"),
            ("cpu_ratio", "× floor"),
            ("times_ours", "× ours"),
            ("calls_per_s", "calls/s"),
            ("panel_p50_ms", "p50 ms"),
            ("panel_p99_ms", "p99 ms"),
            ("p99_ratio", "p99 × floor"),
            ("peak_rss_mb", "MB"),
            ("failed", "failed"),
            ("errors", "of these"),
            ("loop", "loop"),
        ),
    ),
    "first_answer": (
        "panels",
        (
            ("answers", "answers"),
            ("lost", "lost"),
            ("p50_ms", "p50 ms"),
            ("p99_ms", "p99 ms"),
            ("max_ms", "max ms"),
            ("panels_first_p99_ms", "p99 ms of panels' first"),
            ("lag_p99_ms", "lag p99 ms"),
        ),
    ),
    "runs": (
        "runs",
        (
            ("cpu_ms_per_run", "CPU ms/run"),
            ("growth", "÷ that at 100"),
            ("lag_p99_ms", "lag p99 ms"),
            ("peak_rss_mb", "MB"),
            ("ideal_s", "ideal s"),
            ("p99_s", "p99 s"),
            ("ratio_p99", "p99 ÷ ideal"),
            ("runs_lost", "lost"),
            ("loop", "loop"),
            ("repeats", "repeats"),
        ),
    ),
    "durability": (
        "runs",
        (
            ("cpu_ms_per_run", "CPU ms/run"),
            ("lowest", "lowest"),
            ("highest", "highest"),
            ("loop_cpu_ms_per_run", "loop"),
            ("store_cpu_ms_per_run", "store"),
            ("other_cpu_ms_per_run", "other threads"),
        ),
    ),
    "ack": (
        "events/s",
        (
            ("events", "events"),
            ("acknowledged", "acknowledged"),
            ("p50_ms", "p50 ms"),
            ("p99_ms", "p99 ms"),
            ("max_ms", "max ms"),
            ("runs_accepted", "runs accepted"),
            ("lag_p99_ms", "lag p99 ms"),
        ),
    ),
    "delivery": (
        "panels",
        (
            ("seconds", "s"),
            ("allowed_s", "allowed s"),
            ("ratio", "ratio"),
            ("posts_per_min", "posts/min"),
            ("allowed_per_min", "allowed/min"),
            ("calls", "calls"),
            ("limited_posts", "posts refused (429)"),
            ("limited_boards", "boards refused (429)"),
            ("posts_lost", "lost"),
            ("posts_doubled", "doubled"),
        ),
    ),
    "startup": (
        "",
        (
            ("seconds_median", "median s"),
            ("seconds_p90", "p90 s"),
            ("imports", "modules"),
            ("dspy_imported", "DSPy among them"),
            ("first_root_s", "command to first post s"),
            ("first_answer_s", "command to first answer s"),
        ),
    ),
    "scale": (
        "workers",
        (
            ("runs", "runs"),
            ("runs_per_s", "runs/s"),
            ("cores_used", "cores used"),
            ("cores_of_the_bench", "cores of the bench"),
            ("cpu_ms_per_run", "CPU ms/run"),
            ("worker_ms_per_run", "workers"),
            ("gateway_ms_per_run", "gateway"),
            ("postgres_ms_per_run", "Postgres"),
            ("postgres_share", "share of Postgres"),
            ("wal_kb_per_run", "WAL kB/run"),
            ("database_kb_per_run", "database kB/run"),
            ("rows_per_run", "rows/run"),
            ("connections_per_process", "connections/process"),
            ("p99_s", "p99 s"),
            ("ack_p99_ms", "ack p99 ms"),
            ("gateway_waited_s", "gateway waited s"),
            ("takeover_s", "takeover s"),
            ("posts_lost", "posts lost"),
            ("posts_doubled", "posts doubled"),
        ),
    ),
    "kill": (
        "kills",
        (
            ("runs", "runs"),
            ("posts", "posts"),
            ("calls", "model calls"),
            ("runs_lost", "runs lost"),
            ("posts_lost", "posts lost"),
            ("posts_doubled", "posts doubled"),
            ("recorded_calls_repeated", "paid twice"),
            ("quarantined", "quarantined"),
            ("cut_off_calls_repeated", "cut off, asked again"),
            ("takeovers", "taken over"),
        ),
    ),
}
"""The cases that the document shows: what their sizes are, and their columns. What else was measured is in the file."""

AT_LEAST = ("target_times_ours",)
"""Targets that a figure should reach; all others it should not exceed."""

_MARKED = re.compile(r"(<!-- bench:(\w+) -->\n).*?(<!-- /bench -->)", re.DOTALL)


def markdown(results: Mapping[str, Any], case: str) -> str:
    """One case as a table, with how it was made below; empty where it was not measured."""
    sizes = results.get("cases", {}).get(case)
    if not sizes or case not in COLUMNS:
        return ""
    unit, columns = COLUMNS[case]
    rows = [(size, name, figures) for size, named in sizes.items() for name, figures in named.items()]
    used = [each for each in columns if any(figures.get(each[0]) is not None for _, _, figures in rows)]
    lines = [[*([unit] if unit else []), "", *(title for _, title in used), "target", ""]]
    lines.append(["---:" if title else "---" for title in lines[0]])
    for size, name, figures in rows:
        cells = [shown(figures.get(figure)) for figure, _ in used]
        lines.append([*([size] if unit else []), name, *cells, _targets(figures), _verdict(figures)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    peers = "; ".join(dict.fromkeys(str(figures["versions"]) for _, _, figures in rows if figures.get("versions")))
    return f"{table}\n\n{_how(results['made'][case])}{peers and f'. Peers: {peers}'}\n"


def refreshed(text: str, results: Mapping[str, Any]) -> str:
    """A document with its tables as the results have them; a table whose case was not measured stays as it is."""
    return _MARKED.sub(lambda found: f"{found[1]}{markdown(results, found[2]) or _inside(found)}{found[3]}", text)


def _inside(found: re.Match[str]) -> str:
    return found[0].removeprefix(found[1]).removesuffix(found[3])


def _targets(figures: Mapping[str, Figure]) -> str:
    told = []
    for name, value in figures.items():
        if name.startswith("target") and value is not None:
            what = name.removeprefix("target").strip("_").replace("_", " ")
            told.append(f"{what} {'≥' if name in AT_LEAST else '≤'} {shown(value)}".strip())
    return ", ".join(told)


def _verdict(figures: Mapping[str, Figure]) -> str:
    short = str(figures.get("short_of") or "").replace("_", " ")
    verdict = str(figures.get("verdict") or "")
    return f"**{verdict}**: {short}" if short else f"**{verdict}**" if verdict == "short" else verdict


def _how(made: Mapping[str, Any]) -> str:
    machine = made["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    load = machine["load_average"][0]
    return (
        f"`{made['command']}`, {made['date'][:10]}; {machine['cores']} cores ({machine['processor']}), load {load} "
        f"when it began; Python {machine['python']}, {versions}"
    )
