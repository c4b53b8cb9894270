"""A panel in Slack as its readers see it: `python -m bench.slack_transcript` has one asked on the fake Slack, and
prints what stands there afterwards.

The bot is the whole one. The experts' words are those below; one expert fails at first, and the asker presses the
button for that. Folded parts are shown opened.
"""

import asyncio
import html
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

WIDTH = 92
TOPIC = "Should our bakery open on Sundays?"
FAILS = "people_advocate"

_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Words:
    """What an expert says."""

    headline: str
    analysis: str
    confidence: float
    points: tuple[str, ...]
    recommendation: str


WORDS = {
    "option_finder": Words(
        "Between never and always lies a trial of six Sundays",
        "This sounds like yes or no, but three things can be chosen: stay closed, open every Sunday, or open on six "
        "Sundays from eight to twelve and decide then. Only the last can be taken back without a word to anybody, and "
        "it answers what nobody here knows: whether people come.",
        0.75,
        ("A trial costs six mornings and binds nobody", "Opening for good needs a second crew at the oven"),
        "Announce six Sundays, and when they end.",
    ),
    "precedent_researcher": Words(
        "Such shops kept their Sundays where Saturday did not shrink",
        "I know of no published figure for a town of this size, so this is recollection and not evidence: those that "
        "stayed open were mostly near a church, a park or a station. Where Sunday only sold Saturday's bread a day "
        "later, it was given up within a year.",
        0.5,
        ("Place decided more often than price", "Saturday has to be counted before and after"),
        "Ask the two bakeries in the next town what they saw.",
    ),
    "cost_examiner": Words(
        "It pays from 81 to 114 customers a morning",
        "Assumed: two people for six hours at 22 an hour, 60 for energy, and 4 left over from what a customer spends. "
        "That makes 324 a morning, or 81 customers; with half as much again for Sunday work 456, or 114. What decides "
        "is how many of them would not have come on Saturday.",
        0.6,
        ("81 customers without a supplement, 114 with one", "Whoever would have come on Saturday does not count"),
        "Count new customers and not revenue.",
    ),
    FAILS: Words(
        "Ask those who would stand there before you ask the town",
        "Those who bake get up at two. A Sunday takes the one morning that all of them have free together, and nobody "
        "has asked them yet. Customers gain a walk with warm bread; the people upstairs lose their quiet morning, and "
        "they know where to complain.",
        0.65,
        ("Another free day has to be agreed first", "Upstairs hears the delivery at five"),
        "Let people sign up for the six Sundays, and see whether anybody does.",
    ),
    "feasibility_planner": Words(
        "Possible in five weeks, if selling on Sundays is permitted",
        "One thing could stop it all: whether bread may be sold here on a Sunday, and for how long. That is one call "
        "to the trade office. Then two weeks for the rota, two for the supplier, who brings no milk on Sundays, and "
        "one to tell customers.",
        0.7,
        ("First the call, then everything else", "Milk has to be bought on Saturday"),
        "Call the trade office on Monday.",
    ),
    "failure_examiner": Words(
        "It fails quietly: Saturdays get thinner and nobody looks",
        "A year on, Sunday looks full and the week's takings are the same. Whoever did most of the Sundays has left. "
        "Both could be seen early: Saturday's till after the third Sunday, and who swaps out of the rota. Not trying "
        "does less harm, and can be undone next spring.",
        0.65,
        ("Stop if Saturday falls by a tenth", "Stop if one person does four of the six"),
        "Write both limits down before the first Sunday.",
    ),
}


class Models:
    """The models: experts one after the other, all but one, and a synthesis that knows whom it heard."""

    def __init__(self) -> None:
        self.mended = False

    async def __call__(self, prompt: Any) -> Any:
        """Answer a prompt, in its own time."""
        from dspy import lm15

        from teams.scripted import expert_reply

        if prompt.perspective == FAILS and not self.mended:
            raise lm15.ServerError("no", status=503)
        await asyncio.sleep(0.5)
        if not prompt.perspective:
            return _brought_together(WORDS[FAILS].headline in prompt.text)
        await asyncio.sleep(0.3 * list(WORDS).index(prompt.perspective))
        said = WORDS[prompt.perspective]
        return expert_reply(
            said.headline,
            said.confidence,
            analysis=said.analysis,
            key_points=list(said.points),
            recommendation=said.recommendation,
        )


