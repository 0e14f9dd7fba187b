"""A whole Batch API in memory: files, batches, faults, and a clock that the test moves."""

from __future__ import annotations

from collections import deque
from email.utils import formatdate
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import attrs

from batchfsm.lifecycle import OPENAI
from batchfsm.spans import parse_span
from batchfsm.testing import asgi, transports
from batchfsm.testing.asgi import Message
from batchfsm.testing.clock import Clock, VirtualClock
from batchfsm.testing.control import PREFIX, control
from batchfsm.testing.endpoints import Endpoints, operation_of
from batchfsm.testing.exchange import Exchange
from batchfsm.testing.fault_queue import FaultQueue, Injection, InjectionOptions
from batchfsm.testing.http import Answer, Call, Request
from batchfsm.testing.result_files import Respond
from batchfsm.testing.scenario import BatchPlan, planned
from batchfsm.testing.scenario_parser import HAPPY
from batchfsm.testing.server import Server
from batchfsm.testing.store import Entry, Store
from batchfsm.testing.timeline import BatchLife, Wire
from batchfsm.testing.webhooks import SECRET, Webhook, webhook

if TYPE_CHECKING:  # Whichever of them a test has: the fake needs none.
    import httpx
    import httpx2
    import openai

CALLS_MAX: Final = 100_000
"""So many calls are remembered."""


