"""A batch as five SDKs print it: one printer for each form of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from openai.types import Batch

from batchfsm.lifecycle import Status
from batchfsm.logs.sdk_text.detection import TextForm
from batchfsm.snapshot import to_case

FORMS: tuple[TextForm, ...] = ("python", "kotlin", "dart", "go", "node", "java", "ruby", "rust")

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


# ---------------------------------------------------------------- printers, one for each language


def bare(value: object) -> str:
    """Return a scalar as Kotlin and Dart print it, without quotes."""
    return "null" if value is None else str(value)


def kotlin(wire: Mapping[str, Any]) -> str:
    """Return the text of openai-kotlin's data class, which has no `object`."""
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
    """Return an entry of `errors` with openai-kotlin's `type` in its place."""
    return {
        "code": entry["code"],
        "message": entry["message"],
        "param": entry["param"],
        "type": None,
        "line": entry["line"],
    }


def dart(wire: Mapping[str, Any], *, as_map: bool = False) -> str:
    """Return the text of openai_flutter_sdk's `toString()`, or of `toJson().toString()`."""
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
    """Return the text of oaiapi-go's struct with `%+v`: all but seven fields are pointers."""
    plain = ("id", "object", "endpoint", "input_file_id", "completion_window", "status", "created_at")
    printed = {
        name: value if name in plain else "<nil>" if value is None else "0xc00001a0f8" for name, value in wire.items()
    }
    return "{" + " ".join(f"{to_case(k, 'pascal')}:{v}" for k, v in printed.items()) + "}"


def python(wire: Mapping[str, Any]) -> str:
    """Return the text of openai-python."""
    return repr(Batch.construct(**wire))


def node(wire: Mapping[str, Any]) -> str:
    """Return the text of `console.log`, without its limit on depth."""
    return "{\n" + ",\n".join(f"  {name}: {inspected(value)}" for name, value in wire.items()) + "\n}"


def inspected(value: object) -> str:
    """Return a value as `util.inspect` prints it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k}: {inspected(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[ " + ", ".join(map(inspected, value)) + " ]"
    return repr(value) if isinstance(value, str | int) else "null"


def java(wire: Mapping[str, Any]) -> str:
    """Return the text of openai-java's `toString()`: required fields, then the others by name, without absent ones."""

    def show(kind: str, fields: Mapping[str, object]) -> str:
        texts = [f"{name}={'' if value is None else value}" for name, value in fields.items()]
        return kind + "{" + ", ".join([*texts, "additionalProperties={}"]) + "}"

    required = ("id", "completion_window", "created_at", "endpoint", "input_file_id", "object", "status")
    optional = sorted({*WIRE, "output_file_id"} - {*required})
    printed: dict[str, object] = {}
    for name in (*required, *optional):
        value = wire.get(name)
        if name == "errors" and value:
            entries = [show("BatchError", {key: each[key] for key in sorted(each)}) for each in value["data"]]
            value = show("Errors", {"data": "[" + ", ".join(entries) + "]", "object_": "list"})
        elif name == "request_counts" and value:
            value = show("BatchRequestCounts", {key: value[key] for key in sorted(value)})
        elif name == "metadata" and value is not None:
            value = "Metadata{additionalProperties={" + ", ".join(f"{k}={v}" for k, v in value.items()) + "}}"
        printed["object_" if name == "object" else to_case(name, "camel")] = value
    return show("Batch", printed)


def ruby_text(text: str) -> str:
    """Return a string as Ruby prints it."""
    escaped = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\x1b": "\\e", "#": "\\#"}
    return '"' + "".join(escaped.get(each, each) for each in text) + '"'


def ruby(wire: object) -> str:
    """Return the text of `inspect` of a hash with text keys, before Ruby 3.4."""
    if isinstance(wire, Mapping):
        return "{" + ", ".join(f"{ruby_text(name)}=>{ruby(value)}" for name, value in wire.items()) + "}"
    if isinstance(wire, list):
        return "[" + ", ".join(map(ruby, wire)) + "]"
    return ruby_text(wire) if isinstance(wire, str) else "nil" if wire is None else str(wire)


def rust(wire: Mapping[str, Any], name: str = "Batch") -> str:
    """Return the text of async-openai's struct with `{:?}`."""
    plain = (
        "id",
        "object",
        "endpoint",
        "input_file_id",
        "completion_window",
        "created_at",
        "total",
        "completed",
        "failed",
    )
    maybe = {key: rust_value(key, value) for key, value in wire.items()}
    printed = {
        key: value if key in plain or key == "status" or wire[key] is None else f"Some({value})"
        for key, value in maybe.items()
    }
    return name + " { " + ", ".join(f"{key}: {value}" for key, value in printed.items()) + " }"


def rust_value(name: str, value: object) -> str:
    """Return a value as Rust prints it."""
    if value is None:
        return "None"
    if name == "status" and value in get_args(Status):
        return to_case(str(value), "pascal")
    if name == "metadata" and isinstance(value, Mapping):
        return "Object {" + ", ".join(f"{rust_text(k)}: String({rust_text(v)})" for k, v in value.items()) + "}"
    if isinstance(value, Mapping):
        return rust(value, "Inner")
    if isinstance(value, list):
        return "[" + ", ".join(rust(each, "BatchError") for each in value) + "]"
    return rust_text(value) if isinstance(value, str) else str(value)


def rust_text(text: str) -> str:
    """Return a string as Rust prints it."""
    escaped = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\x1b": "\\u{1b}", "\0": "\\0"}
    return '"' + "".join(escaped.get(each, each) for each in text) + '"'


SEPARATORS = dict.fromkeys(FORMS, ", ") | {"go": " "}
PAGES: dict[str, tuple[str, str]] = {
    "python": ("SyncCursorPage[Batch](data=[", "], has_more=False)"),
    "kotlin": ("PaginatedList(data=[", "], hasMore=false, firstId=null, lastId=null)"),
    "dart": ("ListBatchesResponse[data=[", "], firstId=null, lastId=null, hasMore=false, object=list]"),
    "go": ("{Data:[", "] FirstID:0xc000012345 HasMore:false Object:list}"),
    "node": ("{ object: 'list', data: [ ", " ], has_more: false }"),
    "java": ("BatchListPage{response=BatchListPageResponse{data=[", "], hasMore=false, object_=list}}"),
    "ruby": ('{"object"=>"list", "data"=>[', '], "has_more"=>false}'),
    "rust": ("ListBatchesResponse { data: [", "], has_more: false }"),
}
"""How each form prints a page: the text before its batches and behind them."""


def printed_list(form: str, wires: Sequence[Mapping[str, Any]], *, page: bool = False) -> str:
    """Return a list of batches, or a page of them, as text."""
    before, behind = PAGES[form] if page else ("[", "]")
    return before + SEPARATORS[form].join(map(PRINTERS[form], wires)) + behind


PRINTERS = {
    "python": python,
    "kotlin": kotlin,
    "dart": dart,
    "go": go,
    "node": node,
    "java": java,
    "ruby": ruby,
    "rust": rust,
}
