"""Web addresses in a text, in whatever form: those of the ledger's sources stay, in the ledger's form. Pure."""

import re
from collections.abc import Iterable
from contextlib import suppress
from html import unescape
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from teams.evidence.ledger import Evidence
from teams.evidence.words import ANY_STOPWORD, word_set

LINK_REMOVED = "[link removed]"

TRACKING = re.compile(
    r"utm_\w+|gclid|gclsrc|dclid|fbclid|msclkid|yclid|twclid|igshid|mc_cid|mc_eid|_hsenc|_hsmi|mkt_tok|vero_id|ref_src"
    r"|oly_enc_id|oly_anon_id|spm|wt_mc|cmpid",
    re.IGNORECASE,
)
"""Parameters of an address that say where the reader came from and not what is read."""

_TOP = word_set(
    "com org net edu gov mil int info biz name pro io ai app dev cloud online site store shop blog news wiki tech xyz"
    " top page link live media agency academy science space world today email test example invalid"
    " club zip mov click icu vip loan cfd sbs lol bond bid win work digital agency ltd llc gmbh ninja guru zone"
    " ac ad ae al am ar at au ba be bg bo br by ca cc ch ci cl cn co cr cu cy cz de dk do ec ee eg es eu fi fr ge gg gr"
    " gt hk hr hu id ie il im in iq ir is it jo jp ke kr kz la lb li lk lt lu lv ly ma mc me mk mt mx my nl no nz pa pe"
    " ph pk pl pt qa ro ru sa se sg si sk su th tk tn to tr tv tw ua ug uk us uy uz ve vn za"
    " рф рус укр бел срб ελ 中国 中國 公司 网络 香港 台湾 한국 भारत موقع السعودية امارات ישראל онлайн сайт"
)
_DOT = r"(?:\.|\[\.\]|\(\.\)|。|．|｡)"
_STOP = r"\s<>\"'“”„«»‹›|`{}\\^()\[\]"
_LABEL = r"[\w-]{1,63}"
_ENDING = "|".join(sorted(_TOP, key=lambda label: (-len(label), label)))
_TAIL = rf"(?:[^{_STOP}]|\([^{_STOP}]*\)|\[[^{_STOP}]*\](?!\())*"
ADDRESS = re.compile(
    rf"""<?(?:
      (?<![^\W\d_])[a-z][a-z0-9+.-]{{0,30}}\\?:\\?/\\?/{_TAIL}
    | (?<![\w/:.])//(?=[\w-]+\.[^\W\d_]){_TAIL}
    | (?<!\w)(?:mailto|data|javascript|vbscript|tel|sms|magnet|urn|doi|news|blob|file|about|view-source):(?=\S){_TAIL}
    | (?<!\w)(?<!\w\.)(?:[\w.+-]{{1,64}}@)?(?:{_LABEL}{_DOT}){{1,126}}(?:{_ENDING}|xn--[\w-]+)(?!\w|-\w)
      (?::\d+)?(?:[/?\#]{_TAIL})?
    | (?<!\w)(?<!\w\.)(?:{_LABEL}{_DOT}){{1,126}}[^\W\d_]{{2,24}}(?::\d+)?/(?=\w){_TAIL}
    | (?<!\w)www{_DOT}[\w-]+{_TAIL}
    | (?<![\w./])10\.\d{{4,9}}/{_TAIL}
    | (?<!\w)arxiv:\s?\d{{4}}\.\d{{4,5}}(?:v\d+)?
    )>?""",
    re.IGNORECASE | re.VERBOSE,
)
_DOTTED = rf"(?<!\w)(?<!\w\.)(?:{_LABEL}{_DOT}){{1,126}}[^\W\d_]{{2,24}}(?!\w|-\w)"
# Any other name with a dot may be an address, too: new last labels are sold every year.
_ADDRESS_OR_DOTTED = re.compile(rf"{ADDRESS.pattern}|(?P<dotted>{_DOTTED})", ADDRESS.flags)
_MARKDOWN_LINK = re.compile(
    r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\]){0,400})\]\(\s*(<[^<>\n]*>|(?:[^\s()]|\([^\s()]*\))*)(?:\s+[^)\n]*)?\)"
)
_DEFINITION = re.compile(r"^( {0,3}\[[^\]\n]+\]:\s*)(<[^<>\n]*>|\S+)([^\n]*)$", re.MULTILINE)
_ONLY_A_TITLE = re.compile(r"\s*(?:\"[^\"]*\"|'[^']*'|\([^()]*\))?\s*")
_TRAILING = ".,;:!?*_~…'\"”’»"
_ENTITY = re.compile(
    r"&(?:#\d{1,6}|#x[0-9a-f]{1,5}|colon|sol|period|commat|num|quest|equals|lowbar|hyphen"
    r"|quot|apos|[lr][sd]quor?|[sb][bd]quo|[lr]s?aquo);",
    re.IGNORECASE,
)
_ID = re.compile(r"\s*\[?(S\d{1,4})\]?\s*")


