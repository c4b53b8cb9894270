"""llama.cpp's own OpenAI-compatible server from the xllamacpp wheel, run in a child process. Knows no prompt or panel.

The parent runs this very file as a script. The child writes its address to its output once it answers, and leaves when
its input ends: that happens when the parent closes it and also when the parent is killed.
"""

import asyncio
import http.client
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

MODEL_NAME = "smollm2-135m-instruct"
"""The name under which the server lists the model. Requests may name any: there is only this one."""

SLOT_TOKENS = 4_096
"""Prompt and answer of one request when all slots are busy. A request may have up to the model's 8,192 while others
leave room. A prompt beyond that is refused with status 400; requests that overrun the pool together all get 500."""

ANSWER_TOKENS = 2_048
"""The longest answer to a request that sets no limit: a small model can repeat itself without end."""

START_SECONDS = 60.0
STOP_SECONDS = 5.0

# -P: neither this file's folder nor the caller's may shadow what the child imports.
SERVER_COMMAND = (sys.executable, "-P", __file__)


class EmbeddedUnavailable(Exception):
    """The built-in model does not run. The text is one sentence for people: what went wrong and what to do next."""


@asynccontextmanager
async def embedded_server(
    weights: Path, *, slots: int = 6, command: Sequence[str] = SERVER_COMMAND
) -> AsyncIterator[str]:
    """A running server for the model in `weights`, as its API base: `http://127.0.0.1:PORT/v1`.

    It answers `slots` requests side by side and queues the rest; it is gone when the block ends. A request given up
    by its client goes on using its slot until it is done, unless it was streamed: llama.cpp notices a closed
    connection only when it writes. Raises `EmbeddedUnavailable`, at once or after at most `START_SECONDS`.
    """
    _require(weights)
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            *(str(weights), str(slots)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            # Threads that wait must not spin: on a small machine they take the time from those that work.
            env={**os.environ, "OMP_WAIT_POLICY": "passive"},
            # Ctrl-C in the terminal is for the parent, which still wants its last answers.
            start_new_session=True,
        )
        try:
            yield f"{await _address(process, log)}/v1"
        finally:
            await _stop(process)


def _require(weights: Path) -> None:
    if not weights.is_file():
        raise EmbeddedUnavailable(
            f"The built-in model is not at {weights}; run `panelist model fetch`, or set FLASH_MODEL and a key."
        )


async def _address(process: asyncio.subprocess.Process, log: IO[bytes]) -> str:
    """What the child says once it answers; nothing at all if it dies before."""
    assert process.stdout is not None
    line = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    if not line:
        raise _not_started(log)
    return line.decode().strip()


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


def _not_started(log: IO[bytes]) -> EmbeddedUnavailable:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    if any("No module named 'xllamacpp'" in line for line in lines):
        return EmbeddedUnavailable(
            "The built-in model needs its server, which is not installed; run `pip install 'panelist[local]'`, or set "
            "FLASH_MODEL and a key."
        )
    last = (
        lines[-1].split("Error: ")[-1].strip().rstrip(".")[:200]
        if lines
        else f"no word within {START_SECONDS:.0f} seconds"
    )
    return EmbeddedUnavailable(
        f"The built-in model did not start ({last}); run `panelist model fetch` to check its file, or set FLASH_MODEL "
        f"and a key."
    )


def main() -> None:
    """The child: serves the model in the first argument with as many slots as the second says, until its input ends."""
    said = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # llama.cpp may print too, and the parent reads one line only.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    import xllamacpp

    # The server runs in threads of its own for as long as this value lives.
    server = xllamacpp.Server(_params(weights=sys.argv[1], slots=int(sys.argv[2])))
    address: str = server.listening_address
    _check_health(address)
    said.write(f"{address}\n")
    said.flush()
    sys.stdin.buffer.read()
    # Not sys.exit: that would wait for answers which nobody reads any more.
    os._exit(0)


def _params(weights: str, slots: int) -> Any:
    """The server's parameters: llama.cpp's own names and defaults, but for what is set here."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = {MODEL_NAME}
    params.hostnames = ["127.0.0.1"]
    # A free one, which the server then reports.
    params.port = 0
    params.n_parallel = slots
    # One pool for all slots, so that a synthesis may be longer than an expert's answer; at the same speed as a share
    # for each. In the default 16 bits: 8 bits save 0.26 GB of 0.76 but read long prompts clearly slower.
    params.kv_unified = True
    params.n_ctx = slots * SLOT_TOKENS
    params.n_predict = ANSWER_TOKENS
    # Its default keeps up to 8 GB of old prompts.
    params.cache_ram_mib = 0
    # Nothing for browsers: neither pages nor leave for other pages to call it, nor the prompts of others.
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = "http://127.0.0.1"
    # Errors only. Its log grows with every request otherwise.
    params.verbosity = 1
    return params


def _check_health(address: str) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=START_SECONDS)
    connection.request("GET", "/health")
    status = connection.getresponse().status
    connection.close()
    if status != http.HTTPStatus.OK:
        raise RuntimeError(f"the server says {status} about its health")


if __name__ == "__main__":
    main()
