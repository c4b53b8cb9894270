"""LangGraph: a StateGraph that fans out to six nodes, each on langchain-openai's ChatOpenAI."""

import operator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from measuring import prompts, script
from openai import DefaultAioHttpClient


class State(TypedDict):
    """What the graph hands on: each node adds its answer."""

    topic: str
    answers: Annotated[list[str], operator.add]


@asynccontextmanager
async def panel(load):
    http = DefaultAioHttpClient() if load.transport == "aiohttp" else None
    model = ChatOpenAI(model="bench", base_url=load.base, api_key="bench", http_async_client=http)
    builder = StateGraph(State)
    for number, (instructions, question) in enumerate(prompts(load.base)):
        messages = [SystemMessage(instructions), HumanMessage(question)]

        async def expert(_, messages=messages):
            return {"answers": [(await model.ainvoke(messages)).content]}

        builder.add_node(f"expert{number}", expert)
        builder.add_edge(START, f"expert{number}")
        builder.add_edge(f"expert{number}", END)
    graph = builder.compile()

    async def ask():
        return (await graph.ainvoke({"topic": "Sundays", "answers": []}))["answers"]

    yield ask
    if http is not None:
        await http.aclose()


if __name__ == "__main__":
    script(panel)
