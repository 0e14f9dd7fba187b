"""The default answer of each endpoint: a small object of the type that OpenAI answers with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final

DIMENSIONS: Final = 8
"""Length of an embedding whose request does not say `dimensions`."""

PIXEL_PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A picture of one pixel, in Base64."""

_CATEGORIES: Final = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip

Body = Mapping[str, Any]
Sample = Callable[[Body, str, int], Body]
"""Returns the answer to a request: its body, its custom_id, and the time in Unix seconds."""


def sample_answer(endpoint: str, body: Body, custom_id: str, created_at: int) -> Body:
    """Return the default answer of an endpoint to one request; the same request has the same answer."""
    return _SAMPLES[endpoint](body, custom_id, created_at)


def _model(body: Body, default: str) -> str:
    model = body.get("model")
    return model if isinstance(model, str) else default


def _inputs(value: object) -> list[object]:
    """Return the inputs of a request: text, or tokens, or several of either."""
    several = isinstance(value, list) and value and all(isinstance(item, str | list) for item in value)
    return list(value) if several and isinstance(value, list) else [value]


def _text(value: object) -> str:
    """Return the text of a prompt, an input or the last message; empty if there is none."""
    last = value[-1] if isinstance(value, list) and value else value
    content = last.get("content") if isinstance(last, dict) else last
    return content if isinstance(content, str) else ""


def _chat_completion(body: Body, custom_id: str, created_at: int) -> Body:
    message = {"role": "assistant", "content": _text(body.get("messages")), "refusal": None}
    return {
        "id": f"chatcmpl-{custom_id}",
        "object": "chat.completion",
        "created": created_at,
        "model": _model(body, "gpt-5-2025-08-07"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _completion(body: Body, custom_id: str, created_at: int) -> Body:
    prompts = _inputs(body.get("prompt"))
    return {
        "id": f"cmpl-{custom_id}",
        "object": "text_completion",
        "created": created_at,
        "model": _model(body, "gpt-3.5-turbo-instruct"),
        "choices": [
            {"index": index, "text": _text(prompt), "logprobs": None, "finish_reason": "stop"}
            for index, prompt in enumerate(prompts)
        ],
        "usage": {"prompt_tokens": len(prompts), "completion_tokens": len(prompts), "total_tokens": 2 * len(prompts)},
    }


def _embeddings(body: Body, _: str, __: int) -> Body:
    inputs, dimensions = _inputs(body.get("input")), body.get("dimensions")
    length = dimensions if isinstance(dimensions, int) and 0 < dimensions <= 4096 else DIMENSIONS  # noqa: PLR2004  # Bounds the file.
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector(item, length)}
            for index, item in enumerate(inputs)
        ],
        "model": _model(body, "text-embedding-3-small"),
        "usage": {"prompt_tokens": len(inputs), "total_tokens": len(inputs)},
    }


def _vector(item: object, length: int) -> list[float]:
    """Return numbers between -1 and 1 that depend on the input alone."""
    seed = json.dumps(item).encode()
    digests = (blake2b(seed, digest_size=2, salt=index.to_bytes(2)).digest() for index in range(length))
    return [round(int.from_bytes(digest) / 32_767.5 - 1, 6) for digest in digests]


def _moderation(body: Body, custom_id: str, _: int) -> Body:
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.0),
        "category_applied_input_types": {category: ["text"] for category in _CATEGORIES},
    }
    return {
        "id": f"modr-{custom_id}",
        "model": _model(body, "omni-moderation-latest"),
        "results": [result for _ in _inputs(body.get("input"))],
    }


def _response(body: Body, custom_id: str, created_at: int) -> Body:
    text = {"type": "output_text", "text": _text(body.get("input")), "annotations": []}
    message = {
        "id": f"msg_{custom_id}", "type": "message", "role": "assistant", "status": "completed", "content": [text],
    }  # fmt: skip
    return {
        "id": f"resp_{custom_id}",
        "object": "response",
        "created_at": created_at,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": _model(body, "gpt-5-2025-08-07"),
        "output": [message],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 2,
        },
    }


def _images(body: Body, _: str, created_at: int) -> Body:
    number = body.get("n")
    count = number if isinstance(number, int) and 1 <= number <= 10 else 1  # noqa: PLR2004  # OpenAI's most.
    return {
        "created": created_at,
        "data": [{"b64_json": PIXEL_PNG} for _ in range(count)],
        "output_format": "png",
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": 1},
            "output_tokens": count,
            "total_tokens": count + 1,
        },
    }


def _video(body: Body, custom_id: str, created_at: int) -> Body:
    return {
        "id": f"video_{custom_id}",
        "object": "video",
        "created_at": created_at,
        "completed_at": created_at,
        "expires_at": None,
        "error": None,
        "model": _model(body, "sora-2"),
        "progress": 100,
        "prompt": _text(body.get("prompt")),
        "remixed_from_video_id": None,
        "seconds": str(body.get("seconds", "4")),
        "size": str(body.get("size", "720x1280")),
        "status": "completed",
    }


_SAMPLES: Final[Mapping[str, Sample]] = MappingProxyType(
    {
        "/v1/responses": _response,
        "/v1/chat/completions": _chat_completion,
        "/v1/embeddings": _embeddings,
        "/v1/completions": _completion,
        "/v1/moderations": _moderation,
        "/v1/images/generations": _images,
        "/v1/images/edits": _images,
        "/v1/videos": _video,
    }
)
