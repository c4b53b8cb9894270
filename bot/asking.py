"""What can be asked: commands to briefs, or one sentence why not. Pure."""

from typing import assert_never

from bot.brief import Brief
from bot.commands import Ask, Research
from teams.catalog import Catalog, UnknownPanel
from teams.model import TOPIC_LIMIT, Source


class Unaskable(ValueError):
    """A command cannot be carried out. The message is one sentence for the asker."""


def topic_of(text: str, what: str = "topic") -> str:
    """The text when it can be asked. Raises `Unaskable` for one that is empty or too long."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unaskable(f"the {what} holds bytes that are no text; write it in UTF-8") from error
    if not text.strip():
        raise Unaskable(f"there is no {what}; write it behind the command, as in /panel Should we open on Sundays?")
    if len(text) > TOPIC_LIMIT:
        raise Unaskable(
            f"the {what} has {len(text):,} characters and may have {TOPIC_LIMIT:,}; put the rest into a document"
        )
    return text.strip()


def brief_for(command: Ask | Research, catalog: Catalog, sources: tuple[Source, ...] = ()) -> Brief:
    """What a command asks for. Raises `Unaskable`, with nothing begun."""
    match command:
        case Research():
            question = topic_of(command.question, "question")
            if not sources:
                raise Unaskable("there are no documents to search; in a shell: panelist research … --docs FILE")
            return Brief("research", question, sources=sources)
        case Ask():
            try:
                panel = catalog.get(command.panel or catalog.default)
            except UnknownPanel as error:
                raise Unaskable("; ".join([str(error), *catalog.problems])) from error
            return Brief("panel", topic_of(command.topic), panel, sources)
        case _:
            assert_never(command)
