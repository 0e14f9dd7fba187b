"""A Batch API in memory: files, batches, faults, and a clock that the test moves."""

from __future__ import annotations

from collections import deque
from email.utils import formatdate
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import attrs

from batchfsm.arguments import check_time
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
from batchfsm.testing.scenario import BatchPlan, to_plan
from batchfsm.testing.scenario_parser import HAPPY
from batchfsm.testing.server import Server
from batchfsm.testing.store import Entry, Store, new_file
from batchfsm.testing.timeline import BatchLife, WireObject
from batchfsm.testing.webhooks import SECRET, Webhook, webhook

if TYPE_CHECKING:  # Users have one of them; the fake needs none.
    import httpx
    import httpx2
    import openai

CALLS_MAX: Final = 100_000
"""The most calls that are kept."""


class FakeBatchAPI:
    """
    A Batch API whose batches are a function of scenario and time; thread-safe.

    The number of requests changes nothing. It uses no network, and no threads but those of
    `serve()`. Clients reach it through `client()` for openai-python, `httpx_transport()` and
    `httpx2_transport()` for clients built on those, `asgi`, and `serve()` for other processes.

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
        Create an API without files and batches.

        Args:
            scenario: The scenario of batches that have none of their own.
            clock: Its time; a `VirtualClock` by default.
            respond: Returns the answer to a request's body: the body of the answer, or a
                `RequestError`. By default the scenario says how many requests succeed,
                and the answers are small objects of the endpoint's type.

        Raises:
            ScenarioError: If the scenario is invalid.
            TypeError: If the clock is none.
        """
        if clock is not None and not callable(getattr(clock, "now", None)):
            raise TypeError(f"clock has a method now, as a VirtualClock; {clock!r} has none")
        self.clock: Any = VirtualClock() if clock is None else clock
        self._store = Store()
        self._endpoints = Endpoints(self._store, to_plan(scenario), respond)
        self._faults = FaultQueue()
        self._calls: deque[Call] = deque(maxlen=CALLS_MAX)
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<FakeBatchAPI at {self.clock.now():.0f}, requests: {len(self._calls)}>"

    @property
    def calls(self) -> tuple[Call, ...]:
        """The requests received, in order."""
        return tuple(self._calls)

    def start(self, scenario: str | BatchPlan | None = None, *, metadata: dict[str, str] | None = None) -> str:
        """
        Create a batch without an input file, now.

        Args:
            scenario: Its scenario, in the dialect of the API's; None: the API's scenario.
            metadata: Its metadata.

        Returns:
            Its id.
        """
        usual = self._endpoints.plan
        plan = usual if scenario is None else to_plan(scenario, usual.dialect)
        return self._endpoints.create(plan, {"metadata": metadata}, self.clock.now()).batch_id

    def add(self, life: BatchLife) -> str:
        """
        Add a batch with a known life: a `Timeline`, or a `Recording` as it is.

        Returns:
            Its id. The batch exists from `life.begins_at` on.

        Raises:
            ValueError: If there is one with its id.
        """
        self._store.add_batch(Entry(life))
        return life.batch_id

    def add_file(
        self, content: bytes, *, filename: str = "input.jsonl", purpose: str = "batch", file_id: str | None = None
    ) -> str:
        """
        Add a file without a request.

        Args:
            content: JSON lines.
            filename: Its name.
            purpose: Its purpose.
            file_id: Its id, in place of an earlier file with that id; None: a new one.

        Returns:
            Its id.
        """
        number, now = self._store.next_number(), self.clock.now()
        file = new_file(filename, purpose, content, now=now, number=number, expires_s=None)
        self._store.put_file(file if file_id is None else attrs.evolve(file, id=file_id))
        return file_id or file.id

    def batch(self, batch_id: str) -> WireObject:
        """
        Return the object of a batch as it is now, without a request.

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
            ValueError: If a number or span is out of range, or the fault takes no `lag`.
            TypeError: If `times` is no number, or `batch_id` no text.
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
        Return a signed webhook for each batch that has ended, in order of the ends.

        Real webhooks arrive twice, in another order, or not at all.

        Args:
            secret: The secret that they are signed with.
            signed_at: Time of the signature in Unix seconds; None: now.
        """
        now = self.clock.now()
        ended = [life for life in self._store.lives(now) if life.ends_at <= now]
        last = [life.at(life.ends_at) for life in sorted(ended, key=lambda life: life.ends_at)]
        if signed_at is not None:
            check_time("signed_at", signed_at)
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
        """Return the answer to a request; every transport calls this."""
        now = self.clock.now()
        operation, _ = operation_of(request)
        injection = self._faults.pop_matching(operation, request, now)
        if injection is None:
            answer = self._endpoints.answer(request, now)
        else:
            answer = injection.fault.apply(self._exchange(request, injection, now))
        self._faults.record_answer(request, answer)
        self._calls.append(Call(now, operation, request.path, None if answer.breaks else answer.status))
        return _with_common_headers(answer, now, next(self._numbers))

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

    def _handle_remote(self, request: Request) -> Answer:
        """Return the answer to a request from another process, which can control the API as well."""
        return control(self, request) if request.path.startswith(PREFIX) else self.handle(request)

    def client(self, **options: Any) -> openai.OpenAI:
        """
        Return a client of openai-python whose requests go to this API.

        Args:
            options: As `openai.OpenAI` takes them. `max_retries` is 0 by default: the
                client's own retries sleep in real time.

        Raises:
            ModuleNotFoundError: If `openai` is not installed.
        """
        return transports.openai_client(self.handle, "OpenAI", options)  # type: ignore[no-any-return]

    def async_client(self, **options: Any) -> openai.AsyncOpenAI:
        """Return an `openai.AsyncOpenAI` whose requests go to this API; see `client`."""
        return transports.openai_client(self.handle, "AsyncOpenAI", options)  # type: ignore[no-any-return]

    def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> Server:
        """
        Serve HTTP, for other processes and other languages, until the server is closed.

        The server also takes `POST /batchfsm/advance` with `{"span": "1h"}`, and in the same
        way `inject`, `start`, `clear` and `clock`: another process can move the time.

        Args:
            host: Address to listen on; loopback, since every key is accepted.
            port: Port to listen on; 0: any free port.

        Returns:
            A running server, and a context manager that closes it.
        """
        return Server(self._handle_remote, host, port)

    async def asgi(self, scope: Message, receive: Any, send: Any) -> None:
        """Serve as an ASGI application, which can be controlled like the server of `serve`."""
        await asgi.serve(self._handle_remote, scope, receive, send)

    def httpx_transport(self) -> httpx.MockTransport:
        """
        Return a transport for `httpx.Client` and `httpx.AsyncClient`, as openai-python 1 and 2 use them.

        Raises:
            ModuleNotFoundError: If `httpx` is not installed.
        """
        return transports.transport(self.handle, "httpx")  # type: ignore[no-any-return]

    def httpx2_transport(self) -> httpx2.MockTransport:
        """Return a transport for `httpx2.Client` and `httpx2.AsyncClient`, as openai-python 3 uses them."""
        return transports.transport(self.handle, "httpx2")  # type: ignore[no-any-return]


def _with_common_headers(answer: Answer, now: float, number: int) -> Answer:
    """Return an answer with the headers that every answer has."""
    own = {"date": formatdate(int(now), usegmt=True), "x-request-id": f"req_{number:032x}"}
    return attrs.evolve(answer, headers={**own, **answer.headers})
