"""Foreign files: read for what a person sees in them, or refused with the reason; a hostile one harms nobody."""

import ast
import asyncio
import os
import re
import subprocess
import sys
import time
import zipfile
import zlib
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import teams.reading_child
from teams.reading import (
    DOUBTFUL_TEXT,
    LIMITS,
    PARTIAL_TEXT,
    REMOVED_CHARACTERS,
    REMOVED_TEXT,
    ReadingLimits,
    UnreadableDocument,
    read_document,
    without_hidden_characters,
)
from teams.reading_child import Reason

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs the system's resource limits")

SHOWN = "BT /F1 12 Tf 72 700 Td (Hello reader) Tj ET "
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
DOCUMENT = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
BABBLER = "import sys\nwhile True: sys.stdout.write('x' * 65536)"


def child(code: str) -> tuple[str, ...]:
    """A command that runs `code` where the reader of files would run."""
    return (sys.executable, "-I", "-c", code)


def pdf_of(objects: list[bytes]) -> bytes:
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)


def stream(content: bytes, *, packed: bool = False) -> bytes:
    content = zlib.compress(content, 1) if packed else content
    how = b" /Filter /FlateDecode" if packed else b""
    return b"<< /Length %d%s >>\nstream\n%s\nendstream" % (len(content), how, content)


def pdf(*pages: str | bytes, kids: bytes = b"", packed: bool = False) -> bytes:
    """A PDF by hand: each page is what its content stream says."""
    objects, numbers = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", FONT], []
    for page in pages:
        objects.append(stream(page.encode() if isinstance(page, str) else page, packed=packed))
        drawn = b"/Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R" % len(objects)
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] %s >>" % drawn)
        numbers.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(pages), kids or b" ".join(numbers))
    return pdf_of(objects)


def archive(**parts: str | bytes) -> bytes:
    return packed_parts(parts)


def packed_parts(parts: dict[str, str | bytes]) -> bytes:
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        for name, part in parts.items():
            file.writestr(name, part)
    return whole.getvalue()


def docx(body: str, *, types: str = DOCUMENT, **more: str | bytes) -> bytes:
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    relation = f'<Relationship Id="r1" Type="{kind}" Target="word/document.xml"/>'
    override = f'<Override PartName="/word/document.xml" ContentType="{types}"/>'
    return packed_parts(
        {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types">{override}</Types>',
            "_rels/.rels": f'<Relationships xmlns="{package}/relationships">{relation}</Relationships>',
            "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
            **{name.replace("__", "/") + ".xml": part for name, part in more.items()},
        }
    )


def run(text: str, look: str = "") -> str:
    return f"<w:r><w:rPr>{look}</w:rPr><w:t>{text}</w:t></w:r>"


def paragraph(*runs: str) -> str:
    return f"<w:p>{''.join(runs)}</w:p>"


def workbook(fill) -> bytes:
    import openpyxl

    book, whole = openpyxl.Workbook(), BytesIO()
    fill(book)
    book.save(whole)
    return whole.getvalue()


def deck(fill) -> bytes:
    import pptx

    presentation, whole = pptx.Presentation(), BytesIO()
    fill(presentation)
    presentation.save(whole)
    return whole.getvalue()


def encrypted(password: str, algorithm: str) -> bytes:
    import pypdf

    writer, whole = pypdf.PdfWriter(clone_from=BytesIO(pdf(SHOWN))), BytesIO()
    writer.encrypt(password, "owner", algorithm=algorithm)
    writer.write(whole)
    return whole.getvalue()


async def refusal(name: str, content: bytes, limits: ReadingLimits = LIMITS, **more) -> str:
    with pytest.raises(UnreadableDocument) as raised:
        await read_document(name, content, limits, **more)
    sentence = str(raised.value)
    assert sentence.startswith(name)
    # One sentence with a way out, and nothing of the machinery.
    assert "\n" not in sentence
    assert ";" in sentence or ":" in sentence
    assert not any(word in sentence for word in ("Error", "Exception", "Traceback", "{"))
    return sentence


