"""How well and how fast the library finds what is known to be in it, in the manuals of seven Debian packages."""

import asyncio
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import corpus
from bench.rows import Options, Row, percentile, verdict
from teams.reading import read_document
from teams.sources.fulltext import Found
from teams.sources.library import Library
from teams.sources.passages import JOINT, passages, title_of, words_of
from teams.sources.port import Hit
from teams.sources.shelf import Document, open_shelf

CASE = "library"
RECALL, MILLISECONDS = 0.58, 5.0
"""Targets for titles: the share of sections among the first five, and the median of a search."""

QUESTIONS, SEED = 800, 6
RANKS = 10

OWN_WORDS, OTHER_WORDS = 5, 2
"""Of a question in the words of a text: from it, and from texts elsewhere, as somebody asks who half remembers."""

READ = 20
"""Files that are also read as the verb reads them, in a child process."""


@dataclass(frozen=True, slots=True)
class Section:
    """What a question is meant to find: a document's path and the name that its hits have."""

    where: str
    name: str
    title: str
    text: str


async def run(_: Options) -> list[Row]:
    """Recall at 1 and 5, mean reciprocal rank at 10, and milliseconds a search: as whoever awaits it sees them, and of
    processor time, which other work on the machine does not stretch."""
    if missing := corpus.missing():
        return [Row(CASE, "0", "missing", {"paths": ", ".join(missing), "install": corpus.PACKAGES})]
    began = time.perf_counter()
    texts = list(corpus.documents())
    extracting = time.perf_counter() - began
    with tempfile.TemporaryDirectory(prefix="bench-library-") as folder:
        path = Path(folder, "library.sqlite")
        began = time.perf_counter()
        sections, count = _built(path, texts)
        building = time.perf_counter() - began
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        built = {
            "documents": len(texts),
            "build_s": round(building, 1),
            "extract_s": round(extracting, 1),
            "file_mb": round(size / 1e6, 1),
            "read_ms_a_file": await _reading_ms([path for path, _ in texts if path.endswith(".html")]),
        }
        library = Library(path)
        return [
            Row(CASE, f"{count} passages", "the index", built),
            Row(CASE, f"{count} passages", "titles", _judged(await _figures(library, _by_title(sections)))),
            Row(CASE, f"{count} passages", "words of the text", await _figures(library, _by_words(sections))),
        ]


def _built(path: Path, texts: Sequence[tuple[str, str]]) -> tuple[list[Section], int]:
    sections: dict[tuple[str, str], Section] = {}
    count = 0
    with open_shelf(path) as shelf:
        for where, text in texts:
            title, cut = title_of(text, Path(where).name), passages(text)
            shelf.keep(Document(where, len(text), 0, "-", "", title), cut)
            count += len(cut)
            for piece in cut:
                name = Found(0, 0, 0, title, piece.heading, "").name
                sections.setdefault((where, name), Section(where, name, name.split(JOINT)[-1], piece.text))
        shelf.tidy()
    return list(sections.values()), count


def _by_title(sections: Sequence[Section]) -> list[tuple[str, Section]]:
    """Sections that no other shares its title with, asked for by it."""
    often = Counter(section.title.casefold() for section in sections)
    single = [each for each in sections if often[each.title.casefold()] == 1 and words_of(each.title)]
    return [(each.title, each) for each in random.Random(SEED).sample(single, QUESTIONS)]


def _by_words(sections: Sequence[Section]) -> list[tuple[str, Section]]:
    chance = random.Random(SEED)
    asked = []
    words = {each: _long_words(each.text) for each in chance.sample(sections, 4 * QUESTIONS)}
    rich = [each for each, known in words.items() if len(known) >= 4 * OWN_WORDS]
    for each in rich[:QUESTIONS]:
        others = [chance.choice(words[chance.choice(rich)]) for _ in range(OTHER_WORDS)]
        asked.append((" ".join([*chance.sample(words[each], OWN_WORDS), *others]), each))
    return asked


def _long_words(text: str) -> list[str]:
    return sorted({word.lower() for word in re.findall(r"[A-Za-z]{4,}", text)})


async def _figures(library: Library, asked: Sequence[tuple[str, Section]]) -> dict[str, float]:
    ranks: list[int] = []
    times: list[float] = []
    worked: list[float] = []
    for question, section in asked:
        began, working = time.perf_counter(), time.process_time()
        found = await library.search(question, RANKS)
        times.append((time.perf_counter() - began) * 1_000)
        worked.append((time.process_time() - working) * 1_000)
        if not isinstance(found, tuple):
            raise RuntimeError(found.sentence)
        ranks.append(_rank(found, section))
    return {
        "questions": len(asked),
        "recall@1": round(sum(rank == 1 for rank in ranks) / len(ranks), 3),
        "recall@5": round(sum(0 < rank <= 5 for rank in ranks) / len(ranks), 3),
        "mrr@10": round(sum(1 / rank for rank in ranks if rank) / len(ranks), 3),
        "p50_ms": round(percentile(times, 0.5), 2),
        "p95_ms": round(percentile(times, 0.95), 2),
        "cpu_p50_ms": round(percentile(worked, 0.5), 2),
        "cpu_p95_ms": round(percentile(worked, 0.95), 2),
    }


def _judged(figures: dict[str, float]) -> dict[str, float | str]:
    recall = "ok" if figures["recall@5"] >= RECALL else "short"
    return {**figures, "recall": recall, "time": verdict(figures["p50_ms"], MILLISECONDS)}


def _rank(found: Sequence[Hit], section: Section) -> int:
    """From 1; 0 is not found."""
    places = [(hit.where, hit.title) for hit in found]
    wanted = (section.where, section.name)
    return places.index(wanted) + 1 if wanted in places else 0


async def _reading_ms(paths: Sequence[str]) -> float:
    chosen = [Path(path) for path in random.Random(SEED).sample(paths, READ)]
    contents = await asyncio.to_thread(lambda: [path.read_bytes() for path in chosen])
    began = time.perf_counter()
    for path, content in zip(chosen, contents, strict=True):
        await read_document(path.name, content)
    return round((time.perf_counter() - began) * 1_000 / READ)
