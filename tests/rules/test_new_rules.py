"""A new rule of an existing kind needs one row in the catalog, and every engine checks it."""

import json
import subprocess
import sys
from textwrap import dedent

from support.notation import CREATED, DAY_S, snap

# The catalog with three additional rows, which is imported in place of the original file.
SCRIPT = '''
import importlib.abc
import importlib.util
import json
import sys

ROWS = """
    rule("F498", "error-file-of-failed", "warning", MustBeNull(("error_file_id",), ("failed",)), "Any.",
         evidence="Any.", remedy="Any.", example={}),
    rule("T298", "finalized-late", "note", TimeLimit(("finalizing_at",), "expires_at"), "Any.",
         evidence="Any.", remedy="Any.", example={}),
    rule("T299", "long-overdue", "note", OpenAfterDeadline(4 * DAY_S), "Any.",
         evidence="Any.", remedy="Any.", example={}),
"""


class Catalog(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    def find_spec(self, name, path=None, target=None):
        if name != "batchfsm.rules.catalog":
            return None
        sys.meta_path.remove(self)
        self.path = importlib.util.find_spec(name).origin
        return importlib.util.spec_from_loader(name, self, origin=self.path)

    def get_filename(self, name):
        return self.path

    def get_data(self, path):
        source = open(path, encoding="utf-8").read()
        assert source.count(")\\n_HISTORY: Final") == 1
        return source.replace(")\\n_HISTORY: Final", ROWS + ")\\n_HISTORY: Final").encode()


sys.meta_path.insert(0, Catalog())

from batchfsm import Monitor, audit
from batchfsm.auditing import api, optional

log, table = sys.argv[1:]
lines = [json.loads(line) for line in open(log, encoding="utf-8")]
monitor, found = Monitor(), {}
for line in lines:
    for finding in monitor.observe(line["batch"], observed_at=line["observed_at"]).findings:
        found[finding.rule] = found.get(finding.rule, 0) + 1
answers = {"monitor": found, "rows": dict(audit(log, engine="rows").counts)}
api.COLUMNS_BYTES_MIN = 0
optional.is_compiled = lambda: True
answers["columns"] = dict(audit(log).counts)

import duckdb
from batchfsm.sql import Table, query

columns = {"errors": "to_json(errors)"}
text = query(Table.of(f"read_json('{table}')", "duckdb", changes=columns), is_counted=True)
answers["sql"] = {code: count for code, *_, count in duckdb.sql(text).fetchall()}
print(json.dumps(answers))
'''


def test_a_new_row_is_checked_by_every_engine(tmp_path):
    """The monitor, the row engine, the vectorized engine and SQL count the same findings of three added rules."""
    rows = [
        (snap("vf", error_file_id="file-err"), CREATED + 100),
        (snap("vpz", id="batch_2", at=[0, 60, DAY_S + 1]), CREATED + DAY_S + 60),
        *((snap("vp", id="batch_3"), CREATED + day * DAY_S) for day in (1, 3, 6, 7)),
        *((snap("vpz", id="batch_3", at=[0, 60, 7 * DAY_S]), CREATED + day * DAY_S + 60) for day in (7, 8)),
    ]
    log, table = tmp_path / "log.jsonl", tmp_path / "table.json"
    log.write_text("".join(json.dumps({"observed_at": at, "batch": row}) + "\n" for row, at in rows))
    table.write_text("".join(json.dumps(row | {"observed_at": at}) + "\n" for row, at in rows))

    run = subprocess.run(
        [sys.executable, "-c", dedent(SCRIPT), log, table], capture_output=True, text=True, check=False
    )

    assert "" == run.stderr
    expected = {"F498": 1, "T207": 2, "T208": 1, "T298": 3, "T299": 2}
    answers = json.loads(run.stdout)
    assert dict.fromkeys(("monitor", "rows", "columns", "sql"), expected) == {
        engine: {code: count for code, count in found.items() if code in expected} for engine, found in answers.items()
    }
