"""
The fixtures `batch_clock`, `batch_api`, `batch_server`, and the marker `batch_scenario`.

Every pytest in an environment with batchfsm imports this module. So it imports
nothing but the standard library and pytest until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # Only for the signatures: see above.
    from batchfsm.testing import FakeBatchAPI, Server, VirtualClock

_MARKER = "batch_scenario"
_PARAMETERS = "text, dialect='openai', respond=None"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", f"{_MARKER}({_PARAMETERS}): the scenario of the batches of `batch_api`")


@pytest.fixture
def batch_clock() -> VirtualClock:
    """Return the clock of `batch_api`; `advance("1h")` moves it, `sleep` replaces `time.sleep`."""
    return _testing().VirtualClock()  # type: ignore[no-any-return]


@pytest.fixture
def batch_api(request: pytest.FixtureRequest, batch_clock: VirtualClock) -> FakeBatchAPI:
    """Return a fake Batch API, with the scenario of the nearest marker `batch_scenario`."""
    testing = _testing()
    marker = request.node.get_closest_marker(_MARKER)
    if marker is None:
        return testing.FakeBatchAPI(clock=batch_clock)  # type: ignore[no-any-return]
    if len(marker.args) != 1 or marker.kwargs.keys() - {"dialect", "respond"}:
        pytest.fail(f"the marker is {_MARKER}({_PARAMETERS}): one text, such as 'cancel at 1h'", pytrace=False)
    return _api_of_marker(testing, *marker.args, clock=batch_clock, **marker.kwargs)  # type: ignore[no-any-return]


@pytest.fixture
def batch_server(batch_api: FakeBatchAPI) -> Iterator[Server]:
    """Return `batch_api` as an HTTP server on loopback; clients take its `base_url`."""
    with batch_api.serve() as server:
        yield server


def _api_of_marker(testing: Any, text: str, *, clock: object, dialect: str = "openai", respond: object = None) -> Any:
    """Return a fake API, given the arguments of the marker."""
    return testing.FakeBatchAPI(testing.Scenario(text, dialect=dialect), clock=clock, respond=respond)


def _testing() -> Any:
    """Import the test kit on first use: test runs without it do not pay for it."""
    return import_module("batchfsm.testing")
