"""Where a run's messages stand, read from its place and its thread alone. Pure.

A thread is one of three kinds: it hangs from its root; or its posts are replies to its root, in a direct message, in a
thread, or where the bot may create none; or it is a window, whose posts go by the tokens of its person's gestures.
"""

from adapters.discord.inbound import DIRECT
from adapters.port import Place, ThreadRef

ORIGINAL = "@original"
"""A window's root where it is the first response to a gesture, as Discord calls that."""

IN_DIRECT = "Answers follow below: there are no threads in a direct message."
AS_REPLIES = "Answers follow below as replies."
LACKING_THREADS = (
    "Answers follow below as replies: I may not create threads here. "
    "An admin can grant Create Public Threads and Send Messages in Threads."
)

_WINDOW = "window/"


def channel_of(place: Place) -> str:
    """The channel of a place, without the person whose part of it this is."""
    return place.channel.partition("/")[0]


def is_private(place: Place) -> bool:
    """Whether what is shown there is seen by one person alone."""
    return "/" in place.channel


def is_guest(place: Place) -> bool:
    """Whether the app was brought along by somebody to where the bot itself is not."""
    return place.tenant.startswith("user/")


def has_window(place: Place) -> bool:
    """Whether posts go there by the tokens of gestures."""
    return is_private(place) or is_guest(place)


def person_of(place: Place) -> str:
    """Whose window it is."""
    return place.channel.partition("/")[2] if is_private(place) else place.tenant.removeprefix("user/")


def window(place: Place, key: str, root: str) -> ThreadRef:
    """The thread of a run that was asked with a gesture of this key."""
    return ThreadRef(place, f"{_WINDOW}{key}", root)


def is_window(thread: ThreadRef) -> bool:
    """Whether posts of a thread go by the tokens of gestures."""
    return thread.thread.startswith(_WINDOW)


def gesture_of(thread: ThreadRef) -> str:
    """The key of the gesture that opened a window."""
    return thread.thread.removeprefix(_WINDOW)


def hangs(thread: ThreadRef) -> bool:
    """Whether a thread hangs from its root; it then has the root's id (Discord's page "Threads")."""
    return thread.thread == thread.root


def root_channel(thread: ThreadRef) -> str:
    """The channel in which the root stands."""
    return thread.place.channel if hangs(thread) else thread.thread


def channel_with(thread: ThreadRef, native: str) -> str:
    """The channel in which one of the thread's messages stands."""
    return root_channel(thread) if native == thread.root else thread.thread


def notice_of(thread: ThreadRef, *, lacks_right: bool = False) -> str:
    """What its root says about where the answers are. `lacks_right`: a right is missing for a thread there."""
    if is_window(thread) or hangs(thread):
        return ""
    if thread.place.tenant == DIRECT:
        return IN_DIRECT
    if thread.thread != thread.place.channel:
        return ""
    return LACKING_THREADS if lacks_right else AS_REPLIES