# --- What is read


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
async def test_plain_text_is_given_as_it_is_without_any_child(encoding):
    text = "# Häding\n\n*a_b* <b>, 1|2\r\n"
    assert await read_document("a.md", text.encode(encoding), command=("/nonexistent",)) == text


async def test_markdown_that_begins_with_a_tag_is_no_web_page():
    text = '<div align="center">\n\n# Title\n\n</div>'
    assert await read_document("README.md", text.encode()) == text


async def test_a_pdf_is_read_page_by_page():
    text = await read_document("a.pdf", pdf(SHOWN, "q Q", SHOWN.replace("reader", "again")))
    assert text == "## Page 1\n\nHello reader\n\n## Page 2\n\n[no text on this page]\n\n## Page 3\n\nHello again"


async def test_a_word_file_is_read_as_markdown():
    table = "<w:tbl><w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr></w:tbl>".format(
        *(paragraph(run(cell)) for cell in "ab")
    )
    text = await read_document("a.docx", docx(paragraph(run("bold", "<w:b/>"), run(" a_b")) + table))
    assert text.startswith("**bold** a_b")
    assert "| a | b |" in text


async def test_a_presentation_is_read_with_its_tables_and_notes():
    def fill(presentation):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = "The title", "The body"
        slide.shapes.add_table(1, 2, 0, 0, 100, 100).table.cell(0, 0).text = "1|2"
        slide.notes_slide.notes_text_frame.text = "The note"
        hidden = presentation.slides.add_slide(presentation.slide_layouts[0])
        hidden.element.set("show", "0")

    text = await read_document("a.pptx", deck(fill))
    assert "## Slide 1\n\nThe title\n\nThe body\n\n| 1\\|2 |  |" in text
    assert "Notes:\n\nThe note" in text
    assert "## Slide 2 (hidden)" in text


async def test_a_workbook_is_read_sheet_by_sheet_and_a_hidden_one_says_so():
    def fill(book):
        book.active.title = "Prices"
        for row in (["what", "price"], ["tea", 2.5], [], ["=1+1"]):
            book.active.append(row)
        secret = book.create_sheet("Notes")
        secret.sheet_state = "veryHidden"
        secret.append(["below"])

    text = await read_document("a.xlsx", workbook(fill))
    assert (
        text
        == "## Prices\n\n| what | price |\n| --- | --- |\n| tea | 2.5 |\n\n\n## Notes (hidden)\n\n| below |\n| --- |"
    )


async def test_a_workbook_with_hidden_rows_says_that_some_may_not_be_seen():
    def fill(book):
        book.active.append(["below"])
        book.active.row_dimensions[1].hidden = True

    assert (await read_document("a.xlsx", workbook(fill))).startswith(f"{DOUBTFUL_TEXT}\n")


async def test_a_file_is_what_its_content_says_and_not_its_name():
    assert "Hello reader" in await read_document("notes.txt", pdf(SHOWN))
    assert await read_document("page.pdf", b"<!DOCTYPE html><p>Hi</p>") == "Hi"


@pytest.mark.parametrize("space", [b"", b" ", b"\n"])
async def test_comments_before_a_file_s_first_tag_are_passed_over_at_once_however_many(space):
    before = b"<?xml version='1.0'?>" + space + (b"<!---->" + space) * 450
    began = time.perf_counter()
    assert (await read_document("notes.md", before + b"hello")).endswith("hello")
    assert time.perf_counter() - began < 1
    assert (await read_document("page.md", before + b"<HTML><p><b>Hi</b></p>")).endswith("**Hi**")


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
async def test_a_pdf_that_is_encrypted_without_a_password_is_read(algorithm):
    assert "Hello reader" in await read_document("a.pdf", encrypted("", algorithm))


async def test_a_web_page_in_an_old_encoding_is_read_as_it_declares():
    page = '<html><head><meta charset="windows-1251"><title>Т</title></head><body>Привет</body></html>'
    assert await read_document("a.html", page.encode("windows-1251")) == "# Т\n\nПривет"


