"""A ReAct agent whose every turn and tool call is a step: recorded once, retried alone, no traceback for the model."""

import asyncio
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
"""How long one tool call may take. A tool that hangs becomes an observation, not a hanging run."""


class SteppedReAct(dspy.ReAct):
    """`dspy.ReAct` with the same signature, tools and trajectory; only its async loop is ours.

    DSPy's own loop shows tool tracebacks to the model and gives up on a malformed turn. Here a malformed turn is tried
    again within `limits` and then fails with `CallFailed`; a failing tool is an observation without its traceback.
    """

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """The signature's outputs and the `trajectory`. `steps` records turns and tool calls, `limits` bound a turn."""
        steps: Steps = inputs.pop("steps", None) or MemorySteps()
        limits: CallLimits = inputs.pop("limits", None) or CallLimits()
        max_iters = inputs.pop("max_iters", self.max_iters)
        trajectory: dict[str, Any] = {}
        for index in range(max_iters):
            turn = await self._call(steps, f"turn:{index}", self.react, limits, inputs | self._shown(trajectory))
            tool, args = turn["next_tool_name"], turn["next_tool_args"]
            observed = await steps.step(f"tool:{index}", self._observe, tool, args)
            trajectory |= {
                f"thought_{index}": turn["next_thought"],
                f"tool_name_{index}": tool,
                f"tool_args_{index}": args,
                f"observation_{index}": observed["observation"],
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
        try:
            async with asyncio.timeout(TOOL_SECONDS):
                return {"observation": str(await self.tools[tool].acall(**args))}
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is an observation
            log.warning("tool.failed", tool=tool, error=type(error).__name__)
            return {"observation": f"{tool} failed ({type(error).__name__}); try other arguments or another way"}
