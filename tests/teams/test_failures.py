"""Every exception of DSPy has a kind and a sentence, and no sentence quotes anybody."""

import inspect

import pytest
from dspy.utils import exceptions

from teams.engine import AnswerCutOff, AnswerRefused
from teams.failures import TRANSLATIONS, translate
from teams.model import FailureKind

CLASSES = [cls for _, cls in inspect.getmembers(exceptions, inspect.isclass) if issubclass(cls, exceptions.DSPyError)]


def make(cls: type) -> Exception:
    if cls is exceptions.AdapterParseError:
        import dspy

        return cls("ChatAdapter", dspy.Signature("a -> b"), "CANARY text of the model")
    return cls(message="CANARY from the provider")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_of_dspy_is_translated_under_its_own_name(cls):
    assert cls.__name__ in TRANSLATIONS
    fault = translate(make(cls))
    assert isinstance(fault.kind, FailureKind)
    assert "CANARY" not in fault.sentence
    assert cls.__name__ not in fault.sentence


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_what_dspy_calls_retryable_is_transient_here(cls):
    ours_too = cls is exceptions.LMStreamAssemblyError
    assert translate(make(cls)).transient == (exceptions.is_retryable_lm_error(make(cls)) or ours_too)


def test_the_table_names_nothing_that_does_not_exist():
    ours = {"AnswerCutOff", "AnswerRefused", "ServerRedirects", "CircuitOpen"}
    assert set(TRANSLATIONS) == {cls.__name__ for cls in CLASSES} | ours


@pytest.mark.parametrize(("error", "kind"), [(AnswerCutOff(), "cut_off"), (AnswerRefused(), "refused")])
def test_the_engines_own_refusals_are_translated(error, kind):
    assert translate(error).kind == kind


def test_an_exception_nobody_foresaw_is_named_by_class_and_not_quoted():
    fault = translate(RuntimeError("CANARY"))
    assert fault.kind is FailureKind.UNAVAILABLE
    assert "RuntimeError" in fault.sentence
    assert "CANARY" not in fault.sentence
    assert not fault.transient


def test_an_unknown_model_is_told_apart_from_other_refusals():
    assert "does not know the model" in translate(exceptions.LMInvalidRequestError("x", status=404)).sentence
    assert translate(exceptions.LMInvalidRequestError("x", status=413)).kind is FailureKind.TOO_LONG


def test_a_prompt_over_llama_cpps_context_is_too_long():
    error = exceptions.LMInvalidRequestError("x", status=400, provider_code="exceed_context_size_error")
    assert translate(error).kind is FailureKind.TOO_LONG


def test_an_empty_answer_is_called_empty():
    import dspy

    error = exceptions.AdapterParseError("ChatAdapter", dspy.Signature("a -> b"), "  ")
    assert translate(error).sentence == "the model answered with nothing"
