"""The fold of snapshots into records of batches, shared by the monitor and the auditor."""

from batchfsm.history.batch_record import BatchRecord, BatchTimeline, timeline_of
from batchfsm.history.fold import Fold, FoldResult, OnIllegalMove
from batchfsm.history.serialization import dump, restore

__all__ = ["BatchRecord", "BatchTimeline", "Fold", "FoldResult", "OnIllegalMove", "dump", "restore", "timeline_of"]
