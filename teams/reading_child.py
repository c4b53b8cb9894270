"""PDF, Office files and HTML to Markdown, in a process that can reach nothing. Knows no panel, chat or path.

The parent runs this very file as a script and gives the kind and the limits as arguments and the file as input; the
answer is one line of JSON. Whatever can be wrong with a file is a `Reason`: the sentences are the parent's. A hostile
file may make the libraries do anything, so before it is parsed the process gives up memory, time, files and network.
"""

import importlib
import json
import logging
import pkgutil
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from io import BytesIO
from typing import Any


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """What one file may cost. Sizes are in bytes, times in seconds.

    `text_bytes` holds for plain text, whose size is that of the prompt; `file_bytes` for everything else, where most
    of a file is pictures. `unpacked_bytes`, `entries` and `ratio` are for Office files, which are zip archives: honest
    ones seldom unpack to 50 times their size, deflate can reach 1,032. `memory_bytes` and `cpu_seconds` are the
    child's, `seconds` passes by the wall clock from its start to its answer.
    """

    text_bytes: int = 1_000_000
    file_bytes: int = 20_000_000
    characters: int = 400_000
    pages: int = 2_000
    unpacked_bytes: int = 100_000_000
    entries: int = 10_000
    ratio: int = 200
    memory_bytes: int = 1_000_000_000
    cpu_seconds: int = 20
    seconds: float = 30.0


class Reason(StrEnum):
    """Why a file has no text for us. One word per reason that a person could act on differently."""

    ARCHIVE = "archive"
    BINARY_WORKBOOK = "binary_workbook"
    DAMAGED = "damaged"
    EMPTY = "empty"
    ENCRYPTED = "encrypted"
    ENTRIES = "entries"
    LONG = "long"
    MEMORY = "memory"
    MISSING = "missing"
    NESTED = "nested"
    OPEN_DOCUMENT = "open_document"
    PAGES = "pages"
    RATIO = "ratio"
    SCAN = "scan"
    TIME = "time"
    UNPACKED = "unpacked"


