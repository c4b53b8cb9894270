"""What a place remembers: the profile and the pillars that every question asked there is given."""

from dataclasses import asdict, dataclass, replace

import sqlalchemy as sa

from adapters.port import AskOptions, Invocation, Place
from bot.commands import Setting
from bot.inserts import put
from bot.rows import claim
from bot.rules import channel_of
from bot.schema import place_settings
from bot.transactions import AT_ONCE, Transacting


@dataclass(frozen=True, slots=True)
class PlaceSettings:
    """What is set in one place, who set it last, and when."""

    profile: str = ""
    pillars: str = ""
    by: str = ""
    at: float = 0.0


async def settings_of(database: Transacting, place: Place) -> PlaceSettings:
    """What is set in a place. Raises `StoreFailed`."""
    return await database.do(lambda connection: _read(connection, place), AT_ONCE)


async def set_in_place(database: Transacting, invocation: Invocation, name: Setting, value: str) -> PlaceSettings:
    """Set one of the settings of a place, or clear it with an empty text; what is set then. A gesture that comes again
    changes nothing. Raises `StoreFailed`."""
    now = database.now()

    def set_(connection: sa.Connection) -> PlaceSettings:
        before = _read(connection, invocation.place)
        if not claim(connection, invocation.key, "", now):
            return before
        fresh = replace(before, by=invocation.author, at=now)
        fresh = replace(fresh, profile=value) if name == "profile" else replace(fresh, pillars=value)
        _write(connection, invocation.place, fresh)
        return fresh

    return await database.do(set_, AT_ONCE)


def remember(connection: sa.Connection, invocation: Invocation, options: AskOptions, now: float) -> None:
    """Keep what a form was filled in with for its place."""
    _write(connection, invocation.place, PlaceSettings(options.profile, options.pillars, invocation.author, now))


# Made once: SQLAlchemy then finds the compiled statement by identity. Every question reads the settings of its place.
_KEY = ("surface", "tenant", "channel")
_HERE = sa.select(place_settings).where(*(place_settings.c[name] == sa.bindparam(name) for name in _KEY))


def _here(place: Place) -> dict[str, str]:
    return {"surface": place.surface, "tenant": place.tenant, "channel": channel_of(place)}


def _read(connection: sa.Connection, place: Place) -> PlaceSettings:
    row = connection.execute(_HERE, _here(place)).one_or_none()
    return PlaceSettings() if row is None else PlaceSettings(row.profile, row.pillars, row.by, row.at)


def _write(connection: sa.Connection, place: Place, fresh: PlaceSettings) -> None:
    put(connection, place_settings, {**_here(place), **asdict(fresh)})
