"""Logs of all kinds for an audit that reads them twice: row by row and in columns."""

import json
import sys
from datetime import UTC, datetime

import pytest

from batchfsm import audit
from batchfsm.auditing import api
from support.dialects import DIALECTS

BORN = 1_711_471_533
STAMPS = [
    "in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at",
]  # fmt: skip


def both(path, **options):
    """Return the row-by-row and the columnar report on a file, or on several."""
    in_columns = audit(path, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "COLUMNS_BYTES_MIN", sys.maxsize)
        row_by_row = audit(path, **options)
    return row_by_row, in_columns


def everything(report):
    """Return a report as values, with the messages and places that equality of findings leaves out."""
    return report.to_dict(), report.not_looked, report.remarks


def written(tmp_path, log):
    """Write a log to a file and return its path."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(log if isinstance(log, bytes) else log.encode())
    return str(path)


# ---------------------------------------------------------------- random logs


def drawn(rnd, ids, statuses):
    """Return a random batch of plain values, legal or not."""

    def maybe(share, value):
        return value() if rnd.random() < share else None

    def second():
        return BORN + rnd.randrange(6) * rnd.choice([1, 1, 40_000])

    counts = {
        "total": rnd.choice([0, 5, 5, 5, 7, -1]),
        "completed": rnd.choice([0, 1, 2, 4, -1]),
        "failed": rnd.choice([0, 0, 0, 1, -1]),
    }
    batch = {
        "id": rnd.choice(ids),
        "object": "batch",
        "endpoint": rnd.choice(["/v1/a", "/v1/a", "/v1/b", None]),
        "errors": maybe(
            0.2,
            lambda: {"object": "list", "data": [{"code": rnd.choice("ab"), "message": "m", "param": None, "line": 7}]},
        ),
        "input_file_id": rnd.choice(["in", "in", "in", "other", "", None]),
        "completion_window": rnd.choice(["24h", "24h", "1d", "soon", None]),
        "status": rnd.choice(statuses),
        "output_file_id": maybe(0.3, lambda: rnd.choice("oop")),
        "error_file_id": maybe(0.2, lambda: "e"),
        "created_at": BORN if rnd.random() < 0.9 else second(),
        **{stamp: maybe(0.35, second) for stamp in STAMPS},
        "expires_at": maybe(0.8, lambda: BORN + 86_400),
        "request_counts": maybe(0.8, lambda: counts),
        "metadata": rnd.choice(
            [None, {}, {"a": "b"}, {"k" * rnd.choice([64, 65]): "v"}, {"a": "v" * rnd.choice([512, 513])}, {"n": 1}]
        ),
    }
    if rnd.random() < 0.1:
        batch["object"] = rnd.choice(["file", None])
    if rnd.random() < 0.2:
        batch["model"], batch["usage"] = "m", {"input_tokens": 1, "details": {"x": [1, 2.5, True]}}
    return batch


ODDITIES = {
    "created_at": ['"17"', "1.9", "true", "1711471533000", "0", '"0"', "-5", "1e9", "9" * 30, '"2024-03-26T16:45:33Z"', "946684800"],
    "completed_at": ["{}", "[]", '""', "1711471533.0", "null", "NaN"],
    "completion_window": ['"h"', '"2x"', '"h4h"', '"24H"', '"0123456789h"', '"90m"', '"30s"', '"7d"', "5"],
    "id": ["null", "5", '""', '"batch_6602fbad00000000000000000000000g"', '"batch_6602FBAD000000000000000000000001"', '"batch_xyz"', '"\\u0041b"', '"b\\u00e9"', '"\\ud800"', '"caf\u00e9"'],
    "status": ["null", "5", '""', '"complete"', '"canceled"', '"Validating"', '"paused"', '"\\u0066ailed"'],
    "object": ["5", "{}", '""', '"list"', '"b\\u0061tch"'],
    "endpoint": ["5", '""', '"\\ud800"', '"\\u00e9"'],
    "request_counts": ['{"total":1}', '{"total":1,"completed":0,"failed":null}', "{}", "[]", '{"total":1.0,"completed":0,"failed":0}', '{"total":1,"completed":0,"failed":0,"more":1}', '{"total" 1}', '{"total":1,"completed" 0}', '{"total":1', '{"total":1,"more":[}', '{"total":1,}', '{"total":1]', '{"total":1,"completed":x}', '{"total":1,"completed":0,"failed":2}'],
    "errors": ["[]", '{"data":[]}', '{"object":"list","data":[{"code":"a"}]}', '[{"message":"\\u00e9"}]', '["text"]', "{}", "5", '{"data":null}', '[{"line":"7"}]', '[{"line":7,"param":"p","code":null}]', '[{"code":"a" "b"}]', '[{"code":"a",5}]', '[{"code":"a","code":"b"}]', '[{"code":{}}]', '[{"code":"a}]', '[{"code" 1}]', '[{"line":x}]', '[{"code":"a"}', '[{"code":"a"},]', '[{"code":"a"},{"code":"b"}]', '{"data":[{"code":"a"}],"object":"list","more":1}', '{"object":"list"}', '{"data":[{"code":"a"}],"object":x}', '{"data":[]]', '{"data":[],"object":"list"', '{"object":"list","data":[]', '{"data":5}', '{"data":{}}', "[5]", '[{"code":"a"]'],
    "metadata": ["[]", '{"a":"b","a":"c"}', '{"a":{"b":1}}', '{"\\u0061":"b"}', '{"a":"%s"}' % ("\u00e9" * 300), '{"a":"%s"}' % ("\\u00e9" * 300), '{"a":"\\ud800"}', "[1]", "5", '"x"', "[5", '{"a":"b"', '{"a":[}', '{"a":"b" 1}', '{"a":"b",}', '{"a":1}', '{"a":"b"]', "{" + ",".join(f'"k{n}":"v"' for n in range(17)) + "}"],
    "usage": ["[]", "5", '{"a":' * 20 + "1" + "}" * 20, '{"a":[[[]]]}', '{"a":01}', '{"a":1e999}'],
    "note": ["1", '{"a":[1,{"b":null}]}', '"x"', "[1,2", "nul"],
    "createdAt": ["null", "1711471533"],
    "body": ["null", '"text"', "{}", "[]"],
    "timestamp": ["1711471533"],
}  # fmt: skip

LINES = ["", "  ", "{", "}", "[", "x", "12", "null", '{"a":', '{"error":{"message":"no"}}', "[]", "\x00", "{}{}", '"a"', "Batch(id='batch_1'", "\ufeff"]  # fmt: skip


def spelled(rnd, batch):
    """Return a batch as text: compact, spaced or shuffled, sometimes with one odd value."""
    fields = [
        (key, json.dumps(value, separators=rnd.choice([(",", ":"), (", ", ": ")]))) for key, value in batch.items()
    ]
    if rnd.random() < 0.15:
        key = rnd.choice([*ODDITIES])
        fields = [(name, value) for name, value in fields if name != key or rnd.random() < 0.1]
        fields.append((key, rnd.choice(ODDITIES[key])))
    if rnd.random() < 0.2:
        rnd.shuffle(fields)
    comma, colon = rnd.choice([(",", ":"), (", ", ": ")])
    return "{" + comma.join(f'"{key}"{colon}{value}' for key, value in fields) + "}"


def enveloped(rnd, text, seen):
    """Return a line that holds a batch, in a random envelope if it has a time."""
    if seen is None:
        return text
    when = rnd.choice([str(seen), f"{seen}.5", json.dumps(datetime.fromtimestamp(seen, UTC).isoformat())])
    clock, wrapper = rnd.choice(["observed_at", "timestamp"]), rnd.choice(["snapshot", "batch", "body", "data"])
    parts = [
        f'"{clock}":{when}',
        f'"{wrapper}":{text}',
        *rnd.choice([[], ['"call":"retrieve"'], ['"id":"e","status":1']]),
    ]
    rnd.shuffle(parts)
    return "{" + ",".join(parts) + "}"


def any_log(rnd, dialect, *, is_sorted):
    """Return the text of a random log; most of its lines are plain."""
    known = list(DIALECTS[dialect].lifecycle.statuses)
    statuses = rnd.choice([known, [*known, "paused"], [known[0], rnd.choice(known)]])
    ids = [f"batch_{BORN:08x}{number:024x}" for number in range(3)] + ["b1", "b2"]
    now, found = BORN, []
    for _ in range(rnd.randrange(30)):
        now += rnd.choice([0, 0, 5, 100_000])
        seen = (now if is_sorted else BORN + rnd.randrange(300_000)) if rnd.random() < 0.7 else None
        line = enveloped(rnd, spelled(rnd, drawn(rnd, ids, statuses)), seen)
        found += [line] * rnd.choice([1, 1, 2])
        if rnd.random() < 0.05:
            found.append(rnd.choice(LINES))
        if rnd.random() < 0.03:
            found.append('{"object":"list","data":[%s,%s]}' % (line, line))
    return rnd.choice(["\n", "\r\n", " \n"]).join(found) + rnd.choice(["", "\n", "\n\n"])
