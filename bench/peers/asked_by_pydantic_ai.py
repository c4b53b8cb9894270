"""Pydantic AI: an Agent for each expert, on an OpenAIChatModel."""

import asyncio
from contextlib import asynccontextmanager

from measuring import prompts, script
from openai import AsyncOpenAI, DefaultAioHttpClient
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


@asynccontextmanager
async def panel(load):
    if load.transport == "aiohttp":
        fast = AsyncOpenAI(base_url=load.base, api_key="bench", http_client=DefaultAioHttpClient())
        provider = OpenAIProvider(openai_client=fast)
    else:
        provider = OpenAIProvider(base_url=load.base, api_key="bench")
    model = OpenAIChatModel("bench", provider=provider)
    experts = [(Agent(model, instructions=instructions), question) for instructions, question in prompts(load.base)]

    async def answer(expert, question):
        return (await expert.run(question)).output

    async def ask():
        return await asyncio.gather(*(answer(*each) for each in experts), return_exceptions=True)

    yield ask
    await provider.client.close()


if __name__ == "__main__":
    script(panel)