class Refused(Exception):
    """A file is not read. `value` is the figure that goes with the reason, if one does."""

    def __init__(self, reason: Reason, value: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


@dataclass(frozen=True, slots=True)
class Reading:
    """The text of a file. `removed`: hidden text was left out. `doubtful`: some of it may not be visible to a reader.
    `partial`: something that may have been text could not be read. Pages from the web have their `title` apart."""

    text: str
    removed: bool = False
    doubtful: bool = False
    partial: bool = False
    title: str = ""


Reader = Callable[[bytes, ReadingLimits], Reading]

SMALLEST_RATIO_BYTES = 10_000_000
"""Below this an archive may be packed however tightly: it cannot do harm."""

TINY_HALF_POINTS = 4
"""Word's sizes are half points. Two points and less nobody can read."""

TINY_POINTS = 2.0


class _Lines:
    """Lines of text as long as they are within the limit; the first beyond it ends the reading."""

    def __init__(self, limits: ReadingLimits) -> None:
        self._left = limits.characters
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        self._left -= len(line) + 1
        if self._left < 0:
            raise Refused(Reason.LONG)
        self._lines.append(line)

    def __str__(self) -> str:
        return "\n".join(self._lines).strip()


# --- PDF


class _Visibility:
    """Watches a page being drawn for text in invisible mode or in white. A page's own background is not known here."""

    _WHITE = ([1], [1, 1, 1], [0, 0, 0, 0])
    _SHOWS = (b"Tj", b"TJ", b"'", b'"')

    def __init__(self) -> None:
        self.doubtful = False
        self._white = self._invisible = False
        self._saved: list[tuple[bool, bool]] = []

    def __call__(self, operator: bytes, operands: list[Any], *matrices: object) -> None:
        match operator:
            case b"q":
                self._saved.append((self._white, self._invisible))
            case b"Q" if self._saved:
                self._white, self._invisible = self._saved.pop()
            case b"Tr":
                self._invisible = operands == [3]
            case b"g" | b"rg" | b"k" | b"sc" | b"scn":
                self._white = operands in self._WHITE
            case _ if operator in self._SHOWS:
                self.doubtful |= self._white or self._invisible


def _pdf(content: bytes, limits: ReadingLimits) -> Reading:
    import pypdf
    from pypdf.errors import DependencyError, FileNotDecryptedError

    try:
        reader = pypdf.PdfReader(BytesIO(content))
        pages = len(reader.pages)
        if pages > limits.pages:
            raise Refused(Reason.PAGES, pages)
        return _pages(reader.pages, pages, limits)
    except (FileNotDecryptedError, DependencyError) as error:
        raise Refused(Reason.ENCRYPTED) from error


def _pages(pages: Iterable[Any], count: int, limits: ReadingLimits) -> Reading:
    lines = _Lines(limits)
    any_text = removed = doubtful = False
    trouble = _Trouble()
    for number, page in enumerate(pages, 1):
        visibility, sizes = _Visibility(), _Sizes()
        text = page.extract_text(visitor_operand_before=visibility, visitor_text=sizes).strip()
        if sizes.tiny:
            removed, text = True, sizes.readable
        any_text |= bool(text)
        doubtful |= visibility.doubtful
        lines.add(f"## Page {number}\n\n{text or '[no text on this page]'}\n")
    if not any_text:
        raise Refused(Reason.SCAN, count)
    return Reading(str(lines), removed, doubtful, trouble.noted)


class _Trouble(logging.Handler):
    """Notes whether pypdf left something out: of a broken stream or picture it only tells the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.noted = False
        for name in ("pypdf.filters", "pypdf._page"):
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.noted = True


class _Sizes:
    """Gathers a page's text with what is too small to read left out."""

    def __init__(self) -> None:
        self.tiny = False
        self._parts: list[str] = []

    def __call__(self, text: str, cm: list[float], tm: list[float], font: object, size: float | None) -> None:
        scale = max(abs(tm[0]), abs(tm[1])) * max(abs(cm[0]), abs(cm[1]))
        if text.strip() and size is not None and abs(size) * scale <= TINY_POINTS:
            self.tiny = True
        else:
            self._parts.append(text)

    @property
    def readable(self) -> str:
        return "".join(self._parts).strip()


# --- Office


def _docx(content: bytes, limits: ReadingLimits) -> Reading:
    import mammoth

    shown, removed, doubtful = _without_hidden_runs(content)
    # No pictures: they are large, and the text that stands for them is not what a reader sees.
    page = mammoth.convert_to_html(shown, include_embedded_style_map=False, convert_image=lambda image: []).value
    reading = _html(page.encode(), limits)
    return Reading(reading.text, removed, doubtful)


def _without_hidden_runs(content: bytes) -> tuple[BytesIO, bool, bool]:
    """The XML parts of a Word file without its hidden text, whether there was any, and whether some is white."""
    shown = BytesIO()
    removed = doubtful = False
    with zipfile.ZipFile(BytesIO(content)) as source, zipfile.ZipFile(shown, "w", zipfile.ZIP_DEFLATED) as target:
        names = set(source.namelist())
        hiding = _hiding_styles(source.read("word/styles.xml")) if "word/styles.xml" in names else frozenset()
        for name in sorted(names):
            if not name.endswith((".xml", ".rels")):
                continue
            part = source.read(name)
            if re.fullmatch(r"word/(document|footnotes|endnotes)\d*\.xml", name):
                part, gone, white = _shown_part(part, hiding)
                removed, doubtful = removed | gone, doubtful | white
            target.writestr(name, part)
    shown.seek(0)
    return shown, removed, doubtful


def _parsed(part: bytes) -> Any:
    from lxml import etree

    return etree.fromstring(part, etree.XMLParser(resolve_entities=False, no_network=True))


def _hiding_styles(part: bytes) -> frozenset[str]:
    """The names of the styles that hide the text they are given to."""
    styles = _parsed(part).iterfind("{*}style")
    return frozenset(_value(style, "styleId") for style in styles if _is_on(style.find("{*}rPr/{*}vanish")))


def _shown_part(part: bytes, hiding: frozenset[str]) -> tuple[bytes, bool, bool]:
    from lxml import etree

    root = _parsed(part)
    removed = doubtful = False
    for run in list(root.iter("{*}r")):
        if not any(text.text for text in run.iterfind("{*}t")):
            continue
        if _is_hidden(run, hiding):
            run.getparent().remove(run)
            removed = True
        else:
            color = run.find("{*}rPr/{*}color")
            doubtful |= color is not None and _value(color).upper() == "FFFFFF"
    return (etree.tostring(root, encoding="UTF-8", xml_declaration=True) if removed else part), removed, doubtful


def _is_hidden(run: Any, hiding: frozenset[str]) -> bool:
    size = run.find("{*}rPr/{*}sz")
    if size is not None and _value(size).isdecimal() and int(_value(size)) <= TINY_HALF_POINTS:
        return True
    vanish = run.find("{*}rPr/{*}vanish")
    if vanish is not None:
        return _is_on(vanish)
    styles = (run.find("{*}rPr/{*}rStyle"), run.getparent().find("{*}pPr/{*}pStyle"))
    return any(style is not None and _value(style) in hiding for style in styles)


def _is_on(switch: Any) -> bool:
    return switch is not None and _value(switch) not in {"0", "false", "off"}


def _value(element: Any, name: str = "val") -> str:
    """An attribute, whichever of the format's two namespaces it has."""
    found = (value for key, value in element.attrib.items() if key.rpartition("}")[2] == name)
    return str(next(found, ""))


def _pptx(content: bytes, limits: ReadingLimits) -> Reading:
    import pptx

    deck = pptx.Presentation(BytesIO(content))
    lines = _Lines(limits)
    removed = False
    for number, slide in enumerate(deck.slides, 1):
        hidden = slide.element.get("show") in {"0", "false"}
        lines.add(f"\n## Slide {number}{' (hidden)' if hidden else ''}\n")
        for shape in slide.shapes:
            if _is_out_of_sight(shape, deck.slide_width or 0, deck.slide_height or 0):
                removed |= any(_shape_lines(shape))
            else:
                for line in _shape_lines(shape):
                    lines.add(line)
        frame = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        if frame is not None and frame.text.strip():
            lines.add(f"\nNotes:\n\n{frame.text}")
    return Reading(str(lines), removed)


def _is_out_of_sight(shape: Any, width: int, height: int) -> bool:
    if _value(shape.element.xpath(".//p:cNvPr")[0], "hidden") in {"1", "true"}:
        return True
    if None in (shape.left, shape.top, shape.width, shape.height):
        return False
    right, bottom = shape.left + shape.width, shape.top + shape.height
    return bool(shape.left >= width or shape.top >= height or right <= 0 or bottom <= 0)


def _shape_lines(shape: Any) -> Iterator[str]:
    if shape.has_text_frame and shape.text_frame.text.strip():
        yield f"{shape.text_frame.text}\n"
    elif getattr(shape, "has_table", False):
        yield from _table([cell.text for cell in row.cells] for row in shape.table.rows)
    elif hasattr(shape, "shapes"):
        for inner in shape.shapes:
            yield from _shape_lines(inner)


def _xlsx(content: bytes, limits: ReadingLimits) -> Reading:
    import openpyxl

    book = openpyxl.load_workbook(BytesIO(content), read_only=True, data_only=True, keep_links=False)
    lines = _Lines(limits)
    for sheet in book.worksheets:
        # A file may claim a million columns for each of its rows.
        sheet.reset_dimensions()
        lines.add(f"\n## {sheet.title}{'' if sheet.sheet_state == 'visible' else ' (hidden)'}\n")
        for line in _table(_filled_rows(sheet.iter_rows(values_only=True), limits)):
            lines.add(line)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        parts = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        return Reading(str(lines), doubtful=any(b' hidden="1"' in archive.read(part) for part in parts))


def _filled_rows(rows: Iterable[Sequence[object]], limits: ReadingLimits) -> Iterator[list[str]]:
    """The rows that hold something, without the empty cells at their ends."""
    left = limits.characters
    for row in rows:
        cells = ["" if cell is None else str(cell) for cell in row]
        while cells and not cells[-1].strip():
            cells.pop()
        left -= sum(map(len, cells)) + len(cells)
        # A table is known in full before its first line is written.
        if left < 0:
            raise Refused(Reason.LONG)
        if cells:
            yield cells


def _table(rows: Iterable[list[str]]) -> Iterator[str]:
    """Rows as a Markdown table, the first as its head."""
    whole = list(rows)
    width = max(map(len, whole), default=0)
    for number, row in enumerate(whole):
        cells = [" ".join(cell.replace("|", "\\|").split()) for cell in row]
        # Only the head needs all columns; a single far cell must not fill every row.
        cells += [""] * (width - len(cells) if number == 0 else 0)
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            yield f"|{' --- |' * width}"
    yield ""


def _main_part(content: bytes, limits: ReadingLimits) -> str:
    """The kind of Office file, once its archive is known to be harmless."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        entries = archive.infolist()
        _check_archive(entries, len(content), limits)
        names = {entry.filename for entry in entries}
        if "[Content_Types].xml" not in names:
            opendocument = "mimetype" in names and b"opendocument" in archive.read("mimetype")
            raise Refused(Reason.OPEN_DOCUMENT if opendocument else Reason.ARCHIVE)
        types = archive.read("[Content_Types].xml")
    for mark, kind in _OFFICE_TYPES:
        if mark in types:
            return kind
    raise Refused(Reason.BINARY_WORKBOOK if b"sheet.binary" in types else Reason.ARCHIVE)


_OFFICE_TYPES = (
    (b"wordprocessingml.document.main", "docx"),
    (b"wordprocessingml.template.main", "docx"),
    (b"ms-word.document.macroEnabled.main", "docx"),
    (b"presentationml.presentation.main", "pptx"),
    (b"ms-powerpoint.presentation.macroEnabled.main", "pptx"),
    (b"spreadsheetml.sheet.main", "xlsx"),
    (b"spreadsheetml.template.main", "xlsx"),
    (b"ms-excel.sheet.macroEnabled.main", "xlsx"),
)


def _check_archive(entries: Sequence[zipfile.ZipInfo], size: int, limits: ReadingLimits) -> None:
    """Refuses by what the archive says of itself: it is not unpacked further than it says. Nested ones stay packed."""
    if len(entries) > limits.entries:
        raise Refused(Reason.ENTRIES, len(entries))
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > limits.unpacked_bytes:
        raise Refused(Reason.UNPACKED, unpacked)
    if unpacked > SMALLEST_RATIO_BYTES and unpacked > size * limits.ratio:
        raise Refused(Reason.RATIO, unpacked // size)
    # Bit 0 of the flags; APPNOTE.TXT of the zip format, section 4.4.4.
    if any(entry.flag_bits & 1 for entry in entries):
        raise Refused(Reason.ENCRYPTED)


# --- HTML

_UNSEEN_TAGS = (
    *("script", "style", "template", "noscript", "head", "title", "meta", "link"),
    *("img", "svg", "canvas", "iframe", "object", "embed", "audio", "video"),
)

_UNSEEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(hidden|collapse)|(font-size|opacity)\s*:\s*0(\.0*)?(px|pt|r?em|%)?\s*(;|!|$)"
    r"|(text-indent|left|top)\s*:\s*-\d{3,}",
    re.IGNORECASE,
)

_WHITE_STYLE = re.compile(
    r"(?<![-\w])color\s*:\s*(#fff(fff)?\b|white\b|rgba?\(\s*255\s*,\s*255\s*,\s*255)", re.IGNORECASE
)


def _html(content: bytes, limits: ReadingLimits) -> Reading:
    from bs4 import BeautifulSoup
    from markdownify import ATX, MarkdownConverter

    soup = BeautifulSoup(_decoded(content), "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for tag in soup(list(_UNSEEN_TAGS)):
        tag.decompose()
    removed, doubtful = _hide(soup)
    try:
        # Markdown's signs stay as they are: an escaped word would no longer be found as it was written.
        converter = MarkdownConverter(heading_style=ATX, escape_asterisks=False, escape_underscores=False)
        text = converter.convert_soup(soup)
    except RecursionError:
        text = soup.get_text("\n", strip=True)
    text = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t\r]+\n", "\n", text)).strip()
    if title and text:
        text = f"# {title}\n\n{text}"
    if len(text) > limits.characters:
        raise Refused(Reason.LONG)
    return Reading(text, removed, doubtful)


def _hide(soup: Any) -> tuple[bool, bool]:
    """Takes out what the elements' own attributes hide, and what only a pointer would show. No style sheet is read."""
    removed = doubtful = False
    for tag in soup.find_all(True):
        if tag.decomposed:
            continue
        style = str(tag.get("style") or "")
        if tag.has_attr("hidden") or _UNSEEN_STYLE.search(style):
            removed |= bool(tag.get_text(strip=True))
            tag.decompose()
            continue
        doubtful |= bool(_WHITE_STYLE.search(style))
        del tag["title"]
        if tag.name == "a" and not re.match(r"(https?|mailto):", str(tag.get("href") or ""), re.IGNORECASE):
            del tag["href"]
    return removed, doubtful


def _decoded(content: bytes) -> str:
    from bs4.dammit import EncodingDetector

    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        declared = EncodingDetector.find_declared_encoding(content, is_html=True) or "windows-1252"
    try:
        return content.decode(declared, "replace")
    except LookupError:
        return content.decode("windows-1252", "replace")


# --- Pages from the web

_LITTLE = 250
"""Characters. An article is longer; of what is shorter, the page as a whole may have more to say."""


def _page(content: bytes, limits: ReadingLimits) -> Reading:
    """What a page says, without what stands around it on every page of its site: menus, footers, what others wrote."""
    import trafilatura
    from lxml import html

    whole = _decoded(content).replace("\x00", "").strip()
    if not whole:
        raise Refused(Reason.EMPTY)
    parser = html.HTMLParser(encoding="utf-8")
    # As bytes, for a text that names its own encoding is refused.
    tree = html.document_fromstring(whole.encode("utf-8", "replace"), parser=parser, ensure_head_body=True)
    # The parser leaves out what is nested deeper than a few hundred, which no honest page is.
    partial = any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log)
    title = " ".join((tree.findtext(".//title") or "").split())
    removed, doubtful = _hide_in_tree(tree)
    # Rather too much than too little: a quote that was left out would look like an invented one.
    text = trafilatura.extract(tree, output_format="markdown", include_comments=False, favor_recall=True) or ""
    if len(text) < _LITTLE:
        if partial:
            raise Refused(Reason.NESTED)
        everything = _html(content, limits)
        if len(everything.text) > len(text):
            return Reading(everything.text, everything.removed, everything.doubtful, title=title)
    if len(text) > limits.characters:
        raise Refused(Reason.LONG)
    return Reading(text, removed, doubtful, partial, title)


