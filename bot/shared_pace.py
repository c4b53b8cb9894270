"""Pace where several processes send to one place: its bucket is a row of the database, by the database's clock.

Who is the most urgent is known within each process only; between processes tokens go to whoever comes first.

Rows are taken from one by one, outside of the store's transactions: in those each would be held until a disk had
written what it was taken with, and all that sends to the place would wait, and intake behind it.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from adapters.port import Pace
from bot.pace import Refill
from bot.schema import NOW, paces
from bot.transactions import Transacting, Transactions

FORGOTTEN_SECONDS = 3_600.0
"""How long after it was full a bucket's row is kept."""


@dataclass(frozen=True, slots=True)
class SharedBucket:
    """The bucket of one place. Its methods raise `StoreFailed`."""

    tokens: Transactions
    place: str
    pace: Pace

    async def take(self, *, urgent: bool) -> Refill:
        """Take a token if there is one: any for an urgent send, others leave what is reserved."""
        left = 0 if urgent else self.pace.reserved
        values = {"place": self.place, "each": self._each, "ahead": (self.pace.burst - 1 - left) * self._each}

        def take(connection: sa.Connection) -> Refill:
            row = connection.execute(_TAKE, values).one_or_none()
            if row is not None:
                return Refill(True, float(row.full_in))
            return Refill(False, float(connection.execute(_LEFT, values).scalar_one()))

        return await self.tokens.do(take)

    async def hold(self, seconds: float) -> None:
        """Have no token for so long, and then one and no more."""
        values = {"place": self.place, "held": seconds + (self.pace.burst - 1) * self._each}
        await self.tokens.do(lambda connection: connection.execute(_HOLD, values))

    @property
    def _each(self) -> float:
        return 60 / self.pace.per_minute


async def forget_paces(store: Transacting) -> None:
    """Remove the rows of places that nobody sent to for a while. Raises `StoreFailed`."""
    stale = sa.delete(paces).where(paces.c.full_at < NOW - FORGOTTEN_SECONDS)
    await store.do(lambda connection: connection.execute(stale))


_EACH, _AHEAD, _HELD = (sa.bindparam(name, type_=sa.Double) for name in ("each", "ahead", "held"))
_LEFT = sa.select(sa.func.greatest(paces.c.full_at - NOW, 0.0)).where(paces.c.place == sa.bindparam("place"))
_first = postgresql.insert(paces).values(place=sa.bindparam("place"), full_at=NOW + _EACH)
_TAKE = _first.on_conflict_do_update(
    index_elements=[paces.c.place],
    set_={"full_at": sa.func.greatest(paces.c.full_at, NOW) + _EACH},
    where=paces.c.full_at - _AHEAD <= NOW,
).returning((paces.c.full_at - NOW).label("full_in"))
_held = postgresql.insert(paces).values(place=sa.bindparam("place"), full_at=NOW + _HELD)
_HOLD = _held.on_conflict_do_update(
    index_elements=[paces.c.place], set_={"full_at": sa.func.greatest(paces.c.full_at, NOW + _HELD)}
)
