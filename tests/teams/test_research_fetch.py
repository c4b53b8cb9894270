"""Fetching a page: to the end of its redirects, within a size and a time; whatever goes wrong is said in a sentence."""

import asyncio
import gzip
import tracemalloc
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from teams.model import FailureKind
from teams.sources.fetch import LIMITS, Fetched, FetchLimits, fetch
from teams.sources.guard import Guard
from teams.sources.port import SourceFailed
from tests.little_web import PUBLIC, Names, allows, certified, least_lag, little_web, raw_server

QUICK = replace(LIMITS, seconds=1.0)


def packed(content: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(content, 1)
    maker = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS if how == "raw" else zlib.MAX_WBITS)
    return maker.compress(content) + maker.flush()


def page(content: bytes, kind="text/plain", **headers) -> web.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(body=content, headers={"Content-Type": kind, **sent})


async def failure(here, url=None, limits=LIMITS) -> SourceFailed:
    result = await fetch(url or here.url(), here.guard, limits)
    assert isinstance(result, SourceFailed)
    assert result.sentence.startswith("public.example ")
    return result


def head(*lines: str, status="200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def guard_for(port: int) -> Guard:
    return Guard(allows, frozenset({port}), lambda: Names(public_example=[PUBLIC]))


async def test_research_fetches_a_page_as_it_is():
    async with little_web() as here:
        here.pages["/a"] = page(b"<p>Words", "text/html; charset=utf-8")

        result = await fetch(here.url("/a#part"), here.guard)

        assert isinstance(result, Fetched)
        assert result == Fetched(here.url("/a"), "public.example", "html", "utf-8", b"<p>Words", result.at)
        age = datetime.now(UTC) - datetime.fromisoformat(result.at)
        assert timedelta(0) <= age < timedelta(minutes=1)


async def test_research_names_the_page_that_the_redirects_end_at():
    async with little_web() as here:
        here.pages["/a"] = web.Response(status=301, headers={"Location": "b/c?d=1#e"})
        here.pages["/b/c"] = web.Response(status=307, headers={"Location": here.url("/f", "www.public.example")})
        here.pages["/f"] = page(b"words")

        result = await fetch(here.url("/a"), here.guard)

        assert isinstance(result, Fetched)
        assert (result.url, result.server) == (here.url("/f", "www.public.example"), "www.public.example")


@pytest.mark.parametrize(("hops", "arrives"), [(5, True), (6, False)])
async def test_fault_66_research_follows_five_redirects_and_no_more(hops, arrives):
    async with little_web() as here:
        for hop in range(hops):
            here.pages[f"/{hop}"] = web.Response(status=302, headers={"Location": f"/{hop + 1}"})
        here.pages[f"/{hops}"] = page(b"words")

        result = await fetch(here.url("/0"), here.guard)

        assert isinstance(result, Fetched if arrives else SourceFailed)
        assert len(here.seen) == 6


async def test_fault_66_research_ends_endless_redirects():
    async def onward(request):
        return web.Response(status=302, headers={"Location": f"/{len(here.seen)}", "Content-Length": "0"})

    async with little_web() as here:
        here.pages = {f"/{each}": onward for each in range(100)}

        failed = await failure(here, here.url("/0"))

        assert failed.sentence == "public.example sends callers on over 5 times, which nobody follows"
        assert len(here.seen) == 6


async def test_fault_66_research_reads_no_page_that_says_it_is_too_large():
    async with little_web() as here:
        here.pages["/"] = page(bytes(26_000_000), "text/html")

        failed = await failure(here)

        assert failed.kind is FailureKind.TOO_LONG
        assert failed.sentence == "public.example has a page of over 5,000,000 bytes, which is all that is read"


@pytest.mark.parametrize("how", ["chunked", "until the end"])
async def test_fault_66_research_stops_at_the_limit_of_a_page_that_does_not_say_its_size(how):
    sent = []

    async def serve(reader, writer):
        writer.write(head("Content-Type: text/html", *(["Transfer-Encoding: chunked"] if how == "chunked" else [])))
        for _ in range(26):
            piece = b"x" * 1_000_000
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if how == "chunked" else piece)
            await writer.drain()
            sent.append(len(piece))

    async with raw_server(serve) as port:
        result = await fetch(f"http://public.example:{port}/", guard_for(port))

        assert isinstance(result, SourceFailed)
        assert result.kind is FailureKind.TOO_LONG
        # What lies in the buffers of the two ends is not read.
        assert sum(sent) < 20_000_000


