"""The one fold of snapshots into what is known of a batch, shared by the monitor and the auditor."""

from batchfsm.history.batch_record import BatchRecord
from batchfsm.history.fold import Fold, FoldResult, OnIllegal
from batchfsm.history.life import BatchTimeline, timeline_of
from batchfsm.history.serialization import dump, restore

__all__ = ["BatchRecord", "BatchTimeline", "Fold", "FoldResult", "OnIllegal", "dump", "restore", "timeline_of"]
