"""Web search: each provider as its documentation has it, whatever it answers; the chain goes on to the next one."""

import asyncio
import json
import logging
import sys
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import format_datetime

import pytest
from aiohttp import web
from pydantic import SecretStr, ValidationError

from teams.model import FailureKind
from teams.sources.brave import brave
from teams.sources.ddgs import DdgsSearch
from teams.sources.exa import exa
from teams.sources.port import Hit, SourceFailed
from teams.sources.provider import MOST_HITS, ProviderSearch, shortened
from teams.sources.searxng import searxng
from teams.sources.settings import SourceSettings
from teams.sources.tavily import tavily
from teams.sources.web import Searched, WebSearch, web_search
from tests.little_web import INTERNAL, certified, raw_server

KEY = "tvly-CANARY-0123456789"
TITLES = {"tavily": "Tavily", "exa": "Exa", "brave": "Brave", "searxng": "SearXNG"}
SETTINGS = {
    "tavily": "TAVILY_API_KEY",
    "exa": "EXA_API_KEY",
    "brave": "BRAVE_API_KEY",
}

# The shapes of the providers' documentation, as of 2026, with what is not read left in.
ANSWERS = {
    "tavily": {
        "query": "bridge",
        "answer": None,
        "images": [],
        "results": [
            {
                "title": "Tower Bridge",
                "url": "https://a.example/tower",
                "content": "Opened in 1894.",
                "score": 0.81,
                "raw_content": None,
                "favicon": "https://a.example/favicon.ico",
            },
            {"title": "London Bridge", "url": "https://b.example/london", "content": "Built in 1973.", "score": 0.66},
        ],
        "auto_parameters": {"topic": "general", "search_depth": "basic"},
        "response_time": "1.67",
        "usage": {"credits": 2},
        "request_id": "123e4567-e89b-12d3-a456-426614174111",
    },
    "exa": {
        "requestId": "b5947044c4b78efa9552a7c89b306d95",
        "resolvedSearchType": "neural",
        "searchType": "auto",
        "results": [
            {
                "title": "Tower Bridge",
                "url": "https://a.example/tower",
                "id": "https://a.example/tower",
                "publishedDate": "2023-11-16T01:36:32.547Z",
                "author": "A. Author",
                "image": "https://a.example/a.png",
                "highlights": ["Opened in 1894."],
                "highlightScores": [0.46],
            },
            {"title": "London Bridge", "url": "https://b.example/london", "id": "2", "highlights": ["Built in 1973."]},
        ],
        "costDollars": {"total": 0.007},
    },
    "brave": {
        "type": "search",
        "query": {"original": "bridge", "more_results_available": True},
        "mixed": {"type": "mixed", "main": [{"type": "web", "index": 0, "all": False}]},
        "web": {
            "type": "search",
            "results": [
                {
                    "title": "Tower Bridge",
                    "url": "https://a.example/tower",
                    "is_source_local": False,
                    "description": "Opened in <strong>1894</strong>.",
                    "language": "en",
                    "profile": {"name": "A", "url": "https://a.example"},
                    "meta_url": {"scheme": "https", "netloc": "a.example"},
                    "age": "November 16, 2023",
                },
                {"title": "London Bridge", "url": "https://b.example/london", "description": "Built in 1973."},
            ],
            "family_friendly": True,
        },
    },
    "searxng": {
        "query": "bridge",
        "number_of_results": 0,
        "results": [
            {
                "url": "https://a.example/tower",
                "title": "Tower Bridge",
                "content": "Opened in 1894.",
                "engine": "brave",
                "engines": ["brave", "startpage"],
                "parsed_url": ["https", "a.example", "/tower", "", "", ""],
                "score": 4.0,
                "category": "general",
                "publishedDate": None,
            },
            {"url": "https://b.example/london", "title": "London Bridge", "content": "Built in 1973.", "engine": "x"},
        ],
        "answers": [],
        "corrections": [],
        "infoboxes": [],
        "suggestions": [],
        "unresponsive_engines": [["google", "access denied"]],
    },
}
EMPTY = {
    "tavily": {"query": "x", "results": [], "response_time": 0.5},
    "exa": {"requestId": "1", "results": []},
    "brave": {"type": "search", "query": {"original": "x"}, "mixed": {"type": "mixed", "main": []}},
    "searxng": {"query": "x", "number_of_results": 0, "results": [], "unresponsive_engines": []},
}
# What each answers to a key that is none.
REFUSALS = {
    "tavily": (401, {"detail": {"error": "Unauthorized: missing or invalid API key."}}),
    "exa": (401, {"requestId": "1", "error": "Invalid API key", "tag": "INVALID_API_KEY"}),
    "brave": (
        422,
        {
            "type": "ErrorResponse",
            "error": {
                "id": "1",
                "status": 422,
                "code": "SUBSCRIPTION_TOKEN_INVALID",
                "detail": "The provided subscription token is invalid.",
            },
            "time": 1_700_000_000,
        },
    ),
}
HITS = [
    ("Tower Bridge", "https://a.example/tower", "Opened in 1894."),
    ("London Bridge", "https://b.example/london", "Built in 1973."),
]