@pytest.mark.parametrize("how", ["gzip", "deflate", "raw"])
async def test_fault_66_research_unpacks_no_bomb_beyond_the_limit(how):
    async with little_web() as here:
        bomb = packed(bytes(200_000_000), how)
        assert len(bomb) < 1_000_000
        here.pages["/"] = page(bomb, "text/html", Content_Encoding="gzip" if how == "gzip" else "deflate")

        async def work():
            assert (await failure(here)).kind is FailureKind.TOO_LONG

        assert await least_lag(work) <= 0.05


@pytest.mark.parametrize("how", ["gzip", "deflate"])
async def test_fault_66_research_holds_no_more_of_a_bomb_than_it_may_read(how):
    async with little_web() as here:
        here.pages["/"] = page(packed(bytes(200_000_000), how), "text/html", Content_Encoding=how)
        tracemalloc.start()
        try:
            await failure(here)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert peak < 15_000_000


async def test_fault_66_research_counts_what_comes_also_of_a_page_that_unpacks_to_nothing():
    nothing = gzip.compress(b"") * 1_000
    sent = []

    async def serve(reader, writer):
        writer.write(head("Content-Type: text/html", "Content-Encoding: gzip"))
        while True:
            writer.write(nothing)
            await writer.drain()
            sent.append(len(nothing))

    async with raw_server(serve) as port:

        async def work():
            result = await fetch(f"http://public.example:{port}/", guard_for(port))
            assert isinstance(result, SourceFailed)
            assert result.kind is FailureKind.TOO_LONG

        assert await least_lag(work, tries=1) <= 0.05
        assert sum(sent) < 20_000_000


@pytest.mark.parametrize("how", ["gzip", "deflate", "raw", "x-gzip", "identity"])
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 700_001, 5_000_000])
async def test_research_unpacks_pages_to_their_last_byte(how, size):
    async with little_web() as here:
        content = (b"Some words, again and again. " * 200_000)[:size]
        body = content if how == "identity" else packed(content, "gzip" if how == "x-gzip" else how)
        here.pages["/"] = page(body, Content_Encoding="deflate" if how == "raw" else how)

        result = await fetch(here.url(), here.guard)

        assert isinstance(result, Fetched)
        assert result.body == content


async def test_research_unpacks_several_members_and_leaves_out_what_stands_behind():
    async with little_web() as here:
        body = gzip.compress(b"first ") + gzip.compress(b"second") + b"\x00\x00rubbish"
        here.pages["/"] = page(body, Content_Encoding="gzip")

        result = await fetch(here.url(), here.guard)

        assert isinstance(result, Fetched)
        assert result.body == b"first second"


@pytest.mark.parametrize("how", ["br", "zstd", "compress", "gzip, gzip", "deflate, gzip", "unheard-of"])
async def test_fault_66_research_unpacks_in_no_way_it_did_not_ask_for(how):
    async with little_web() as here:
        here.pages["/"] = page(b"words", Content_Encoding=how)

        failed = await failure(here)

        assert failed.sentence == "public.example packs the page in a way that was not asked for"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"no gzip at all", FailureKind.UNREADABLE),
        (gzip.compress(b"words " * 9_999)[:-9], FailureKind.CUT_OFF),
        (gzip.compress(b"words")[:-4] + b"\x00\x00\x00\x01", FailureKind.UNREADABLE),
    ],
    ids=["not packed", "cut off", "wrong length"],  # gzip writes down when, which would name no test twice alike
)
async def test_research_takes_no_page_whose_packing_is_broken(body, kind):
    async with little_web() as here:
        here.pages["/"] = page(body, Content_Encoding="gzip")

        assert (await failure(here)).kind is kind


