"""The command line as a person meets it: real processes, a server of models on loopback, output and exit codes."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.model_server import ModelServer, answering, error, hang, jsonl, model_server

ROOT = Path(__file__).parent.parent.parent
SIX = {
    "option_finder",
    "precedent_researcher",
    "cost_examiner",
    "people_advocate",
    "feasibility_planner",
    "failure_examiner",
}


class Person:
    """Somebody at a shell, with nothing but a home folder and the variables given."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PANELIST_HOME": str(home / "data"),
            "PANELIST_WEB": "off",
        } | variables

    def at(self, server: ModelServer) -> "Person":
        self.environment |= {"FLASH_MODEL": "mock", "FLASH_API_BASE": server.base}
        return self

    async def start(self, *words: str, stdin: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot.cli",
            *words,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=self.environment["HOME"],
        )

    async def types(self, *words: str, stdin: str | None = None) -> tuple[int, str, str]:
        """Run a command to its end: exit code, stdout, stderr."""
        process = await self.start(*words, stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL)
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin.encode() if stdin else None)
        assert "Traceback" not in err.decode()
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def person(tmp_path):
    return Person(tmp_path)


async def test_a_panel_prints_each_answer_then_the_synthesis_then_the_roster_without_ansi(person):
    async with model_server() as server:
        code, out, err = await person.at(server).types("panel", "Should our bakery open on Sundays?")

    assert code == 0
    assert err == ""
    assert "\x1b" not in out
    assert all(f"{key} speaks" in out for key in SIX)
    assert out.index("speaks") < out.index("## Synthesis") < out.index("from 6 of 6")


async def test_one_event_a_line_and_nothing_else_on_stdout(person):
    async with model_server() as server:
        server.faults["cost_examiner"] = error(401)
        code, out, _ = await person.at(server).types("panel", "Open?", "--json")

    events = jsonl(out)
    assert code == 0
    assert events[0]["event"] == "RunStarted"
    assert events[-1]["event"] == "RunFinished"
    assert {event["perspective"] for event in events if event["event"] == "ExpertAnswered"} == SIX - {"cost_examiner"}
    (failed,) = [event for event in events if event["event"] == "ExpertFailed"]
    assert (failed["perspective"], failed["failure"]["kind"]) == ("cost_examiner", "refused")
    assert "CANARY" not in out


async def test_the_first_answer_is_printed_before_the_last_expert_has_finished(person):
    async with model_server() as server:
        server.faults["failure_examiner"] = hang
        process = await person.at(server).start("panel", "Open?", "--json")
        async with asyncio.timeout(60):
            answered = 0
            while answered < 5:
                answered += json.loads(await process.stdout.readline())["event"] == "ExpertAnswered"
        assert process.returncode is None
        process.send_signal(signal.SIGINT)
        await process.wait()


async def test_ctrl_c_stops_the_run_within_a_second_and_shows_what_came_back(person):
    async with model_server() as server:
        server.faults["failure_examiner"] = hang
        process = await person.at(server).start("panel", "Open?")
        async with asyncio.timeout(60):
            seen = ""
            while seen.count("The case: ") < 5:  # five answers
                seen += (await process.stdout.readline()).decode()
        loop = asyncio.get_running_loop()
        began = loop.time()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            while server.in_flight:
                await asyncio.sleep(0.01)
        cancelled_after = loop.time() - began
        rest, err = await process.communicate()

    assert cancelled_after < 1.0
    assert process.returncode == 0
    assert "from 5 of 6; stopped before they answered: Failure examiner" in rest.decode()
    assert err == b""


async def test_when_nobody_answers_the_exit_code_is_3_and_the_reason_is_said_once(person):
    async with model_server() as server:
        server.faults = dict.fromkeys(SIX, error(401))
        code, out, err = await person.at(server).types("panel", "Open?")
    assert code == 3
    assert err == ""
    assert "Nobody answered" in out
    assert out.split("Nobody answered")[1].count("refused the key") == 1
    assert "Synthesis\n" not in out


async def test_a_refused_connection_is_one_sentence(person, unused_tcp_port):
    person.environment |= {"FLASH_MODEL": "mock", "FLASH_API_BASE": f"http://127.0.0.1:{unused_tcp_port}/v1"}
    code, out, _ = await person.types("panel", "Open?")
    assert code == 3
    assert "The model's server could not be reached" in out.split("Nobody answered")[1]


