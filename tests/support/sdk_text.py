"""A batch as five SDKs print it: one printer for each form of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai.types import Batch

from batchfsm.logs.sdk_text.parsers import TextForm
from batchfsm.snapshot import to_case

FORMS: tuple[TextForm, ...] = ("python", "kotlin", "dart", "go", "node")

TIMES: dict[str, int | None] = {
    "created_at": 1760000000,
    "in_progress_at": 1760000060,
    "expires_at": 1760086400,
    "finalizing_at": 1760003600,
    "completed_at": 1760003660,
    "failed_at": None,
    "expired_at": None,
    "cancelling_at": None,
    "cancelled_at": None,
}
WIRE: dict[str, Any] = {
    "id": "batch_7",
    "object": "batch",
    "endpoint": "/v1/embeddings",
    "errors": None,
    "input_file_id": "file-in",
    "completion_window": "24h",
    "status": "completed",
    "output_file_id": "file-out",
    "error_file_id": None,
    **TIMES,
    "request_counts": {"total": 8, "completed": 7, "failed": 1},
    "metadata": {"team": "search"},
}
ENTRY: dict[str, Any] = {"code": "empty_file", "message": "No lines.", "param": None, "line": 3}
FAILED = WIRE | {
    "status": "failed",
    "failed_at": 1760000090,
    "errors": {"object": "list", "data": [ENTRY, ENTRY | {"line": None, "param": "body.model"}]},
}


# ---------------------------------------------------------------- printers: what each language would print


def bare(value: object) -> str:
    """Print a scalar as Kotlin and Dart do, without quotes."""
    return "null" if value is None else str(value)


def kotlin(wire: Mapping[str, Any]) -> str:
    """Print what openai-kotlin's data class prints; it has no `object`."""
    wrappers = {
        "id": "BatchId(id={})",
        "endpoint": "Endpoint(path={})",
        "input_file_id": "FileId(id={})",
        "completion_window": "CompletionWindow(value={})",
        "status": "Status(value={})",
        "output_file_id": "FileId(id={})",
        "error_file_id": "FileId(id={})",
    }
    printed = {
        name: "null" if value is None else wrappers.get(name, "{}").format(value)
        for name, value in wire.items()
        if name != "object"
    }
    if wire["errors"]:
        entries = ", ".join(
            "OpenAIErrorDetails(" + ", ".join(f"{k}={bare(v)}" for k, v in kotlin_entry(each).items()) + ")"
            for each in wire["errors"]["data"]
        )
        printed["errors"] = f"PaginatedList(data=[{entries}], hasMore=null, firstId=null, lastId=null)"
    if wire["request_counts"]:
        printed["request_counts"] = "RequestCounts({})".format(
            ", ".join(f"{k}={v}" for k, v in wire["request_counts"].items())
        )
    if wire["metadata"] is not None:
        printed["metadata"] = "{" + ", ".join(f"{k}={v}" for k, v in wire["metadata"].items()) + "}"
    return "Batch(" + ", ".join(f"{to_case(k, 'camel')}={v}" for k, v in printed.items()) + ")"


def kotlin_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Put openai-kotlin's `type` in its place."""
    return {
        "code": entry["code"],
        "message": entry["message"],
        "param": entry["param"],
        "type": None,
        "line": entry["line"],
    }


def dart(wire: Mapping[str, Any], *, as_map: bool = False) -> str:
    """Print what openai_flutter_sdk's `toString()` prints, or what `toJson().toString()` does."""
    printed = {name: bare(value) for name, value in wire.items()}
    if wire["errors"]:
        entries = ", ".join(
            "BatchErrorsDataInner[" + ", ".join(f"{k}={bare(v)}" for k, v in each.items()) + "]"
            for each in wire["errors"]["data"]
        )
        printed["errors"] = f"BatchErrors[object=list, data=[{entries}]]"
    if wire["request_counts"]:
        printed["request_counts"] = "BatchRequestCounts[{}]".format(
            ", ".join(f"{k}={v}" for k, v in wire["request_counts"].items())
        )
    printed["metadata"] = "{" + ", ".join(f"{k}: {v}" for k, v in (wire["metadata"] or {}).items()) + "}"
    if as_map:
        return "{" + ", ".join(f"{k}: {v}" for k, v in printed.items()) + "}"
    return "Batch[" + ", ".join(f"{to_case(k, 'camel')}={v}" for k, v in printed.items()) + "]"


def go(wire: Mapping[str, Any]) -> str:
    """Print what `%+v` prints of oaiapi-go's struct: all but seven fields are pointers."""
    plain = ("id", "object", "endpoint", "input_file_id", "completion_window", "status", "created_at")
    printed = {
        name: value if name in plain else "<nil>" if value is None else "0xc00001a0f8" for name, value in wire.items()
    }
    return "{" + " ".join(f"{to_case(k, 'pascal')}:{v}" for k, v in printed.items()) + "}"


def python(wire: Mapping[str, Any]) -> str:
    """Print what openai-python prints."""
    return repr(Batch.construct(**wire))


def node(wire: Mapping[str, Any]) -> str:
    """Print what `console.log` prints, but for the depth at which it stops."""
    return "{\n" + ",\n".join(f"  {name}: {inspected(value)}" for name, value in wire.items()) + "\n}"


def inspected(value: object) -> str:
    """Print a value as `util.inspect` does."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k}: {inspected(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[ " + ", ".join(map(inspected, value)) + " ]"
    return repr(value) if isinstance(value, str | int) else "null"


PRINTERS = {"python": python, "kotlin": kotlin, "dart": dart, "go": go, "node": node}
