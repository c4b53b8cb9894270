"""The rules every adapter passes. A test module per adapter subclasses `AdapterContract` and gives it a `rig` fixture.

A rig drives one front end against its fake platform and reads back what a person would see there.
"""

import re
import unicodedata
from dataclasses import replace
from typing import Protocol

import pytest

from adapters.port import (
    AskForm,
    Attachment,
    Board,
    BoardRow,
    Doc,
    Fold,
    FrontEnd,
    Invocation,
    Markdown,
    MessageRef,
    NotDispatched,
    OutFile,
    Receipt,
    Rejected,
    Subject,
    Table,
    ThreadRef,
)

HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 \x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\ \x9b2J \x08\x08\x7f\x00 "
    "over\rwritten \u202egnp.exe\u202c \u2066isolated\u2069 zero\u200bwidth \U000e0041\U000e0042tagged\ufeff "
    "[bold]loud[/bold] :warning: <!channel> <!here> <@U123> <#C123> @everyone @here <@&42> <b>html</b> "
    "&#x202e; &#27; ![picture](http://evil.example/pixel)"
)
READABLE = ("red", "]52;c;aGk=", "writ", "gnp.exe", "isolated", "tagged", "loud", "channel", "everyone", "evil.example")


class Rig(Protocol):
    """One front end on a fake platform, already serving."""

    front: FrontEnd

    async def ask(self, text: str) -> Invocation:
        """Do what a person does to ask, and give the invocation that reached the sink."""

    async def shown(self, thread: ThreadRef) -> list[str]:
        """The messages that stand in the thread, root first, as plain text as a person reads them; the platform's own
        styling is taken off. A place that shows all threads one below the other gives all of them."""

    async def board(self, thread: ThreadRef) -> str:
        """The board that stands in the thread, the same way."""

    async def told(self, invocation: Invocation) -> str:
        """What was said to the asker alone."""

    async def files(self, thread: ThreadRef) -> dict[str, str]:
        """The files that stand in the thread: text by name."""

    async def pings(self) -> list[str]:
        """The mentions that would have alerted somebody, other than the asker's own."""


# Format characters that have a shape of their own: Arabic, Syriac and Kaithi number signs, hieroglyph joiners.
SHAPED = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001345f]")


