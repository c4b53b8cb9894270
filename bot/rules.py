"""Who may do what: pure, from settings read once. Whatever is not allowed has a reason that the asker can act on."""

from dataclasses import dataclass

from adapters.port import Invocation, Place
from bot.stored import Quotas


@dataclass(frozen=True, slots=True)
class Rules:
    """`admins` are people's ids, `allowed_channels` channels' ids; either may have its surface before it, or that and
    its workspace, as in `chat:U012AB` and `chat:T034CD:U012AB`. `allowed_channels=None` allows all; an empty set allows
    none. Over `runs_in_flight`, 0 for no limit, runs wait."""

    admins: frozenset[str] = frozenset()
    allowed_channels: frozenset[str] | None = None
    quotas: Quotas = Quotas()
    runs_in_flight: int = 0
    runs_waiting: int = 0

    def is_admin(self, who: Invocation) -> bool:
        """Whether the one who asks may stop and delete anybody's run and has no quota."""
        return bool(_names(who.place, who.author) & self.admins)

    def allows(self, place: Place) -> bool:
        """Whether runs may be asked for in a place."""
        if self.allowed_channels is None:
            return True
        # A part of a channel is the channel's.
        return bool(_names(place, channel_of(place)) & self.allowed_channels)

    def quotas_of(self, who: Invocation) -> Quotas:
        """The quotas that count for the one who asks."""
        return Quotas() if self.is_admin(who) else self.quotas


def channel_of(place: Place) -> str:
    """A place's channel, whether or not the place is the part of it that one person alone sees."""
    return place.channel.partition("/")[0]


def _names(place: Place, one: str) -> set[str]:
    """What a setting may call somebody, or a channel."""
    return {one, f"{place.surface}:{one}", f"{place.surface}:{place.tenant}:{one}"}


def listed(text: str | None) -> frozenset[str] | None:
    """A setting's list, parted by commas or spaces; None where it is not set."""
    return None if text is None else frozenset(text.replace(",", " ").split())
