"""What the bot is started with elsewhere names verbs, options and settings that there are, and holds no secret."""

import asyncio
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from adapters.port import FrontEndFailed, Health
from bot.cli import _parser as parser
from bot.http import Web
from bot.settings import BotSettings
from teams.sources.settings import SourceSettings
from teams.tiers import ModelSettings

ROOT = Path(__file__).parent.parent
SETTINGS = {name.upper() for kind in (BotSettings, ModelSettings, SourceSettings) for name in kind.model_fields}
NOT_OURS = {"PATH", "PYTHONUNBUFFERED"}
DOCKERFILE = re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text())
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
OURS = [name for name in COMPOSE["services"] if name != "postgres"]
ROLES = ["gateway", "worker-0", "worker-1"]


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of this name in the last stage of the Dockerfile."""
    stage = DOCKERFILE.rpartition("\nFROM ")[2]
    return [line.partition(" ")[2] for line in stage.splitlines() if line.startswith(f"{name} ")]


def is_understood(command: list[str]) -> bool:
    """Whether the command line takes it."""
    program, *arguments = command
    try:
        parser().parse_args(arguments)
    except SystemExit:
        return False
    return program == "panelist"


def test_the_image_serves_as_a_user_without_rights_and_keeps_what_it_keeps_in_a_volume():
    [command] = instructions("CMD")
    assert is_understood(json.loads(command))
    assert instructions("USER") == ["10001:10001"]
    assert instructions("VOLUME") == ["/data"]
    [environment] = instructions("ENV")
    given = dict(pair.split("=", 1) for pair in environment.split())
    assert given["PANELIST_HOME"] == "/data"
    assert instructions("EXPOSE") == [given["PORT"]]
    assert set(given) <= SETTINGS | NOT_OURS


@pytest.mark.parametrize("lives", [True, False])
async def test_the_check_of_the_image_is_well_while_the_process_lives(lives):
    [check] = instructions("HEALTHCHECK")
    python, *arguments = json.loads(check.partition(" CMD ")[2])
    assert python == "python"

    def health() -> dict[str, Health]:
        if not lives:
            raise FrontEndFailed("the token was revoked")
        return {}

    async with Web(health, [], 0, host="127.0.0.1") as server:
        # Whatever proxy is set, the process itself is not behind it.
        environment = {"PORT": str(server.port), "http_proxy": "http://127.0.0.1:1"}
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment)
        assert await process.wait() == (0 if lives else 1)


def test_everything_that_is_copied_into_the_image_exists_and_is_not_ignored():
    copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--from)", line)]
    names = {name for several in copied for name in several}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignore if line.startswith("!")} == names
    assert "*" in ignore
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["web", "gateway", "worker"])
def test_every_process_of_the_procfile_is_one_that_the_command_line_knows(name):
    line = re.sub(r"\$\{\w+:-([\w-]+)\}", r"\1", PROCFILE[name])
    assert is_understood(shlex.split(line))


def test_the_procfile_has_three_kinds_of_processes_and_each_worker_may_have_a_name_of_its_own():
    assert list(PROCFILE) == ["web", "gateway", "worker"]
    assert '"${WORKER_ID:-worker-0}"' in PROCFILE["worker"]


@pytest.mark.parametrize("name", ROLES)
def test_every_service_is_started_with_a_command_that_the_command_line_knows(name):
    assert is_understood(COMPOSE["services"][name]["command"])


@pytest.mark.parametrize("name", ROLES)
def test_every_service_is_given_settings_that_there_are(name):
    assert set(COMPOSE["services"][name]["environment"]) <= SETTINGS


def test_no_two_workers_have_one_name():
    names = [COMPOSE["services"][name]["command"][-1] for name in OURS if name.startswith("worker")]
    assert names == [name for name in OURS if name.startswith("worker")] == ["worker-0", "worker-1"]


def test_every_service_waits_for_the_database_and_may_end_in_good_order():
    assert OURS == ROLES
    grace = BotSettings.model_fields["panelist_grace"].default
    for name in OURS:
        service = COMPOSE["services"][name]
        assert service["depends_on"] == {"postgres": {"condition": "service_healthy"}}
        assert int(service["stop_grace_period"].removesuffix("s")) > grace
        assert service["env_file"] == "panelist.env"
    assert COMPOSE["services"]["postgres"]["healthcheck"]["test"][0] == "CMD-SHELL"


def test_every_volume_that_is_used_is_declared():
    used = {volume.partition(":")[0] for service in COMPOSE["services"].values() for volume in service["volumes"]}
    assert used == set(COMPOSE["volumes"])


def test_no_secret_is_in_what_is_handed_around():
    [environment] = instructions("ENV")
    assert not re.search("TOKEN|SECRET|PASSWORD|KEY", environment)
    assert instructions("ARG") == []
    for name, service in COMPOSE["services"].items():
        secret = [str(value) for value in service["environment"].values() if ":" in str(value)]
        assert len(secret) == 1, name
        # Without it compose starts nothing, rather than a database that lets everybody in.
        assert "${POSTGRES_PASSWORD:?" in secret[0]
