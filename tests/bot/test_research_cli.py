"""Research from a shell: real processes, a folder of files, a server of models on loopback; nothing of the network."""

import asyncio
import re
import sys
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from teams.scripted import chat_text, synthesis_reply
from teams.sources.ddgs_child import ENGINES
from tests.bot.test_cli import ROOT, Person
from tests.model_server import ModelServer, completion, jsonl, model_server

HOURS = "# Opening hours\n\nBakeries may open on Sundays for three hours. The town council decides on exceptions.\n"
QUOTE = "Bakeries may open on Sundays for three hours."
QUESTION = "May bakeries open on Sundays?"


async def researching(request: web.Request) -> web.Response:
    """A model that searches once, quotes what it was shown, and answers from it."""
    prompt = "\n".join(str(message["content"]) for message in (await request.json())["messages"])
    if "next_tool_name" in prompt:
        tool = "finish" if "observation_0" in prompt else "search_library"
        arguments = {} if tool == "finish" else {"query": "bakeries Sundays"}
        reply = {"next_thought": "t", "next_tool_name": tool, "next_tool_args": arguments}
    elif "`raw_results`" in prompt:
        reply = {"reasoning": "r", "raw_results": f'[S1] "{QUOTE}"'}
    elif "`findings`" in prompt:
        reply = {"findings": [{"claim": QUOTE, "source": "S1", "quote": QUOTE}], "gaps": []}
    else:
        reply = synthesis_reply("For three hours [S1].", recommendation="", agreements=[])
    return completion(chat_text(reply))


@pytest.fixture
async def server():
    async with model_server() as opened:
        opened.faults["synthesis"] = researching
        yield opened


@pytest.fixture
def person(tmp_path, server: ModelServer):
    (tmp_path / "manuals").mkdir()
    (tmp_path / "manuals" / "opening.md").write_text(HOURS)
    return Person(tmp_path).at(server)


async def test_research_in_a_folder_is_answered_with_its_sources_and_the_library_is_left_alone(person, tmp_path):
    code, out, err = await person.types("research", QUESTION, "--library", "manuals")
    assert (code, err) == (0, "")
    assert "For three hours" in out
    assert "opening.md" in out
    assert "1 supported" in out
    assert "from 3 of 3" in out
    data = tmp_path / "data"
    assert not (data / "library.sqlite").exists()
    assert len(list((data / "libraries").glob("*.sqlite"))) == 1


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({}, "web: ddgs (DuckDuckGo, Brave, Mojeek, Startpage, Wikipedia); research sends its queries there"),
        ({"EXA_API_KEY": "CANARY"}, "web: exa; research sends its queries there, and PANELIST_WEB=off turns it off"),
        ({"PANELIST_WEB": "off"}, "web: off; research searches"),
    ],
)
async def test_who_serves_is_told_where_research_sends_its_queries(person, tmp_path, setting, said):
    desk = tmp_path / "desk"
    (desk / "in").mkdir(parents=True)
    del person.environment["PANELIST_WEB"]
    person.environment |= {"PANELIST_GRACE": "6", **setting}
    process = await person.start("serve", "--front-end", f"folder:{desk}")
    assert process.stderr is not None
    async with asyncio.timeout(60):
        lines = [(await process.stderr.readline()).decode() for _ in range(2)]
    process.terminate()
    await process.communicate()
    assert lines[1].startswith(f"panelist: {said}")
    assert "CANARY" not in "".join(lines)


def test_the_documents_name_the_engines_that_research_asks_without_a_key():
    for name in ("privacy", "research"):
        assert ", ".join(ENGINES) in (ROOT / "docs" / f"{name}.md").read_text()


async def test_research_looks_again_only_at_what_changed_in_its_folder(person, tmp_path, server):
    await person.types("research", QUESTION, "--library", "manuals")
    (tmp_path / "manuals" / "opening.md").unlink()
    (tmp_path / "manuals" / "later.md").write_text(HOURS.replace("three", "four"))
    await person.types("research", QUESTION, "--library", "manuals")
    assert any("open on Sundays for four hours" in prompt for prompt in server.prompts)
    assert len(list((tmp_path / "data" / "libraries").glob("*.sqlite"))) == 1


