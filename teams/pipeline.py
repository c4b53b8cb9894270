"""ParallelPipeline: two different modules on one question, side by side, each free to fail alone."""

from typing import Any

import dspy

from teams.failures import CallFailure
from teams.fanout import Job, all_failed, asked, failed_entry, fan_out
from teams.signatures import EvidenceSignature, IdeaSignature


class ParallelPipeline(dspy.Module):
    """Ideas and evidence for a question. Raises `ValueError` when `shared_lm` is None."""

    def __init__(self, shared_lm: Any) -> None:
        if shared_lm is None:
            raise ValueError("shared_lm required")
        super().__init__()
        self.idea_gen = dspy.ChainOfThought(IdeaSignature)
        self.evidence = dspy.Predict(EvidenceSignature)
        self.idea_gen.set_lm(shared_lm)
        self.evidence.set_lm(shared_lm)

    async def aforward(self, question: str) -> dspy.Prediction:
        """`ideas` and `evidence`, None for the one that failed; `failed` as `{module, error, kind, attempts}`."""
        outcomes: dict[str, Any] = {}
        jobs: dict[str, Job[Any]] = {
            "ideas": lambda: asked(self.idea_gen, "ideas", question=question),
            "evidence": lambda: asked(self.evidence, "evidence", question=question),
        }
        async with fan_out(jobs, outcomes.__setitem__):
            pass
        failed = [failed_entry("module", name, out) for name, out in outcomes.items() if isinstance(out, CallFailure)]
        answered = {name: out[name] for name, out in outcomes.items() if not isinstance(out, CallFailure)}
        return dspy.Prediction(
            ideas=answered.get("ideas"),
            evidence=answered.get("evidence"),
            failed=failed,
            error=all_failed(list(answered), failed),
        )