async def dripping(reader, writer, start: bytes, drop: bytes):
    writer.write(start)
    while True:
        writer.write(drop)
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (head("Content-Type: text/html", "Content-Length: 1000000"), b"x"),
        (head("Content-Type: text/html", "Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"", head(status="103 Early Hints")),
        (head("Content-Type: text/html", "Transfer-Encoding: chunked") + b"1;", b"a=b;"),
        (head("Content-Type: text/html", "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n", b"X-A: b\r\n"),
        (head("Content-Type: text/html", "Content-Encoding: gzip", "Content-Length: 100000"), b"\x1f"),
    ],
    ids=["body", "chunks", "status", "headers", "early", "extension", "trailers", "gzip"],
)
async def test_fault_66_research_waits_for_no_drip_longer_than_the_limit(start, drop):
    async with raw_server(lambda reader, writer: dripping(reader, writer, start, drop)) as port:
        before = asyncio.get_running_loop().time()

        result = await fetch(f"http://public.example:{port}/", guard_for(port), QUICK)

        assert asyncio.get_running_loop().time() - before < 2.0
        assert isinstance(result, SourceFailed)
        assert result.kind in {FailureKind.TIMED_OUT, FailureKind.UNREADABLE, FailureKind.CUT_OFF}


async def test_fault_66_research_counts_the_time_of_all_redirects_and_look_ups_together():
    async def slowly(request):
        await asyncio.sleep(0.3)
        return web.Response(status=302, headers={"Location": f"/{int(request.path[1:]) + 1}"})

    class SlowNames(Names):
        async def resolve(self, host, port=0, family=0):
            await asyncio.sleep(0.1)
            return await super().resolve(host, port, family)

    async with little_web() as here:
        here.names = SlowNames(public_example=[PUBLIC])
        here.pages = {f"/{each}": slowly for each in range(10)}
        before = asyncio.get_running_loop().time()

        failed = await failure(here, here.url("/0"), QUICK)

        assert asyncio.get_running_loop().time() - before < 1.5
        assert failed.kind is FailureKind.TIMED_OUT
        assert failed.sentence == "public.example did not send the page within 1 s"


@pytest.mark.parametrize("drop", [b"X-A: " + b"b" * 4_000 + b"\r\n", b"a" * 65_536], ids=["many", "one"])
async def test_fault_66_research_holds_no_endless_headers(drop):
    sent = []

    async def serve(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(drop)
            await writer.drain()
            sent.append(len(drop))

    async with raw_server(serve) as port:
        result = await fetch(f"http://public.example:{port}/", guard_for(port), QUICK)

        assert isinstance(result, SourceFailed)
        assert sum(sent) < 20_000_000


async def test_research_limits_are_those_that_are_promised():
    assert FetchLimits() == FetchLimits(body_bytes=5_000_000, seconds=15.0, hops=5)


KINDS = {
    "text/html": "html",
    "TEXT/HTML; Charset=utf-8": "html",
    "application/xhtml+xml": "html",
    "text/plain": "text",
    "text/markdown; variant=GFM": "text",
    "text/x-rst": "text",
    "text/csv": "text",
    "application/json": "text",
    "application/ld+json": "text",
    "application/pdf": "document",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "document",
}


@pytest.mark.parametrize(("said", "kind"), KINDS.items())
async def test_research_reads_text_pages_pdf_and_office_files(said, kind):
    async with little_web() as here:
        here.pages["/"] = page(b"words", said)

        result = await fetch(here.url(), here.guard)

        assert isinstance(result, Fetched)
        assert result.kind == kind


@pytest.mark.parametrize(
    "said",
    [
        *("image/png", "image/svg+xml", "video/mp4", "audio/mpeg", "font/woff2", "application/octet-stream"),
        *(
            "application/zip",
            "application/x-msdownload",
            "application/javascript",
            "multipart/x-mixed-replace",
            "x",
            "",
        ),
        *("application/msword", "application/x-tar", "message/http", "application/pdf, text/html", "text", "CANARY"),
    ],
)
async def test_fault_66_research_reads_nothing_of_another_kind(said):
    begun = asyncio.Event()

    async def endless(request):
        response = web.StreamResponse(headers={"Content-Type": said})
        response.enable_chunked_encoding()
        await response.prepare(request)
        begun.set()
        while True:
            await response.write(b"x" * 1_000)

    async with little_web() as here:
        here.pages["/"] = endless

        failed = await failure(here)

        assert failed.kind is FailureKind.UNREADABLE
        assert failed.sentence.endswith("has no page there, but something that is neither text, PDF nor Office file")
        assert "CANARY" not in str(failed)


async def test_research_reads_nothing_that_does_not_say_what_it_is():
    async def serve(reader, writer):
        writer.write(head("Content-Length: 5") + b"words")
        await writer.drain()

    async with raw_server(serve) as port:
        result = await fetch(f"http://public.example:{port}/", guard_for(port))

        assert isinstance(result, SourceFailed)
        assert result.kind is FailureKind.UNREADABLE


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        *(
            ("utf-8", "utf-8"),
            ('"UTF-8"', "utf-8"),
            ("latin1", "cp1252"),
            ("iso-8859-1", "cp1252"),
            ("ascii", "cp1252"),
        ),
        *(("windows-1251", "cp1251"), ("koi8-r", "koi8-r"), ("shift_jis", "shift_jis"), ("gb2312", "gbk")),
        *(("euc-kr", "euc_kr"), ("big5", "big5"), ("iso-8859-15", "iso8859-15"), ("utf-16le", "utf-16-le")),
        # Python knows these too. None is an encoding of pages, and the time of the first grows with the square.
        *((name, "") for name in ("punycode", "idna", "utf-7", "unicode_escape", "zlib", "rot13", "hex", "undefined")),
        *((name, "") for name in ("", "x", "../../etc/passwd", "a" * 500, "mbcs", "\u00e4")),
    ],
)
async def test_research_believes_a_server_only_in_encodings_of_the_web(said, taken):
    async with little_web() as here:
        here.pages["/"] = page(b"words", f"text/plain; charset={said}")

        result = await fetch(here.url(), here.guard)

        assert isinstance(result, Fetched)
        assert result.charset == taken