async def test_an_unknown_model_is_one_sentence(person):
    async with model_server() as server:
        server.faults = dict.fromkeys(SIX, error(404))
        code, out, _ = await person.at(server).types("panel", "Open?")
    assert code == 3
    assert "does not know the model" in out.split("Nobody answered")[1]


async def test_a_missing_key_is_one_sentence_and_asks_nobody(person):
    person.environment["FLASH_MODEL"] = "gemini/gemini-2.5-flash"
    code, out, _ = await person.types("panel", "Open?")
    assert code == 3
    assert "No key is set for the model" in out.split("Nobody answered")[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["panel", ""], "there is no topic"),
        (["panel", "x" * 4001], "the topic has 4,001 characters"),
        (["panel", "Open?", "--panel", "desicion"], "did you mean 'decision'"),
        (["panel", "Open?", "--docs", "nowhere.md"], "nowhere.md: no such file"),
        (["panel", "Open?", "--docs", "picture.png"], "picture.png is a picture"),
        (["panel", "Open?", "--profile", "nowhere.md"], "nowhere.md: no such file"),
        (["research", " "], "there is no question"),
        (["research", "Who bakes?"], "there is nothing to search: attach a document"),
        (["panel", "--docs", "notes.md", "Open?"], "Open?: no such file"),
    ],
)
async def test_what_cannot_be_asked_is_one_sentence_on_stderr_and_exit_code_2(person, tmp_path, words, says):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    (tmp_path / "notes.md").write_text("notes")
    async with model_server() as server:
        code, out, err = await person.at(server).types(*words)
        assert server.calls.total() == 0
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert says in err


async def test_bad_settings_are_listed_together(person):
    person.environment |= {"FLASH_TIMEOUT": "soon", "PANELIST_LOG": "loud"}
    code, out, err = await person.types("panel", "Open?")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2


async def test_documents_profile_and_pillars_reach_every_expert(person, tmp_path):
    (tmp_path / "rent.md").write_text("The rent is low on Sundays.")
    (tmp_path / "who.md").write_text("A bakery of five people.")
    async with model_server() as server:
        code, *_ = await person.at(server).types(
            "panel", "Open?", "--docs", "rent.md", "--profile", "who.md", "--pillars", "warmth, thrift", "--json"
        )
    assert code == 0
    experts = [prompt for prompt in server.prompts if "[[ ## expert_perspective ## ]]\n" in prompt]
    for text in ("> The rent is low on Sundays.", "A bakery of five people.", "warmth, thrift"):
        assert all(text in prompt for prompt in experts)


async def test_a_conversation_from_a_pipe_speaks_the_grammar_and_ends_with_its_input(person):
    async with model_server() as server:
        code, out, _ = await person.at(server).types(stdin="/panel help\n/panel Open on Sundays?\nhello\n")
    assert code == 0
    assert "asks a panel of experts" in out
    assert "from 6 of 6" in out
    assert "That is no command: hello" in out


async def test_panels_are_listed_with_a_folder_of_ones_own(person, tmp_path):
    folder = tmp_path / "panels"
    folder.mkdir()
    seat = "  - key: {0}\n    title: {0}\n    instructions: Look at the matter and say what you rely on.\n"
    panel = "title: Mine\ndescription: For me.\nperspectives:\n" + seat.format("one") + seat.format("two")
    (folder / "mine.yaml").write_text(panel)
    (folder / "broken.yaml").write_text("title: [")
    person.environment["PANELIST_PANELS"] = str(folder)
    code, out, err = await person.types("panels")
    assert "mine" in out
    assert "decision" in out
    assert "broken.yaml" in err
    assert code == 2


async def test_serve_says_which_settings_are_missing(person):
    code, _, err = await person.types("serve")
    assert code == 2
    assert "SLACK_BOT_TOKEN" in err
    assert "DISCORD_TOKEN" in err


async def test_a_folder_is_served_until_it_is_told_to_end(person, tmp_path):
    folder = tmp_path / "desk"
    (folder / "in").mkdir(parents=True)
    async with model_server() as server:
        person.environment["PANELIST_GRACE"] = "6"
        process = await person.at(server).start("serve", "--front-end", f"folder:{folder}")
        (folder / "in" / ".ask").write_text(json.dumps({"text": "/panel Open on Sundays?", "author": "ann"}))
        (folder / "in" / ".ask").rename(folder / "in" / "ask.json")
        async with asyncio.timeout(60):
            while not any("from 6 of 6" in thread.read_text() for thread in folder.glob("out/*.jsonl")):
                await asyncio.sleep(0.05)
            server.faults = dict.fromkeys(SIX, hang)
            (folder / "in" / "again.txt").write_text("/panel And on Mondays?")
            while server.in_flight < 6:
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            _, err = await process.communicate()

    assert process.returncode == 0
    assert b"Traceback" not in err
    first, second = sorted(folder.glob("out/*.jsonl"), key=lambda thread: "again" in thread.name)
    posts = [json.loads(line)["post"] for line in first.read_text().splitlines()]
    assert len(posts) == len(set(posts)) == 9  # the root, six answers, the synthesis, the roster
    assert "Paused, will resume" in second.read_text().splitlines()[-1]
    assert not list((folder / "in").iterdir())