def steering(text: str) -> list[str]:
    """The characters a screen would obey or hide, joiners apart."""
    return [
        f"U+{ord(character):04X}"
        for character in SHAPED.sub("", text)
        if (unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\n\t\u200c\u200d")
        or "\U000e0000" <= character <= "\U000e007f"
    ]


def squeezed(text: str) -> str:
    """Text without white space: where a line is wrapped is the screen's business."""
    return re.sub(r"\s+", "", text)


def said(text: str, title: str = "A title") -> Doc:
    """A document with one block."""
    return Doc(title, (Markdown(text),))


class AdapterContract:
    """Subclass as `class TestX(AdapterContract)` with an async fixture `rig`."""

    async def opened(self, rig: Rig, topic: str = "topic", key: str = "run/root") -> ThreadRef:
        invocation = await rig.ask(f"/panel {topic}")
        thread = await rig.front.open_thread(invocation, said(f"Root of {topic}."), key=key)
        assert isinstance(thread, ThreadRef)
        return thread

    async def text(self, rig: Rig, thread: ThreadRef) -> str:
        return "\n".join(await rig.shown(thread))

    async def test_an_invocation_says_what_was_asked_and_where(self, rig: Rig) -> None:
        invocation = await rig.ask("/panel Should we move?")
        assert invocation.text.endswith("Should we move?")
        assert invocation.place.surface == rig.front.name
        assert invocation.author
        assert invocation.key

    async def test_two_gestures_have_two_keys(self, rig: Rig) -> None:
        assert (await rig.ask("/panel one")).key != (await rig.ask("/panel one")).key

    async def test_the_root_opens_the_thread(self, rig: Rig) -> None:
        thread = await self.opened(rig, "moving")
        assert "Root of moving." in await self.text(rig, thread)

    async def test_a_thread_is_opened_once_per_key(self, rig: Rig) -> None:
        invocation = await rig.ask("/panel one")
        first = await rig.front.open_thread(invocation, said("The only root."), key="run/root")
        again = await rig.front.open_thread(invocation, said("The only root."), key="run/root")
        assert isinstance(first, ThreadRef)
        assert again == first
        assert (await self.text(rig, first)).count("The only root.") == 1

    async def test_a_post_is_shown_in_its_thread(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        receipt = await rig.front.post(thread, said("An answer."), key="run/1")
        assert receipt.outcome == "sent"
        assert receipt.ref is not None
        assert receipt.ref.thread == thread
        assert "An answer." in await self.text(rig, thread)
        assert "A title" in await self.text(rig, thread)

    async def test_a_key_is_shown_once_with_the_same_reference(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        first = await rig.front.post(thread, said("Only once."), key="run/1")
        again = await rig.front.post(thread, said("Only once."), key="run/1")
        assert (again.outcome, again.ref) == ("sent", first.ref)
        assert (await self.text(rig, thread)).count("Only once.") == 1

    async def test_different_keys_are_both_shown_in_order(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        first = await rig.front.post(thread, said("The same words, first."), key="run/1")
        second = await rig.front.post(thread, said("The same words, second."), key="run/2")
        text = await self.text(rig, thread)
        assert first.ref != second.ref
        assert 0 <= text.index("The same words, first.") < text.index("The same words, second.")

    async def test_two_invocations_open_two_threads(self, rig: Rig) -> None:
        one = await self.opened(rig, "one", "one/root")
        two = await self.opened(rig, "two", "two/root")
        assert one != two
        await rig.front.post(one, said("Answer to one."), key="one/1")
        await rig.front.post(two, said("Answer to two."), key="two/1")
        assert "Answer to one." in await self.text(rig, one)
        assert "Answer to two." in await self.text(rig, two)

    async def test_the_newest_board_stands(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        for revision, row in enumerate((BoardRow("Economist", "running"), BoardRow("Economist", "failed", "gave up"))):
            receipt = await rig.front.board(thread, Board("The panel", (row,)), revision=revision + 1)
            assert receipt.outcome == "sent"
        board = await rig.board(thread)
        assert "Economist" in board
        assert "failed" in board
        assert "gave up" in board

    async def test_an_older_board_is_dropped(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        for revision, state, detail in ((5, "done", "newest"), (3, "failed", "outdated"), (5, "failed", "repeated")):
            board = Board("The panel", (BoardRow("Economist", state, detail),))  # type: ignore[arg-type]
            receipt = await rig.front.board(thread, board, revision=revision)
            assert receipt.outcome == "sent"
        board_text = await rig.board(thread)
        assert "newest" in board_text
        assert "outdated" not in board_text

    async def test_a_finished_board_says_its_rows_and_its_note(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        rows = (
            BoardRow("Economist", "done", "agrees", "m-1", 12.0),
            BoardRow("Critic", "failed", "timed out after 60 s"),
        )
        await rig.front.board(thread, Board("The panel", rows, "1 of 2 heard", finished=True), revision=1)
        board = await rig.board(thread)
        for words in ("Economist", "done", "agrees", "Critic", "failed", "timed out after 60 s", "1 of 2 heard"):
            assert words in board

    @pytest.mark.parametrize("where", ["text", "title", "cell", "fold", "code"])
    async def test_hostile_text_is_inert_and_readable(self, rig: Rig, where: str) -> None:
        thread = await self.opened(rig)
        doc = {
            "text": said(HOSTILE),
            "title": said("Harmless.", title=HOSTILE),
            "cell": Doc("A title", (Table(("Claim", "Who"), ((HOSTILE, "an expert"),)),)),
            "fold": Doc("A title", (Fold(HOSTILE, (Markdown("Harmless."),)),)),
            "code": said(f"```text\n{HOSTILE}\n```"),
        }[where]
        receipt = await rig.front.post(thread, doc, key="run/1")
        assert receipt.outcome == "sent"
        text = await self.text(rig, thread)
        assert steering(text) == []
        assert await rig.pings() == []
        for words in READABLE:
            assert words in squeezed(text)

    async def test_a_hostile_board_is_inert(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        hostile = HOSTILE[:40]
        row = BoardRow(f"Critic {hostile}", "failed", f"refused {HOSTILE}", f"m {hostile}", 3.0)
        await rig.front.board(thread, Board(f"Panel {hostile}", (row,), f"note {hostile}", finished=True), revision=1)
        board = await rig.board(thread)
        assert steering(board) == []
        assert await rig.pings() == []
        assert "Critic" in board
        assert "refused" in board

    async def test_a_long_document_arrives_whole(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        words = [f"word{number:04d}" for number in range(1500)]
        code = [f"code{number:04d}()" for number in range(400)]
        cells = [f"cell{number:04d}" for number in range(300)]
        table = Table(("Name", "Other"), tuple((cell, "x") for cell in cells))
        text = "\n\n".join([" ".join(words[:700]), "\n".join(["```python", *code, "```"]), " ".join(words[700:])])
        receipt = await rig.front.post(thread, Doc("A long answer", (Markdown(text), table)), key="run/1")
        assert receipt.outcome == "sent"
        parts = await rig.shown(thread)
        limit = rig.front.capabilities(thread.place).text_limit
        assert limit is None or all(len(part) <= limit for part in parts)
        assert all(len(re.findall(r"^\s*```", part, re.MULTILINE)) % 2 == 0 for part in parts)
        attached = list((await rig.files(thread)).values())
        whole = "\n".join([*parts, *attached])
        for expected, pattern in ((words, r"word\d{4}"), (code, r"code\d{4}\(\)"), (cells, r"cell\d{4}")):
            assert list(dict.fromkeys(re.findall(pattern, whole))) == expected

    async def test_every_kind_of_block_is_shown(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        fold = Fold("Evidence", (Markdown("Folded text."), Table(("Source", "Year"), (("Census", "2021"),))))
        doc = Doc(
            "Everything", (Markdown("Plain text."), Table(("Claim", "Who"), (("Costs", "Critic"),)), fold), "warning"
        )
        await rig.front.post(thread, doc, key="run/1")
        text = await self.text(rig, thread)
        for words in (
            "Everything",
            "Plain text.",
            "Claim",
            "Costs",
            "Critic",
            "Evidence",
            "Folded text.",
            "Census",
            "2021",
        ):
            assert words in text

    async def test_a_link_says_where_it_leads(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        await rig.front.post(thread, said("See [the report](https://example.com/report?x=1)."), key="run/1")
        assert "https://example.com/report?x=1" in squeezed(await self.text(rig, thread))

    async def test_files_are_kept(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        files = (OutFile("answer.md", "The whole answer.\n"), OutFile("data.csv", "a,b\n1,2\n"))
        receipt = await rig.front.post(
            thread, Doc("With files", (Markdown("See the files."),), files=files), key="run/1"
        )
        assert receipt.outcome == "sent"
        kept = await rig.files(thread)
        assert kept["answer.md"].strip() == "The whole answer."
        assert kept["data.csv"].strip() == "a,b\n1,2"

    async def test_the_asker_is_told_without_a_thread(self, rig: Rig) -> None:
        invocation = await rig.ask("/panel")
        receipt = await rig.front.notify(invocation, said("Say what to ask about. @everyone"))
        assert receipt.outcome == "sent"
        assert "Say what to ask about." in await rig.told(invocation)
        assert await rig.pings() == []

    async def test_a_form_is_offered_only_where_one_can_be_shown(self, rig: Rig) -> None:
        invocation = await rig.ask("/panel help")
        offering = replace(said("What you can ask."), controls=("form",))
        assert (await rig.front.notify(invocation, offering)).outcome == "sent"
        told = await rig.told(invocation)
        assert "What you can ask." in told
        assert "More options" not in told or rig.front.capabilities(invocation.place).forms

    async def test_whoever_is_mentioned_is_the_only_one_who_is_alerted(self, rig: Rig) -> None:
        invocation = await rig.ask("/panel one")
        root = Doc("Root.", (Markdown("What was asked. @everyone"),), mention=invocation.author)
        thread = await rig.front.open_thread(invocation, root, key="run/root")
        assert isinstance(thread, ThreadRef)
        post = Doc("An answer", (Markdown("Its words. <!here>"),), mention=invocation.author)
        assert (await rig.front.post(thread, post, key="run/1")).outcome == "sent"
        text = await self.text(rig, thread)
        assert "What was asked." in text
        assert "Its words." in text
        assert await rig.pings() == []

    async def test_a_hostile_mention_alerts_nobody_else_and_hides_no_text(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        for number, mention in enumerate((HOSTILE, "U1> <!channel", "everyone", "here", "&42", "1> @everyone <@2")):
            doc = Doc("An answer", (Markdown(f"Words {number}."),), mention=mention)
            await rig.front.post(thread, doc, key=f"run/{number}")
        text = await self.text(rig, thread)
        assert steering(text) == []
        assert all(f"Words {number}." in text for number in range(6))
        assert await rig.pings() == []

    async def test_a_folded_document_with_controls_says_its_title_and_keeps_its_text(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        subject, text = Subject("run", "expert/critic"), (Markdown("The whole answer."),)
        doc = Doc("Critic: no", text, folded=True, subject=subject, controls=("rate",))
        assert (await rig.front.post(thread, doc, key="run/1")).outcome == "sent"
        whole = "\n".join([await self.text(rig, thread), *(await rig.files(thread)).values()])
        assert "Critic: no" in whole
        assert "The whole answer." in whole

    async def test_a_board_with_its_root_shows_both(self, rig: Rig) -> None:
        thread = await self.opened(rig, "moving")
        board = Board("The panel", (BoardRow("Economist", "running"),), run="run", controls=("stop",))
        receipt = await rig.front.board(thread, replace(board, root=said("Root of moving.")), revision=1)
        assert receipt.outcome == "sent"
        assert "Root of moving." in await self.text(rig, thread)
        assert "Economist" in await rig.board(thread)

    async def test_a_post_is_removed_or_it_is_said_that_nothing_can_be(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        kept = await rig.front.post(thread, said("This one stays."), key="run/1")
        gone = await rig.front.post(thread, said("This one goes."), key="run/2")
        assert kept.ref is not None
        assert gone.ref is not None
        errors = [await rig.front.remove(gone.ref) for _ in range(2)]
        text = await self.text(rig, thread)
        assert "This one stays." in text
        if errors == [None, None]:
            assert "This one goes." not in text
            assert await rig.front.find(thread, "run/2") is None
        else:
            assert all(isinstance(error, Rejected) and error.reason for error in errors)
            assert "This one goes." in text

    async def test_a_root_and_a_board_are_removed_too_or_it_is_said(self, rig: Rig) -> None:
        thread = await self.opened(rig, "moving")
        board = await rig.front.board(thread, Board("The panel", (BoardRow("Economist", "done"),)), revision=1)
        assert board.ref is not None
        root = MessageRef(thread, (thread.root or thread.thread,))
        errors = [await rig.front.remove(ref) for ref in (board.ref, root)]
        if errors == [None, None]:
            assert "Root of moving." not in await self.text(rig, thread)
        else:
            assert all(isinstance(error, Rejected) and error.reason for error in errors)

    async def test_a_form_is_shown_or_refused_by_a_receipt(self, rig: Rig) -> None:
        invocation = await rig.ask("/panel")
        form = AskForm("", (("decision", "Decision"),), "decision", "a bakery", "bread")
        receipt = await rig.front.ask(invocation, form)
        if rig.front.capabilities(invocation.place).forms:
            assert receipt.outcome == "sent" or receipt.error is not None
        else:
            assert receipt.outcome == "failed"
            assert isinstance(receipt.error, Rejected)

    async def test_a_file_that_cannot_be_had_is_a_value(self, rig: Rig) -> None:
        invocation = await rig.ask("/panel one")
        got = await rig.front.fetch(invocation, Attachment("notes.md", ref="there is no such file"))
        assert not isinstance(got, bytes)

    async def test_a_front_end_that_is_served_is_well_and_one_that_is_closed_is_not(self, rig: Rig) -> None:
        await rig.ask("/panel one")
        assert rig.front.health().ready
        await rig.front.close()
        health = rig.front.health()
        assert not health.ready
        assert health.detail

    async def test_an_empty_document_is_no_fault(self, rig: Rig) -> None:
        thread = await self.opened(rig)
        assert (await rig.front.post(thread, Doc("Only a title"), key="run/1")).outcome == "sent"
        assert "Only a title" in await self.text(rig, thread)

    async def test_after_close_nothing_is_sent_and_that_is_said(self, rig: Rig) -> None:
        invocation = await rig.ask("/panel one")
        thread = await rig.front.open_thread(invocation, said("The root."), key="run/root")
        assert isinstance(thread, ThreadRef)
        await rig.front.close()
        await rig.front.close()
        receipts: list[Receipt] = [
            await rig.front.post(thread, said("Too late."), key="run/1"),
            await rig.front.board(thread, Board("Too late", ()), revision=1),
            await rig.front.notify(invocation, said("Too late.")),
        ]
        assert [receipt.outcome for receipt in receipts] == ["failed"] * 3
        assert all(isinstance(receipt.error, NotDispatched) for receipt in receipts)
        assert isinstance(await rig.front.open_thread(invocation, said("Too late."), key="late/root"), NotDispatched)