_ALSO_NAMES = word_set(
    "name info id email test app link page media live site store dev io pro example today world space science news"
    " pl cc in am mk la is it to me my no at by be us as do so st top ps shop link tech wiki blog cloud online"
)
"""Last labels that also end names of attributes and files: `os.name`, `config.in`."""

_FILES = word_set(
    "txt md rst pdf doc docx odt rtf tex epub xls xlsx ods csv tsv ppt pptx odp html htm xml css js mjs ts jsx tsx json"
    " jsonl yaml yml toml ini cfg conf log lock env sql db sqlite py pyi ipynb rb php java kt go rs c h cpp hpp sh bat"
    " exe dll bin iso tar gz bz xz rar png jpg jpeg gif svg webp wav ogg mp"
)
"""Last labels of files that an answer may name without having read them."""


class Addresses:
    """The addresses of a ledger's sources: all that an answer may link to.

    Names with dots that are no more an address than `os.name` stay if a source's text has them.
    """

    def __init__(self, sources: Iterable[Evidence]) -> None:
        self._known: dict[str, str] = {}
        self._texts: list[str] = []
        for source in sources:
            self._texts += [source.text, source.where]
            if key := canonical(source.where):
                self._known.setdefault(key, written(source.where))

    def kept(self, address: str) -> str | None:
        """The ledger's own form of this address; None when it is no source's."""
        key = canonical(address)
        return self._known.get(key) if key else None

    def cleaned(self, text: str) -> str:
        """The text with every address that is no source's replaced by a mark, also as link, picture or in code."""
        text = _ENTITY.sub(lambda match: _harmless(match[0]), text)
        text = _MARKDOWN_LINK.sub(self._link, text)
        text = _DEFINITION.sub(self._definition, text)
        return _ADDRESS_OR_DOTTED.sub(self._bare, text)

    def _link(self, match: re.Match[str]) -> str:
        _, words, target = match.groups()
        kept = self.kept(target.strip("<>"))
        words = words.strip()
        if _ID.fullmatch(words) or not words:
            shown = f"[{words.strip('[]')}]" if words else ""
            return " ".join(filter(None, (shown, "" if kept else LINK_REMOVED)))
        if kept is not None:
            inert = ADDRESS.sub(self._bare, words)
            # Words that look like an address are not to lead elsewhere than they say.
            return f"{inert} {kept}" if "[" in inert or ADDRESS.search(inert) else f"[{inert}]({kept})"
        return f"{words} {LINK_REMOVED}"

    def _definition(self, match: re.Match[str]) -> str:
        before, target, after = match.groups()
        is_text = not _ONLY_A_TITLE.fullmatch(after) and not ADDRESS.match(target)
        if before.strip().startswith("[^") or is_text:
            return match[0]
        kept = self.kept(target.strip("<>"))
        return f"{before}{kept}" if kept is not None else LINK_REMOVED

    def _bare(self, match: re.Match[str]) -> str:
        found = match[0]
        if match.re is _ADDRESS_OR_DOTTED and match["dotted"] and self._is_dotted_name(match):
            return found
        bare = found.strip("<>").rstrip(_TRAILING)
        opened = found.startswith("<") and found.endswith(">")
        after = "" if opened else found.lstrip("<")[len(bare) :]
        kept = self.kept(bare)
        goes_on = re.match(r"\.\w", match.string[match.end() :]) is not None
        if kept is None and self._is_name(bare, goes_on):
            return found
        return f"{kept if kept is not None else LINK_REMOVED}{after}"

    def _is_dotted_name(self, match: re.Match[str]) -> bool:
        """Whether a name with dots and a last label that is no known one is the name of a file, a part or a step."""
        *_, owner, last = re.split(_DOT, match[0])
        in_code = match.string.count("`", match.string.rfind("\n", 0, match.start()) + 1, match.start()) % 2 == 1
        forgotten_blank = last.istitle() and last.casefold() in ANY_STOPWORD  # "deep.The lake"
        known = last.casefold() in _FILES or forgotten_blank or in_code or owner.isdigit() or owner.endswith("-")
        return known or any(match[0] in text for text in self._texts)

    def _is_name(self, bare: str, goes_on: bool) -> bool:
        if "/" in bare and "://" not in bare and not re.search(rf"\.(?:{_ENDING})[:/]", bare, re.IGNORECASE):
            return any(bare in text for text in self._texts)  # a path with a dot in it
        last = bare.rpartition(".")[2]
        if not re.fullmatch(r"[\w-]+(?:\.[\w-]+)+", bare) or last.casefold() not in _ALSO_NAMES:
            return False
        # "done.In the end": a blank was forgotten.
        return goes_on or (last.istitle() and len(last) == 2) or any(bare in text for text in self._texts)


