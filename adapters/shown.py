"""What was posted under which key in this process, so that a key is shown once and a half-shown post is completed."""

from collections import OrderedDict
from dataclasses import dataclass, field

MOST_KEYS = 20_000


@dataclass(slots=True)
class Shown:
    """The parts of one post that stand: their native ids by number, from 1. `of` is how many there are, once known."""

    parts: dict[int, str] = field(default_factory=dict)
    of: int = 0

    @property
    def whole(self) -> bool:
        """Whether all of it stands."""
        return bool(self.of) and len(self.parts) >= self.of

    @property
    def ids(self) -> tuple[str, ...]:
        """The native ids in order."""
        return tuple(self.parts[number] for number in sorted(self.parts))


class PostMemory:
    """The newest keys; older ones are found again by reading their thread."""

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        self._shown: OrderedDict[str, Shown] = OrderedDict()

    def of(self, key: str) -> Shown:
        """What stands under a key."""
        shown = self._shown.setdefault(key, Shown())
        self._shown.move_to_end(key)
        if len(self._shown) > self._most:
            self._shown.popitem(last=False)
        return shown

    def forget(self, native: str) -> None:
        """A message was taken away."""
        for shown in self._shown.values():
            shown.parts = {number: part for number, part in shown.parts.items() if part != native}
