"""The courier: every post once, whatever the platform answers and wherever the process before this one ended."""

import asyncio
import itertools
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
from structlog.testing import capture_logs

from adapters.memory import Fault, MemoryFrontEnd
from adapters.port import (
    Board,
    BoardRow,
    Capabilities,
    Doc,
    Gone,
    Invocation,
    Markdown,
    MessageRef,
    NotDispatched,
    Pace,
    PermissionMissing,
    Place,
    RateLimited,
    Receipt,
    Rejected,
    SendError,
    ThreadRef,
    TooLarge,
    Unknown,
    Unreadable,
)
from bot.courier import Courier
from bot.errors import Disowned, StoreFailed
from bot.stored import Posted
from bot.tries import UNKNOWN_TRIES, Patience
from bot.watching import PostSettled, PostUnsure

PLACE = Place("memory", "tests", "general")
ASKED = Invocation(PLACE, "ann", "/panel Open?", "run", "command")
ROOT = Doc("Open?")
PATIENT = Patience(post=8.0, first=0.01, longest=0.02)
HASTY = replace(PATIENT, post=0.4)
NOT_SENT, NO_ANSWER = NotDispatched("no connection"), Unknown("no answer")
MISSING = PermissionMissing("the bot may not write here", "invite it")


class Rows:
    """An outbox in memory. `told` has all that was noted, in order."""

    def __init__(self) -> None:
        self.posts: dict[str, Posted] = {}
        self.told: list[tuple[str, str]] = []
        self.why: dict[str, str] = {}
        self.threads: dict[str, ThreadRef] = {}
        self.refuses = self.disowned = False

    def left_sending(self, *keys: str) -> None:
        """A process that is gone was sending these."""
        self.posts |= {key: Posted(key, "sending") for key in keys}

    def state(self, key: str) -> str:
        return self.posts[key].state if key in self.posts else "unknown"

    async def posts_of(self, run_id: str) -> dict[str, Posted]:
        return {key: post for key, post in self.posts.items() if key.startswith(f"{run_id}/")}

    async def claim(self, key: str, run_id: str) -> Posted | None:
        if self.refuses:
            raise StoreFailed("the run database cannot be written")
        if key in self.posts:
            return self.posts[key]
        self._note(Posted(key, "sending"))
        return None

    async def refuse_others(self, run_id: str) -> None:
        if self.disowned:
            raise Disowned(run_id)

    async def sent(self, key: str, ref: MessageRef) -> None:
        self._note(replace(self.posts[key], state="sent", ref=ref))

    async def stands(self, key: str, run_id: str, ref: MessageRef) -> None:
        self._note(Posted(key, "sent", ref))

    async def opened(self, run_id: str, key: str, thread: ThreadRef) -> None:
        self.threads[run_id] = thread
        self._note(Posted(key, "sent", MessageRef(thread, (thread.thread,))))

    async def not_sent(self, key: str, why: str) -> None:
        self.why[key] = why
        self._note(replace(self.posts[key], state="failed"))

    def _note(self, post: Posted) -> None:
        self.posts[post.key] = post
        self.told.append((post.key, post.state))


