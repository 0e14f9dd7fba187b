"""What outlives a process: the state of each batch, its transitions, and which hooks have yet to hear of them."""

from batchfsm.journal.places import open_journal
from batchfsm.journal.postgres import PostgresJournal
from batchfsm.journal.protocol import Change, Entry, Journal, Kept, Outcome, Pending
from batchfsm.journal.sqlite import SQLiteJournal

__all__ = [
    "Change",
    "Entry",
    "Journal",
    "Kept",
    "Outcome",
    "Pending",
    "PostgresJournal",
    "SQLiteJournal",
    "open_journal",
]
