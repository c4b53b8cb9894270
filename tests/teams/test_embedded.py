"""The built-in model answers for real, and its server never outlives the one who started it."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from teams import embedded
from teams.embedded import EmbeddedUnavailable, embedded_server

SCHEMA = {
    "type": "object",
    "properties": {
        "headline": {"type": "string", "maxLength": 140},
        "key_points": {"type": "array", "items": {"type": "string", "maxLength": 120}, "maxItems": 3},
        "confidence": {"type": "number"},
    },
    "required": ["headline", "key_points", "confidence"],
    "additionalProperties": False,
}

STARTER = """
import asyncio, pathlib, sys
from teams.embedded import embedded_server

async def main():
    async with embedded_server(pathlib.Path(sys.argv[1]), slots=1) as api_base:
        print(api_base, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def complete(api_base: str, **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Should a small team rewrite its product? Answer in JSON."}]
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{api_base}/chat/completions", json={"messages": messages, **body}) as response,
    ):
        assert response.status == 200
        choice: dict[str, Any] = (await response.json())["choices"][0]
        return choice


def listens(api_base: str) -> bool:
    address = urlsplit(api_base)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def closes(api_base: str, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while listens(api_base) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not listens(api_base)


@pytest.mark.embedded
async def test_an_answer_keeps_to_its_schema_and_the_server_leaves_with_the_block(weights: Path) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    async with embedded_server(weights, slots=2) as api_base:
        assert urlsplit(api_base).hostname == "127.0.0.1"
        choice = await complete(api_base, response_format=schema, max_tokens=600, temperature=0, seed=1)
        answer = json.loads(choice["message"]["content"])
    assert choice["finish_reason"] == "stop"
    assert set(answer) == {"headline", "key_points", "confidence"}
    assert len(answer["headline"]) <= 140
    assert closes(api_base)


@pytest.mark.embedded
async def test_an_answer_over_its_limit_says_that_it_was_cut(weights: Path) -> None:
    async with embedded_server(weights, slots=1) as api_base:
        # Whatever it would rather say: it is not asked whether it is done.
        choice = await complete(api_base, max_tokens=5, ignore_eos=True)
    assert choice["finish_reason"] == "length"


@pytest.mark.embedded
async def test_the_server_leaves_when_its_starter_is_killed(weights: Path) -> None:
    starter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTER, str(weights)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(embedded.__file__).parents[1],
    )
    assert starter.stdout is not None
    api_base = (await starter.stdout.readline()).decode().strip()
    assert listens(api_base)
    os.kill(starter.pid, signal.SIGKILL)
    await starter.wait()
    assert closes(api_base)


@pytest.mark.embedded
async def test_a_file_that_is_no_model_gives_a_sentence_with_the_next_step(tmp_path: Path) -> None:
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"not a model")
    with pytest.raises(EmbeddedUnavailable, match=r"did not start \(.+\); run `panelist model fetch`"):
        async with embedded_server(weights):
            pass


async def test_a_missing_file_gives_a_sentence_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match=r"is not at .*model\.gguf; run `panelist model fetch`"):
        async with embedded_server(tmp_path / "model.gguf"):
            pass


async def test_a_missing_server_names_the_extra_to_install(tmp_path: Path) -> None:
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"GGUF")
    without_packages = (sys.executable, "-I", "-S", embedded.__file__)
    with pytest.raises(EmbeddedUnavailable, match=r"pip install 'panelist\[local\]'"):
        async with embedded_server(weights, command=without_packages):
            pass
