"""The healthy batch, and what it was like before; the rules' examples are changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

DAY_S: Final = 86_400
"""A day in seconds."""

BORN_AT: Final = 1_711_471_533
"""When the healthy batch was created; Unix seconds."""

HEALTHY: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "id": "batch_abc123",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "input_file_id": "file-abc123",
        "completion_window": "24h",
        "status": "completed",
        "output_file_id": "file-cvaTdG",
        "created_at": BORN_AT,
        "in_progress_at": BORN_AT + 5,
        "expires_at": BORN_AT + DAY_S,
        "finalizing_at": BORN_AT + 21_600,
        "completed_at": BORN_AT + 21_630,
        "request_counts": {"total": 100, "completed": 95, "failed": 5},
    }
)
"""The healthy batch that the rules' examples are changes of."""

RUNNING: Final[Mapping[str, Any]] = {
    "status": "in_progress",
    "finalizing_at": None,
    "completed_at": None,
    "output_file_id": None,
    "request_counts": {"total": 100, "completed": 40, "failed": 1},
}
QUEUED: Final[Mapping[str, Any]] = {
    **RUNNING,
    "status": "validating",
    "in_progress_at": None,
    "request_counts": {"total": 0, "completed": 0, "failed": 0},
}
FAILED: Final[Mapping[str, Any]] = {
    **QUEUED,
    "status": "failed",
    "failed_at": BORN_AT + 9,
    "errors": [{"code": "invalid_json_line", "message": "line 7"}],
}
EXPIRED: Final[Mapping[str, Any]] = {
    "status": "expired",
    "completed_at": None,
    "finalizing_at": BORN_AT + DAY_S + 1,
    "expired_at": BORN_AT + DAY_S + 607,
}
CANCELLING: Final[Mapping[str, Any]] = {
    **RUNNING,
    "status": "cancelling",
    "cancelling_at": BORN_AT + 60,
}