class Server:
    """A provider's server: answers in turn, the last one again and again. `asked` is what came."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[web.BaseRequest, bytes]] = []
        self.base = ""

    async def answer(self, request):
        self.asked.append((request, await request.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request) if callable(answer) else answer()


def reply(body, status=200, **headers):
    """An answer that is made anew each time, as a response can be sent once only."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(content, status, named)


class Reply:
    def __init__(self, content, status, headers) -> None:
        self.content, self.status, self.headers = content, status, headers

    async def __call__(self, request):
        headers = {"Content-Type": "application/json", **self.headers}
        return web.Response(body=self.content, status=self.status, headers=headers)


@asynccontextmanager
async def server(*answers):
    here = Server(*answers)
    runner = web.ServerRunner(web.Server(here.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, INTERNAL, 0)
        await site.start()
        here.base = f"http://{INTERNAL}:{site._server.sockets[0].getsockname()[1]}"
        yield here
    finally:
        await runner.cleanup()


def source(name, base, seconds=5.0) -> ProviderSearch:
    key = SecretStr(KEY)
    makers = {"tavily": lambda: tavily(key, base), "exa": lambda: exa(key, base), "brave": lambda: brave(key, base)}
    return ProviderSearch(makers.get(name, lambda: searxng(base))(), seconds)


async def failed(name, *answers, seconds=5.0) -> SourceFailed:
    async with server(*answers) as here:
        result = await source(name, here.base, seconds).search("bridge", 5)
    assert isinstance(result, SourceFailed)
    assert result.what == name
    assert result.sentence.startswith(f"{TITLES[name]} ")
    assert "CANARY" not in str(result)
    return result


each_provider = pytest.mark.parametrize("name", TITLES)


@each_provider
async def test_research_finds_by_every_provider_and_records_it_with_each_hit(name):
    async with server(reply(ANSWERS[name])) as here:
        result = await source(name, here.base).search("bridge", 5)

    assert result == tuple(Hit(*each, provider=name) for each in HITS)


async def test_research_asks_tavily_as_it_wants_to_be_asked():
    async with server(reply(ANSWERS["tavily"])) as here:
        await source("tavily", f"{here.base}/").search("tower  bridge", 7)
    ((request, body),) = here.asked
    assert (request.method, request.path_qs) == ("POST", "/search")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert json.loads(body) == {"query": "tower bridge", "max_results": 7, "search_depth": "advanced"}


async def test_research_asks_exa_as_it_wants_to_be_asked():
    async with server(reply(ANSWERS["exa"])) as here:
        await source("exa", here.base).search("tower bridge", 7)
    ((request, body),) = here.asked
    assert (request.method, request.path_qs) == ("POST", "/search")
    assert request.headers["x-api-key"] == KEY
    contents = {"highlights": {"maxCharacters": 1_000}}
    assert json.loads(body) == {"query": "tower bridge", "type": "auto", "numResults": 7, "contents": contents}


async def test_research_asks_brave_as_it_wants_to_be_asked():
    async with server(reply(ANSWERS["brave"])) as here:
        await source("brave", here.base).search("tower & bridge", 7)
    ((request, body),) = here.asked
    assert (request.method, request.path, body) == ("GET", "/res/v1/web/search", b"")
    assert request.headers["X-Subscription-Token"] == KEY
    query = {"q": "tower & bridge", "count": "7", "result_filter": "web", "text_decorations": "false"}
    assert dict(request.query) == query


async def test_research_asks_searxng_as_it_wants_to_be_asked():
    async with server(reply(ANSWERS["searxng"])) as here:
        await source("searxng", f"{here.base}/sub/").search("tower & bridge", 1)
    ((request, body),) = here.asked
    assert (request.method, request.path, body) == ("GET", "/sub/search", b"")
    assert dict(request.query) == {"q": "tower & bridge", "format": "json"}


@pytest.mark.parametrize(("most", "asked"), [(-1, 1), (0, 1), (1, 1), (20, 20), (1_000, MOST_HITS)])
async def test_research_asks_for_as_many_hits_as_a_provider_gives(most, asked):
    async with server(reply(ANSWERS["tavily"])) as here:
        result = await source("tavily", here.base).search("bridge", most)
    assert json.loads(here.asked[0][1])["max_results"] == asked
    assert len(result) == min(asked, 2)


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("a  b\n\tc", "a b c"),
        ("w " * 60, " ".join(["w"] * 50)),
        ("long " * 100, " ".join(["long"] * 50)),
        ("x" * 500, "x" * 400),
    ],
)
def test_research_shortens_a_question_to_what_every_provider_takes(query, sent):
    assert shortened(query) == sent
    assert len(shortened("word" * 30 + " " + query * 20)) <= 400