async def test_a_front_end_that_is_none_is_usage(person):
    code, _, err = await person.types("serve", "--front-end", "carrier-pigeon")
    assert code == 2
    assert "folder:DIR" in err


async def test_the_doctor_calls_each_model_once_and_finds_nothing_wrong(person):
    async with model_server() as server:
        code, out, _ = await person.at(server).types("doctor")
        assert server.calls.total() == 2
    assert code == 0
    assert "FAULT" not in out
    assert "flash model mock: answers" in out


async def test_the_doctor_says_what_to_do_about_each_fault(person, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    person.environment["PANELIST_HOME"] = str(blocked / "data")
    async with model_server() as server:
        server.faults["synthesis"] = error(401)
        code, out, _ = await person.at(server).types("doctor")
    assert code == 1
    assert "set PANELIST_HOME to a folder you may write to" in out
    assert "refused the key" in out
    assert "FLASH_API_KEY" in out


async def test_the_doctor_lists_bad_settings(person):
    person.environment |= {"FLASH_TIMEOUT": "soon"}
    code, out, _ = await person.types("doctor")
    assert code == 1
    assert "FAULT settings: FLASH_TIMEOUT" in out


async def test_an_answer_full_of_escapes_is_shown_and_not_obeyed(person):
    from teams.scripted import chat_text, expert_reply

    async with model_server() as server:
        server.faults["cost_examiner"] = answering(chat_text(expert_reply("\x1b]52;c;ZXZpbA==\x07 \x1b[2J <!channel>")))
        code, out, _ = await person.at(server).types("panel", "Open?")
    assert code == 0
    assert "\x1b" not in out
    assert "\\x1b]52;c;" in out


async def test_a_reader_that_goes_away_is_no_traceback(person):
    async with model_server(delay=0.3) as server:
        process = await person.at(server).start("panel", "Open?", "--json")
        await process.stdout.readline()
        process._transport.get_pipe_transport(1).close()
        async with asyncio.timeout(60):
            err = await process.stderr.read()
            await process.wait()
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
async def test_a_closed_stream_is_no_traceback(person, closed):
    line = f"{sys.executable} -m bot.cli panels {closed}"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", line, stderr=asyncio.subprocess.PIPE, env=person.environment, cwd=person.environment["HOME"]
    )
    _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")


async def test_a_reader_that_is_gone_before_the_first_post_is_no_traceback(person):
    async with model_server() as server:
        line = f"{sys.executable} -m bot.cli panel Open? | true"
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", line, stderr=asyncio.subprocess.PIPE, env=person.at(server).environment
        )
        _, err = await process.communicate()
    assert b"Traceback" not in err


async def test_a_panel_that_cannot_be_read_is_named_when_it_is_asked_for(person, tmp_path):
    (tmp_path / "panels").mkdir()
    (tmp_path / "panels" / "mine.yaml").write_text("title: [")
    person.environment["PANELIST_PANELS"] = str(tmp_path / "panels")
    code, _, err = await person.types("panel", "Open?", "--panel", "mine")
    assert code == 2
    assert "there is no panel 'mine'" in err
    assert "mine.yaml, line 1" in err


async def test_names_from_outside_are_shown_and_not_obeyed(person, tmp_path):
    code, _, err = await person.types("panel", "Open?", "--docs", "\x1b]0;pwn\x07.md")
    assert code == 2
    assert "\x1b" not in err


async def test_a_model_name_that_can_be_none_is_a_setting_to_correct(person):
    person.environment["FLASH_MODEL"] = "gemini/"
    code, out, err = await person.types("panel", "Open?")
    assert (code, out) == (2, "")
    assert "FLASH_MODEL" in err


async def test_help_goes_to_stdout_and_an_unknown_verb_is_usage(person):
    code, out, _ = await person.types("--help")
    assert code == 0
    assert "panel" in out
    code, _, err = await person.types("dance")
    assert code == 2
    assert "dance" in err
