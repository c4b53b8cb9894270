"""Citations in an answer: an id stays if the ledger has it, whatever brackets a model put around it. Pure."""

import re

from teams.evidence.ledger import Ledger
from teams.evidence.marks import NO_SUCH_SOURCE

_LOCATOR = r"(?:\s*[,:;]?\s*(?:pp?\.?|pages?|sections?|sec\.?|§|lines?|ch\.?|chapters?|Seiten?)\s*[\w.–-]+)?"
_GROUP = re.compile(
    rf"(?P<open>[\[(【〔])\s*\^?(?:(?:sources?|quellen?):?\s*)?"
    rf"(?P<ids>S\d{{1,4}}(?:\s*(?:,|;|/|&|and|und|et|-|–|—|to)?\s*\^?S?\d{{1,4}})*){_LOCATOR}\s*(?:[:|]\s*(?P<more>[^\]\[\n]{{1,120}}))?[\])】〕](?!\()"
    r"|(?<![\w#@])(?<!\w[/-])(?P<bare>S\d{1,4})(?![\w-]|\.\w)",
    re.IGNORECASE,
)
_RANGE = re.compile(r"S?(\d{1,4})(?:\s*(?:-|–|—|to)\s*S?(\d{1,4}))?", re.IGNORECASE)
_NUMBERED = re.compile(r"(?P<word>\w*)\[(?:\^[^\]\s]{1,40}|\d{1,3}(?:\s*[,–-]\s*\d{1,3})*)\](?!\()")
_AUTHOR = r"[A-ZÀ-Þ][\w'’-]+(?:\s+et\s+al\.?|\s+(?:and|&|und|et)\s+[A-ZÀ-Þ][\w'’-]+)?"
_WORK = rf"{_AUTHOR},?\s+(?:19|20)\d\d[a-z]?"
_AUTHORED = re.compile(rf"[(\[](?:see |cf\. |e\.g\.,? )?(?P<works>{_WORK}(?:;\s*{_WORK})*)[)\]]")


def known_only(text: str, ledger: Ledger) -> str:
    """The text with its citations in one form, `[S1, S2]`, and a mark for each that the ledger does not have."""
    texts = [evidence.text for evidence in ledger.all]

    def by_id(match: re.Match[str]) -> str:
        if (bare := match["bare"]) is not None:
            if bare[0] == "s" or _says(texts, bare):
                return match[0]
            return _shown([bare[1:]], ledger)
        if match["open"] == "(" and all(
            _says(texts, f"S{source_id}") for source_id in re.findall(r"\d+", match["ids"])
        ):
            return match[0]
        more = f" ({match['more'].strip()})" if (match["more"] or "").strip() else ""
        return _shown(_numbers(match["ids"]), ledger) + more

    def by_number(match: re.Match[str]) -> str:
        if match["word"] and any(match[0] in text for text in texts):
            return match[0]  # an index, as in the source: argv[1]
        return f"{match['word']}{' ' if match['word'] else ''}{NO_SUCH_SOURCE}"

    def by_author(match: re.Match[str]) -> str:
        named = re.findall(r"[A-ZÀ-Þ][\w'’-]+|(?:19|20)\d\d", match["works"])
        return match[0] if any(all(name in text for name in named) for text in texts) else NO_SUCH_SOURCE

    text = _GROUP.sub(by_id, text)
    text = _NUMBERED.sub(by_number, text)
    return _AUTHORED.sub(by_author, text)


def _says(texts: list[str], word: str) -> bool:
    """Whether a source has this word itself, such as S3 for a storage service."""
    return any(re.search(rf"(?<![\w\[]){word}(?![\w\]])", text) for text in texts)


def _numbers(ids: str) -> list[str]:
    found: list[str] = []
    for first, last in _RANGE.findall(ids):
        stop = int(last) if last and int(last) - int(first) < 50 else int(first)
        found += [str(number) for number in range(int(first), stop + 1)]
        if last and stop != int(last):
            found.append(last)
    return found


def _shown(numbers: list[str], ledger: Ledger) -> str:
    ids = list(dict.fromkeys(f"S{int(number)}" for number in numbers))
    known = [source_id for source_id in ids if ledger.get(source_id) is not None]
    marks = [NO_SUCH_SOURCE] * (len(ids) - len(known))
    return " ".join([f"[{', '.join(known)}]"] * bool(known) + marks)
