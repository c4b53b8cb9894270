"""Documents as rich renderables for a terminal. Pure; all model text is made inert here.

Console markup (`[bold]`) is never interpreted: strings reach rich as `Text` or as Markdown tokens only.
"""

import re
from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich import box
from rich import markdown as rich_markdown
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from adapters.port import Doc, Fold, Markdown, Table, Tone
from adapters.safety import one_line, visible

TONES: dict[Tone, str] = {"info": "cyan", "success": "green", "warning": "yellow", "error": "red"}

_LONGEST = 50_000  # characters of Markdown: the parser takes quadratic time on hostile brackets
_DEEPEST = 10
_NARROWEST_COLUMN = 14
_INLINE_STYLES = {"strong": "bold", "em": "italic", "s": "strike"}

# HTML, images, link definitions and autolinks would vanish from the page or hide where they lead; entities could bring
# back what was made inert. All of them are shown as they were written.
_PARSER = (
    MarkdownIt("commonmark", {"html": False, "maxNesting": 100})
    .enable(["strikethrough", "table"])
    .disable(["html_block", "html_inline", "image", "reference", "autolink", "entity"])
)


def page(doc: Doc, *, mark: str = "", notes: Iterable[str] = ()) -> RenderableType:
    """The document under its title; `mark` names the thread where there are several, `notes` follow the blocks."""
    parts: list[RenderableType] = [Text(""), _Header(inline(doc.title), mark, TONES[doc.tone])]
    for block in doc.blocks:
        parts += _shown(block)
    said = [Text(visible(note), style="dim") for note in notes]
    return Group(*parts, *([Text(""), *said] if said else []))


def inline(text: str) -> Text:
    """A title or cell: emphasis and code styled, links with their whole address, all on one line."""
    source = one_line(text)
    if len(source) > _LONGEST:
        return Text(source)
    tokens = _inert(_PARSER.parseInline(source))
    if _lost(source, tokens):
        return Text(source)
    shown = Text()
    styles: list[str] = []
    address: list[str] = []
    for token in tokens[0].children or []:
        name = token.type.removesuffix("_open").removesuffix("_close")
        if token.type == "link_open":
            address.append(str(token.attrGet("href") or ""))
        elif token.type == "link_close":
            shown.append(f" ({address.pop()})")
        elif name in _INLINE_STYLES and token.nesting > 0:
            styles.append(_INLINE_STYLES[name])
        elif name in _INLINE_STYLES:
            styles.pop()
        else:
            shown.append(token.content, " ".join([*styles, *(["cyan"] if name == "code_inline" else [])]))
    return shown


def markdown(text: str) -> RenderableType:
    """A run of Markdown, or its source where that is very long or rich could not show all of it."""
    source = visible(text).strip("\n")
    if len(source) > _LONGEST:
        return Text(source)
    tokens = _inert(_PARSER.parse(source))
    if any(token.level > _DEEPEST for token in tokens) or _lost(source, tokens):
        return Text(source)
    return _Page(tokens)


def _shown(block: Markdown | Table | Fold) -> Iterator[RenderableType]:
    match block:
        case Markdown(text):
            yield markdown(text)
        case Table():
            yield _Cells(block)
        case Fold(title, blocks):
            yield Text.assemble("\n", (f"▾ {inline(title)}", "bold"))
            for inner in blocks:
                for shown in _shown(inner):
                    yield Padding(shown, (0, 0, 0, 2))


def _inert(tokens: list[Token]) -> list[Token]:
    # A second time: a numeric reference or an unescaped backslash may have made new characters.
    for token in _leaves(tokens):
        token.content = visible(token.content)
        if address := token.attrGet("href"):
            token.attrSet("href", visible(str(address)))
    return tokens


def _leaves(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.children is None:
            yield token
        else:
            yield from _leaves(token.children)


def _lost(source: str, tokens: list[Token]) -> bool:
    """Whether a word of the source is in no token: a cell too many, a link's tooltip. Numbers may be a list's own."""
    shown = " ".join(f"{token.content} {token.info} {token.attrGet('href') or ''}" for token in _leaves(tokens))
    words = re.compile(r"[^\W\d_]+")
    return not set(words.findall(source)) <= set(words.findall(shown))


class _Heading(rich_markdown.Heading):
    LEVEL_ALIGN = dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "left")


class _Page(rich_markdown.Markdown):
    elements = {**rich_markdown.Markdown.elements, "heading_open": _Heading}  # noqa: RUF012 - declared by rich

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__("", code_theme="ansi_dark", hyperlinks=False)
        self.parsed = tokens


class _Header:
    """The title as a rule where it fits on one line, else above one: rich would cut it."""

    def __init__(self, title: Text, mark: str, style: str) -> None:
        self._title = Text.assemble((f"{mark} ", "dim") if mark else "", title)
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._title.cell_len + 4 <= options.max_width:
            yield Rule(Text.assemble(self._title, style=f"bold {self._style}"), align="left", style=self._style)
        else:
            yield Text.assemble(self._title, style=f"bold {self._style}", overflow="fold")
            yield Rule(style=self._style)


class _Cells:
    """A table, or one record per row where its columns would be too narrow to read."""

    def __init__(self, table: Table) -> None:
        self._header = [inline(cell) for cell in table.header]
        self._rows = [[inline(cell) for cell in row] for row in table.rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = zip(self._header, *self._rows, strict=True)
        natural = sum(max(cell.cell_len for cell in column) + 3 for column in columns)
        if options.max_width < min(natural, _NARROWEST_COLUMN * len(self._header)):
            yield from self._records()
            return
        shown = RichTable(box=box.SIMPLE, pad_edge=False, header_style="bold")
        for title in self._header:
            shown.add_column(title, overflow="fold")
        for row in self._rows:
            shown.add_row(*row)
        yield shown

    def _records(self) -> Iterator[RenderableType]:
        for row in self._rows:
            yield Text("")
            for title, cell in zip(self._header, row, strict=True):
                yield Text.assemble((f"{title}: ", "dim"), cell)
