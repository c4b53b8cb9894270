"""What is said beside the events of a run: roots, notices and replies to the asker alone. Pure; knows no platform."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from adapters.port import (
    Attachment,
    Doc,
    Gone,
    Markdown,
    PermissionMissing,
    RateLimited,
    Rejected,
    SendError,
    Table,
    TooLarge,
)
from bot.links import Link
from bot.place_settings import PlaceSettings
from bot.render import bullets, capital
from bot.stored import OverQuota
from teams.catalog import Catalog

HELP = """\
- `/panel [--panel NAME] <topic>` asks a panel of experts
- `/research <question>` searches what there is (documents given, the library, the web), and checks what it cites
- `/panel stop` ends the run under way; what came back is kept
- `/panel retry` asks those experts again that failed
- `/panel delete` takes a run's posts away, and all that is kept of it
- `/panel rate up` or `down`, then `expert/NAME` or `synthesis`, says what you think of an answer
- `/panel list` shows the panels
- `/panel settings` shows what is set here
- `/panel settings profile <text>` says who asks here, `/panel settings pillars <text>` what answers must serve; `-`
  clears either
- `/panel -- <topic>` asks, whatever the topic begins with"""


def root(asked: str, status: Sequence[str], mention: str = "") -> Doc:
    """The first post of a thread: what was asked, and which models are asked. It alerts the asker, `mention`."""
    return Doc(asked, tuple(Markdown(line) for line in status), mention=mention)


def problem(sentence: str) -> Doc:
    """One sentence about what was wrong and what to do next."""
    return Doc(f"{capital(sentence)}.", tone="error")


def broke(run_id: str) -> Doc:
    """The last word of a run that hit a bug of ours."""
    text = f"Something went wrong in the bot itself; the log says what (run {run_id})."
    return Doc("The run broke", (Markdown(text),), "error")


PAUSED = "paused: the bot is being restarted"


def paused() -> Doc:
    """The process ends in good order and the run goes on later."""
    return Doc("Paused, will resume", (Markdown("The bot is being restarted. What was answered is kept."),), "warning")


def resumed(restarted: bool) -> Doc:
    """The run goes on, after a restart or after its database had refused."""
    why = "The bot was restarted." if restarted else "The bot could not write to its database for a while."
    return Doc("Resumed", (Markdown(f"{why} Who had answered is not asked again."),))


def record_lost(run_id: str) -> Doc:
    """The run cannot go on, for what it had recorded is not there."""
    text = f"What run {run_id} had recorded is not in the database any more, so it cannot go on. Ask again."
    return Doc("The run was lost", (Markdown(text),), "error")


def of_another_version(run_id: str) -> Doc:
    """The run cannot go on, for another version of the bot began it and none of that version is there."""
    text = f"Another version of the bot began run {run_id}, and this one cannot go on with it. Ask again."
    return Doc("The run was begun by another version", (Markdown(text),), "error")


def quarantined(run_id: str, crashes: int) -> Doc:
    """The run is left alone, for it ended the process each time it was taken up."""
    text = f"The bot crashed {crashes} times while it worked on this, so it is left alone. An admin can look at run"
    return Doc(
        "Given up", (Markdown(f"{text} {run_id} with `panelist runs show`; ask again in other words."),), "error"
    )


def is_lost(error: SendError | None) -> bool:
    """Whether an error speaks against the whole thread: nothing more needs to be sent to it."""
    return isinstance(error, Gone | PermissionMissing)


def thread_lost(error: SendError, topic: str) -> str:
    """Why a run's thread shows no more of it."""
    match error:
        case PermissionMissing():
            return f"the answers to “{topic}” could not be shown: {error.what}; {error.fix}"
        case _:
            return f"the thread of “{topic}” is gone, so its answers could not be shown; panelist runs show has them"


def unshown(doc: Doc, error: SendError | None) -> Doc:
    """In place of a post that the platform did not take."""
    match error:
        case TooLarge():
            why = f"it is longer than the {error.limit:,} characters that fit here"
        case Rejected():
            why = "the platform refused it"
        case _:
            why = "the platform did not take it in time"
    text = f"{why}. `panelist runs show` has the whole text."
    return Doc(f"Not shown: {doc.title[:80]}", (Markdown(capital(text)),), "warning", mention=doc.mention)


def busy(position: int, in_flight: int) -> Doc:
    """The run is safe and waits for its turn."""
    text = f"{in_flight} runs are under way. Yours is number {position} in line and begins by itself."
    return Doc(f"Busy, position {position}", (Markdown(text),))


