"""Constrained answers: every string and list bounded, nothing open, and the model's adapter chosen by its server."""

import dspy
import pydantic
import pytest

from teams.lms import adapter_for, make_lm
from teams.scripted import scripted_lm
from teams.signatures import (
    ExpertSignature,
    ResearchAnalysisSignature,
    ResearchSynthesisSignature,
    SearchSignature,
    SynthesisSignature,
)
from teams.structured import SchemaAdapter, answer_schema
from teams.tiers import ModelChoice

SIGNATURES = [
    ExpertSignature,
    SynthesisSignature,
    SearchSignature,
    ResearchAnalysisSignature,
    ResearchSynthesisSignature,
]


def parts(schema):
    yield schema
    for value in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(value, dict | list):
            yield from parts(value)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_every_string_and_list_of_a_schema_is_bounded_and_every_object_closed(signature):
    schema = answer_schema(signature, 300, 4)
    typed = [part for part in parts(schema) if isinstance(part, dict) and "type" in part]
    for part in typed:
        if part["type"] == "string":
            assert part["maxLength"] <= 300
        if part["type"] == "array":
            assert part["maxItems"] <= 4
    assert schema["additionalProperties"] is False
    assert schema["required"] == list(signature.output_fields)


def test_a_field_keeps_the_tighter_bound_of_its_own():
    properties = answer_schema(ExpertSignature, 300, 4)["properties"]
    assert properties["headline"]["maxLength"] == 140
    assert properties["analysis"]["maxLength"] == 300


def test_a_number_between_bounds_is_one_of_eleven_so_that_it_has_an_end():
    confidence = answer_schema(ExpertSignature, 300, 4)["properties"]["confidence"]
    assert confidence == {"enum": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]}


def test_a_field_may_be_called_like_a_word_of_the_schema_language():
    class Card(pydantic.BaseModel):
        title: str
        description: str

    class Signature(dspy.Signature):
        """Fill in the card."""

        question: str = dspy.InputField()
        title: Card = dspy.OutputField()

    schema = answer_schema(Signature, 50, 2)
    assert set(schema["properties"]) == {"title"}
    assert set(schema["$defs"]["Card"]["properties"]) == {"title", "description"}


def test_a_constrained_prompt_holds_no_template_that_a_small_model_could_copy():
    inputs = dict.fromkeys(ExpertSignature.input_fields, "given")
    system, _ = SchemaAdapter(300, 4).format(ExpertSignature, demos=[], inputs=inputs)
    assert "fields headline, analysis, key_points, recommendation, confidence" in system["content"]
    assert "{headline}" not in system["content"]
    assert "[[ ##" not in system["content"]


def test_the_adapter_follows_the_server():
    chat = make_lm(ModelChoice("openai/x", None, "http://127.0.0.1:9/v1"))
    constrained = make_lm(ModelChoice("openai/x", None, "http://127.0.0.1:9/v1", answer_format="json_schema"))

    assert type(adapter_for(chat)) is dspy.ChatAdapter
    assert isinstance(adapter_for(constrained), SchemaAdapter)
    assert adapter_for(constrained) is adapter_for(constrained)
    assert type(adapter_for(scripted_lm(lambda _: None))) is dspy.ChatAdapter
