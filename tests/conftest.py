"""What tests share: the built-in model's weights, fetched once and kept between runs."""

import asyncio
import os
from pathlib import Path

import platformdirs
import pytest

from teams.weights import fetch_weights


@pytest.fixture(scope="session")
def weights() -> Path:
    """The weights of the built-in model, under PANELIST_TEST_MODELS or else the user's cache."""
    home = os.environ.get("PANELIST_TEST_MODELS") or platformdirs.user_cache_dir("panelist-tests")
    return asyncio.run(fetch_weights(Path(home), lambda done, total: None))