def over_quota(over: OverQuota) -> str:
    """Which quota is used up, and when it begins anew."""
    whose = {"person": "you have", "channel": "this channel has", "workspace": "this workspace has"}[over.whom]
    return f"{whose} had {over.limit} runs today, which is the limit; it begins anew at 00:00 UTC"


BUDGET_USED_UP = "today's budget is used up; it begins anew at 00:00 UTC"


def too_many(waiting: int) -> str:
    """As many runs wait as may."""
    return f"too much is waiting already ({waiting} runs); ask again in a few minutes"


def not_taken(why: str) -> Doc:
    """The command could not be made safe; the platform or the asker may bring it again."""
    return Doc("Not taken in", (Markdown(f"{capital(why)}. Nothing was begun."),), "error")


def unread(attachments: Sequence[Attachment], links: Sequence[Link] = ()) -> Doc:
    """Which attached files and which links could not be read, and why."""
    whys = [_with_its_name(file.name, file.problem) for file in attachments]
    whys += [_with_its_name(link.url, link.problem) for link in links]
    return Doc("Not read", (Markdown(bullets(whys)),), "warning")


def _with_its_name(name: str, problem: str) -> str:
    return problem if problem.startswith(name) else f"{name}: {problem}"


def reading(documents: int, links: int = 0) -> str:
    """What the board says while documents and links are fetched and read."""
    counts = ((documents, "document"), (links, "link"))
    said = [f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts if count]
    return f"reading {' and '.join(said)}"


NOTHING_TO_SEARCH = "no document could be read"


def nothing_to_search() -> Doc:
    """The last word of research for which no document was left."""
    text = "No document could be read, so there is nothing to search. Send the documents again and ask anew."
    return Doc("Nothing to search", (Markdown(text),), "error")


def deleted(topic: str, gone: int, errors: Sequence[SendError]) -> Doc:
    """A run was deleted; how many of its posts could not be taken away, and why one could not."""
    messages = f"{gone} message{'' if gone == 1 else 's'}"
    if not errors:
        text = f"“{topic[:80]}”: {messages} of it, and all that was kept of it, are gone."
        return Doc("Deleted", (Markdown(text),), "success")
    text = (
        f"“{topic[:80]}”: all that was kept of it is gone, and {messages} of it. {len(errors)} could not be taken away:"
        f" {_unremoved(errors[0])}."
    )
    return Doc("Deleted, but not everywhere", (Markdown(text),), "warning")


def _unremoved(error: SendError) -> str:
    match error:
        case Rejected(reason):
            return reason
        case PermissionMissing(what, fix):
            return f"{what}; {fix}"
        case _:
            return "the platform did not do it in time"


THANKS = Doc("Thank you, noted.")
"""The answer to feedback."""


STOPPING = Doc("Stopping. What came back is kept.")
ASKING_AGAIN = Doc("Asking those experts again that failed.")


def form_not_shown() -> Doc:
    """The form for a question could not be shown."""
    why = "the form could not be shown; write the topic behind the command, as in /panel Should we open on Sundays?"
    return replace(problem(why), controls=("form",))


def not_opened(error: SendError) -> str:
    """Why no thread could be opened, and what to do about it."""
    match error:
        case PermissionMissing():
            return f"{error.what}; {error.fix}"
        case RateLimited():
            return f"the platform asks to wait {error.retry_after:.0f} s; ask again then"
        case _:
            return "the answer could not be posted here; ask again, or in another place"


def settings(status: Sequence[str], here: PlaceSettings) -> Doc:
    """What is set in this process, and in the place where that was asked."""
    lines = [
        *status,
        f"profile: {here.profile or 'none'}",
        f"pillars: {here.pillars or 'none'}",
    ]
    if here.by:
        lines.append(f"set by {here.by}, {datetime.fromtimestamp(here.at, UTC):%Y-%m-%d %H:%M} UTC")
    return Doc("Settings", (Markdown(bullets(lines)),))


def help_text(instead_of: str = "") -> Doc:
    """The commands; after a line that was none, with a word on that."""
    title = f"That is no command: {instead_of[:80]}" if instead_of else "What you can ask"
    return Doc(title, (Markdown(HELP),), "warning" if instead_of else "info", controls=("form",))


def panel_list(catalog: Catalog) -> Doc:
    """The panels there are, and what was wrong with those that could not be read."""
    rows = tuple((panel.name, panel.description, str(len(panel.perspectives))) for panel in catalog)
    problems = tuple(Markdown(f"**Not usable:** {sentence}") for sentence in catalog.problems)
    return Doc("Panels", (Table(("Panel", "For", "Experts"), rows), *problems))
