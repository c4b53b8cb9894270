"""The command line: words to verbs. Imports nothing heavy until a verb needs it, so that --help answers at once."""

import argparse
import gc
import io
import os
import sys
from collections.abc import Sequence

from bot.garbage import THRESHOLDS

INTERRUPTED = 130
"""Exit code after Ctrl-C where there was no run to end in good order, as shells report it (128 + SIGINT)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give the process's exit code: 0 done, 1 a check or a fetch failed, 2 usage, 3 no expert
    answered, 130 interrupted, 141 nobody reads the output."""
    _open_closed_streams()
    args = _parser().parse_args(argv)
    if args.verb is None:
        args.verb = "chat"
    # What is imported stays. The collector would walk over it a hundred times, which is a tenth of the time of a start.
    gc.set_threshold(*THRESHOLDS)
    try:
        from bot import verbs

        return verbs.run(args)
    except KeyboardInterrupt:
        return INTERRUPTED


def _open_closed_streams() -> None:
    """Give the process what it was started without, so that nothing below has to ask; odd text is shown escaped."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for the life of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="panelist",
        description="Ask a panel of experts. Without a verb: a conversation in this terminal.",
    )
    parser.add_argument("--version", action=_Version)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    panel = verbs.add_parser("panel", help="ask a panel once", description="Ask a panel of experts once.")
    panel.add_argument("topic", nargs="?", default="", help="what is asked, in quotes; before --docs")
    panel.add_argument("--panel", metavar="NAME", help="which panel (see 'panelist panels'); default: decision")
    _documents(panel)
    panel.add_argument("--profile", metavar="FILE", help="a file on who is asking: organisation, brand, product")
    panel.add_argument("--pillars", default="", metavar="TEXT", help='themes you stand for, as in "a, b"')
    panel.add_argument("--json", action="store_true", help="print one event a line as JSON, and nothing else")

    research = verbs.add_parser(
        "research", help="answer a question from sources, with checked citations", description="Search and answer."
    )
    research.add_argument(
        "topic", metavar="question", nargs="?", default="", help="what is asked, in quotes; before --docs"
    )
    _documents(research)
    research.add_argument(
        "--library",
        metavar="FOLDER",
        help="search this folder instead of the library; what changed in it is read first",
    )
    research.add_argument("--json", action="store_true", help="print one event a line as JSON, and nothing else")

    verbs.add_parser("panels", help="list the panels")
    serve = verbs.add_parser("serve", help="start the chat front ends that are set up")
    serve.add_argument("--front-end", metavar="folder:DIR", help="serve this folder instead (see docs/folder.md)")
    serve.add_argument(
        "--role",
        choices=["all", "gateway", "worker"],
        default="all",
        help="all: the whole bot; gateway: take questions in; worker: carry runs out (see docs/operations.md)",
    )
    serve.add_argument(
        "--worker-id", metavar="NAME", help="this process among those that share a database; worker-0 unless a gateway"
    )
    runs = verbs.add_parser("runs", help="list runs, show one, or export one")
    runs.set_defaults(action=None, format="md")
    runs.add_argument("--most", type=int, default=20, metavar="N", help="how many to list; 20")
    of_runs = runs.add_subparsers(dest="action", metavar="ACTION")
    for action, what in _RUN_ACTIONS:
        one = of_runs.add_parser(action, help=what)
        one.add_argument("run", metavar="ID", help="the run's id, or its beginning")
        if action == "export":
            one.add_argument(
                "--format", choices=["md", "json"], default="md", help="md: as a document; json: all of it"
            )
    _library(verbs.add_parser("library", help="files and folders of yours to search in"))
    _mcp(verbs.add_parser("mcp", help="list the tools of the MCP servers, or approve them"))
    verbs.add_parser("doctor", help="check settings, models and the data folder")
    slack = verbs.add_parser("slack", help="set Slack up")
    slack.add_argument("action", choices=["manifest"], help="print the app manifest to paste at api.slack.com/apps")
    slack.add_argument(
        "--url", metavar="URL", help="where Slack reaches this process, as in https://bot.example.com; none: a socket"
    )
    slack.add_argument("--socket", action="store_true", help="events over a socket; the URL is for installing")
    slack.add_argument(
        "--public", action="store_true", help="let the bot post in public channels that it is not a member of"
    )
    discord = verbs.add_parser("discord", help="set Discord up")
    discord.add_argument(
        "action",
        choices=["invite", "sync"],
        help="invite: print the link that adds the bot to a server; sync: tell Discord the bot's commands now",
    )
    model = verbs.add_parser("model", help="the built-in model")
    model.add_argument("action", choices=["fetch"], help="fetch its weights (93 MB) ahead of the first use")
    return parser


def _library(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="read files and folders, or again what changed in those added before")
    add.add_argument("paths", nargs="*", metavar="FOLDER|FILE", help="none: all that were added before")
    actions.add_parser("list", help="say what is in it, and what could not be read")
    remove = actions.add_parser("remove", help="take files and folders out; they stay where they are")
    remove.add_argument("paths", nargs="+", metavar="FOLDER|FILE")


def _mcp(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="ask each server for its tools, and say which are approved")
    listing.add_argument("server", nargs="?", metavar="SERVER", help="this one only")
    approve = actions.add_parser("approve", help="let the search agent have tools, exactly as they describe themselves")
    approve.add_argument("server", metavar="SERVER", help="its name in the file that PANELIST_MCP names")
    approve.add_argument("tool", nargs="?", metavar="TOOL", help="this one only")
    approve.add_argument("--yes", action="store_true", help="print the definitions and approve them without asking")


def _documents(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--docs", nargs="+", action="extend", default=[], metavar="FILE", help="text or Markdown files as evidence"
    )


_RUN_ACTIONS = (
    ("show", "print the whole record of a run"),
    ("export", "print it for other programs"),
    ("resume", "go on with a run whose terminal was closed or whose process was killed"),
)


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"panelist {version('panelist')}\n")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
