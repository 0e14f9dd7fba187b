"""What outlives a process: the state of each batch, its transitions, and which hooks have yet to hear of them."""

from batchfsm.journal.jobs import ProcrastinateJournal
from batchfsm.journal.places import open_journal
from batchfsm.journal.postgres import PostgresJournal
from batchfsm.journal.protocol import Change, Entry, Journal, Kept, Outcome, Pending, Written
from batchfsm.journal.retries import BACKOFF_S, BACKOFF_S_MAX, TRIES_MAX, backoff_s, error_text
from batchfsm.journal.sqlite import SQLiteJournal

__all__ = [
    "BACKOFF_S",
    "BACKOFF_S_MAX",
    "TRIES_MAX",
    "Change",
    "Entry",
    "Journal",
    "Kept",
    "Outcome",
    "Pending",
    "PostgresJournal",
    "ProcrastinateJournal",
    "SQLiteJournal",
    "Written",
    "backoff_s",
    "error_text",
    "open_journal",
]