def written(address: str) -> str:
    """An address as it is shown: what would end it, or begin markup, is percent-encoded."""
    return re.sub(rf"[{_STOP}\x00-\x1f]|[{re.escape(_TRAILING)}]+$", lambda match: quote(match[0], safe=""), address)


def canonical(address: str) -> str:
    """An address in the one form by which two are held against each other; empty for what is none."""
    text = unescape(address.strip().strip("<>")).rstrip(_TRAILING).replace("\\", "")
    text = re.sub(r"\[\.\]|\(\.\)|[。．｡]", ".", text)
    lowered = text.casefold()
    if lowered.startswith(("doi:", "10.")) and re.match(r"(?:doi:\s*)?10\.\d{4,9}/", lowered):
        return "doi.org/" + re.sub(r"^doi:\s*", "", lowered)
    if lowered.startswith("arxiv:"):
        return "arxiv.org/abs/" + lowered.removeprefix("arxiv:").strip()
    if text.startswith("//"):
        text = f"https:{text}"
    elif "://" not in text:
        if not ADDRESS.fullmatch(text) or re.match(r"[a-z][a-z-]*:", lowered):
            return ""
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or parts.username is not None or not parts.hostname:
        return ""
    host = _host(parts.hostname)
    shown = f":{port}" if port not in (None, 80, 443) else ""
    path = quote(unquote(parts.path), safe="/%:@!$&'()*+,;=~-._").rstrip("/")
    kept = [(name, value) for name, value in parse_qsl(parts.query, True) if not TRACKING.fullmatch(name)]
    return f"{host}{shown}{path}" + (f"?{urlencode(kept)}" if kept else "")


def _host(host: str) -> str:
    host = host.rstrip(".").casefold()
    with suppress(UnicodeError):
        host = host.encode("idna").decode()
    return host.removeprefix("www.")


def _harmless(entity: str) -> str:
    """The character of an entity, unless it is one that makes markup."""
    shown = unescape(entity)
    return entity if shown in "<>&`" or not shown.isprintable() else shown
