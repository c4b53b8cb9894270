"""Pages as text: what a person would read on them, or a sentence why not; a hostile page harms nobody."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

import teams.reading_child
from teams.model import FailureKind
from teams.reading import LIMITS, REMOVED_CHARACTERS, REMOVED_TEXT, UnreadableDocument, read_web_page
from teams.sources.pages import Page, Pages
from teams.sources.port import SourceFailed
from tests.little_web import least_lag, little_web

WORDS = "The bridge was opened in 1894 after eight years of work, and it carries 40,000 vehicles on a usual day. "
SAMPLE = f"""<!doctype html><html><head><title>The  Bridge &amp; its
 river</title><style>p {{}}</style></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/shop">Shop menu</a></li></ul></nav>
<article><h1>Tower Bridge</h1><p>{WORDS}</p><p>It has <b>two</b> towers of <a href="https://a.example/t">steel</a>.</p>
<ul><li>length 244 m</li><li>height 65 m</li></ul>
<table><tr><th>Year</th><th>Cost</th></tr><tr><td>1894</td><td>1,184,000</td></tr></table>
<p>{WORDS.replace("1894", "1994")}</p></article>
<footer><p>Copyright notice and imprint</p></footer><script>var a = "SCRIPT";</script></body></html>"""


def html(body: str | bytes, charset="utf-8") -> web.Response:
    content = body.encode(charset or "utf-8") if isinstance(body, str) else body
    said = f"text/html; charset={charset}" if charset else "text/html"
    return web.Response(body=content, headers={"Content-Type": said})


def article(*paragraphs: str, head="") -> str:
    body = "".join(f"<p>{each}</p>" for each in (WORDS, *paragraphs, WORDS.replace("1894", "1994")))
    return f"<html><head>{head}</head><body><article>{body}</article></body></html>"


async def page(here, path="/", **more) -> Page:
    result = await Pages(here.guard, **more).read(here.url(path))
    assert isinstance(result, Page), result
    return result


async def failure(here, **more) -> SourceFailed:
    result = await Pages(here.guard, **more).read(here.url())
    assert isinstance(result, SourceFailed)
    return result


async def test_research_reads_what_a_page_says_without_what_stands_around_it():
    async with little_web() as here:
        here.pages["/"] = html(SAMPLE)

        found = await page(here)

        assert (found.final_url, found.title, found.kind) == (here.url(), "The Bridge & its river", "html")
        assert found.text.startswith("# Tower Bridge\n\nThe bridge was opened in 1894")
        for said in ("It has **two** towers of steel.", "- length 244 m", "| 1894 | 1,184,000 |"):
            assert said in found.text
        for around in ("Shop menu", "imprint", "SCRIPT", "<", "a.example"):
            assert around not in found.text


async def test_research_keeps_the_final_url_of_a_page_and_when_it_was_read():
    async with little_web() as here:
        here.pages["/"] = web.Response(status=302, headers={"Location": "/final?a=1#part"})
        here.pages["/final"] = html(SAMPLE)

        found = await page(here)

        assert found.final_url == here.url("/final?a=1")
        assert found.at.endswith("+00:00")


async def test_research_reads_a_short_page_as_a_whole():
    async with little_web() as here:
        here.pages["/"] = html("<title>Notice</title><nav><a href=/>Home</a></nav><p>Closed on Monday.")

        found = await page(here)

        assert found.title == "Notice"
        assert "Closed on Monday." in found.text


HIDDEN = [
    *("<p hidden>HIDDEN</p>", '<p style="display:none">HIDDEN</p>', '<p style="display : NONE ;">HIDDEN</p>'),
    *(
        '<p style="visibility:hidden">HIDDEN</p>',
        '<p style="font-size:0">HIDDEN</p>',
        '<p style="opacity:0">HIDDEN</p>',
    ),
    *('<p style="position:absolute;left:-9999px">HIDDEN</p>', "<div hidden><p>shown</p><b>HIDDEN</b></div>"),
]
UNSEEN = [
    *(
        "<!-- HIDDEN -->",
        '<img alt="HIDDEN" src=x>',
        '<p title="HIDDEN">seen</p>',
        "<template><p>HIDDEN</p></template>",
    ),
    *("<noscript><p>HIDDEN</p></noscript>", "<script>HIDDEN</script>", '<meta name="description" content="HIDDEN">'),
    *('<iframe srcdoc="HIDDEN"></iframe>', "<svg><text>HIDDEN</text></svg>", '<input value="HIDDEN">'),
]


@pytest.mark.parametrize("part", HIDDEN)
async def test_fault_58_research_leaves_out_and_tells_of_what_a_page_hides(part):
    _, text = await read_web_page("the page", article(part).encode())

    assert text.startswith(f"{REMOVED_TEXT}\n")
    assert "HIDDEN" not in text
    assert "40,000 vehicles" in text


@pytest.mark.parametrize("part", UNSEEN)
async def test_fault_58_research_leaves_out_what_nobody_sees_on_a_page(part):
    _, text = await read_web_page("the page", article(part).encode())

    assert "HIDDEN" not in text
    assert "40,000 vehicles" in text


async def test_fault_58_research_removes_characters_that_nobody_sees_from_text_and_title():
    tags = "".join(chr(0xE0000 + ord(char)) for char in "ignore all")
    title, text = await read_web_page(
        "the page", article(f"visi{tags}ble", head=f"<title>Ti{tags}tle</title>").encode()
    )

    assert title == "Title"
    assert text.startswith(f"{REMOVED_CHARACTERS}\n")
    assert "visible" in text


@pytest.mark.parametrize(
    ("charset", "said", "meta"),
    [
        *(
            ("utf-8", True, ""),
            ("utf-8", False, ""),
            ("windows-1251", True, ""),
            ("windows-1251", False, "windows-1251"),
        ),
        # The server's word goes before the page's own.
        *(
            ("windows-1251", True, "koi8-r"),
            ("koi8-r", True, "utf-8"),
            ("utf-16", True, ""),
            ("utf-16", False, "koi8-r"),
        ),
    ],
)
async def test_research_reads_pages_in_their_own_encoding(charset, said, meta):
    body = article("Мост построен", head=f"<meta charset={meta}>" if meta else "").encode(charset)
    async with little_web() as here:
        here.pages["/"] = html(body, charset if said else "")

        assert "Мост построен" in (await page(here)).text


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("Plain – words\r\nand more".encode(), "text/plain", "Plain – words\r\nand more"),
        ("Schöne Wörter".encode("latin-1"), "text/plain; charset=iso-8859-1", "Schöne Wörter"),
        ("Schöne “Wörter”".encode("cp1252"), "text/plain", "Schöne “Wörter”"),
        ("\ufeffMarked".encode("utf-16"), "text/plain", "Marked"),
        ("日本語の文".encode("shift_jis"), "text/plain; charset=Shift_JIS", "日本語の文"),
        (b'{"a": [1, 2]}', "application/json", '{"a": [1, 2]}'),
        (b"# Head\n\n*Words*", "text/markdown", "# Head\n\n*Words*"),
        ("a\u200bb\x00c".encode(), "text/plain; charset=utf-8", "abc"),
    ],
)
async def test_research_takes_text_as_it_is(body, kind, text):
    async with little_web() as here:
        here.pages["/"] = web.Response(body=body, headers={"Content-Type": kind})

        found = await page(here)

        assert (found.text, found.title, found.kind) == (text, "public.example", "text")


async def test_research_reads_pdf_and_office_files_of_the_web():
    from io import BytesIO

    import openpyxl

    book, whole = openpyxl.Workbook(), BytesIO()
    book.active.append(["Year", "Cost"])
    book.active.append([1894, 1_184_000])
    book.save(whole)
    office = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    async with little_web() as here:
        here.pages["/"] = web.Response(body=whole.getvalue(), headers={"Content-Type": office})

        found = await page(here)

        assert "| 1894 | 1184000 |" in found.text
        assert found.kind == "document"


REFUSED = [
    (b"", "text/html", "the page at public.example is empty"),
    (b"  \n", "text/plain", "the page at public.example is empty"),
    (b"<html><script>only()</script>", "text/html", "the page at public.example is empty"),
    (
        b"%PDF-1.7 CANARY",
        "application/pdf",
        "the page at public.example is a PDF that is damaged or made in an unusual way",
    ),
    (b"\x89PNG\r\n\x1a\n\x00", "application/pdf", "the page at public.example is a picture"),
    (
        b"x" * 400_001,
        "text/plain",
        "the page at public.example has 400,001 characters of text; at most 400,000 are read",
    ),
]


@pytest.mark.parametrize(("body", "kind", "sentence"), REFUSED)
async def test_research_says_why_a_page_has_no_text_for_us(body, kind, sentence):
    async with little_web() as here:
        here.pages["/"] = web.Response(body=body, headers={"Content-Type": kind})

        failed = await failure(here)

        assert (failed.what, failed.kind) == ("public.example", FailureKind.UNREADABLE)
        assert failed.sentence == sentence.partition(";")[0]


async def test_research_passes_on_why_a_page_was_not_fetched():
    async with little_web() as here:
        result = await Pages(here.guard).read(here.internal())

        assert isinstance(result, SourceFailed)
        assert result.kind is FailureKind.REFUSED
        assert here.reached == 0


# What is built to be hard to read. Each ends with a text or a reason, in less time and memory than are allowed.
HOSTILE = {
    "deep": b"<html><body>" + b"<div>" * 100_000 + b"deep words " * 100,
    "deep tables": b"<table><tr><td>" * 20_000 + b"words",
    "unclosed": b"<p><b><i><a href=x>" * 100_000,
    "attributes": b"<p " + b" ".join(b"a%d=1" % each for each in range(300_000)) + b">" + WORDS.encode(),
    "one attribute": b'<p style="' + b"display:" * 500_000 + b'">' + WORDS.encode(),
    "entities": b"&amp;&lt;&#x41;" * 300_000,
    "long": f"<article><p>{WORDS}</p></article>".encode() * 30_000,
    "noise": bytes(range(256)) * 15_000,
    "null": b"\x00" * 4_000_000,
    "comment": b"<!--" + b"-" * 4_000_000,
    "doctype": b'<!DOCTYPE html [<!ENTITY a "words"><!ENTITY b SYSTEM "file:///etc/passwd">]><p>&a;&b;'
    + WORDS.encode(),
    "many links": b"<a href=/x>word</a> " * 150_000,
    "surrogates": b"<p>&#xD800;&#xDFFF;</p>" + WORDS.encode() * 5,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_fault_67_research_reads_hostile_pages_or_says_why_not(name):
    limits = replace(LIMITS, cpu_seconds=4, seconds=20.0)
    try:
        _, text = await read_web_page("the page", HOSTILE[name], limits)
    except UnreadableDocument as why:
        assert str(why).startswith("the page ")  # noqa: PT017
    else:
        assert len(text) <= LIMITS.characters + 300
        assert "root:" not in text


@pytest.mark.parametrize("sort", ["html", "text", "many links"])
async def test_research_never_keeps_others_waiting_while_a_page_is_read(sort):
    body = {
        "html": article(*[WORDS] * 3_000).encode("utf-16"),
        "text": (WORDS * 3_500).encode(),
        "many links": b"<a href=/x>word</a> " * 240_000,
    }[sort]
    kind = {"html": "text/html; charset=utf-16", "text": "text/plain; charset=gb18030"}.get(sort, "text/html")
    async with little_web() as here:
        here.pages["/"] = web.Response(body=body, headers={"Content-Type": kind})

        async def work():
            await Pages(here.guard, reading=replace(LIMITS, cpu_seconds=3, seconds=10.0)).read(here.url())

        assert await least_lag(work) <= 0.05


@pytest.mark.parametrize("sample", [SAMPLE, article(*["short"] * 20), "<p>x", "<table><tr><td>1</table>", WORDS * 9])
def test_fault_67_research_opens_nothing_for_a_page_once_the_doors_are_closed(sample):
    """What would be opened then, could not be: a page that needs it would count as damaged."""
    script = f"""
import sys
sys.path.insert(0, {str(Path(teams.reading_child.__file__).parent)!r})
import reading_child
content = sys.stdin.buffer.read()
reading_child.load_libraries("page")
before, opened = set(sys.modules), []
sys.addaudithook(lambda event, arguments: opened.append(event) if event.startswith(reading_child._OUTWARD) else None)
text = reading_child._READERS["page"](content, reading_child.ReadingLimits()).text
print(sorted(set(sys.modules) - before), opened, bool(text))
"""
    done = subprocess.run([sys.executable, "-c", script], input=sample.encode(), capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[] [] True"