async def test_research_searches_what_was_added_to_the_library(person):
    assert (await person.types("library", "add", "manuals"))[0] == 0
    code, out, _ = await person.types("research", QUESTION)
    assert code == 0
    assert "For three hours" in out
    assert "opening.md" in out


async def test_research_as_json_is_one_event_a_line_and_tells_how_far_it_is(person):
    code, out, err = await person.types("research", QUESTION, "--library", "manuals", "--json")
    events = jsonl(out)
    assert (code, err) == (0, "")
    assert [event["seats"] for event in events if event["event"] == "RunStarted"]
    assert {event["detail"] for event in events if event["event"] == "SeatProgressed"} >= {"1 search"}
    (written,) = [event["synthesis"]["summary"] for event in events if event["event"] == "SynthesisWritten"]
    assert "opening.md" in written


@pytest.mark.parametrize(
    ("folder", "says"), [("nowhere", "no such folder; check the path behind --library"), ("empty", "can be searched")]
)
async def test_a_research_folder_that_cannot_be_searched_is_one_sentence_and_asks_nobody(
    person, tmp_path, server, folder, says
):
    (tmp_path / "empty").mkdir()
    for more in ([], ["--json"]):
        code, out, err = await person.types("research", QUESTION, "--library", folder, *more)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert says in err
    assert server.calls.total() == 0


async def test_files_of_a_research_folder_that_cannot_be_read_are_said_and_the_others_are_searched(person, tmp_path):
    (tmp_path / "manuals" / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    code, out, err = await person.types("research", QUESTION, "--library", "manuals")
    assert code == 0
    assert "For three hours" in out
    assert "1 file of" in err
    assert "broken.pdf" in err


async def test_a_panel_names_on_stderr_the_links_that_it_did_not_read(person, server):
    del server.faults["synthesis"]
    code, out, err = await person.types("panel", "Is https://a.example/ right?", "--json")
    assert code == 0
    assert jsonl(out)[-1]["event"] == "RunFinished"
    assert err.count("\n") == 1
    assert "https://a.example/: links are not read here, for PANELIST_WEB is off" in err


async def test_the_evidence_of_research_is_exported_from_a_shell(person):
    await person.types("research", QUESTION, "--library", "manuals")
    _, listed, _ = await person.types("runs")
    (run_id,) = re.findall(r"finished +(\w+)", listed)
    _, out, _ = await person.types("runs", "export", run_id)
    assert "# Evidence" in out
    assert "SHA-256 of the text" in out


async def test_a_link_to_this_machine_is_not_read_by_research_and_the_thread_says_why(person, server):
    del server.faults["synthesis"]
    reached = []

    async def internal(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(text="CANARY")

    app = web.Application()
    app.router.add_get("/secret", internal)
    person.environment |= {"PANELIST_WEB": "searxng", "SEARXNG_URL": "http://127.0.0.1:9"}
    async with TestServer(app) as listener:
        code, out, _ = await person.types("panel", f"Is {listener.make_url('/secret')} right?")
    assert code == 0
    assert "Not read" in out
    assert "from 6 of 6" in out
    assert reached == []
    assert "CANARY" not in out + "".join(server.prompts)


async def test_research_that_was_killed_is_resumed_in_its_folder_and_asks_only_what_is_left(person, server):
    answering_now, hangs = asyncio.Event(), True

    async def hanging_at_the_end(request: web.Request) -> web.Response:
        prompt = "\n".join(str(message["content"]) for message in (await request.json())["messages"])
        is_answer = not any(word in prompt for word in ("next_tool_name", "`raw_results`", "`findings`"))
        if is_answer and hangs:
            answering_now.set()
            await asyncio.Event().wait()
        return await researching(request)

    server.faults["synthesis"] = hanging_at_the_end
    process = await person.start("research", QUESTION, "--library", "manuals")
    async with asyncio.timeout(60):
        await answering_now.wait()
    process.kill()
    await process.communicate()
    asked, hangs = server.calls.total(), False

    _, listed, _ = await person.types("runs")
    (run_id,) = re.findall(r"interrupted +(\w+)", listed)
    code, out, _ = await person.types("runs", "resume", run_id)
    assert code == 0
    assert "For three hours" in out
    assert server.calls.total() == asked + 1


# What the doctor says


async def test_the_doctor_says_what_research_can_search(person, server):
    del server.faults["synthesis"]
    code, out, _ = await person.types("doctor")
    assert code == 0
    assert "ok    library: there is no library yet" in out
    assert "ok    web: off" in out
    await person.types("library", "add", "manuals")
    assert "ok    library: 1 file can be searched" in (await person.types("doctor"))[1]


async def test_the_doctor_asks_each_provider_of_web_search_once(person, server):
    del server.faults["synthesis"]
    asked = []

    async def refuse(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"detail": "CANARY"}, status=401)

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"results": [{"title": "t", "url": "https://a.example/", "content": "c"}]})

    app = web.Application()
    app.router.add_post("/tavily/search", refuse)
    app.router.add_get("/searxng/search", answer)
    async with TestServer(app) as providers:
        base = str(providers.make_url("/")).rstrip("/")
        person.environment |= {
            "PANELIST_WEB": "tavily,searxng",
            "TAVILY_API_KEY": "key",
            "TAVILY_API_BASE": f"{base}/tavily",
            "SEARXNG_URL": f"{base}/searxng",
        }
        code, out, _ = await person.types("doctor")
    assert code == 1
    assert "FAULT web search tavily: " in out
    assert "ok    web search searxng: answers" in out
    assert asked == ["/tavily/search", "/searxng/search"]
    assert "CANARY" not in out