@each_provider
async def test_research_takes_nothing_found_for_no_failure(name):
    async with server(reply(EMPTY[name])) as here:
        assert await source(name, here.base).search("bridge", 5) == ()


@pytest.mark.parametrize("name", REFUSALS)
async def test_research_names_the_setting_of_a_key_that_is_refused_and_never_the_key(name):
    status, body = REFUSALS[name]
    result = await failed(name, reply(body, status))
    assert result.kind is FailureKind.REFUSED
    assert result.sentence == f"{TITLES[name]} refused the key; check {SETTINGS[name]}"


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("status", [401, 403])
async def test_research_takes_both_statuses_of_a_refused_key_for_one(name, status):
    result = await failed(name, reply({"error": KEY}, status))
    assert result.sentence == f"{TITLES[name]} refused the key; check {SETTINGS[name]}"


async def test_research_says_what_to_set_in_a_searxng_that_gives_no_json():
    result = await failed("searxng", reply(b"<h1>Forbidden</h1>", 403))
    assert result.kind is FailureKind.REFUSED
    assert result.sentence == "SearXNG gives no JSON; add json to search.formats in its settings.yml"


async def test_research_tells_a_searxng_that_heard_from_nobody_from_one_that_found_nothing():
    result = await failed("searxng", reply(EMPTY["searxng"] | {"unresponsive_engines": [["google", "CANARY"]]}))
    assert result.kind is FailureKind.UNAVAILABLE
    assert result.sentence == "SearXNG was answered by none of the search engines it asks"


@pytest.mark.parametrize(("name", "status"), [("tavily", 432), ("tavily", 433), ("exa", 402)])
async def test_research_says_that_an_account_is_used_up(name, status):
    result = await failed(name, reply({"detail": {"error": "CANARY"}}, status))
    assert result.kind is FailureKind.REFUSED
    assert result.sentence.endswith("look at the account")