class FakeBatchAPI:
    """
    A Batch API whose batches are a function of scenario and time; thread-safe.

    How often it is asked changes nothing. It has no network and no threads, but those of `serve()`;
    a door leads to it: `client()` for openai-python, `httpx_transport()` and
    `httpx2_transport()` for what is built on those, `asgi`, and `serve()` for other
    processes.

    >>> api = FakeBatchAPI("validating 5s > in_progress 2h 97+3/100 > finalizing 10m > completed")
    >>> batch_id = api.start()
    >>> api.clock.advance("1h")
    >>> api.batch(batch_id)["status"], api.batch(batch_id)["request_counts"]
    ('in_progress', {'total': 100, 'completed': 48, 'failed': 1})
    """

    def __init__(
        self, scenario: str | BatchPlan = HAPPY, *, clock: Clock | None = None, respond: Respond | None = None
    ) -> None:
        """
        Begin without files and batches.

        Args:
            scenario: What becomes of batches; one may say otherwise for itself.
            clock: Its time; a `VirtualClock` by default.
            respond: What answers each request of a batch, given its body: the body of
                the answer, or a `RequestError`. By default the scenario says how many
                requests end well, and the answers are echoes.

        Raises:
            ScenarioError: If the scenario cannot be.
        """
        self.clock: Any = VirtualClock() if clock is None else clock
        self._store = Store()
        self._endpoints = Endpoints(self._store, planned(scenario), respond)
        self._faults = FaultQueue()
        self._calls: deque[Call] = deque(maxlen=CALLS_MAX)
        self._numbers = count(1)

    @property
    def calls(self) -> tuple[Call, ...]:
        """What was asked, in order."""
        return tuple(self._calls)

    def start(self, scenario: str | BatchPlan | None = None, *, metadata: dict[str, str] | None = None) -> str:
        """
        Create a batch without a file of requests, now.

        Args:
            scenario: What becomes of it; None: what becomes of all. A text follows the
                table that theirs does.
            metadata: What its owner attached.

        Returns:
            Its id.
        """
        usual = self._endpoints.plan
        plan = usual if scenario is None else planned(scenario, usual.dialect)
        return self._endpoints.create(plan, {"metadata": metadata}, self.clock.now()).batch_id

    def add(self, life: BatchLife) -> str:
        """
        Take in a batch whose life is known: a `Timeline`, or a `Recording` as it is.

        Returns:
            Its id. It is there from `life.begins_at` on.

        Raises:
            ValueError: If there is one with its id.
        """
        self._store.put(Entry(life))
        return life.batch_id

    def batch(self, batch_id: str) -> Wire:
        """
        Return a batch as it is now, without a request.

        Raises:
            KeyError: If there is none with that id.
        """
        now = self.clock.now()
        life = self._store.life(batch_id, now)
        if life is None:
            raise KeyError(batch_id)
        return life.at(now)

    def inject(
        self,
        fault: str,
        *,
        times: int | None = None,
        lasts: str | float | None = None,
        on: str | None = None,
        batch_id: str | None = None,
        lag: str | float | None = None,
        retry_after_s: float = 1,
        byte_interval_s: float = 1,
    ) -> None:
        """
        Apply a fault to requests, from now on.

        Args:
            fault: A name in `FAULTS`.
            times: Number of requests that it applies to. None: all while it `lasts`;
                without that, one, but a fault of a list or of one batch applies until `clear`.
            lasts: Seconds, or text such as `10m`.
            on: The requests that it applies to: a method of openai's clients, or its
                beginning: `batches.retrieve`, `batches`; None: all.
            batch_id: The batch whose requests it applies to; None: all.
            lag: Delay of `stale`, `skewed_clock` (1h by default) and `late_results`
                (60 s by default).
            retry_after_s: Seconds that `rate_limit` asks to wait.
            byte_interval_s: Seconds of real time before each byte of `slow_body`.

        Raises:
            UnknownNameError: If there is no such fault.
            ValueError: If a number or span is out of range.
        """
        lasts_s = None if lasts is None else parse_span(lasts)
        options = InjectionOptions(
            on=on,
            batch_id=batch_id,
            lag_s=None if lag is None else parse_span(lag),
            retry_after_s=parse_span(retry_after_s),
            byte_interval_s=parse_span(byte_interval_s),
        )
        self._faults.add(fault, options, times=times, lasts_s=lasts_s, now=self.clock.now())

    def webhooks(self, secret: str = SECRET, *, signed_at: float | None = None) -> list[Webhook]:
        """
        Return a signed webhook for each batch that has ended by now, in order of the ends.

        Deliver them twice, in another order, or not at all: so do real ones.

        Args:
            secret: What they are signed with.
            signed_at: When they are sent, in Unix seconds; None: now.
        """
        now = self.clock.now()
        ended = [life for life in self._store.lives(now) if life.ends_at <= now]
        last = [life.at(life.ends_at) for life in sorted(ended, key=lambda life: life.ends_at)]
        sent_at = int(now if signed_at is None else signed_at)
        return [
            webhook(batch["id"], batch["status"], batch[f"{batch['status']}_at"], secret=secret, signed_at=sent_at)
            for batch in last
            if batch["status"] in OPENAI.terminal
        ]

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def handle(self, request: Request) -> Answer:
        """Answer a request, whatever carried it; doors call it."""
        now = self.clock.now()
        operation, _ = operation_of(request)
        injection = self._faults.pop_matching(operation, request, now)
        if injection is None:
            answer = self._endpoints.answer(request, now)
        else:
            answer = injection.fault.apply(self._exchange(request, injection, now))
        self._faults.record_answer(request, answer)
        self._calls.append(Call(now, operation, request.path, None if answer.breaks else answer.status))
        return _dated(answer, now, next(self._numbers))

    def _exchange(self, request: Request, injection: Injection, now: float) -> Exchange:
        return Exchange(
            request=request,
            now=now,
            lag_s=injection.lag_s,
            retry_after_s=injection.options.retry_after_s,
            byte_interval_s=injection.options.byte_interval_s,
            answer_at=self._endpoints.answer,
            batch_at=self._endpoints.batch_at,
            all_batches=lambda: self._endpoints.all_batches(now),
            previous_answers=self._faults.previous_answers(request),
        )

    def _carried(self, request: Request) -> Answer:
        """Answer a request from another process, which can control the API too."""
        return control(self, request) if request.path.startswith(PREFIX) else self.handle(request)

    def client(self, **options: Any) -> openai.OpenAI:
        """
        Return a client of openai-python that asks this API and nobody else.

        Args:
            options: As `openai.OpenAI` takes them. `max_retries` is 0 by default: the
                client's own retries sleep for real.

        Raises:
            ModuleNotFoundError: If `openai` is not installed.
        """
        return transports.openai_client(self.handle, "OpenAI", options)  # type: ignore[no-any-return]

    def async_client(self, **options: Any) -> openai.AsyncOpenAI:
        """Return an `openai.AsyncOpenAI` that asks this API and nobody else; see `client`."""
        return transports.openai_client(self.handle, "AsyncOpenAI", options)  # type: ignore[no-any-return]

    def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> Server:
        """
        Serve HTTP, for other processes and other languages, until it is closed.

        Beside the API it takes `POST /batchfsm/advance` with `{"span": "1h"}`, and alike
        `inject`, `start`, `clear` and `clock`: another process can move the time.

        Args:
            host: Where to listen; loopback, for the fake believes every key.
            port: Where to listen; 0: any that is free.

        Returns:
            A running server; use it as a context manager.
        """
        return Server(self._carried, host, port)

    async def asgi(self, scope: Message, receive: Any, send: Any) -> None:
        """Be an ASGI application, which can be controlled as `serve` says."""
        await asgi.serve(self._carried, scope, receive, send)

    def httpx_transport(self) -> httpx.MockTransport:
        """
        Return a transport for `httpx.Client` and `httpx.AsyncClient`: openai-python 1 and 2, and others.

        Raises:
            ModuleNotFoundError: If `httpx` is not installed.
        """
        return transports.transport(self.handle, "httpx")  # type: ignore[no-any-return]

    def httpx2_transport(self) -> httpx2.MockTransport:
        """Return a transport for `httpx2.Client` and `httpx2.AsyncClient`: openai-python 3, and others."""
        return transports.transport(self.handle, "httpx2")  # type: ignore[no-any-return]


def _dated(answer: Answer, now: float, number: int) -> Answer:
    """Put the headers on an answer that every answer has."""
    own = {"date": formatdate(int(now), usegmt=True), "x-request-id": f"req_{number:032x}"}
    return attrs.evolve(answer, headers={**own, **answer.headers})
