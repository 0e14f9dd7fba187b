"""Sources of other providers over stand-ins for their SDKs' clients: objects, pages, and errors."""

import asyncio
import json
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

import batchfsm
from batchfsm import Monitor
from batchfsm.errors import MissingExtraError, UnknownNameError
from batchfsm.sources import PROVIDERS, anthropic, bedrock, connect, gemini, mistral, provider_source
from batchfsm.sources.provider_source import classify
from batchfsm.watching import Fatal, Gone, Transient
from support.other_providers import ANTHROPIC, BEDROCK, ENDED, GEMINI, MISTRAL
from support.paths import ROOT


class SDKError(Exception):
    """An error of an SDK with the given attributes."""

    def __init__(self, **attributes):
        super().__init__("a text that may hold a key")
        vars(self).update(attributes)


def raw(found):
    """Return a raw response of anthropic."""
    return SimpleNamespace(http_response=SimpleNamespace(content=json.dumps(found).encode()))


class Batches:
    """The batches of an Anthropic client: two pages, and one batch that exists."""

    def __init__(self):
        self.with_raw_response = self
        self.asked = []

    def retrieve(self, batch_id):
        self.asked.append(batch_id)
        if batch_id == "msgbatch_1":
            return raw(ENDED)
        if batch_id == "odd":
            return raw({"type": "error"})
        raise SDKError(status_code=404)

    def list(self, **options):
        self.asked.append(options)
        if "after_id" in options:
            return raw({"data": [ANTHROPIC, {"odd": 1}], "has_more": False, "last_id": "b"})
        return raw({"data": [ENDED], "has_more": True, "last_id": "a"})


class AsyncBatches(Batches):
    """The batches of an async Anthropic client."""

    async def retrieve(self, batch_id):
        return super().retrieve(batch_id)

    async def list(self, **options):
        return super().list(**options)


def client_of(batches):
    return SimpleNamespace(messages=SimpleNamespace(batches=batches))


async def listed(source):
    return [each async for each in source.list()]


def test_anthropic():
    """`fetch` returns a snapshot or an error for each id, and `list` every page."""
    batches = Batches()
    source = anthropic(client_of(batches))
    answers = source.fetch(("msgbatch_1", "gone", "odd"))

    assert "ended" == answers["msgbatch_1"].status
    assert answers["msgbatch_1"].observed_at is not None
    assert isinstance(answers["gone"], Gone)
    assert isinstance(answers["odd"], Transient)
    assert ["ended", "in_progress"] == [each.status for each in source.list()]
    assert [{"limit": 1000}, {"limit": 1000, "after_id": "a"}] == batches.asked[-2:]


def test_anthropic_async():
    """An async client has the same results."""
    source = anthropic(client_of(AsyncBatches()))
    answers = asyncio.run(source.fetch(("msgbatch_1", "gone")))

    assert ("ended", True) == (answers["msgbatch_1"].status, isinstance(answers["gone"], Gone))
    assert ["ended", "in_progress"] == [each.status for each in asyncio.run(listed(source))]


class Transport:
    """A stand-in for the transport of google-genai."""

    def request(self, method, path, request):
        assert ("get", {}) == (method, request)
        if path == "batches/1":
            return SimpleNamespace(body=json.dumps(GEMINI))
        if path == "batches?pageSize=100":
            return SimpleNamespace(body=json.dumps({"operations": [GEMINI], "nextPageToken": "t"}))
        if path == "batches?pageSize=100&pageToken=t":
            return SimpleNamespace(body="")
        raise SDKError(code=404, response=SimpleNamespace(headers={}))

    async def async_request(self, *arguments):
        return self.request(*arguments)


def test_gemini():
    """The counts are there, which google-genai's own objects leave out; an empty page has no body."""
    source = gemini(SimpleNamespace(_api_client=Transport(), aio=None))
    answers = source.fetch(("batches/1", "1", "batches/2"))

    assert 3 == answers["batches/1"].request_counts.total == answers["1"].request_counts.total
    assert isinstance(answers["batches/2"], Gone)
    assert ["completed"] == [each.status for each in source.list()]


def test_gemini_async():
    source = gemini(SimpleNamespace(_api_client=Transport()))

    assert "completed" == asyncio.run(source.fetch(("1",)))["1"].status
    assert ["completed"] == [each.status for each in asyncio.run(listed(source))]


