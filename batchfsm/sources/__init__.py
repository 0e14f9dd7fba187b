"""Sources for `watch` over the SDKs of other providers: each takes the SDK's client, sync or async."""

from batchfsm.sources.clients import PROVIDERS, connect
from batchfsm.sources.provider_source import AsyncProviderSource, ProviderSource
from batchfsm.sources.providers import anthropic, bedrock, gemini, mistral

__all__ = [
    "PROVIDERS",
    "AsyncProviderSource",
    "ProviderSource",
    "anthropic",
    "bedrock",
    "connect",
    "gemini",
    "mistral",
]
