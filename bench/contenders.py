"""Who is measured: each a block that gives one function, which asks one panel of six and counts who did not answer.

Imports stay inside, so that the process of one contender does not carry the weight of another.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.peers.measuring import EXPERTS, AskPanel, Contender

MODEL = "openai/bench"
KEY = "bench"
TOPIC = "Should a bakery with four shops open on Sundays, and what would show within three months that it was right?"
PROFILE = "A family bakery in a town of 60,000: four shops, 48 people, bread baked by hand since 1931."


@asynccontextmanager
async def panelist(base: str, limit: int) -> AsyncIterator[AskPanel]:
    """ExpertPanel on this project's engine, without a synthesis."""
    from pydantic import SecretStr

    from teams.lms import close_pools, make_lm
    from teams.tiers import ModelChoice

    lm = make_lm(ModelChoice(MODEL, SecretStr(KEY), base, max_parallel_requests=limit))
    try:
        yield _expert_panel(lm)
    finally:
        await close_pools(lm)


@asynccontextmanager
async def dspy_stock(base: str, limit: int) -> AsyncIterator[AskPanel]:
    """The same ExpertPanel on a `dspy.LM` as it comes. Its number in flight is DSPy's and `limit` has no say."""
    import dspy

    lm = dspy.LM(MODEL, api_base=base, api_key=KEY, cache=False, num_retries=0, engine="lm15")
    try:
        yield _expert_panel(lm)
    finally:
        await lm.aclose()


@asynccontextmanager
async def raw_aiohttp(base: str, limit: int) -> AsyncIterator[AskPanel]:
    """The same bytes on one bare session, the answer parsed as JSON and no further: the floor."""
    import aiohttp

    loads = _json_loads()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=limit)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        async with session.get(base.removesuffix("/v1") + "/kept") as reply:
            bodies = [text.encode() for text in await reply.json()]

        async def call(body: bytes) -> bool:
            async with session.post(f"{base}/chat/completions", data=body) as reply:
                return bool(loads(await reply.read())["choices"][0]["message"]["content"])

        async def ask() -> int:
            return EXPERTS - sum(await asyncio.gather(*map(call, bodies)))

        yield ask


CONTENDERS: dict[str, Contender] = {"panelist": panelist, "dspy_stock": dspy_stock, "raw_aiohttp": raw_aiohttp}


def _json_loads() -> Any:
    """The fastest parser that is installed: a floor is not to be higher than it has to be."""
    try:
        import orjson
    except ImportError:
        import json

        return json.loads
    return orjson.loads


def _expert_panel(lm: Any) -> AskPanel:
    from teams.panel import ExpertPanel

    panel = ExpertPanel(lm)

    async def ask() -> int:
        answer = await panel.acall(topic=TOPIC, entity_profile=PROFILE)
        return EXPERTS - len(answer.expert_analyses)

    return ask
