"""The thread in the README is one that the bot really wrote."""

import re
from pathlib import Path

from bench.slack_transcript import WORDS, transcript

README = Path(__file__).parents[3] / "README.md"


def lines(text: str) -> list[str]:
    """Lines without their numbers, for seconds are others each time, and tokens with every change of a prompt."""
    return [re.sub(r"\d+", "0", line) for line in text.splitlines() if line.strip() not in ("", "…")]


async def test_the_readme_shows_nothing_of_a_slack_thread_that_is_not_there():
    (shown,) = re.findall(r"^This is what a thread reads like:\n\n```text\n(.*?)^```", README.read_text(), re.M | re.S)
    stands = await transcript()
    assert set(lines(shown)) <= set(lines(stands))
    assert stands.count("▾ The whole answer") == len(WORDS)
    assert stands.count("▾ Where they disagree (1)") == 2
