"""OpenAI's Agents SDK: an Agent for each expert, run by Runner.run on chat completions."""

import asyncio
from contextlib import asynccontextmanager

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from measuring import prompts, script
from openai import AsyncOpenAI, DefaultAioHttpClient


@asynccontextmanager
async def panel(load):
    set_tracing_disabled(True)
    aiohttp = {"http_client": DefaultAioHttpClient()} if load.transport == "aiohttp" else {}
    client = AsyncOpenAI(base_url=load.base, api_key="bench", **aiohttp)
    model = OpenAIChatCompletionsModel(model="bench", openai_client=client)
    experts = [
        (Agent(name=f"expert{number}", instructions=instructions, model=model), question)
        for number, (instructions, question) in enumerate(prompts(load.base))
    ]

    async def answer(expert, question):
        return (await Runner.run(expert, question)).final_output

    async def ask():
        return await asyncio.gather(*(answer(*each) for each in experts), return_exceptions=True)

    yield ask
    await client.close()


if __name__ == "__main__":
    script(panel)
