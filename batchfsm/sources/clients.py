"""Sources over clients that are made from the environment, as each SDK does by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from batchfsm.errors import UnknownNameError, needs_extra
from batchfsm.sources.providers import anthropic, bedrock, gemini, mistral


def _anthropic() -> Any:
    from anthropic import Anthropic  # noqa: PLC0415  # An extra's library, loaded on use.

    return anthropic(Anthropic())


def _gemini() -> Any:
    from google.genai import Client  # noqa: PLC0415  # As above.

    return gemini(Client())


def _bedrock() -> Any:
    import boto3  # noqa: PLC0415  # As above.

    return bedrock(boto3.client("bedrock"))


def _mistral() -> Any:
    from mistralai.client import Mistral  # noqa: PLC0415  # As above.

    return mistral(Mistral(api_key=os.environ.get("MISTRAL_API_KEY")))


PROVIDERS: Final[Mapping[str, Callable[[], Any]]] = MappingProxyType(
    {"anthropic": _anthropic, "gemini": _gemini, "bedrock": _bedrock, "mistral": _mistral}
)
"""By dialect: a function that returns a source over a client of the provider's SDK."""


def connect(provider: str) -> Any:
    """
    Return a source for `watch` over a client whose key comes from the environment.

    Args:
        provider: One of `PROVIDERS`.

    Raises:
        UnknownNameError: If there is no such provider.
        MissingExtraError: If its SDK is not installed.
    """
    if provider not in PROVIDERS:
        raise UnknownNameError("provider", provider, PROVIDERS)
    with needs_extra(f"watching batches of {provider}", provider):
        return PROVIDERS[provider]()
