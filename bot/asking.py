"""What can be asked: commands to briefs, or one sentence why not. Pure."""

from dataclasses import dataclass
from typing import assert_never

from bot.brief import Brief
from bot.commands import Ask, Research
from bot.links import links_in
from teams.catalog import Catalog, UnknownPanel
from teams.model import TOPIC_LIMIT, PanelSpec, Source
from teams.sources.kit import ResearchKit


class Unaskable(ValueError):
    """A command cannot be carried out. The message is one sentence for the asker."""


def topic_of(text: str, what: str = "topic") -> str:
    """The text when it can be asked. Raises `Unaskable` for one that is empty or too long."""
    text = text_of(text, what)
    if not text:
        raise Unaskable(f"there is no {what}; write it behind the command, as in /panel Should we open on Sundays?")
    return text


def text_of(text: str, what: str) -> str:
    """The text without white space around it; it may be empty. Raises `Unaskable` for one that is too long."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unaskable(f"the {what} holds bytes that are no text; write it in UTF-8") from error
    if len(text) > TOPIC_LIMIT:
        raise Unaskable(
            f"the {what} has {len(text):,} characters and may have {TOPIC_LIMIT:,}; put the rest into a document"
        )
    return text.strip()


def panel_for(command: Ask, catalog: Catalog) -> PanelSpec:
    """The panel that is asked. Raises `Unaskable`."""
    try:
        return catalog.get(command.panel or catalog.default)
    except UnknownPanel as error:
        raise Unaskable("; ".join([str(error), *catalog.problems])) from error


@dataclass(frozen=True, slots=True)
class Reach:
    """What research can look in beside the documents given: whether something can be searched (a library, the web, a
    server of tools), and whether pages can be read."""

    searches: bool = False
    pages: bool = False


def reach_of(kit: ResearchKit) -> Reach:
    """How far the research of this process reaches."""
    return Reach(any((kit.library, kit.web, kit.tools)), kit.pages is not None)


NOTHING_TO_SEARCH = (
    "there is nothing to search: attach a document (in a shell: --docs FILE), add a folder with"
    " 'panelist library add FOLDER', or let the web be searched (PANELIST_WEB, see README.md)"
)


def brief_for(
    command: Ask | Research,
    catalog: Catalog,
    sources: tuple[Source, ...] = (),
    *,
    more_to_come: bool = False,
    reach: Reach = Reach(),
) -> Brief:
    """What a command asks for. `more_to_come`: there are documents that were not read yet. Raises `Unaskable`, with
    nothing begun."""
    match command:
        case Research():
            question = topic_of(command.question, "question")
            links = links_in(question)
            if not (sources or more_to_come or reach.searches or (links and reach.pages)):
                raise Unaskable(NOTHING_TO_SEARCH)
            return Brief("research", question, sources=sources, links=links)
        case Ask():
            topic = topic_of(command.topic)
            return Brief("panel", topic, panel_for(command, catalog), sources, links=links_in(topic))
        case _:
            assert_never(command)
