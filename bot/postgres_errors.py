"""What Postgres' errors mean: to people, to the log, and to whoever may try again. Nothing here quotes values.

A statement's error has a code (SQLSTATE; Postgres' documentation, "PostgreSQL Error Codes"); a connection that could
not be made has words only, libpq's and the server's.
"""

import sqlalchemy as sa

_TRANSIENT = {"40001", "40P01"}
"""Serialization and deadlock: the transaction is undone, and succeeds when it is run again."""

_ITS_OWN = {*_TRANSIENT, "55P03", "57014"}
"""What befell one statement, and would not befall the next: beside these, a lock and a time that ran out."""

_BY_CODE = {
    "25006": "it is read-only, as a standby is; set DATABASE_URL to the primary",
    "28": "it did not accept the user or the password; correct DATABASE_URL",
    "3D000": "there is no database of that name; create it, or correct DATABASE_URL",
    "3F000": "it has no schema to write to; give the user one in its search_path",
    "40": "too many changed the same rows at once; try again",
    "42501": "the user may not do that; let it create tables in its schema and a schema in the database",
    "42704": "it is older than Postgres 14; bring it up to date",
    "42883": "it is older than Postgres 14; bring it up to date",
    "53100": "no space is left on the server's disk; make room",
    "53200": "the server has no memory left; give it more, or have fewer connections",
    "53300": "it takes no more connections; raise max_connections, or have fewer processes",
    "55P03": "another transaction holds what was to be changed; end it, or wait until it is done",
    "57014": "it took too long and was cancelled; look at what else the server does",
    "57P": "the server is starting, shutting down or was restarted; wait until it is there again",
    "58": "the server could not read or write its files; look at its disk",
    "XX": "its files are damaged; restore a backup",
    "08": "the connection broke; look whether the server is there",
}
"""By code, or by how codes begin; the first that fits counts."""

_BY_WORDS = {
    "resolve": "its host is not known; correct DATABASE_URL",
    "translate host name": "its host is not known; correct DATABASE_URL",
    "permission denied": "the user may not connect to it; let it, or correct DATABASE_URL",
    "starting up": _BY_CODE["57P"],
    "shutting down": _BY_CODE["57P"],
    "recovery": _BY_CODE["57P"],
    "too many": _BY_CODE["53300"],
    "remaining connection slots": _BY_CODE["53300"],
    "password": _BY_CODE["28"],
    "authentication failed": _BY_CODE["28"],
    "pg_hba.conf": "it takes no connection from here as this user; allow it in pg_hba.conf, or correct DATABASE_URL",
    "role": _BY_CODE["28"],
    "database": _BY_CODE["3D000"],
    "ssl": "no encrypted connection came about; correct sslmode and the certificates in DATABASE_URL",
    "refused": "no server answers there; start it, or correct DATABASE_URL",
    "no such file": "no server answers there; start it, or correct DATABASE_URL",
    "timeout": "the server did not answer in time; look whether it can be reached from here",
    "unreachable": "the server cannot be reached from here; look at the network, or correct DATABASE_URL",
    "closed": _BY_CODE["08"],
    "lost": _BY_CODE["08"],
    "terminat": _BY_CODE["08"],
}
"""By words of an error without a code, in small letters; the first that fits counts."""


def is_postgres(error: BaseException | None) -> bool:
    """Whether Postgres' driver raised it."""
    return type(error).__module__.startswith("psycopg")


def meaning(error: BaseException) -> str:
    """What an error of the driver means and what to do, as the end of a sentence."""
    known = _known(error)
    return known or f"the database refused ({_code(error) or type(error).__name__}); the log says more"


def loggable(error: BaseException | None) -> str:
    """What may be logged of a driver's error: why there is no connection, but of a statement's error its code alone,
    for the words may quote what was to be written."""
    code = _code(error)
    return f"SQLSTATE {code}" if code else str(error)


def is_transient(error: sa.exc.DBAPIError) -> bool:
    """Whether the transaction is undone and may well succeed at once: on a connection that is alive, or alone."""
    return error.connection_invalidated or _code(error.orig) in _TRANSIENT


def refuses_everybody(error: sa.exc.DBAPIError) -> bool:
    """Whether the database refuses, and not only this statement."""
    code = _code(error.orig)
    if code in _ITS_OWN:
        return False
    lost = error.connection_invalidated or code == "25006"
    broken = isinstance(error, sa.exc.InterfaceError) and is_postgres(error.orig)
    return lost or broken or isinstance(error, sa.exc.OperationalError)


def _known(error: BaseException) -> str | None:
    code = _code(error)
    if code:
        return next((_BY_CODE[begins] for begins in _BY_CODE if code.startswith(begins)), None)
    # What went wrong comes last; before it stand names, of hosts and folders.
    said = str(error).lower().rpartition("failed:")[2].rpartition("fatal:")[2]
    return next((_BY_WORDS[sign] for sign in _BY_WORDS if sign in said), None)


def _code(error: BaseException | None) -> str:
    """The SQLSTATE; empty for what has none, as all of SQLite's."""
    return getattr(error, "sqlstate", None) or ""
