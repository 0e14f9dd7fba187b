"""The one fold of snapshots into what is known of a batch, shared by the monitor and the auditor."""

from batchfsm.history.fold import Fold, Folded, OnIllegal
from batchfsm.history.life import Life, life_of
from batchfsm.history.stored import dump, restore
from batchfsm.history.track import Track

__all__ = ["Fold", "Folded", "Life", "OnIllegal", "Track", "dump", "life_of", "restore"]