# --- What is refused


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b" \n", "is empty; leave it out"),
        ("a.html", b"<html><script>1</script></html>", "is empty; leave it out"),
        ("a.txt", b"caf\xe9", "is not UTF-8 text; save it as plain text"),
        ("a.txt", b"a\x00b", "is binary; save it as plain text"),
        ("a.pdf", b"\x89PNG\r\n\x1a\n\x00", "is a picture; give its text"),
        ("a.txt", b"\x00\x00\x00\x18ftypheic\x00", "is a picture or a recording"),
        ("a.md", b"MZ\x90\x00", "is a program"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "is in an old Office format; save it as .docx"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "with a password"),
        ("a.doc", b"{\\rtf1 x}", "is an RTF file; save it as .docx"),
        ("a.gz", b"\x1f\x8b\x08\x00", "is a packed archive; unpack it"),
        ("a.docx", b"PK\x03\x04rest", "is an Office or zip file that is damaged"),
        ("a.docx", archive(a="x"), "is a zip archive and no Word, PowerPoint or Excel file; unpack it"),
        ("a.odt", archive(mimetype="application/vnd.oasis.opendocument.text"), "is an OpenDocument file; save it as"),
        ("a.xlsb", docx("", types="application/vnd.ms-excel.sheet.binary.macroEnabled.main"), "binary Excel workbook"),
        ("a.pdf", b"%PDF-1.7 ...", "is a PDF that is damaged"),
        ("a.pdf", pdf("q Q", "q Q"), r"has no text on its pages \(2\), like a scan"),
        ("a.txt", b"x" * (LIMITS.text_bytes + 1), "is over 1,000,000 bytes; give the part that matters"),
        ("a.pdf", b"%PDF" + bytes(LIMITS.file_bytes), "is over 20,000,000 bytes"),
        ("a.txt", b"x" * (LIMITS.characters + 1), "has 400,001 characters; at most 400,000 are read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_file_that_cannot_be_read_is_refused_for_what_it_is(name, content, says):
    assert re.search(says, await refusal(name, content))


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
async def test_fault_67_a_pdf_with_a_password_is_refused_with_a_reason(algorithm):
    assert "is protected with a password" in await refusal("a.pdf", encrypted("secret", algorithm))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.html", f"<html><p>{'x' * 400_001}"),
        ("a.docx", docx(paragraph(run("x" * 400_001)))),
        ("a.pdf", pdf(*[SHOWN.replace("Hello", "x" * 50_000)] * 9)),
        ("a.xlsx", workbook(lambda book: [book.active.append(["x" * 30_000]) for _ in range(14)])),
    ],
    ids=["html", "docx", "pdf", "xlsx"],
)
async def test_a_text_that_is_too_long_is_refused_and_never_cut(name, content):
    content = content.encode() if isinstance(content, str) else content
    assert "has over 400,000 characters of text" in await refusal(name, content)


def test_every_reason_has_a_sentence():
    from teams.reading import _SENTENCES

    assert set(_SENTENCES) == set(Reason)


async def test_a_name_cannot_break_the_sentence():
    with pytest.raises(UnreadableDocument, match=r"^a b\.txt is empty"):
        await read_document("a\n b\u202e.txt", b"")


# --- Hidden text


async def test_fault_58_hidden_characters_are_removed_and_that_is_said():
    smuggled = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    text = await read_document("a.txt", f"Plain{smuggled} te\u200bxt\u202e.".encode())
    assert text == f"{REMOVED_CHARACTERS}\nPlain text."


@pytest.mark.parametrize("text", ["👩‍👩‍👧 ❤️", "می‌خواهم", "क्‍ष"])
def test_joiners_that_emoji_and_scripts_need_stay(text):
    assert without_hidden_characters(text) == text