async def test_a_file_of_mcp_servers_that_cannot_be_used_is_said_by_the_doctor_and_stops_research(
    person, tmp_path, server
):
    del server.faults["synthesis"]
    (tmp_path / "servers.yaml").write_text("servers:\n  files: {}\n  Other: {command: x}\n")
    person.environment["PANELIST_MCP"] = str(tmp_path / "servers.yaml")
    code, out, _ = await person.types("doctor")
    assert code == 1
    assert out.count("FAULT MCP: ") == 2
    code, out, err = await person.types("research", QUESTION, "--library", "manuals")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2


async def test_bad_settings_of_research_are_listed_with_the_others(person):
    person.environment |= {"FLASH_TIMEOUT": "soon", "PANELIST_WEB": "gopher", "SEARXNG_URL": "CANARY"}
    code, out, err = await person.types("research", QUESTION)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 3
    assert "PANELIST_WEB" in err
    assert "CANARY" not in err


# A server of tools

PEER = Path(__file__).parent.parent / "teams" / "mcp_peer.py"


async def asking_the_server(request: web.Request) -> web.Response:
    """As `researching`, with the tool `notes__echo` instead of the library."""
    prompt = "\n".join(str(message["content"]) for message in (await request.json())["messages"])
    if "next_tool_name" in prompt and "observation_0" not in prompt:
        call = {"next_thought": "t", "next_tool_name": "notes__echo", "next_tool_args": {"text": HOURS}}
        return completion(chat_text(call))
    return await researching(request)


async def test_an_approved_tool_of_an_mcp_server_is_a_source_of_research_and_the_doctor_counts_it(
    person, tmp_path, server
):
    servers = f"servers:\n  notes:\n    command: {sys.executable}\n    args: [{PEER}]\n"
    (tmp_path / "servers.yaml").write_text(servers)
    person.environment["PANELIST_MCP"] = str(tmp_path / "servers.yaml")
    assert (await person.types("mcp", "approve", "notes", "echo", "--yes"))[0] == 0
    server.faults["synthesis"] = asking_the_server
    code, out, _ = await person.types("research", QUESTION)
    assert code == 0
    assert "For three hours" in out
    assert "notes__echo of notes" in out

    _, out, _ = await person.types("doctor")
    assert "ok    MCP server notes: tools: 1 approved" in out
