"""Which run a gesture is about: the one that it names, or the latest of its thread, or of its place."""

from dataclasses import replace

from adapters.port import Invocation, Place
from bot.asking import Unaskable
from bot.store import Store
from bot.stored import StoredRun


def alone(invocation: Invocation) -> Place | None:
    """The part of a channel that the asker alone sees, where they did not ask there. Runs in it are named nowhere else,
    so a gesture made in the channel means them where the channel has none."""
    place = invocation.place
    return None if "/" in place.channel else replace(place, channel=f"{place.channel}/{invocation.author}")


async def run_about(store: Store, invocation: Invocation, to_do: str) -> StoredRun:
    """The run that is meant, if it is of the place where that was asked. `to_do` is what is to be done with it, for the
    sentence where there is none. Raises `Unaskable` and `StoreFailed`."""
    place = invocation.place
    if invocation.run:
        run = await store.get_in(place, invocation.run)
        why = "there is no such run here; it may have been removed, on demand or for its age"
    elif invocation.within:
        run = await store.latest(place, invocation.within)
        why = f"nothing has been asked in this thread, so there is nothing to {to_do}"
    else:
        run = await store.latest(place)
        why = f"nothing has been asked here yet, so there is nothing to {to_do}"
    if run is None and to_do == "retry" and not invocation.run and (own := alone(invocation)) is not None:
        run = await store.latest(own)
    if run is None:
        raise Unaskable(why)
    return run