@given(st.text())
def test_hidden_characters_are_removed_once_and_for_all(text):
    seen = without_hidden_characters(text)
    assert without_hidden_characters(seen) == seen or "\u200c" in text or "\u200d" in text or "\ufe0f" in text
    assert not any(0xE0000 <= ord(letter) <= 0xE007F or letter in "\u200b\u202e\u2066" for letter in seen)


async def test_fault_58_what_a_web_page_hides_is_left_out():
    page = """<!doctype html><title>Shop</title><style>p{}</style><body><!-- a --><script>b</script>
    <p style="display: none">c</p><p hidden>d<b>e</b></p><span style="font-size:0">f</span><template>g</template>
    <img alt="h" src="x"><a title="i" href="javascript:k">Buy</a> <a href="https://a.example/">here</a>"""
    assert await read_document("a.html", page.encode()) == f"{REMOVED_TEXT}\n# Shop\n\nBuy [here](https://a.example/)"


async def test_a_login_page_is_still_a_page():
    page = b'<html><head><title>Sign in</title></head><body><form><input name="password"></form>Log in</body></html>'
    assert await read_document("report.pdf", page) == "# Sign in\n\nLog in"


STYLES = (
    f'<w:styles {WORD}><w:style w:type="character" w:styleId="Secret"><w:name w:val="Secret"/>'
    "<w:rPr><w:vanish/></w:rPr></w:style></w:styles>"
)


@pytest.mark.parametrize("look", ["<w:vanish/>", '<w:rStyle w:val="Secret"/>', '<w:sz w:val="2"/>'])
async def test_fault_58_what_word_does_not_show_is_left_out(look):
    content = docx(paragraph(run("Shown"), run("Secret", look)), word__styles=STYLES)
    assert await read_document("a.docx", content) == f"{REMOVED_TEXT}\nShown"


async def test_text_that_word_shows_after_all_stays():
    assert await read_document("a.docx", docx(paragraph(run("Shown", '<w:vanish w:val="0"/>')))) == "Shown"


async def test_fault_58_white_text_in_word_is_pointed_to():
    text = await read_document("a.docx", docx(paragraph(run("White", '<w:color w:val="ffffff"/>'))))
    assert text == f"{DOUBTFUL_TEXT}\nWhite"


@pytest.mark.parametrize("how", ["1 1 1 rg", "1 g", "3 Tr"])
async def test_fault_58_white_and_invisible_text_in_a_pdf_is_pointed_to(how):
    text = await read_document("a.pdf", pdf(f"{SHOWN} q {how} {SHOWN} Q {SHOWN}"))
    assert text.startswith(f"{DOUBTFUL_TEXT}\n## Page 1")


async def test_fault_58_text_in_a_pdf_too_small_to_read_is_left_out():
    tiny = SHOWN.replace("12 Tf", "1 Tf").replace("Hello reader", "Secret").replace("700", "600")
    text = await read_document("a.pdf", pdf(SHOWN + tiny))
    assert text == f"{REMOVED_TEXT}\n## Page 1\n\nHello reader"


async def test_fault_58_text_beside_the_slide_is_left_out():
    def fill(presentation):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text = "Shown"
        slide.shapes.add_textbox(presentation.slide_width, 0, 100, 100).text_frame.text = "Secret"

    assert await read_document("a.pptx", deck(fill)) == f"{REMOVED_TEXT}\n## Slide 1\n\nShown"


async def test_a_page_that_cannot_be_read_is_no_secret():
    broken = pdf(SHOWN, "q Q" * 9).replace(
        stream(b"q Q" * 9), b"<< /Length 27 /Filter /FlateDecode >>\nstream\n" + b"z" * 27 + b"\nendstream"
    )
    assert (await read_document("a.pdf", broken)).startswith(f"{PARTIAL_TEXT}\n## Page 1\n\nHello reader")


# --- Bombs


async def test_fault_67_a_zip_bomb_is_refused_with_a_reason():
    bomb = docx("", word__media=bytes(LIMITS.unpacked_bytes))
    assert "unpacks to 100,000,5" in (said := await refusal("a.docx", bomb))
    assert "at most 100,000,000 are read" in said


