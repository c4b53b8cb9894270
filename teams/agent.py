"""A ReAct agent whose every turn and tool call is a step: recorded once, retried alone, no traceback for the model."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import dspy
import structlog

from teams.answers import answer_fields
from teams.failures import CallFailed, CallFailure
from teams.fanout import asked
from teams.retry import CallLimits
from teams.steps import Json, MemorySteps, Steps
from teams.usage import metering
from teams.wire import dump, load

log = structlog.get_logger()

TOOL_SECONDS = 30.0
"""How long one tool call may take, unless its tool has a deadline of its own. A tool that hangs becomes an observation,
not a hanging run."""


class SteppedReAct(dspy.ReAct):
    """`dspy.ReAct` with the same signature, tools and trajectory; only its async loop is ours.

    DSPy's own loop shows tool tracebacks to the model and gives up on a malformed turn. Here a malformed turn is tried
    again within `limits` and then fails with `CallFailed`; a failing tool is an observation without its traceback, and
    so is a tool that there is not. `deadlines` are seconds of a call by tool.
    """

    def __init__(
        self,
        signature: Any,
        tools: Sequence[Any],
        max_iters: int = 20,
        deadlines: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(signature, tools=list(tools), max_iters=max_iters)
        self.deadlines = dict(deadlines or {})
        # A name that no tool has is to be an observation and no malformed turn. Where a schema binds the answer, it
        # still names the tools and their arguments, or a small model would make up both.
        signature = self.react.signature
        names = list(self.tools)
        signature = signature.with_updated_fields(
            "next_tool_name", type_=str, enum=names, desc=f"one of: {', '.join(names)}"
        )
        self.react.signature = signature.with_updated_fields(
            "next_tool_args",
            type_=dict[str, Any],
            properties={name: _plain(schema) for tool in self.tools.values() for name, schema in tool.args.items()},
            additionalProperties=False,
        )

    def with_tools(self, tools: Sequence[Any], deadlines: Mapping[str, float]) -> "SteppedReAct":
        """This agent with other tools: the same models, and the same prompts where the tools have the same names."""
        agent = SteppedReAct(self.signature, tools, self.max_iters, deadlines)
        agent.extract = self.extract
        if agent.tools.keys() == self.tools.keys():
            agent.react = self.react
        else:
            agent.react.set_lm(self.react.lm)
        return agent

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """The signature's outputs and the `trajectory`. `steps` records turns and tool calls, `limits` bound a turn,
        and `observed` is told what the step of each tool call holds."""
        steps: Steps = inputs.pop("steps", None) or MemorySteps()
        limits: CallLimits = inputs.pop("limits", None) or CallLimits()
        observed: Callable[[Json], None] = inputs.pop("observed", None) or (lambda _: None)
        max_iters = inputs.pop("max_iters", self.max_iters)
        trajectory: dict[str, Any] = {}
        for index in range(max_iters):
            turn = await self._call(steps, f"turn:{index}", self.react, limits, inputs | self._shown(trajectory))
            tool, args = str(turn["next_tool_name"]).strip(), turn["next_tool_args"]
            recorded = await steps.step(f"tool:{index}", self._observe, tool, args)
            observed(recorded)
            trajectory |= {
                f"thought_{index}": turn["next_thought"],
                f"tool_name_{index}": tool,
                f"tool_args_{index}": args,
                f"observation_{index}": recorded["observation"],
            }
            if tool == "finish":
                break
        extracted = await self._call(steps, "extract", self.extract, limits, inputs | self._shown(trajectory))
        return dspy.Prediction(trajectory=trajectory, **extracted)

    def _shown(self, trajectory: dict[str, Any]) -> dict[str, str]:
        return {"trajectory": self._format_trajectory(trajectory)}

    async def _call(self, steps: Steps, key: str, module: Any, limits: CallLimits, inputs: dict[str, Any]) -> Json:
        async def ask() -> Json:
            with metering() as meter:
                outcome = await asked(module, key, limits=limits, **inputs)
            usage = dump(meter.usage)
            if isinstance(outcome, CallFailure):
                return {"failure": dump(outcome), "usage": usage}
            return {"fields": answer_fields(outcome), "usage": usage}

        recorded = await steps.step(key, ask)
        if "failure" in recorded:
            raise CallFailed(key, load(CallFailure, recorded["failure"]))
        fields: Json = recorded["fields"]
        return fields

    async def _observe(self, tool: str, args: dict[str, Any]) -> Json:
        if tool not in self.tools:
            return {"observation": f"There is no tool {tool[:100]!r}. There are: {', '.join(self.tools)}."}
        try:
            async with asyncio.timeout(self.deadlines.get(tool, TOOL_SECONDS)):
                given = await self.tools[tool].acall(**(args if self.tools[tool].args and args else {}))
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is an observation
            log.warning("tool.failed", tool=tool, error=type(error).__name__)
            takes = ", ".join(self.tools[tool].args) or "nothing"
            why = f"{tool} failed ({type(error).__name__}); it takes: {takes}. Try other arguments or another way"
            return {"observation": why}
        # A tool may give a value of its own, of which the step keeps everything and the model sees the observation.
        return dump(given) if is_dataclass(given) else {"observation": str(given)}


def _plain(schema: Any) -> dict[str, Any]:
    """As much of an argument's schema as a grammar can do with: foreign ones may hold anything."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    return {"type": kind} if kind in ("string", "integer", "number", "boolean") else {}
