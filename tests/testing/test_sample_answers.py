"""Default responses: an object of each endpoint's own type for any request."""

import json

import openai.types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from batchfsm.testing import FakeBatchAPI
from batchfsm.testing.request_checks import ENDPOINTS
from batchfsm.testing.sample_answers import DIMENSIONS, sample_answer

TYPES = {
    "/v1/responses": Response,
    "/v1/chat/completions": ChatCompletion,
    "/v1/embeddings": openai.types.CreateEmbeddingResponse,
    "/v1/completions": openai.types.Completion,
    "/v1/moderations": openai.types.ModerationCreateResponse,
    "/v1/images/generations": openai.types.ImagesResponse,
    "/v1/images/edits": openai.types.ImagesResponse,
    "/v1/videos": getattr(openai.types, "Video", None),
}
"""The type of each endpoint's objects; None if this openai has none."""

NAMES = ("model", "messages", "input", "prompt", "dimensions", "n")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner),
    max_leaves=6,
)


def type_of(endpoint):
    """Return the type of an endpoint's objects; skip the test if this openai has none."""
    if TYPES[endpoint] is None:
        pytest.skip(f"openai {openai.__version__} has no type for {endpoint}")
    return TYPES[endpoint]


def answer(endpoint, **body):
    """Return the default response to a request."""
    return sample_answer(endpoint, body, "a", 5)


def test_every_endpoint_has_an_answer():
    """Each endpoint that a batch accepts has a default response."""
    assert set(ENDPOINTS) == set(TYPES)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@settings(max_examples=20)
@given(body=st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_an_answer_is_an_object_of_the_endpoints_type(endpoint, body):
    """Openai's model validates it and declares each of its fields; equal requests have equal responses."""
    found = sample_answer(endpoint, body, "a", 5)
    model = type_of(endpoint).model_validate(found)

    assert set() == set(model.model_extra or {})
    assert found == json.loads(json.dumps(found)) == sample_answer(endpoint, body, "a", 5)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_output_file_holds_such_answers(endpoint):
    """The file has one for each request of the batch."""
    api = FakeBatchAPI("validating 0s > in_progress 0s > finalizing 0s > completed")
    request = {"custom_id": "a", "method": "POST", "url": endpoint, "body": {"model": "m", "input": "x"}}
    with api.client() as client:
        fields = {"input_file_id": api.add_file(json.dumps(request).encode()), "completion_window": "24h"}
        batch = client.batches.create(endpoint=endpoint, **fields)
        row = json.loads(client.files.content(client.batches.retrieve(batch.id).output_file_id).text)

    type_of(endpoint).model_validate(row["response"]["body"])


@pytest.mark.parametrize(
    "messages, content", [([{"content": "a"}, {"content": "b"}], "b"), ([], ""), ("x", "x"), ([5], ""), (None, "")]
)
def test_a_chat_is_answered_with_its_last_message(messages, content):
    """The answer is empty if there is no message."""
    assert content == answer("/v1/chat/completions", messages=messages)["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "value, count", [("x", 1), (["x", "y"], 2), ([1, 2, 3], 1), ([[1], [2, 3]], 2), ([], 1), (None, 1)]
)
def test_each_input_has_one_result(value, count):
    """The input is text or tokens, single or in a list."""
    assert count == len(answer("/v1/embeddings", input=value)["data"])
    assert count == len(answer("/v1/moderations", input=value)["results"])
    assert count == len(answer("/v1/completions", prompt=value)["choices"])


def test_an_embedding_depends_on_its_input_alone():
    """Its length is the requested one."""
    first, second = (each["embedding"] for each in answer("/v1/embeddings", input=["x", "y"])["data"])

    assert (DIMENSIONS, True) == (len(first), first != second)
    assert second == answer("/v1/embeddings", input="y")["data"][0]["embedding"]
    assert all(-1 <= value <= 1 for value in first + second)
    assert 3 == len(answer("/v1/embeddings", input="x", dimensions=3)["data"][0]["embedding"])


def test_as_many_pictures_come_as_are_asked_for():
    """The default is one."""
    assert [1, 4] == [len(answer("/v1/images/generations", **body)["data"]) for body in ({}, {"n": 4})]
