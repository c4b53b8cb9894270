"""What the bench makes of what it measured: ratios, verdicts, results by case, and the document's tables."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from bench.__main__ import CASES
from bench.document import COLUMNS, markdown, refreshed
from bench.environments import PEERS, environment_of, folder_of
from bench.fanout_figures import Measured, figures
from bench.first_answer import waited
from bench.peers.measuring import EXPERTS, Load, checked, is_whole
from bench.results import Made, merged, read, write
from bench.rows import Row
from bench.runs import figures as runs_figures
from teams.scripted import chat_text, expert_reply
from tests.adapters.slack.fake_world import Call

MACHINE = {"cores": 2, "processor": "x", "python": "3.11", "versions": {"dspy": "3"}, "load_average": [0.5, 0, 0]}
MADE = Made("2030-01-02T03:04:05+00:00", "python -m bench fanout", MACHINE)
WHOLE = chat_text(expert_reply("Try it"))


def measured(name, *costs, size=100, p99=100.0, failed=0, peer=None, **load):
    repeats = [
        {
            "cpu_ms_per_call": cost,
            "panel_ms": [p99],
            "failed": failed,
            "loop": "uvloop",
            "held_in_flight": 600,
            "late": 0,
        }
        for cost in costs
    ]
    if peer:
        repeats = [each | {"errors": {}} for each in repeats]
    return Measured(name, Load(name, "", size, held=0 if peer else 600, **load), tuple(repeats), peer)


def of_runs(cost=20.0, lag=5.0, peak=200.0, lost=0):
    return {
        "runs": 115,
        "run_s": [5.0, 5.1],
        "lag_ms": [lag],
        "runs_lost": lost,
        "most_in_flight": 100,
        "calls_in_flight": 360,
        "cpu_ms_per_run": cost,
        "rss_before_mb": 100.0,
        "peak_rss_mb": peak,
        "cpu_share": 0.4,
        "threads_ms_per_run": {"loop": 10.0},
        "loop": "uvloop",
    }


def test_a_ratio_is_the_median_of_the_turns_and_not_of_all_repeats():
    floor, ours = measured("raw_aiohttp", 0.2, 0.4, 0.3), measured("panelist", 0.4, 0.4, 0.9)

    assert figures(ours, [floor, ours])["cpu_ratio"] == 2.0


def test_the_project_is_short_where_it_costs_more_than_it_may():
    floor = measured("raw_aiohttp", 0.2)

    def told(cost):
        ours = measured("panelist", cost)
        return figures(ours, [floor, ours])

    assert told(0.6)["verdict"] == "ok"
    assert told(0.61)["short_of"] == "cpu_ratio"
    assert told(1.3)["short_of"] == "cpu_ratio, cpu_ms"


def test_a_failed_expert_or_a_call_that_was_held_back_is_short_of_the_promise():
    floor, failing = measured("raw_aiohttp", 0.2, size=10), measured("panelist", 0.2, size=10, failed=1)
    fewer = replace(failing, repeats=({**failing.repeats[0], "failed": 0, "held_in_flight": 599},))

    assert figures(failing, [floor, failing])["short_of"] == "failed"
    assert figures(fewer, [floor, fewer])["short_of"] == "in_flight"


def test_at_five_hundred_panels_the_latest_may_take_twice_the_floor():
    floor, slow = measured("raw_aiohttp", 0.2, size=500), measured("panelist", 0.9, size=500, p99=201.0)

    assert figures(slow, [floor, slow])["short_of"] == "p99_ratio"
    assert figures(slow, [floor, slow])["p99_ratio"] == 2.01


def test_a_peer_is_held_against_the_project_of_the_same_run():
    ours = measured("panelist", 0.4)
    stock = measured("autogen", 1.9, peer=PEERS[0], transport="default", loop="asyncio")
    fast = measured("autogen_aiohttp", 1.0, peer=PEERS[0], transport="aiohttp", loop="asyncio")

    assert figures(stock, [ours, stock])["times_ours"] == 4.75
    assert figures(stock, [ours, stock])["short_of"] == "times_ours"
    assert figures(fast, [ours, fast])["verdict"] == "ok"


def test_a_peer_that_answered_nobody_has_no_cost_and_no_latency():
    ours = measured("panelist", 0.4)
    failing = Measured(
        "autogen",
        Load("autogen", "", 500, transport="default", loop="asyncio", patience=60.0),
        (
            {
                "cpu_ms_per_call": None,
                "panel_ms": [],
                "failed": 3000,
                "loop": "asyncio",
                "late": 9,
                "errors": {"E": 2991},
            },
        ),
        PEERS[0],
    )

    told = figures(failing, [ours, failing])

    assert (told["cpu_ms_per_call"], told["panel_p99_ms"], told["failed"]) == (None, None, 3000)
    assert told["errors"] == "E 2991, no answer in 60 s 9"


def test_a_peer_whose_process_failed_is_told_and_not_hidden():
    ours = measured("panelist", 0.4)
    told = {"cpu_ms_per_call": None, "panel_ms": [], "failed": 1200, "errors": {"the process failed": 1200}}
    load = Load("autogen", "", 100, transport="default", loop="asyncio")

    row = figures(Measured("autogen", load, (told,), PEERS[0]), [ours])

    assert (row["failed"], row["errors"]) == (1200, "the process failed 1200")


def test_a_run_may_cost_so_much_at_a_hundred_and_a_fifth_more_at_three_thousand():
    assert runs_figures(100, [of_runs(24.0)], 24.0)["verdict"] == "ok"
    assert runs_figures(100, [of_runs(24.1)], 24.1)["short_of"] == "cpu"
    assert runs_figures(3000, [of_runs(28.8)], 24.0)["verdict"] == "ok"
    assert runs_figures(3000, [of_runs(28.9)], 24.0)["short_of"] == "growth"
    assert runs_figures(100, [of_runs(), of_runs(lost=1)], None)["short_of"] == "lost"


def test_lag_and_memory_count_at_a_thousand():
    assert runs_figures(1000, [of_runs(lag=31.0, peak=251.0)], 20.0)["short_of"] == "lag, memory"
    assert runs_figures(300, [of_runs(lag=31.0, peak=251.0)], 20.0)["verdict"] == "ok"


@pytest.mark.parametrize("missing", ["reasoning", "headline", "analysis", "key_points", "recommendation", "confidence"])
def test_an_answer_is_whole_with_all_its_sections_only(missing):
    reply = expert_reply("Try it")

    assert is_whole(chat_text(reply))
    assert not is_whole(chat_text({name: value for name, value in reply.items() if name != missing}))


async def test_what_a_peer_raises_is_counted_by_its_kind():
    async def some():
        return [WHOLE, TimeoutError(), "no sections"]

    async def none():
        raise OSError

    errors = Counter()

    assert await checked(some, errors)() == EXPERTS - 1
    assert await checked(none, errors)() == EXPERTS
    assert errors == {"TimeoutError": 1, "OSError": EXPERTS}


def test_an_environment_is_another_one_when_a_version_changes():
    peer = PEERS[0]

    assert folder_of(peer) == folder_of(replace(peer))
    assert folder_of(peer) != folder_of(replace(peer, packages=("langgraph==0.0.1",)))
    assert "SLACK_BOT_TOKEN" not in environment_of(peer)


def test_every_peer_has_a_script_and_pinned_packages():
    for peer in PEERS:
        assert peer.script.exists()
        assert all("==" in package for package in peer.requirements)


def test_an_answer_waits_from_leaving_the_model_to_the_first_call_that_posts_it():
    def post(run, seat, left, at):
        body = {"metadata": {"event_payload": {"key": f"{run}/expert/{seat}"}}, "text": f"left-at-{left:016}"}
        return Call("chat.postMessage", "", body, at)

    calls = [
        post("one", "b", 2_000_000, 2.5),
        post("one", "a", 1_000_000, 1.25),
        post("one", "a", 1_000_000, 9.0),
        Call("chat.update", "", calls_body := {"text": "left-at-0000000001000000"}, 1.1),
        Call("chat.postMessage", "", {**calls_body, "metadata": {"event_payload": {"key": "one/roster"}}}, 1.2),
    ]

    assert waited(calls) == {"one": [250.0, 500.0]}


def test_a_case_measured_anew_leaves_the_others_as_they_are(tmp_path):
    path = tmp_path / "results.json"
    write(merged(read(path), [Row("panel", "1", "panelist", {"ms": 1})], MADE), path)
    later = replace(MADE, command="python -m bench fanout --sizes 1")
    write(merged(read(path), [Row("fanout", "1", "panelist", {"ms": 2})], later), path)

    results = read(path)

    assert results["cases"]["panel"]["1"]["panelist"] == {"ms": 1}
    assert results["cases"]["fanout"]["1"]["panelist"] == {"ms": 2}
    assert [results["made"][case]["command"] for case in ("panel", "fanout")] == [MADE.command, later.command]


def test_what_an_older_bench_wrote_is_measured_anew(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"machine": {}, "date": "", "cases": {"panel": {}}}))

    assert read(path) == {}


def test_a_table_has_its_targets_its_verdicts_and_how_it_was_made():
    told = {"cpu_ms_per_call": 0.5, "times_ours": 4.0, "target_times_ours": 5.0, "verdict": "short"}
    rows = [Row("fanout", "100", "autogen", told | {"short_of": "times_ours"})]

    table = markdown(merged({}, rows, MADE), "fanout")

    assert table.splitlines()[0] == "| panels |  | CPU ms/call | × ours | target |  |"
    assert table.splitlines()[2] == "| 100 | autogen | 0.5 | 4 | times ours ≥ 5 | **short**: times ours |"
    assert "`python -m bench fanout`, 2030-01-02; 2 cores (x), load 0.5" in table


def test_a_document_is_refreshed_between_its_marks_where_a_case_was_measured():
    text = "before\n<!-- bench:panel -->\nold\n<!-- /bench -->\nbetween\n<!-- bench:kill -->\nkept\n<!-- /bench -->\n"
    results = merged({}, [Row("panel", "1", "panelist", {"ratio_median": 1.1})], MADE)

    once = refreshed(text, results)

    assert "old" not in once
    assert "| 1 | panelist | 1.1 |" in once
    assert once.startswith("before\n<!-- bench:panel -->\n")
    assert "between\n<!-- bench:kill -->\nkept\n<!-- /bench -->\n" in once
    assert refreshed(once, results) == once


def test_every_table_of_the_document_is_a_case():
    assert set(COLUMNS) <= set(CASES)