class Boto:
    """A stand-in for boto3's Bedrock client."""

    def get_model_invocation_job(self, *, jobIdentifier):  # noqa: N803  # The name is boto3's.
        if jobIdentifier == "1":
            return BEDROCK | {"ResponseMetadata": {"RequestId": "x"}}
        raise SDKError(response={"Error": {"Code": jobIdentifier}})

    def list_model_invocation_jobs(self, **options):
        return {"invocationJobSummaries": [BEDROCK]} | ({} if "nextToken" in options else {"nextToken": "t"})


def test_bedrock():
    """The error code of botocore gives the class: a missing job is gone and is not polled again."""
    source = bedrock(Boto())
    answers = source.fetch(("1", "ResourceNotFoundException", "ThrottlingException", "AccessDeniedException", "Other"))

    assert "expired" == answers["1"].status
    assert "ResponseMetadata" not in answers["1"].extra
    assert isinstance(answers["ResourceNotFoundException"], Gone)
    assert answers["ThrottlingException"].is_throttled
    assert isinstance(answers["AccessDeniedException"], Fatal)
    assert isinstance(answers["Other"], Transient)
    assert 2 == len(list(source.list()))


class Job:
    """A stand-in for a job of mistralai."""

    def model_dump(self, *, mode):
        assert "json" == mode
        return MISTRAL


class Jobs:
    """The 101 jobs of a mistralai client."""

    def get(self, *, job_id):
        if job_id == "none":
            raise SDKError(status_code=401)
        return Job()

    def list(self, *, page, page_size):
        assert 100 == page_size
        return SimpleNamespace(data=[Job()] * (100 if page == 0 else 1), total=101)

    async def get_async(self, **options):
        return self.get(**options)

    async def list_async(self, **options):
        return self.list(**options)


def test_mistral():
    client = SimpleNamespace(batch=SimpleNamespace(jobs=Jobs()))
    source, async_source = mistral(client), mistral(client, is_async=True)

    assert "in_progress" == source.fetch(("x",))["x"].status
    assert isinstance(source.fetch(("none",))["none"], Fatal)
    assert 101 == len(list(source.list()))
    assert "in_progress" == asyncio.run(async_source.fetch(("x",)))["x"].status
    assert 101 == len(asyncio.run(listed(async_source)))


def test_an_async_error_is_classified():
    client = SimpleNamespace(batch=SimpleNamespace(jobs=Jobs()))

    assert isinstance(asyncio.run(mistral(client, is_async=True).fetch(("none",)))["none"], Fatal)


def test_a_list_without_an_end_ends(monkeypatch):
    """A cursor that never becomes null is followed for `PAGES_MAX` pages."""
    monkeypatch.setattr(provider_source, "PAGES_MAX", 5)
    page = raw({"data": [ENDED], "has_more": True, "last_id": "a"})
    batches = SimpleNamespace(list=lambda **_: page, retrieve=lambda _: page)
    batches.with_raw_response = batches

    async def list_async(**_):
        return page

    async def retrieve_async(_):
        return page

    async_batches = SimpleNamespace(list=list_async, retrieve=retrieve_async)
    async_batches.with_raw_response = async_batches

    assert 5 == len(list(anthropic(client_of(batches)).list()))
    assert 5 == len(asyncio.run(listed(anthropic(client_of(async_batches)))))


@pytest.mark.parametrize(
    "error, kind, reason",
    [
        (SDKError(response={"Error": {"Code": "ValidationException"}}), Fatal, "ValidationException"),
        (type("NoCredentialsError", (Exception,), {})(), Fatal, "NoCredentialsError"),
        (
            SDKError(code=429, response=SimpleNamespace(headers={"retry-after": "7"})),
            Transient,
            "HTTP 429 Too Many Requests",
        ),
        (SDKError(code=503), Transient, "HTTP 503 Service Unavailable"),
        (SDKError(status_code=410, code="gone"), Gone, "HTTP 410 Gone"),
        (TimeoutError(), Transient, "TimeoutError"),
    ],
)
def test_errors_are_classified(error, kind, reason):
    """Status codes and names give the class; the reason does not have the error's text, which may hold a key."""
    found = classify(error, now=0.0)

    assert (kind, reason) == (type(found), found.reason)
    assert "key" not in repr(found)
    assert getattr(found, "retry_after_s", None) == (7.0 if "429" in reason else None)