@each_provider
@pytest.mark.parametrize("status", [500, 502, 503, 529])
async def test_research_says_that_a_provider_failed(name, status):
    result = await failed(name, reply(b"CANARY", status))
    assert (result.kind, result.sentence) == (FailureKind.UNAVAILABLE, f"{TITLES[name]} failed (HTTP {status})")


@each_provider
@pytest.mark.parametrize(
    ("status", "kind"), [(400, "refused"), (422, "refused"), (404, "unavailable"), (405, "unavailable")]
)
async def test_research_says_that_a_search_was_not_accepted(name, status, kind):
    assert (await failed(name, reply(b'{"detail": "CANARY"}', status))).kind == kind


@each_provider
async def test_research_takes_no_key_to_where_a_provider_sends_it(name):
    async with server(reply(ANSWERS[name])) as other:
        result = await failed(name, reply(b"", 307, Location=f"{other.base}/search"))
    assert result.kind is FailureKind.UNAVAILABLE
    assert other.asked == []


MALFORMED = [
    *(b"", b"{", b"null", b"[]", b'"words"', b"<html>CANARY</html>", b"\xff\xfe\x00", b"{}", b'{"results": null}'),
    *(b'{"results": {"a": 1}, "web": {"results": "x"}}', b'{"results": "CANARY", "web": []}', b'{"web": null}'),
    *(b"[" * 100_000, b'{"results": NaN}', b'{"a":' * 50_000),
]


@each_provider
@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
async def test_research_says_that_an_answer_cannot_be_read(name, body):
    result = await failed(name, reply(body))
    assert result.kind is FailureKind.UNREADABLE
    assert result.sentence == f"{TITLES[name]} gave an answer that cannot be read"


@each_provider
async def test_research_reads_no_answer_without_end(name):
    async def endless(request):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    assert (await failed(name, endless)).kind is FailureKind.UNREADABLE


@each_provider
async def test_research_waits_for_no_provider_longer_than_its_time(name):
    async def silent(request):
        await asyncio.sleep(30)

    async def dripping(request):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    for slow in (silent, dripping):
        before = asyncio.get_running_loop().time()
        result = await failed(name, slow, seconds=0.4)
        assert asyncio.get_running_loop().time() - before < 2.0
        assert (result.kind, result.sentence) == (FailureKind.TIMED_OUT, f"{TITLES[name]} did not answer within 0.4 s")


@each_provider
async def test_research_says_that_a_provider_cannot_be_reached(name):
    async with server(reply(b"")) as here:
        pass
    result = await source(name, here.base).search("bridge", 5)
    assert isinstance(result, SourceFailed)
    assert result.sentence == f"{TITLES[name]} cannot be reached"


