"""An audit that goes on where the one before it ended."""

from __future__ import annotations

from contextlib import ExitStack
from os import PathLike

import attrs

from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.auditing.incremental import IncrementalState
from batchfsm.auditing.progress import ProgressMeter
from batchfsm.auditing.report import Report
from batchfsm.auditing.row_engine import one_by_one
from batchfsm.auditing.state_file import StateFile
from batchfsm.auditing.tables import MixedInput
from batchfsm.dialects import Dialect
from batchfsm.logs import LogSource


def go_on(
    log: LogSource | MixedInput,
    state: str | PathLike[str] | StateFile,
    dialect: Dialect,
    blank: FindingsAccumulator,
    skew_s: float,
    *,
    meter: ProgressMeter,
) -> Report:
    """
    Judge a log row by row, after all that a state has taken in, and take it in too.

    Args:
        log: What is to be judged; files that the state has taken in are passed over, and named in a remark.
        state: Where the state is; one that is open is left open, and unwritten until it is closed.
        dialect: Whose rules they are.
        blank: What the run's tally begins as.
        skew_s: How far a stamp may lie after its observation; seconds.
        meter: Who counts what is done.

    Raises:
        StateError: If the state cannot be read or written, or is not for this audit.
    """
    with ExitStack() as stack:
        file = state if isinstance(state, StateFile) else stack.enter_context(StateFile(state))
        stack.enter_context(file.run(dialect, skew_s))
        fresh, past = log.only(file.new_logs(log.names)), IncrementalState(file)
        meter.begin("reading", fresh.size)
        is_repeatable = fresh.is_repeatable
        tally, flow = one_by_one(fresh, dialect, blank, skew_s, is_repeatable=is_repeatable, past=past, meter=meter)
        past.close()
    known = [name for name in log.names if name not in fresh.names]
    remarks = (f"passed over, for the state has taken it in before: {', '.join(known)}",) if known else ()
    return attrs.evolve(tally.report(), flow=flow, remarks=remarks)
