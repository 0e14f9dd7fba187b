"""Control of a fake API by another process, outside `/v1`: its clock, faults and batches."""

from __future__ import annotations

import json
from typing import Any, Final

from batchfsm.testing.http import Answer, RefusedError, Request, error_answer, json_answer

PREFIX: Final = "/batchfsm/"
"""Prefix of the paths that are no part of the API."""


def control(api: Any, request: Request) -> Answer:
    """
    Answer `POST /batchfsm/NAME` with a JSON object, for a `FakeBatchAPI`.

    `advance` takes `{"span": "1h"}`, `inject` what `FakeBatchAPI.inject` takes, `start`
    `{"scenario": "expire"}`, `clear` and `clock` nothing. Each answers with the time.
    """
    try:
        return json_answer(_run(api, request) | {"now": api.clock.now()})
    except RefusedError as error:
        return error.answer
    except (TypeError, ValueError) as error:
        return error_answer(400, str(error))


def _run(api: Any, request: Request) -> dict[str, Any]:
    asked = json.loads(request.body or b"{}")
    if request.method != "POST" or not isinstance(asked, dict):
        raise RefusedError(405, "Control it by POST, with a JSON object.")
    match request.path.removeprefix(PREFIX):
        case "advance":
            if not hasattr(api.clock, "advance"):
                raise RefusedError(409, "This clock cannot be moved: it runs in real time, or at a multiple of it.")
            api.clock.advance(**asked)
        case "inject":
            api.inject(**asked)
        case "clear":
            api.clear()
        case "start":
            return {"id": api.start(**asked)}
        case "clock":
            pass
        case _:
            raise RefusedError(404, "There are advance, clear, clock, inject and start.")
    return {}
