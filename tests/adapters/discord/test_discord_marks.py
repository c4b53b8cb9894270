"""What a post carries of its key: small enough for Discord, and each its own."""

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.marks import MOST_MESSAGES, found_in, mark_of, nonce_of

SLOW = settings(max_examples=1000, deadline=None)
NUMBERS = st.integers(1, MOST_MESSAGES).flatmap(lambda of: st.tuples(st.integers(1, of), st.just(of)))


@SLOW
@given(st.text(max_size=40), NUMBERS)
def test_a_post_is_found_by_the_mark_of_any_of_its_messages_in_discord(key: str, numbers: tuple[int, int]) -> None:
    mark = mark_of(key, *numbers)
    assert 10_000 <= mark <= 2**31 - 1
    assert mark == mark_of(key, *numbers)
    assert found_in([1, 2, mark, 3], key) == numbers
    assert found_in([1, 2, mark, 3], f"{key}x") is None


def test_marks_of_discord_posts_are_distinct() -> None:
    keys = [f"run/expert/{number}" for number in range(100)] + ["run/1", "run", "1/1 run", ""]
    marks = [
        mark_of(key, number, of) for key in keys for of in range(1, MOST_MESSAGES + 1) for number in range(1, of + 1)
    ]
    assert len(set(marks)) == len(marks)


def test_the_small_ids_that_discord_gives_by_itself_are_no_marks() -> None:
    assert found_in(range(10_000), "run/1") is None
    assert found_in([], "run/1") is None


@SLOW
@given(st.text(max_size=400), st.integers(1, MOST_MESSAGES))
def test_a_nonce_is_short_enough_for_discord_and_each_messages_own(key: str, number: int) -> None:
    nonce = nonce_of(key, number)
    assert 0 < len(nonce) <= 25
    assert nonce.isascii()
    assert nonce == nonce_of(key, number) != nonce_of(key, number + 1)
    assert nonce != nonce_of(f"{key}x", number)
