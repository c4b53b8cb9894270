"""AutoGen: an AssistantAgent for each expert, on one OpenAIChatCompletionClient.

Agents remember what they were asked, so each panel has its own.
"""

import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from measuring import prompts, script
from openai import DefaultAioHttpClient

MODEL = {
    "vision": False,
    "function_calling": False,
    "json_output": False,
    "structured_output": False,
    "family": "unknown",
}


@asynccontextmanager
async def panel(load):
    # It warns of every model whose price it does not know.
    logging.getLogger("autogen_core").setLevel(logging.ERROR)
    aiohttp = {"http_client": DefaultAioHttpClient()} if load.transport == "aiohttp" else {}
    client = OpenAIChatCompletionClient(model="bench", base_url=load.base, api_key="bench", model_info=MODEL, **aiohttp)
    experts = prompts(load.base)

    async def answer(number, instructions, question):
        expert = AssistantAgent(f"expert{number}", client, system_message=instructions)
        return (await expert.run(task=question)).messages[-1].content

    async def ask():
        asked = (answer(number, *texts) for number, texts in enumerate(experts))
        return await asyncio.gather(*asked, return_exceptions=True)

    yield ask
    await client.close()


if __name__ == "__main__":
    script(panel)