async def test_fault_67_a_tightly_packed_archive_is_refused_with_a_reason():
    assert "times its size, as only a bomb does" in await refusal("a.docx", docx("", word__media=bytes(20_000_000)))


async def test_fault_67_an_archive_of_very_many_parts_is_refused_with_a_reason():
    many = packed_parts({str(number): "" for number in range(101)})
    assert "is an archive of 101 parts" in await refusal("a.docx", many, replace(LIMITS, entries=100))


async def test_fault_67_an_archive_within_an_office_file_stays_closed():
    nested = docx(paragraph(run("Shown")), word__embedded=archive(bomb=bytes(1_000_000)))
    assert await read_document("a.docx", nested) == "Shown"


async def test_fault_67_names_that_lead_out_of_an_archive_lead_nowhere(tmp_path):
    content = packed_parts({"../../escaped.xml": "x", f"{tmp_path}/escaped.xml": "x"})
    assert "is a zip archive" in await refusal("a.docx", content)
    assert list(tmp_path.iterdir()) == []


async def test_fault_67_entities_that_multiply_are_refused_with_a_reason():
    names = "abcdefghij"
    entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise(names))
    part = f'<!DOCTYPE x [<!ENTITY a "{"x" * 99}">{entities}]><w:document {WORD}><w:body>{paragraph(run("&j;"))}'
    bomb = docx("", word__document=f"{part}</w:body></w:document>")
    assert "is an Office or zip file that is damaged" in await refusal("a.docx", bomb)


async def test_fault_67_a_pdf_of_10_000_pages_is_refused_with_a_reason():
    content = pdf(*["q Q"] * 10, kids=b"5 0 R " * 10_000).replace(b"/Count 10 ", b"/Count 10000 ")
    assert "has 10,000 pages, of which at most 2,000 are read" in await refusal("a.pdf", content)


async def test_fault_67_pages_that_contain_themselves_are_refused_with_a_reason():
    assert "is a PDF that is damaged" in await refusal("a.pdf", pdf(SHOWN, kids=b"2 0 R"))


async def test_fault_67_a_packed_page_bomb_is_refused_with_a_reason():
    assert "is a PDF that is damaged" in await refusal("a.pdf", pdf(bytes(80_000_000), packed=True))


@posix_only
async def test_fault_67_a_file_that_takes_too_long_is_refused_with_a_reason():
    deep = b"<html>" + b"<div>" * 20_000 + b"deep"
    assert "takes over 1 seconds" in await refusal("a.html", deep, replace(LIMITS, cpu_seconds=1))


@posix_only
async def test_fault_67_a_file_that_takes_too_much_memory_is_refused_with_a_reason():
    wide = b"<html>" + b"<b>x</b>" * 60_000
    said = await refusal("a.html", wide, replace(LIMITS, memory_bytes=75_000_000))
    assert "needs over 75,000,000 bytes of memory" in said


async def test_a_child_that_says_nothing_is_killed_with_all_it_started(tmp_path):
    """The system's clock decides where a child uses none of its own time."""
    note = tmp_path / "pid"
    started = (
        f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); \
open({str(note)!r}, 'w').write(str(p.pid)); time.sleep(60)"
    )
    began = time.monotonic()
    said = await refusal("a.pdf", pdf(SHOWN), replace(LIMITS, seconds=1.0), command=child(started))
    assert "takes over" in said
    assert time.monotonic() - began < 10
    assert await gone(int(note.read_text()))


async def test_a_reading_that_is_cancelled_leaves_no_child(tmp_path):
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    reading = asyncio.create_task(read_document("a.pdf", pdf(SHOWN), command=child(code)))
    async with asyncio.timeout(10):
        while not note.exists() or not note.read_text():
            await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await gone(int(note.read_text()))


