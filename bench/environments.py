"""The environments of the peers: one each, outside the repository, with pinned packages, made when first needed.

They lie in PANELIST_BENCH_HOME, else in ~/.cache/panelist-bench, and are made anew where what they should hold changed.
"""

import asyncio
import hashlib
import json
import os
import shutil
import sys
import venv
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

INSTALL_SECONDS = 900.0
"""How long pip may take for one peer."""

OPENAI = ("openai[aiohttp]==3.57.0", "aiohttp==3.14.5", "uvloop==0.23.0")
"""What all of them call models with, and the transport and loop that are faster than what they come with."""

QUIET: Mapping[str, str] = {
    "AUTOGEN_DISABLE_RUNTIME_TRACING": "true",
    "DO_NOT_TRACK": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
}
"""No peer tells anybody outside what it does."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another way to ask a panel: its script is `bench/peers/asked_by_NAME.py`. `packages` are those that are measured,
    with their versions."""

    name: str
    packages: tuple[str, ...]

    @property
    def requirements(self) -> tuple[str, ...]:
        """What pip installs for it."""
        return (*self.packages, *OPENAI)

    @property
    def script(self) -> Path:
        """What measures it."""
        return Path(__file__).parent / "peers" / f"asked_by_{self.name}.py"

    @property
    def versions(self) -> str:
        """Its packages and the client below them, as they are told beside its figures."""
        return ", ".join((*self.packages, OPENAI[0]))


PEERS = (
    Peer("langgraph", ("langgraph==1.2.24", "langchain-openai==1.7.4")),
    Peer("pydantic_ai", ("pydantic-ai-slim[openai]==2.68.0",)),
    Peer("openai_agents", ("openai-agents==0.24.0",)),
    Peer("autogen", ("autogen-agentchat==0.7.5", "autogen-ext[openai]==0.7.5")),
)


def home() -> Path:
    """Where the environments lie."""
    return Path(os.environ.get("PANELIST_BENCH_HOME") or Path.home() / ".cache" / "panelist-bench")


def folder_of(peer: Peer) -> Path:
    """A peer's environment, named after all that it depends on."""
    wanted = json.dumps([sys.version, *peer.requirements])
    return home() / f"{peer.name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"


async def python_of(peer: Peer) -> Path:
    """The interpreter of a peer's environment, which is made where it is not there. Raises `RuntimeError` with pip's
    last words where that fails."""
    folder = folder_of(peer)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    whole = folder / "whole"
    if whole.exists():
        return python
    print(f"installing {', '.join(peer.packages)} into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    await asyncio.to_thread(venv.create, folder, with_pip=True)
    command = (str(python), "-m", "pip", "install", "--quiet", "--no-input", *peer.requirements)
    pip = await asyncio.create_subprocess_exec(*command, stderr=PIPE)
    try:
        async with asyncio.timeout(INSTALL_SECONDS):
            _, said = await pip.communicate()
    except TimeoutError:
        pip.kill()
        await pip.wait()
        raise RuntimeError(f"pip took over {INSTALL_SECONDS:g} s for {peer.name}") from None
    if pip.returncode:
        raise RuntimeError(f"{peer.name} could not be installed: {said.decode(errors='replace')[-1000:].strip()}")
    whole.touch()
    return python


def environment_of(peer: Peer) -> dict[str, str]:
    """The environment variables of a peer's process: none of this machine's keys, addresses and proxies."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "SYSTEMROOT") if name in os.environ}
    return kept | QUIET