def test_a_watch_of_a_provider_ends():
    """Hooks run for each status, and a deleted batch does not delay the end."""
    monitor, fired = Monitor("anthropic"), []
    monitor.on()(lambda transition: fired.append(transition.target))
    source = anthropic(client_of(Batches()))
    errors = []
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    list(
        batchfsm.watch(
            None, "msgbatch_1", "gone", source=source, monitor=monitor, on_error=errors.append,
            clock=lambda: now[0], sleep=sleep,
        )
    )  # fmt: skip

    assert ["in_progress", "cancelling", "ended"] == fired
    assert 1 == len(errors)


# ---------------------------------------------------------------- clients from the environment

MODULES = {
    "anthropic": {"anthropic": {"Anthropic": lambda: client_of(Batches())}},
    "gemini": {"google": {}, "google.genai": {"Client": lambda: SimpleNamespace(_api_client=Transport(), aio=None)}},
    "bedrock": {"boto3": {"client": lambda name: {"bedrock": Boto()}[name]}},
    "mistral": {
        "mistralai": {},
        "mistralai.client": {"Mistral": lambda api_key: SimpleNamespace(batch=SimpleNamespace(jobs=Jobs()))},
    },
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_client_is_made_as_the_sdk_does(provider, monkeypatch):
    """Each source has the dialect of its provider."""
    for name, members in MODULES[provider].items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)

    assert provider == connect(provider).dialect


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_missing_sdk_names_its_extra(provider, monkeypatch):
    for name in MODULES[provider]:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(MissingExtraError, match=rf"batchfsm\[{provider}\]|\[{provider}\]"):
        connect(provider)


def test_an_unknown_provider():
    with pytest.raises(UnknownNameError, match="no provider is called 'xai'"):
        connect("xai")


# ---------------------------------------------------------------- the page

PAGE = (ROOT / "docs" / "how-to" / "providers.md").read_text()
BLOCKS = [block for block in re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL) if "batchfsm.watch(" in block]


FILED = {"metadata": GEMINI["metadata"] | {"output": {"responsesFile": "files/1"}}}
"""Gemini's batch with a file of results, whose end is not held back."""


def ended_account(provider):
    """Return the members of a provider's modules, whose batch has ended."""
    if provider == "bedrock":
        job = SimpleNamespace(get_model_invocation_job=lambda **_: BEDROCK)
        return {"boto3": {"client": lambda _: job}}
    if provider == "mistral":
        done = MISTRAL | {"status": "SUCCESS", "completed_at": MISTRAL["created_at"] + 60}
        done |= {"output_file": "f", "error_file": "e"}
        jobs = SimpleNamespace(get=lambda **_: SimpleNamespace(model_dump=lambda **_: done))
        client = SimpleNamespace(batch=SimpleNamespace(jobs=jobs))
        return {"mistralai": {}, "mistralai.client": {"Mistral": lambda api_key: client}}
    return MODULES[provider]


@pytest.mark.parametrize("provider, end", [
    ("anthropic", "ended"), ("gemini", "completed"), ("bedrock", "expired"), ("mistral", "completed"),
])  # fmt: skip
def test_the_example_of_each_sdk_runs(provider, end, monkeypatch, capsys):
    """The block on the page, over a stand-in for its SDK, prints the statuses up to the end."""
    modules = {}
    for name, members in ended_account(provider).items():
        modules[name] = ModuleType(name)
        vars(modules[name]).update(members)
        monkeypatch.setitem(sys.modules, name, modules[name])
    if "google" in modules:
        modules["google"].genai = modules["google.genai"]
        vars(modules["google.genai"])["Client"] = lambda: SimpleNamespace(
            _api_client=SimpleNamespace(request=lambda *_: SimpleNamespace(body=json.dumps(GEMINI | FILED))), aio=None
        )
    (block,) = [each for each in BLOCKS if f"sources.{provider}(" in each]

    exec(compile(block, "providers.md", "exec"), {})  # noqa: S102  # Our own page.

    assert end == capsys.readouterr().out.split()[-1]


@pytest.mark.parametrize(
    "source, said",
    [
        (anthropic, "SimpleNamespace is no client of anthropic: it has no messages.batches"),
        (gemini, "SimpleNamespace is no client of google-genai: it has no _api_client"),
        (bedrock, "SimpleNamespace is no client of bedrock: it has no get_model_invocation_job"),
        (mistral, "SimpleNamespace is no client of mistralai: it has no batch.jobs"),
    ],
    ids=["anthropic", "gemini", "bedrock", "mistral"],
)
def test_the_client_of_another_sdk_is_refused(source, said):
    """The error names the SDK whose client is needed."""
    with pytest.raises(TypeError, match=f"^{re.escape(said)}$"):
        source(SimpleNamespace())