@each_provider
async def test_research_says_that_a_provider_breaks_off(name):
    async def serve(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{")
        await writer.drain()

    async with raw_server(serve, INTERNAL) as port:
        result = await source(name, f"http://{INTERNAL}:{port}").search("bridge", 5)
    assert isinstance(result, SourceFailed)
    assert result.sentence == f"{TITLES[name]} broke off in the middle of its answer"


# --- Limits

LIMITED = [
    {"Retry_After": "0"},
    {"X_RateLimit_Limit": "1, 15000", "X_RateLimit_Remaining": "0, 14523", "X_RateLimit_Reset": "0.3, 1419704"},
]


@each_provider
@pytest.mark.parametrize("headers", LIMITED, ids=["wish", "windows"])
async def test_research_waits_as_long_as_a_provider_wants_if_there_is_time(name, headers):
    async with server(reply(b"", 429, **headers), reply(ANSWERS[name])) as here:
        before = asyncio.get_running_loop().time()
        result = await source(name, here.base).search("bridge", 5)
        assert asyncio.get_running_loop().time() - before >= 0.24
    assert len(result) == 2
    assert len(here.asked) == 2


@each_provider
@pytest.mark.parametrize(
    "headers",
    [
        *({}, {"Retry_After": "60"}, {"Retry_After": "9" * 400}, {"Retry_After": "soon"}, {"Retry_After": "-1"}),
        {"Retry_After": format_datetime(datetime(2999, 1, 1))},
        {"X_RateLimit_Remaining": "0, 0", "X_RateLimit_Reset": "1, 1419704"},
        {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1, 2"},
        {"X_RateLimit_Remaining": "x", "X_RateLimit_Reset": "y"},
    ],
)
async def test_research_does_not_wait_for_a_provider_that_wants_too_long_or_does_not_say(name, headers):
    async with server(reply(b"CANARY", 429, **headers)) as here:
        before = asyncio.get_running_loop().time()
        result = await source(name, here.base).search("bridge", 5)
        assert asyncio.get_running_loop().time() - before < 2.0
    assert isinstance(result, SourceFailed)
    assert result.kind is FailureKind.RATE_LIMITED
    assert result.sentence == f"{TITLES[name]} is limiting requests; ask again in a while"
    assert len(here.asked) == 1


async def test_research_asks_a_provider_that_is_limiting_three_times_at_most():
    async with server(reply(b"", 429, Retry_After="0")) as here:
        result = await source("tavily", here.base).search("bridge", 5)
    assert isinstance(result, SourceFailed)
    assert len(here.asked) == 3


# --- Hits


async def test_research_takes_only_what_is_a_hit_of_the_web():
    rows = [
        {"title": "t", "url": "file:///etc/passwd", "content": "c"},
        {"title": "t", "url": "javascript:alert(1)", "content": "c"},
        {"title": "t", "url": "https://a.example/ b", "content": "c"},
        {"title": "t", "url": "https://a.example/" + "x" * 3_000, "content": "c"},
        {"title": "t", "url": None, "content": "c"},
        {"title": "t"},
        "words",
        None,
        {"title": None, "url": " https://a.example/1 ", "content": ["x"]},
        {"title": "again", "url": "https://a.example/1", "content": "again"},
        {"title": "T" * 900, "url": "HTTPS://a.example/2", "content": "a\u200b\x00b\n\n c" + "d" * 9_000},
    ]
    async with server(reply({"results": rows})) as here:
        found = await source("tavily", here.base).search("bridge", 20)
    assert [hit.where for hit in found] == ["https://a.example/1", "HTTPS://a.example/2"]
    assert (found[0].title, found[0].passage) == ("https://a.example/1", "")
    assert len(found[1].title) == 300
    assert found[1].passage.startswith("ab cddd")
    assert len(found[1].passage) == 2_000


async def test_research_takes_the_marks_out_of_what_brave_gives_as_html():
    row = {
        "title": "A &amp; <b>B</b>",
        "url": "https://a.example/",
        "description": "1 &lt; 2 &#x27;ok&#x27; <strong>x</strong>",
    }
    async with server(reply({"type": "search", "web": {"results": [row]}})) as here:
        (hit,) = await source("brave", here.base).search("bridge", 20)
    assert (hit.title, hit.passage) == ("A & B", "1 < 2 'ok' x")


async def test_research_takes_text_from_exa_where_there_are_no_excerpts():
    rows = [
        {"title": "a", "url": "https://a.example/", "text": "whole text"},
        {"title": "b", "url": "https://b.example/"},
    ]
    async with server(reply({"results": rows})) as here:
        found = await source("exa", here.base).search("bridge", 20)
    assert [hit.passage for hit in found] == ["whole text", ""]


# --- The key


@pytest.mark.parametrize("name", REFUSALS)
async def test_research_shows_the_key_nowhere(name, caplog, capfd):
    """Whatever happens: not in logs of any level, values, their representations or what is printed."""

    async def broken(request):
        request.transport.close()

    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    shown = []
    answers = [reply(KEY.encode(), status) for status in (200, 302, 401, 429, 500)]
    for answer in (*answers, broken, reply(ANSWERS[name])):
        async with server(answer) as here:
            one = source(name, here.base)
            shown += [repr(one), repr(await one.search("bridge", 5)), repr(one._provider), str(one._provider)]
            shown.append(repr(one._provider.request("bridge", 5)))
            assert any(KEY in value for request, _ in here.asked for value in request.headers.values())
    settings = SourceSettings(tavily_api_key=KEY, exa_api_key=KEY, brave_api_key=KEY)
    shown += [repr(settings), str(settings), repr(web_search(settings))]
    assert KEY not in "".join(shown)
    assert KEY not in caplog.text
    assert KEY not in "".join(capfd.readouterr())


# --- Without a key

FOUND = {"found": [["Tower Bridge", "https://a.example/tower", "Opened in 1894."], ["x", "ftp://b.example/", "y"]]}


def child(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", code)


def saying(answer) -> tuple[str, ...]:
    return child(
        f"import sys; sys.stdin.read(); sys.stdout.write({answer if isinstance(answer, str) else json.dumps(answer)!r})"
    )


async def test_research_without_a_key_takes_the_hits_of_the_process_it_starts():
    result = await DdgsSearch(command=saying(FOUND)).search("bridge", 5)
    assert result == (Hit(*HITS[0], provider="ddgs"),)


async def test_research_without_a_key_gives_the_process_the_question_and_no_key(monkeypatch):
    monkeypatch.setenv("TAVILY_API_KEY", KEY)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    code = "import json, os, sys; a = sys.stdin.read(); e = json.dumps([sorted(os.environ), sys.argv]);"
    code += "print(json.dumps({'found': [[e, 'https://a.example/', a]]}))"
    (hit,) = await DdgsSearch(command=child(code), proxy="http://other.example").search("a   question", 99)
    names, arguments = json.loads(hit.title)
    assert "https_proxy" in names
    assert "TAVILY_API_KEY" not in names
    assert "question" not in str(arguments)
    asked = {"query": "a question", "most": MOST_HITS, "seconds": 10.0, "proxy": "http://other.example"}
    assert json.loads(hit.passage) == asked


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        *(({"failed": "timed_out"}, "timed_out"), ({"failed": "unavailable"}, "unavailable")),
        *(
            ({"failed": "nothing"}, "unavailable"),
            ({"failed": "missing"}, "unavailable"),
            ({"found": []}, "unavailable"),
        ),
        *(({"failed": "CANARY"}, "unreadable"), ({}, "unreadable"), ("CANARY", "unreadable"), ("", "unreadable")),
        *(([], "unreadable"), ("[" * 100_000, "unreadable"), ({"found": "CANARY"}, "unreadable")),
        *(({"found": [["a"], None, 1, ["a", 1, "b"]]}, "unavailable"),),
    ],
)
async def test_research_without_a_key_says_why_nothing_came(answer, kind):
    result = await DdgsSearch(command=saying(answer)).search("bridge", 5)
    assert isinstance(result, SourceFailed)
    assert (result.what, result.kind) == ("ddgs", kind)
    assert result.sentence.startswith("The search without a key ")
    assert "CANARY" not in str(result)


async def test_research_without_a_key_ends_the_process_when_its_time_is_over():
    before = asyncio.get_running_loop().time()
    for code in ("import time; time.sleep(60)", "import sys\nwhile True: sys.stdout.write('x' * 65536)"):
        result = await DdgsSearch(0.5, command=child(code)).search("bridge", 5)
        assert isinstance(result, SourceFailed)
    assert asyncio.get_running_loop().time() - before < 5
    missing = await DdgsSearch(command=("/nowhere/at/all",)).search("bridge", 5)
    assert isinstance(missing, SourceFailed)
    assert missing.kind is FailureKind.UNAVAILABLE


DUCKDUCKGO = """<html><body><div class="serp__results"><div id="links" class="results">
<div class="result results_links results_links_deep web-result"><div class="links_main links_deep result__body">
<h2 class="result__title"><a rel="nofollow" class="result__a" href="https://a.example/tower">Tower Bridge</a></h2>
<a class="result__snippet" href="https://a.example/tower">Opened in <b>1894</b>.</a></div></div>
</div></div></body></html>"""
ENGINES = ("html.duckduckgo.com", "search.brave.com", "www.mojeek.com", "www.startpage.com", "en.wikipedia.org")


@asynccontextmanager
async def engines(folder, pages):
    """A proxy that is all search engines: what `pages` has for a host, else a refusal. With who was asked."""
    tls, asked = certified(folder, *ENGINES), []

    async def serve(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        await writer.start_tls(tls)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        host = next(line.split(": ")[1] for line in head.splitlines() if line.startswith("host: "))
        asked.append(host)
        status, body = ("200 OK", pages[host].encode()) if host in pages else ("403 Forbidden", b"no programs")
        said = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(said.encode() + body)
        await writer.drain()

    async with raw_server(serve, INTERNAL) as port:
        yield f"http://{INTERNAL}:{port}", asked


async def test_research_without_a_key_reads_the_search_engines_pages(tmp_path, monkeypatch):
    async with engines(tmp_path, {"html.duckduckgo.com": DUCKDUCKGO, "en.wikipedia.org": '["x", [], [], []]'}) as (
        proxy,
        asked,
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

        result = await DdgsSearch(20.0, proxy=proxy).search("tower bridge", 5)

    assert result == (Hit(*HITS[0], provider="ddgs"),)
    assert set(asked) <= set(ENGINES)


async def test_research_without_a_key_does_not_call_it_nothing_when_it_is_turned_away(tmp_path, monkeypatch):
    async with engines(tmp_path, {}) as (proxy, asked):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

        result = await DdgsSearch(20.0, proxy=proxy).search("tower bridge", 5)

    assert isinstance(result, SourceFailed)
    assert result.kind is FailureKind.UNAVAILABLE
    assert len(set(asked)) >= 4


# --- The chain


class Said:
    """A source that says what it is told to."""

    def __init__(self, name, *results) -> None:
        self.name, self.results, self.asked = name, list(results), 0

    async def search(self, query, most):
        self.asked += 1
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]


def hit(provider) -> Hit:
    return Hit("t", f"https://{provider}.example/", "p", provider)


def no(name, kind=FailureKind.UNAVAILABLE) -> SourceFailed:
    return SourceFailed(name, kind, f"{name} failed")


async def test_research_asks_the_next_provider_and_records_why():
    sources = [Said("a", no("a")), Said("b", ()), Said("c", (hit("c"),)), Said("d", (hit("d"),))]
    chain = WebSearch(sources)

    assert await chain.ask("x", 5) == Searched((hit("c"),), ("a", "b", "c"), (no("a"),))
    assert await chain.search("x", 5) == (hit("c"),)
    assert [source.asked for source in sources] == [2, 2, 2, 0]
    assert chain.providers == ("a", "b", "c", "d")


async def test_research_found_nothing_if_one_provider_says_so():
    chain = WebSearch([Said("a", no("a")), Said("b", ())])

    searched = await chain.ask("x", 5)

    assert (searched.hits, searched.failed, searched.answered) == ((), (no("a"),), True)
    assert await chain.search("x", 5) == ()


async def test_research_fails_if_nobody_answered_and_says_why_each():
    chain = WebSearch([Said("a", no("a", FailureKind.REFUSED)), Said("b", no("b", FailureKind.TIMED_OUT))])

    assert not (await chain.ask("x", 5)).answered
    assert await chain.search("x", 5) == SourceFailed("web", FailureKind.TIMED_OUT, "a failed; b failed")


async def test_research_goes_through_real_providers_to_one_that_answers():
    """401, 429, an answer that is none, too slow, broken: five in one chain, and the last has it."""

    async def silent(request):
        await asyncio.sleep(30)

    async with (
        server(reply(*reversed(REFUSALS["tavily"]))) as refusing,
        server(reply(b"", 429)) as limiting,
        server(silent) as slow,
        server(reply(ANSWERS["searxng"])) as good,
    ):
        settings = SourceSettings(
            tavily_api_key=KEY,
            exa_api_key=KEY,
            brave_api_key=KEY,
            searxng_url=good.base,
            tavily_api_base=refusing.base,
            exa_api_base=limiting.base,
            brave_api_base=slow.base,
        )
        chain = web_search(settings, 0.5)
        assert chain is not None
        searched = await chain.ask("bridge", 5)

    assert [hit.provider for hit in searched.hits] == ["searxng", "searxng"]
    assert searched.asked == ("tavily", "exa", "brave", "searxng")
    kinds = [FailureKind.REFUSED, FailureKind.RATE_LIMITED, FailureKind.TIMED_OUT]
    assert [each.kind for each in searched.failed] == kinds
    assert KEY not in str(searched)


async def test_research_ends_a_search_that_is_stopped():
    async def silent(request):
        await asyncio.sleep(30)

    async with server(silent) as here:
        chain = WebSearch([source("tavily", here.base), Said("b", (hit("b"),))])
        task = asyncio.create_task(chain.ask("x", 5))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# --- Settings


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    for name in SourceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "providers"),
    [
        ({}, ("ddgs",)),
        ({"PANELIST_WEB": ""}, ("ddgs",)),
        ({"PANELIST_WEB": "off", "TAVILY_API_KEY": KEY}, ()),
        ({"TAVILY_API_KEY": KEY}, ("tavily",)),
        ({"BRAVE_API_KEY": KEY, "TAVILY_API_KEY": KEY, "SEARXNG_URL": "http://x"}, ("tavily", "brave", "searxng")),
        ({"EXA_API_KEY": KEY, "PANELIST_WEB": " Auto "}, ("exa",)),
        ({"EXA_API_KEY": KEY, "BRAVE_API_KEY": KEY, "PANELIST_WEB": "brave, ddgs,exa,brave"}, ("brave", "ddgs", "exa")),
        ({"TAVILY_API_KEY": KEY, "PANELIST_WEB": "ddgs"}, ("ddgs",)),
        ({"TAVILY_API_KEY": " "}, ("ddgs",)),
    ],
)
def test_research_asks_the_providers_that_are_set_up_or_named(environment, providers, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = SourceSettings()
    assert settings.web_providers == providers
    chain = web_search(settings)
    assert (chain.providers if chain else ()) == providers


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"PANELIST_WEB": "tavily"}, "names tavily, for which TAVILY_API_KEY has to be set"),
        ({"PANELIST_WEB": "ddgs,searxng"}, "names searxng, for which SEARXNG_URL has to be set"),
        ({"PANELIST_WEB": "google"}, "has to be auto, off, or names with commas between them"),
        ({"PANELIST_WEB": ","}, "has to be auto, off, or names with commas between them"),
        ({"PANELIST_WEB": "auto,ddgs"}, "has to be auto, off, or names with commas between them"),
        ({"TAVILY_API_KEY": "two words"}, "a key has letters, digits and signs only"),
        ({"BRAVE_API_KEY": "käse"}, "a key has letters, digits and signs only"),
        ({"SEARXNG_URL": "http://user:CANARY@x/"}, "pattern"),
        ({"SEARXNG_URL": "ftp://x/"}, "pattern"),
        ({"TAVILY_API_BASE": "nonsense"}, "pattern"),
        ({"DDGS_PROXY": "nonsense"}, "pattern"),
    ],
)
def test_research_refuses_settings_that_cannot_be_meant(environment, says, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        SourceSettings()
    (fault,) = refused.value.errors(include_input=False, include_url=False)
    assert says in fault["msg"]
    assert str(fault["loc"][0]).upper() in environment