class Front(MemoryFrontEnd):
    """Remembers when it was sent what, fails every send of the keys in `always`, and breaks once on those in `breaks`,
    having shown them or not."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.times: list[tuple[float, str]] = []
        self.always: dict[str, SendError] = {}
        self.never_finds: SendError | None = None
        self.slow: dict[str, float] = {}
        self.breaks: dict[str, bool] = {}

    async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
        self.times.append((asyncio.get_running_loop().time(), key))
        await asyncio.sleep(self.slow.get(key, 0.0))
        if key in self.breaks:
            if self.breaks.pop(key):
                await super().post(thread, doc, key=key)
            raise KeyError("a bug of the adapter's")
        if key in self.always:
            return Receipt("unknown" if self.always[key] == NO_ANSWER else "failed", error=self.always[key])
        return await super().post(thread, doc, key=key)

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | None:
        return self.never_finds or await super().find(thread, key)

    def posted(self, key: str) -> int:
        """How often a post was tried."""
        return Counter(key for _, key in self.times)[key]

    def boards(self) -> list[Board]:
        """All boards that were tried, in order."""
        return [call.board for call in self.calls if call.operation == "board"]


class House:
    """A courier over one front end and an outbox, with the thread of one run."""

    def __init__(self, front: Front, rows: Rows, patience: Patience = PATIENT, **options) -> None:
        self.front, self.rows = front, rows
        self.courier = Courier({front.name: front}, rows, patience=patience, **options)

    async def thread(self, run: str = "run", place: Place = PLACE) -> ThreadRef:
        asked = replace(ASKED, place=place, key=run)
        thread = await self.front.open_thread(asked, ROOT, key=f"{run}/root")
        assert isinstance(thread, ThreadRef)
        return thread

    @asynccontextmanager
    async def delivery(self, thread: ThreadRef | None = None, run: str = "run", boot: int = 1):
        thread, revisions = thread or await self.thread(run), itertools.count(boot * 1_000)
        async with (
            asyncio.timeout(10),
            self.courier.delivery(run, thread, revisions, again=boot > 1) as delivery,
        ):
            yield delivery

    async def deliver(self, *keys: str, boot: int = 1, thread: ThreadRef | None = None):
        """Post a document under each of the keys, until all are settled; the delivery."""
        async with self.delivery(thread, boot=boot) as delivery:
            for key in keys:
                delivery.put(key, doc(key))
            await delivery.settled()
        return delivery

    def open(self, invocation: Invocation = ASKED):
        return self.courier.open("run", invocation, ROOT)


def doc(key: str, *parts: str) -> Doc:
    return Doc(f"post {key}", tuple(Markdown(part) for part in parts))


def board(title: str, *, finished: bool = False) -> Board:
    return Board(title, (BoardRow("Baker", "running"),), finished=finished)


def show(delivery, board: Board) -> None:
    delivery.show(lambda: board, last=board.finished)


LONG = ("X" * 190, "Y" * 190, "Z" * 190)


@pytest.fixture
def rows():
    return Rows()


@pytest.fixture
def front():
    return Front()


@pytest.fixture
def house(front, rows):
    return House(front, rows)


@pytest.fixture
def hasty(front, rows):
    """A house whose patience ends soon."""
    return House(front, rows, HASTY)


# Posts


async def test_each_post_is_noted_before_and_after_it_is_sent_in_the_order_they_came(house, front, rows):
    await house.deliver("run/a", "run/b", "run/c")
    (thread,) = front.threads()
    assert front.keys(thread) == ["run/root", "run/a", "run/b", "run/c"]
    assert rows.told == [(f"run/{key}", state) for key in "abc" for state in ("sending", "sent")]
    assert rows.posts["run/a"].ref == MessageRef(thread, ("run/a/1",))


async def test_a_key_that_is_put_twice_is_posted_once(house, front):
    await house.deliver("run/a", "run/a", "run/b", "run/a")
    assert [key for _, key in front.times] == ["run/a", "run/b"]


async def test_what_an_earlier_start_posted_or_gave_up_is_not_posted_again(house, front, rows):
    thread = await house.thread()
    await house.deliver("run/a", thread=thread)
    for key in ("run/b", "run/b/unshown"):
        rows.posts[key] = Posted(key, "failed")
    await house.deliver("run/a", "run/b", "run/c", "run/b/unshown", boot=2, thread=thread)
    assert [key for _, key in front.times] == ["run/a", "run/c"]


async def test_a_post_that_another_sent_meanwhile_is_not_sent_again(house, front, rows):
    async with house.delivery() as delivery:
        rows.posts["run/a"] = Posted("run/a", "sent")
        delivery.put("run/a", doc("run/a"))
        await delivery.settled()
    assert front.times == []


async def test_the_points_between_which_a_process_could_end_are_told_in_order(front, rows):
    reached = []
    await House(front, rows, reached=reached.append).deliver("run/a", "run/b")
    assert reached == ["before_row", "after_row", "before_mark", "after_mark"] * 2


async def test_nothing_to_deliver_is_settled_at_once(house):
    assert (await house.deliver()).lost is None


async def test_leaving_the_block_ends_the_delivery(house, front):
    front.slow["run/a"] = 60.0
    async with house.delivery() as delivery:
        delivery.put("run/a", doc("run/a"))
        while not front.times:
            await asyncio.sleep(0.01)
    assert front.posted("run/a") == 1


async def test_a_database_that_refuses_for_good_ends_the_block_with_its_error(house, front, rows):
    rows.refuses = True
    with pytest.raises(ExceptionGroup) as caught:
        await house.deliver("run/a")
    assert caught.group_contains(StoreFailed)
    assert front.times == []


# Posts whose end is not known


@pytest.mark.parametrize("boot", [1, 2])
async def test_fault_17_a_post_that_was_being_sent_and_stands_is_noted_and_not_sent_again(house, front, rows, boot):
    thread = await house.thread()
    await front.post(thread, doc("run/a"), key="run/a")
    front.times.clear()
    rows.left_sending("run/a")
    await house.deliver("run/a", boot=boot, thread=thread)
    assert front.times == []
    assert rows.posts["run/a"].state == "sent"
    assert rows.posts["run/a"].ref == MessageRef(thread, ("run/a/1",))


@pytest.mark.parametrize("boot", [1, 2])
async def test_fault_17_a_post_that_was_being_sent_and_does_not_stand_is_sent(house, front, rows, boot):
    rows.left_sending("run/a")
    await house.deliver("run/a", boot=boot)
    assert front.posted("run/a") == 1
    assert rows.state("run/a") == "sent"


async def test_fault_17_a_post_that_was_being_sent_and_stands_in_part_is_completed(rows):
    front = Front(capabilities=Capabilities(text_limit=200))
    house = House(front, rows)
    thread = await house.thread()
    front.script(Fault(NOT_SENT, parts=1))
    await front.post(thread, doc("run/a", *LONG), key="run/a")
    rows.left_sending("run/a")
    async with house.delivery(thread, boot=2) as delivery:
        delivery.put("run/a", doc("run/a", *LONG))
        await delivery.settled()
    assert all("".join(front.shown(thread)).count(letter) == 190 for letter in "XYZ")
    assert front.keys(thread) == ["run/root", "run/a"]


async def test_fault_17_a_send_without_an_answer_that_was_shown_is_found_and_not_sent_again(house, front, rows):
    front.script(Fault(NO_ANSWER, parts=None))
    await house.deliver("run/a")
    assert front.posted("run/a") == 1
    assert rows.state("run/a") == "sent"
    assert len(front.shown(front.threads()[0])) == 2


async def test_fault_17_a_send_without_an_answer_that_was_not_shown_is_sent_again(house, front, rows):
    front.script(Fault(NO_ANSWER), Fault(NO_ANSWER))
    await house.deliver("run/a")
    assert front.posted("run/a") == 3
    assert rows.state("run/a") == "sent"
    assert len(front.shown(front.threads()[0])) == 2


@pytest.mark.parametrize("error", [NOT_SENT, NO_ANSWER, RateLimited(0.02)])
@pytest.mark.parametrize("stands", [False, True])
async def test_looking_for_a_post_is_tried_until_it_can_be_told_whether_it_stands(house, front, rows, error, stands):
    thread = await house.thread()
    if stands:
        await front.post(thread, doc("run/a"), key="run/a")
        front.times.clear()
    rows.left_sending("run/a")
    front.script(*[Fault(error, operation="find")] * 3)
    await house.deliver("run/a", thread=thread)
    assert front.posted("run/a") == (0 if stands else 1)
    assert rows.state("run/a") == "sent"
    assert front.keys(thread) == ["run/root", "run/a"]


@pytest.mark.parametrize("error", [NOT_SENT, NO_ANSWER, Rejected("no history for bots")])
async def test_where_it_cannot_be_told_whether_a_post_stands_it_is_never_sent_blindly(hasty, front, rows, error):
    rows.left_sending("run/a")
    front.never_finds = error
    await hasty.deliver("run/a")
    assert front.posted("run/a") == 0
    assert rows.state("run/a") == "failed"


async def test_a_send_without_an_answer_is_not_repeated_while_it_cannot_be_looked_for(hasty, front, rows):
    front.always["run/a"], front.never_finds = NO_ANSWER, NOT_SENT
    await hasty.deliver("run/a")
    assert front.posted("run/a") == 1
    assert rows.state("run/a") == "failed"


async def test_a_send_whose_end_stays_unknown_is_not_repeated_without_end(front, rows):
    front.always["run/a"] = NO_ANSWER
    await House(front, rows, Patience(post=60.0, first=0.0, longest=0.0)).deliver("run/a")
    assert front.posted("run/a") == UNKNOWN_TRIES
    assert rows.state("run/a") == "failed"


@pytest.mark.parametrize("shown", [False, True])
async def test_a_front_end_that_breaks_while_it_sends_is_as_if_it_had_not_answered(house, front, rows, shown):
    front.breaks = {"run/a": shown}
    delivery = await house.deliver("run/a", "run/b")
    assert front.keys(delivery.thread) == ["run/root", "run/a", "run/b"]
    assert front.posted("run/a") == (1 if shown else 2)
    assert rows.state("run/a") == "sent"


# Faults of the platform


async def test_what_never_left_is_sent_again(house, front, rows):
    front.script(*[Fault(NOT_SENT)] * 3)
    await house.deliver("run/a", "run/b")
    assert [key for _, key in front.times] == ["run/a"] * 4 + ["run/b"]
    assert rows.told == [("run/a", "sending"), ("run/a", "sent"), ("run/b", "sending"), ("run/b", "sent")]


async def test_patience_ends_and_a_notice_says_so_in_place_of_the_post(hasty, front, rows):
    front.always["run/a"] = NOT_SENT
    loop = asyncio.get_running_loop()
    began = loop.time()
    delivery = await hasty.deliver("run/a", "run/b")
    assert loop.time() - began < HASTY.post + 1.0
    assert front.posted("run/a") > 3
    assert (rows.state("run/a"), rows.why["run/a"]) == ("failed", "NotDispatched")
    assert front.keys(front.threads()[0]) == ["run/root", "run/a/unshown", "run/b"]
    assert delivery.lost is None
    notice = front.shown(front.threads()[0])[1]
    assert "Not shown: post run/a" in notice
    assert "in time" in notice
    assert "panelist runs show" in notice


@pytest.mark.parametrize(
    ("error", "why"), [(Rejected("bad words"), "the platform refused it"), (TooLarge(4000), "4,000 characters")]
)
async def test_what_the_platform_will_not_show_is_tried_once_and_a_notice_says_why(house, front, rows, error, why):
    front.script(Fault(error))
    await house.deliver("run/a", "run/b")
    assert [key for _, key in front.times] == ["run/a", "run/a/unshown", "run/b"]
    assert (rows.state("run/a"), rows.state("run/a/unshown")) == ("failed", "sent")
    assert why in front.shown(front.threads()[0])[1].replace("The platform", "the platform")


async def test_a_notice_that_is_refused_too_is_given_up(house, front, rows):
    front.script(Fault(Rejected("bad")), Fault(Rejected("bad")))
    await house.deliver("run/a", "run/b")
    assert [key for _, key in front.times] == ["run/a", "run/a/unshown", "run/b"]
    assert rows.state("run/a/unshown") == "failed"
    assert rows.state("run/b") == "sent"


async def test_a_notice_of_an_earlier_start_is_not_posted_again(house, front, rows):
    thread = await house.thread()
    front.script(Fault(Rejected("bad")))
    await house.deliver("run/a", thread=thread)
    await house.deliver("run/a", boot=2, thread=thread)
    assert [key for _, key in front.times] == ["run/a", "run/a/unshown"]


@pytest.mark.parametrize("begun", [False, True])
async def test_a_notice_that_the_process_did_not_live_to_show_is_shown_by_the_next(house, front, rows, begun):
    rows.posts["run/a"] = Posted("run/a", "failed")
    if begun:
        rows.left_sending("run/a/unshown")
    thread = await house.thread()
    await house.deliver("run/a", boot=2, thread=thread)
    assert front.keys(thread) == ["run/root", "run/a/unshown"]


@pytest.mark.parametrize("parts", [1, 2])
async def test_a_post_that_was_shown_in_part_is_completed_and_no_part_is_shown_twice(rows, parts):
    front = Front(capabilities=Capabilities(text_limit=200))
    house = House(front, rows)
    front.script(Fault(RateLimited(0.02), parts=parts), Fault(NO_ANSWER, parts=parts))
    async with house.delivery() as delivery:
        delivery.put("run/a", doc("run/a", *LONG))
        await delivery.settled()
    (thread,) = front.threads()
    assert all("".join(front.shown(thread)).count(letter) == 190 for letter in "XYZ")
    assert rows.posts["run/a"].ref == MessageRef(
        thread, tuple(f"run/a/{n}" for n in range(1, len(front.shown(thread))))
    )
    assert front.posted("run/a") == 3


async def test_fault_38_a_rate_limit_is_waited_out_and_holds_the_whole_place_and_no_other(house, front, rows):
    loop = asyncio.get_running_loop()
    elsewhere = replace(PLACE, channel="random")
    other, far = await house.thread("other"), await house.thread("far", elsewhere)
    front.script(Fault(RateLimited(0.3)))
    async with (
        house.delivery() as mine,
        house.delivery(other, "other") as others,
        house.delivery(far, "far") as fars,
    ):
        began = loop.time()
        mine.put("run/a", doc("a"))
        while not front.times:
            await asyncio.sleep(0.005)
        others.put("other/a", doc("a"))
        fars.put("far/a", doc("a"))
        for delivery in (mine, others, fars):
            await delivery.settled()
    at = {}
    for time, key in front.times:
        at.setdefault(key, []).append(time - began)
    assert len(at["run/a"]) == 2
    assert at["run/a"][1] >= 0.3
    assert at["other/a"][0] >= 0.3
    assert at["far/a"][0] < 0.25
    assert {rows.state(key) for key in at} == {"sent"}


@pytest.mark.parametrize("error", [Gone("the thread was deleted"), MISSING])
async def test_a_thread_that_is_lost_is_said_and_gets_nothing_more(house, front, rows, error):
    front.script(Fault(error))
    async with house.delivery() as delivery:
        for key in ("run/a", "run/b", "run/c"):
            delivery.put(key, doc(key))
        show(delivery, board("b", finished=True))
        await delivery.settled()
        delivery.put("run/d", doc("d"))
        show(delivery, board("c", finished=True))
        await delivery.settled()
    assert delivery.lost == error
    assert [key for _, key in front.times] == ["run/a"]
    assert front.boards() == []
    assert rows.why == {"run/a": type(error).__name__}


async def test_a_thread_that_is_deleted_half_way_is_lost(house, front):
    async with house.delivery() as delivery:
        delivery.put("run/a", doc("a"))
        await delivery.settled()
        front.lose(delivery.thread)
        delivery.put("run/b", doc("b"))
        await delivery.settled()
    assert isinstance(delivery.lost, Gone)


@pytest.mark.parametrize("finished", [False, True])
async def test_a_thread_can_be_lost_by_its_board(house, front, finished):
    front.script(Fault(MISSING, operation="board"))
    async with house.delivery() as delivery:
        show(delivery, board("b", finished=finished))
        await delivery.settled()
        delivery.put("run/a", doc("a"))
        await delivery.settled()
    assert delivery.lost == MISSING
    assert front.times == []


async def test_a_thread_can_be_lost_by_looking_for_a_post(house, front, rows):
    rows.left_sending("run/a")
    front.never_finds = Gone("the thread was deleted")
    delivery = await house.deliver("run/a", "run/b")
    assert isinstance(delivery.lost, Gone)
    assert front.times == []


# Boards


async def test_only_the_newest_board_is_shown(house, front):
    async with house.delivery() as delivery:
        for title in "abc":
            show(delivery, board(title))
        await delivery.settled()
        show(delivery, board("d"))
        await delivery.settled()
    assert [each.title for each in front.boards()] == ["c", "d"]


async def test_a_board_that_is_never_shown_is_never_made(house, front):
    made: list[str] = []

    def making(title: str) -> Board:
        made.append(title)
        return board(title)

    async with house.delivery() as delivery:
        for title in "abc":
            delivery.show(partial(making, title), last=False)
        assert made == []
        await delivery.settled()
    assert made == ["c"] == [each.title for each in front.boards()]


async def test_posts_go_before_the_board(house, front):
    async with house.delivery() as delivery:
        show(delivery, board("b"))
        delivery.put("run/a", doc("a"))
        delivery.put("run/b", doc("b"))
        await delivery.settled()
    assert [call.operation for call in front.calls[1:]] == ["post", "post", "board"]


async def test_a_board_that_is_not_the_last_is_tried_once(house, front):
    front.script(Fault(NOT_SENT, operation="board"))
    async with house.delivery() as delivery:
        show(delivery, board("a"))
        await delivery.settled()
    assert len(front.boards()) == 1
    assert front.shown_board(delivery.thread) is None


@pytest.mark.parametrize("error", [NOT_SENT, NO_ANSWER, RateLimited(0.02)])
async def test_the_last_board_is_tried_until_it_is_shown(house, front, error):
    front.script(*[Fault(error, operation="board")] * 3)
    last = board("last", finished=True)
    async with house.delivery() as delivery:
        show(delivery, last)
        await delivery.settled()
    assert front.boards() == [last] * 4
    assert front.shown_board(delivery.thread) == last


async def test_patience_ends_for_the_last_board_too(hasty, front):
    front.script(*[Fault(NOT_SENT, operation="board")] * 1_000)
    async with hasty.delivery() as delivery:
        show(delivery, board("last", finished=True))
        await delivery.settled()
    assert 3 < len(front.boards()) < 1_000
    assert delivery.lost is None


async def test_boards_of_a_later_start_replace_those_of_an_earlier_one(house, front):
    thread = await house.thread()
    for boot in (1, 2, 3):
        async with house.delivery(thread, boot=boot) as delivery:
            for number in range(4 - boot):  # later starts show fewer
                show(delivery, board(f"start {boot}, board {number}"))
                await delivery.settled()
            assert front.shown_board(thread).title == f"start {boot}, board {3 - boot}"
    revisions = [int(call.key) for call in front.calls if call.operation == "board"]
    assert revisions == sorted(set(revisions))


# Pace


async def test_the_synthesis_overtakes_answers_that_wait(rows):
    front = Front(capabilities=Capabilities(pace=Pace(burst=2, per_minute=60 / 0.15, reserved=1)))
    async with House(front, rows).delivery() as delivery:
        for n in range(3):
            delivery.put(f"run/expert/{n}", doc(str(n)))
        while not front.times:
            await asyncio.sleep(0.005)
        delivery.put("run/synthesis", doc("synthesis"), urgent=True)
        await delivery.settled()
    keys = [key for _, key in front.times]
    assert keys == ["run/expert/0", "run/synthesis", "run/expert/1", "run/expert/2"]
    assert front.times[1][0] - front.times[0][0] < 0.1


async def test_fault_38_runs_in_one_place_share_its_pace_and_each_keeps_its_order(rows):
    front = Front(capabilities=Capabilities(pace=Pace(burst=2, per_minute=60 / 0.04)))
    house = House(front, rows)
    threads = {run: await house.thread(run) for run in ("a", "b", "c", "d")}

    async def deliver(run: str) -> None:
        async with house.delivery(threads[run], run) as delivery:
            for number in range(4):
                delivery.put(f"{run}/{number}", doc(run))
            await delivery.settled()

    await asyncio.gather(*map(deliver, threads))
    times = [time for time, _ in front.times]
    assert len(times) == 16
    for early, late in itertools.combinations(range(16), 2):
        assert late - early + 1 <= 2 + (times[late] - times[early] + 0.03) / 0.04
    for run in threads:
        assert [key for _, key in front.times if key.startswith(run)] == [f"{run}/{number}" for number in range(4)]


async def test_no_board_is_shown_of_a_run_that_another_process_has(house, front, rows):
    thread = await house.thread()
    rows.disowned = True
    with pytest.raises(ExceptionGroup) as caught:
        async with house.delivery(thread) as delivery:
            delivery.show(lambda: board("old"), last=False)
            await delivery.settled()
    assert caught.group_contains(Disowned)
    assert front.boards() == []


async def test_the_tries_of_the_last_board_keep_the_pace_too(rows):
    front = Front(capabilities=Capabilities(pace=Pace(burst=1, per_minute=60 / 0.06)))
    front.script(*[Fault(NOT_SENT, operation="board")] * 5)
    house = House(front, rows, Patience(post=5.0, first=0.01, longest=0.01))
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with house.delivery() as delivery:
        show(delivery, board("last", finished=True))
        await delivery.settled()
    assert len(front.boards()) == 6
    assert loop.time() - began > 0.25, "six sends, each 0.06 s after the one before, take 0.3 s"


# Roots


async def test_a_root_is_shown_once_and_its_thread_noted(house, front, rows):
    thread = await house.open()
    assert front.threads() == (thread,)
    assert rows.threads == {"run": thread}
    assert rows.told == [("run/root", "sending"), ("run/root", "sent")]


async def test_a_root_that_the_platform_has_shown_already_is_not_shown_again(house, front, rows):
    there = ThreadRef(PLACE, "there-already")
    assert await house.open(replace(ASKED, thread=there)) == there
    assert front.calls == []
    assert rows.threads == {"run": there}
    assert rows.state("run/root") == "sent"


async def test_fault_17_a_root_that_was_being_sent_and_stands_is_found(house, front, rows):
    thread = await house.thread()
    rows.left_sending("run/root")
    assert await house.open() == thread
    assert len(front.calls) == 1
    assert rows.threads == {"run": thread}


async def test_fault_17_a_root_that_was_being_sent_and_does_not_stand_is_shown(house, front, rows):
    rows.left_sending("run/root")
    thread = await house.open()
    assert front.threads() == (thread,)
    assert rows.state("run/root") == "sent"


@pytest.mark.parametrize("shown", [None, 0])
async def test_fault_17_a_root_without_an_answer_is_looked_for_before_it_is_shown_again(house, front, rows, shown):
    front.script(Fault(NO_ANSWER, parts=shown, operation="open_thread"))
    front.script(Fault(NOT_SENT, operation="find"), Fault(NO_ANSWER, operation="find"))
    thread = await house.open()
    assert front.threads() == (thread,)
    assert len(front.calls) == (1 if shown is None else 2)
    assert rows.threads == {"run": thread}


async def test_a_root_that_cannot_be_looked_for_is_never_shown_blindly(hasty, front, rows):
    rows.left_sending("run/root")
    front.script(*[Fault(NO_ANSWER, operation="find")] * 1_000)
    assert await hasty.open() == NO_ANSWER
    assert front.calls == []
    assert rows.state("run/root") == "failed"


@pytest.mark.parametrize("error", [NOT_SENT, RateLimited(0.02)])
async def test_a_root_that_was_not_shown_is_shown_when_it_can_be(house, front, rows, error):
    front.script(*[Fault(error, operation="open_thread")] * 3)
    thread = await house.open()
    assert front.threads() == (thread,)
    assert len(front.calls) == 4


@pytest.mark.parametrize("error", [MISSING, Gone("no such channel"), Rejected("no")])
async def test_a_root_that_may_not_be_shown_is_tried_once(house, front, rows, error):
    front.script(Fault(error, operation="open_thread"))
    assert await house.open() == error
    assert len(front.calls) == 1
    assert (rows.state("run/root"), rows.threads) == ("failed", {})


async def test_patience_ends_for_a_root_too(hasty, front, rows):
    front.script(*[Fault(NOT_SENT, operation="open_thread")] * 1_000)
    assert await hasty.open() == NOT_SENT
    assert 3 < len(front.calls) < 1_000
    assert rows.why == {"run/root": "NotDispatched"}


# Where the platform does not let the bot look


@pytest.mark.parametrize("boot", [1, 2])
async def test_a_post_that_cannot_be_looked_for_is_sent_at_least_once_and_that_is_logged(house, front, rows, boot):
    thread = await house.thread()
    rows.left_sending("run/a")
    front.script(Fault(Unreadable("no right to read"), operation="find"))
    with capture_logs() as logs:
        await house.deliver("run/a", boot=boot, thread=thread)
    assert front.posted("run/a") == 1
    assert rows.state("run/a") == "sent"
    assert [(entry["event"], entry["key"]) for entry in logs] == [("post.sent_unsure", "run/a")]


async def test_a_send_without_an_answer_that_cannot_be_looked_for_is_sent_again(house, front, rows):
    front.script(Fault(NO_ANSWER), Fault(Unreadable("no right to read"), operation="find"))
    await house.deliver("run/a")
    assert front.posted("run/a") == 2
    assert rows.state("run/a") == "sent"


async def test_a_root_that_cannot_be_looked_for_is_shown_at_least_once(house, front, rows):
    rows.left_sending("run/root")
    front.script(Fault(Unreadable("no right to read"), operation="find"))
    with capture_logs() as logs:
        thread = await house.open()
    assert front.threads() == (thread,)
    assert [(entry["event"], entry["key"]) for entry in logs] == [("post.sent_unsure", "run/root")]


# Boards that are counted by themselves

APART = Capabilities(pace=Pace(1, per_minute=200), board_pace=Pace(1, per_minute=200))


async def test_boards_that_are_counted_by_themselves_do_not_wait_for_posts_nor_posts_for_them(rows):
    front = Front(capabilities=APART)
    loop = asyncio.get_running_loop()
    async with House(front, rows).delivery() as delivery:
        began = loop.time()
        delivery.put("run/a", doc("a"))
        show(delivery, board("b"))
        await delivery.settled()
        assert loop.time() - began < 0.25
    assert {call.operation for call in front.calls} == {"open_thread", "post", "board"}


async def test_boards_of_one_tenant_share_a_pace_and_those_of_another_have_their_own(rows):
    front = Front(capabilities=APART)
    house = House(front, rows)
    places = {"one": PLACE, "two": replace(PLACE, channel="random"), "far": replace(PLACE, tenant="elsewhere")}
    began, shown = asyncio.get_running_loop().time(), {}

    async def deliver(run: str) -> None:
        async with house.delivery(await house.thread(run, places[run]), run) as delivery:
            show(delivery, board(run))
            await delivery.settled()
            shown[run] = asyncio.get_running_loop().time() - began

    await asyncio.gather(*map(deliver, places))
    assert shown["far"] < 0.25
    assert min(shown["one"], shown["two"]) < 0.25 < max(shown["one"], shown["two"])


async def test_a_newer_board_takes_the_place_of_one_that_waits_and_the_last_is_tried_until_it_is_shown(rows):
    front = Front(capabilities=APART)
    front.script(*[Fault(NOT_SENT, operation="board")] * 2)
    last = board("last", finished=True)
    async with House(front, rows).delivery() as delivery:
        show(delivery, board("first"))
        while not front.boards():
            await asyncio.sleep(0.005)
        for title in "abc":
            show(delivery, board(title))
        show(delivery, last)
        await delivery.settled()
    assert [each.title for each in front.boards()] == ["first", "last", "last"]
    assert front.shown_board(delivery.thread) == last


async def test_what_was_said_is_waited_for_without_the_board(rows):
    front = Front(capabilities=APART)
    async with House(front, rows).delivery() as delivery:
        show(delivery, board("first"))
        await delivery.settled()
        show(delivery, board("waits for its turn"))
        delivery.put("run/a", doc("a"))
        await delivery.said()
        assert len(front.boards()) == 1
        await delivery.settled()
    assert len(front.boards()) == 2


@pytest.mark.parametrize("operation", ["post", "board"])
async def test_a_thread_that_is_lost_on_one_way_is_lost_on_the_other(rows, operation):
    front = Front(capabilities=Capabilities(board_pace=Pace(100, per_minute=100)))
    front.script(Fault(MISSING, operation=operation))
    async with House(front, rows).delivery() as delivery:
        delivery.put("run/a", doc("a"))
        show(delivery, board("b"))
        await delivery.settled()
        before = len(front.calls)
        delivery.put("run/b", doc("b"))
        show(delivery, board("c", finished=True))
        await delivery.settled()
    assert delivery.lost == MISSING
    assert len(front.calls) == before


# Where boards stand


async def test_where_a_board_stands_is_noted_once(house, rows):
    async with house.delivery() as delivery:
        for title in "ab":
            show(delivery, board(title))
            await delivery.settled()
    assert rows.told == [("run/board/1", "sent")]
    assert rows.posts["run/board/1"].ref == MessageRef(delivery.thread, ("board",))
    async with house.delivery(delivery.thread, boot=2) as again:
        show(again, board("c"))
        await again.settled()
    assert len(rows.told) == 1


async def test_a_board_that_stands_in_the_root_is_not_noted_and_one_that_moves_is_noted_anew(rows):
    class Moving(Front):
        ids = ("root-message",)

        async def board(self, thread: ThreadRef, board: Board, *, revision: int) -> Receipt:
            return Receipt("sent", MessageRef(thread, self.ids), 1)

    front = Moving()
    house = House(front, rows)
    thread = replace(await house.thread(), root="root-message")
    async with house.delivery(thread) as delivery:
        for front.ids in (("root-message",), ("b1",), ("b2",), ("b1",)):
            show(delivery, board("b"))
            await delivery.settled()
    assert {key: post.ref.ids for key, post in rows.posts.items()} == {"run/board/1": ("b1",), "run/board/2": ("b2",)}


# Taking away


async def test_what_was_posted_is_taken_away_however_often_that_has_to_be_tried(house, front, rows):
    delivery = await house.deliver("run/a", "run/b")
    front.script(*(Fault(error, operation="remove") for error in (RateLimited(0.02), NOT_SENT, NO_ANSWER)))
    assert await house.courier.remove(rows.posts["run/a"].ref) is None
    assert front.keys(delivery.thread) == ["run/root", "run/b"]


@pytest.mark.parametrize(("error", "said"), [(MISSING, MISSING), (Rejected("no"), Rejected("no")), (Gone("x"), None)])
async def test_what_may_not_be_taken_away_is_tried_once_and_what_is_gone_is_no_fault(house, front, rows, error, said):
    await house.deliver("run/a")
    front.script(Fault(error, operation="remove"))
    assert await house.courier.remove(rows.posts["run/a"].ref) == said


# What whoever watches is told


async def test_what_becomes_of_each_post_is_told_with_how_long_it_took():
    told = []
    front, rows = Front(), Rows()
    house = House(front, rows, watch=told.append)
    thread = await house.thread()
    await front.post(thread, doc("run/stood"), key="run/stood")
    rows.left_sending("run/stood", "run/lost")
    front.always["run/refused"] = Rejected("too bold")
    front.slow["run/slow"] = 0.05
    await house.deliver("run/stood", "run/lost", "run/refused", "run/slow", boot=2, thread=thread)

    assert [one for one in told if isinstance(one, PostUnsure)] == [PostUnsure("memory")] * 2
    settled = [one for one in told if isinstance(one, PostSettled)]
    # The fifth is the notice in place of the post that was refused.
    assert Counter(one.outcome for one in settled) == {"found": 1, "sent": 3, "not_shown": 1}
    assert {one.surface for one in settled} == {"memory"}
    assert max(one.seconds for one in settled) >= 0.05


async def test_what_becomes_of_each_root_is_told():
    told = []
    front, rows = Front(), Rows()
    house = House(front, rows, watch=told.append)
    await house.open()
    await front.open_thread(replace(ASKED, key="stood"), ROOT, key="stood/root")
    rows.left_sending("stood/root")
    await house.courier.open("stood", replace(ASKED, key="stood"), ROOT)
    front.script(Fault(Gone("no such place"), operation="open_thread"))
    await house.courier.open("refused", replace(ASKED, key="refused"), ROOT)

    assert [one.outcome for one in told if isinstance(one, PostSettled)] == ["sent", "found", "not_shown"]
    assert [one for one in told if isinstance(one, PostUnsure)] == [PostUnsure("memory")]
