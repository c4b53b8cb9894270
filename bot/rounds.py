"""Which round of which run."""

from typing import NamedTuple


class RoundId(NamedTuple):
    """One round of one run: what is started, carried out and ended. Shown as the run's id for the first."""

    run: str
    number: int

    def __str__(self) -> str:
        return self.run if self.number == 1 else f"{self.run}#{self.number}"