def _brought_together(all_heard: bool) -> Any:
    from teams.scripted import synthesis_reply

    says = {
        "option_finder": "unknown, and worth six mornings to find out",
        "cost_examiner": "only those count who would not have come on Saturday",
        "failure_examiner": "they are Saturday's, and it shows late",
    }
    asked = " once those who would work have been asked" if all_heard else ""
    return synthesis_reply(
        f"Not for good, but for six Sundays{asked}: it can be taken back, and it finds out what nobody knows. It holds "
        "if the trade office agrees and Saturday does not fall by a tenth.",
        recommendation="Let people sign up first, then call the trade office."
        if all_heard
        else "Call the trade office.",
        agreements=["Saturday has to be counted before and after", "One call decides whether anything can be done"],
        disagreements=[
            {
                "claim": "Sunday's customers are new ones",
                "positions": [{"perspective": key, "says": words} for key, words in says.items()],
                "would_settle": "six Sundays, each beside the Saturday before it",
            }
        ],
    )


async def transcript() -> str:
    """Have a panel asked, and again whoever failed; all that is to be read then."""
    from tests.adapters.slack import fake_payloads as payloads
    from tests.adapters.slack.fake_world import GENERAL
    from tests.adapters.slack.served import office

    models = Models()
    status = ("experts: scripted/flash; synthesis: scripted/pro",)
    async with office("http", models, status=status) as at:
        await at.send(payloads.slash_command(at.slack.gesture(), TOPIC), "command")
        await at.until("from 5 of 6")
        await at.house.intake.settled()
        models.mended = True
        roster = at.slack.messages(GENERAL.id)[-1]
        button = roster["blocks"][-1]["elements"][0]
        pressed = payloads.button(button["action_id"], button["value"], ts=at.slack.ts())
        gesture = at.slack.gesture(message_ts=roster["ts"])
        await at.send(payloads.block_actions(gesture, pressed, roster), "interaction")
        await at.until("from 6 of 6")
        await at.house.intake.settled()
        root, *replies = (_seen(message) for message in at.slack.messages(GENERAL.id))
    thread = textwrap.indent("\n\n".join(replies), "    ")
    return f"{root}\n\n{len(replies)} replies\n\n{thread}\n"


def _seen(message: _Json) -> str:
    """A message as it is read."""
    return "\n".join(line for block in message["blocks"] for line in _lines(block, WIDTH))


def _lines(block: _Json, width: int) -> Iterator[str]:
    match block["type"]:
        case "header" | "section":
            yield from _wrapped(_read(block["text"]), width)
        case "context":
            yield from _wrapped(" ".join(_read(element) for element in block["elements"]), width)
        case "markdown":
            yield from _wrapped(_read(block), width)
        case "container":
            yield f"▾ {_read(block['title'])}"
            for child in block["child_blocks"]:
                yield from (f"    {line}" for line in _lines(child, width - 4))
        case "actions" | "context_actions":
            yield " ".join(f"[{label}]" for element in block["elements"] for label in _labels(element))
        case other:
            raise ValueError(f"nobody said how {other} is read")


def _labels(element: _Json) -> Iterator[str]:
    named = ("text", "positive_button", "negative_button")
    for label in (element[name] for name in named if name in element):
        yield label["text"] if label.get("type") == "plain_text" else label["text"]["text"]


def _read(text: _Json) -> str:
    """A text without its marks: bold and italics are not to be had here."""
    from tests.adapters.slack.fake_world import ANN

    said = text["text"].replace(f"<@{ANN.id}>", f"@{ANN.real_name}")
    if text["type"] == "markdown":
        said = re.sub(r"^- ", "• ", re.sub(r"\*{1,2}(\S.*?)\*{1,2}", r"\1", said), flags=re.MULTILINE)
        said = re.sub(r"\\(\W)", r"\1", said)
    elif text["type"] == "mrkdwn":
        said = re.sub(r"(?m)(^|(?<=\s))([*_])(\S.*?)\2(?=\W|$)", r"\3", said)
    return html.unescape(said)


def _wrapped(text: str, width: int) -> Iterator[str]:
    for line in text.splitlines():
        hanging = "" if line[:1].isalnum() else "  "
        yield from textwrap.wrap(line, width, subsequent_indent=hanging) or [""]


if __name__ == "__main__":
    from bot.log import configure_logs

    configure_logs("error")
    print(asyncio.run(transcript()), end="")