def _hide_in_tree(tree: Any) -> tuple[bool, bool]:
    """As `_html` and `_hide` do, for the other library's tree."""
    removed = doubtful = False
    for tag in list(tree.iter(*_UNSEEN_TAGS)):
        tag.drop_tree()
    for tag in list(tree.iter("*")):
        style = tag.get("style") or ""
        if not ("hidden" in tag.attrib or _UNSEEN_STYLE.search(style)):
            doubtful |= bool(_WHITE_STYLE.search(style))
        elif tag.getparent() is not None:
            removed |= any(text.strip() for text in tag.itertext())
            tag.drop_tree()
    return removed, doubtful


# --- The process

_READERS: dict[str, Reader] = {"pdf": _pdf, "html": _html, "page": _page, "docx": _docx, "pptx": _pptx, "xlsx": _xlsx}

_LIBRARIES = {
    "pdf": ("pypdf", "pypdf.generic", "pypdf._codecs", "pypdf._crypt_providers"),
    "html": ("bs4", "markdownify"),
    "page": ("trafilatura", "lxml.html", "bs4", "markdownify"),
    "docx": ("mammoth", "lxml.etree", "bs4", "markdownify", "xml.dom.expatbuilder"),
    "pptx": ("pptx", "lxml.etree"),
    "xlsx": ("openpyxl", "lxml.etree", "_strptime"),
}