def is_zombie(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False


async def gone(process: int) -> bool:
    """Whether a process ends within five seconds; one that nobody waits for may stay as a zombie."""
    for _ in range(500):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if is_zombie(process):
            return True
        await asyncio.sleep(0.01)
    return False


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.abort()",
        BABBLER,
        "print('[1]')",
        "print('{\"text\": 1}')",
        'print(\'{"reason": "other"}\')',
        "print('[' * 100_000)",
    ],
    ids=["dies", "babbles", "list", "number", "reason", "deep"],
)
async def test_a_child_that_a_file_took_over_cannot_harm_the_parent(code):
    assert "is a PDF that is damaged" in await refusal("a.pdf", pdf(SHOWN), command=child(code))


async def test_a_machine_that_can_start_no_process_is_no_fault_of_the_file():
    assert "cannot be read now" in await refusal("a.pdf", pdf(SHOWN), command=("/nonexistent",))


async def test_the_child_is_given_no_environment_and_an_empty_folder_of_its_own():
    code = "import json, os; print(json.dumps({'text': repr((os.getcwd(), os.listdir(), dict(os.environ))), \
'removed': False, 'doubtful': False, 'partial': False}))"
    folder, files, environment = ast.literal_eval(await read_document("a.pdf", pdf(SHOWN), command=child(code)))
    assert "panelist-reading-" in folder
    assert files == []
    assert set(environment) <= {"LC_CTYPE", "SYSTEMROOT", "PWD", "__CF_USER_TEXT_ENCODING"}


ATTEMPTS = {
    "network": "socket.socket()",
    "address": "socket.getaddrinfo('localhost', 80)",
    "process": "subprocess.Popen([sys.executable, '-c', ''])",
    "shell": "os.system('true')",
    "fork": "os.fork()",
    "write": "open('written', 'w')",
    "read": "open(sys.executable, 'rb')",
    "remove": "os.remove('written')",
    "pipe": "os.pipe()",
}


@posix_only
@pytest.mark.parametrize("hook", [True, False], ids=["all", "limits_alone"])
def test_fault_67_a_parser_can_open_no_network_file_or_process(hook, tmp_path):
    """Without the hook it is the system that refuses: all but what needs no descriptor, which root may do."""
    attempts = {name: code for name, code in ATTEMPTS.items() if hook or name not in ("shell", "fork", "remove")}
    script = f"""
import os, socket, subprocess, sys
sys.path.insert(0, {str(Path(teams.reading_child.__file__).parent)!r})
import reading_child
if not {hook}:
    sys.addaudithook = lambda hook: None
reading_child.close_doors()
for name, attempt in {attempts!r}.items():
    try:
        eval(attempt)
        print(name, "is open")
    except OSError:
        print(name, "is closed")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=30)
    assert done.stdout.splitlines() == [f"{name} is closed" for name in attempts]
    assert list(tmp_path.iterdir()) == []


def test_importing_the_reader_loads_no_parser():
    code = "import sys, teams.reading; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"pypdf", "mammoth", "openpyxl", "pptx", "lxml", "bs4", "markdownify", "PIL"}


@pytest.mark.parametrize("kind", ["pdf", "html", "docx", "pptx", "xlsx"])
def test_nothing_is_imported_once_the_doors_are_closed(kind):
    """What would be, could not be opened: a file that needs it would count as damaged."""
    samples = {
        "pdf": encrypted("", "AES-256"),
        "html": "<html><meta charset=windows-1251><body><p>\xe9</p><table><tr><td>1".encode("latin-1"),
        "docx": docx(paragraph(run("a"), run("b", "<w:vanish/>"))),
        "pptx": deck(lambda each: each.slides.add_slide(each.slide_layouts[1])),
        "xlsx": workbook(lambda book: book.active.append(["a", 1.5])),
    }
    script = f"""
import sys
sys.path.insert(0, {str(Path(teams.reading_child.__file__).parent)!r})
import reading_child
content = sys.stdin.buffer.read()
reading_child.load_libraries({kind!r})
before = set(sys.modules)
reading_child._READERS[{kind!r}](content, reading_child.ReadingLimits())
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", script], input=samples[kind], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
