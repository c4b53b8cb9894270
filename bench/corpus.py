"""Manuals that Debian packages bring, as Markdown: real text of a real library's size, from nobody's hand here."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from lxml import etree, html

PACKAGES = "dict-foldoc dict-jargon python3.11-doc postgresql-doc-15 git-doc sqlite3-doc debian-handbook"
"""What `apt-get install` takes."""

PAGES = {
    "python": Path("/usr/share/doc/python3.11/html"),
    "postgresql": Path("/usr/share/doc/postgresql-doc-15/html"),
    "git": Path("/usr/share/doc/git-doc"),
    "sqlite": Path("/usr/share/doc/sqlite3"),
    "handbook": Path("/usr/share/doc/debian-handbook/html/en-US"),
}
DICTIONARIES = {name: Path(f"/usr/share/dictd/{name}.dict.dz") for name in ("foldoc", "jargon")}

# Registers repeat every title of a manual, and searching finds them first.
_REGISTER = re.compile(r"genindex|bookindex|modindex|contents|keyword_index|doclist|sitemap|toc", re.IGNORECASE)


def missing() -> list[str]:
    """What is not installed."""
    return [str(path) for path in (*PAGES.values(), *DICTIONARIES.values()) if not path.exists()]


def documents() -> Iterator[tuple[str, str]]:
    """Paths and texts. A dictionary is one document with a section per entry."""
    for path in DICTIONARIES.values():
        yield str(path), _entries(gzip.decompress(path.read_bytes()).decode("utf-8", "replace"))
    for folder in PAGES.values():
        for path in sorted(folder.rglob("*.html")):
            if not _REGISTER.search(path.name) and not path.is_symlink():
                yield str(path), markdown(path.read_bytes())


def _entries(dictionary: str) -> str:
    """Headwords stand at the margin, everything else is indented."""
    return re.sub(r"^(\S.*)$", r"\n## \1\n", dictionary, flags=re.MULTILINE)


_BLOCKS = {"p", "pre", "li", "dt", "dd", "td", "th", "blockquote", "div", "caption"}
_SKIPPED = {"script", "style", "head", "nav"}


def markdown(page: bytes) -> str:
    """Headings and paragraphs of a page, quickly. The product's own reader takes ten times as long, in a process."""
    tree = html.document_fromstring(page)
    title = " ".join((tree.findtext(".//title") or "").split())
    lines = [f"# {title}"]
    for part in _blocks(tree):
        lines += ["", part]
    return "\n".join(lines)


def _blocks(tree: html.HtmlElement) -> Iterator[str]:
    text: list[str] = []
    for event, element in _walk(tree):
        name = element.tag
        heading = re.fullmatch(r"h([1-6])", name)
        if heading or name in _BLOCKS:
            whole = "".join(text).strip("\n") if name == "pre" else " ".join("".join(text).split())
            text = []
            if heading and event == "end" and whole:
                yield f"{'#' * int(heading[1])} {whole}"
            elif whole:
                yield whole
        text.append((element.text if event == "start" else element.tail) or "")
    if rest := " ".join("".join(text).split()):
        yield rest


def _walk(tree: html.HtmlElement) -> Iterator[tuple[str, html.HtmlElement]]:
    skipping: html.HtmlElement | None = None
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        if skipping is None and element.tag in _SKIPPED:
            skipping = element
        if skipping is None:
            yield event, element
        elif event == "end" and element is skipping:
            skipping = None