_WITH_ALL_PARTS = ("pypdf", "pypdf.generic", "pypdf._codecs")


def load_libraries(kind: str) -> None:
    """Imports what the kind's reader needs, also what it would import later: by then no file can be opened any more."""
    for name in ("encodings", *_LIBRARIES[kind]):
        module = importlib.import_module(name)
        if name == "encodings" or name in _WITH_ALL_PARTS:
            for part in pkgutil.iter_modules(module.__path__):
                # Some are for Windows, or for packages that nobody needs here.
                with suppress(ImportError):
                    importlib.import_module(f"{name}.{part.name}")
    if kind == "page":
        # Its second opinion needs lists of words, which it would open files for.
        importlib.import_module("trafilatura.external").jt_stoplist_init()


def limit_resources(limits: ReadingLimits) -> None:
    """Bounds memory and time. Systems without such limits (Windows) have the parent's clock alone."""
    _set_limit("RLIMIT_AS", limits.memory_bytes)
    _set_limit("RLIMIT_CPU", limits.cpu_seconds)
    _set_limit("RLIMIT_CORE", 0)


def close_doors() -> None:
    """From here on no file, socket, pipe or process can be opened; what is open stays.

    No free descriptor is the system's own refusal, also for native code, as long as it cannot raise the limit again
    (root can). The hook is Python's, and the only one where there are no such limits.
    """
    _set_limit("RLIMIT_NPROC", 0)
    _set_limit("RLIMIT_FSIZE", 0)
    _set_limit("RLIMIT_NOFILE", 0)
    sys.addaudithook(_refuse_reaching_out)