STATUSES = {
    204: FailureKind.UNAVAILABLE,
    206: FailureKind.UNAVAILABLE,
    300: FailureKind.UNAVAILABLE,
    304: FailureKind.UNAVAILABLE,
    401: FailureKind.REFUSED,
    403: FailureKind.REFUSED,
    404: FailureKind.UNAVAILABLE,
    410: FailureKind.UNAVAILABLE,
    429: FailureKind.RATE_LIMITED,
    451: FailureKind.REFUSED,
    500: FailureKind.UNAVAILABLE,
    503: FailureKind.UNAVAILABLE,
}


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
async def test_research_says_what_a_page_that_is_not_given_means(status, kind):
    async with little_web() as here:
        here.pages["/"] = web.Response(status=status, text=None if status in {204, 304} else "CANARY")

        failed = await failure(here)

        assert failed.kind is kind
        assert failed.sentence.endswith(f"(HTTP {status})")
        assert "CANARY" not in str(failed)


async def test_research_says_that_there_is_no_such_server():
    class NoNames(Names):
        async def resolve(self, host, port=0, family=0):
            raise OSError("CANARY")

    result = await fetch("http://public.example/", Guard(allows, resolver=NoNames))

    assert isinstance(result, SourceFailed)
    assert (result.what, result.kind) == ("public.example", FailureKind.UNAVAILABLE)
    assert result.sentence == "public.example cannot be found: there is no such server"


async def test_research_says_that_a_server_cannot_be_reached():
    async with little_web() as here:
        port = here.port
    result = await fetch(f"http://public.example:{port}/", guard_for(port))

    assert isinstance(result, SourceFailed)
    assert result.sentence == "public.example cannot be reached"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (head("Content-Type: text/html", "Content-Length: 100") + b"CANARY", FailureKind.CUT_OFF),
        (head("Content-Type: text/html", "Transfer-Encoding: chunked") + b"ZZ\r\nCANARY", FailureKind.UNREADABLE),
        (b"", FailureKind.CUT_OFF),
        (b"CANARY\r\n\r\n", FailureKind.UNREADABLE),
        (b"SSH-2.0-CANARY\r\n", FailureKind.UNREADABLE),
        (head("Content-Type: text/html", "Content-Length: CANARY"), FailureKind.UNREADABLE),
    ],
)
async def test_research_says_that_a_server_breaks_off_or_speaks_no_http(said, kind):
    async def serve(reader, writer):
        writer.write(said)
        await writer.drain()

    async with raw_server(serve) as port:
        result = await fetch(f"http://public.example:{port}/", guard_for(port))

        assert isinstance(result, SourceFailed)
        assert result.kind is kind
        assert "CANARY" not in str(result)


async def test_research_trusts_no_certificate_that_nobody_vouches_for(tmp_path):
    asked = []

    async def serve(reader, writer):
        asked.append(reader)

    async with raw_server(serve, tls=certified(tmp_path, "public.example")) as port:
        result = await fetch(f"https://public.example:{port}/", guard_for(port))

        assert isinstance(result, SourceFailed)
        assert result.sentence == "public.example has no certificate that can be trusted"
        assert asked == []


async def test_research_leaves_no_connection_behind_when_it_is_stopped():
    gone = asyncio.Event()

    async def serve(reader, writer):
        writer.write(head("Content-Type: text/html", "Content-Length: 1000"))
        await reader.read()
        gone.set()

    async with raw_server(serve) as port:
        task = asyncio.create_task(fetch(f"http://public.example:{port}/", guard_for(port)))
        await asyncio.sleep(0.2)
        task.cancel()
        async with asyncio.timeout(5):
            await gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_fault_66_research_never_keeps_others_waiting_for_a_large_page():
    async with little_web() as here:
        here.pages["/"] = page(b"Some words. " * 400_000, Content_Encoding="identity")

        async def work():
            assert isinstance(await fetch(here.url(), here.guard), Fetched)

        assert await least_lag(work) <= 0.05