def _set_limit(name: str, value: int) -> None:
    # A limit may be unknown to a system, or already be lower than this one.
    with suppress(ImportError, AttributeError, ValueError, OSError):
        import resource

        # The hard limit on time is a second later: at it the system kills without saying why.
        resource.setrlimit(getattr(resource, name), (value, value + (name == "RLIMIT_CPU")))


_OUTWARD = (
    *("open", "socket.", "subprocess.", "ctypes.", "shutil.", "tempfile.", "winreg."),
    *("os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "os.putenv", "os.kill"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
    *("urllib.", "http.client.", "ftplib.", "smtplib.", "poplib.", "imaplib.", "telnetlib.", "webbrowser."),
)


def _refuse_reaching_out(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(_OUTWARD):
        raise PermissionError(f"{event} is not for a reader of files")


def _read(kind: str, content: bytes, limits: ReadingLimits) -> Reading:
    if kind == "office":
        kind = _main_part(content, limits)
    try:
        load_libraries(kind)
    except ImportError as error:
        raise Refused(Reason.MISSING) from error
    close_doors()
    reading = _READERS[kind](content, limits)
    if not reading.text.strip():
        raise Refused(Reason.EMPTY)
    return reading


def _answer(kind: str, content: bytes, limits: ReadingLimits) -> dict[str, Any]:
    try:
        return asdict(_read(kind, content, limits))
    except Refused as refused:
        return {"reason": refused.reason, "value": refused.value}
    except MemoryError:
        return {"reason": Reason.MEMORY}
    except RecursionError:
        return {"reason": Reason.NESTED}
    except Exception:  # noqa: BLE001 - libraries raise anything at a damaged file, and the process ends here
        return {"reason": Reason.DAMAGED}


def main() -> None:
    """The child: reads the file at its input as the kind of the first argument under the limits of the second."""
    limits = ReadingLimits(**json.loads(sys.argv[2]))
    limit_resources(limits)
    answer = _answer(sys.argv[1], sys.stdin.buffer.read(), limits)
    # Half of a pair of surrogates, which some files have, cannot be written as UTF-8.
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
