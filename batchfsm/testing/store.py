"""Files and batches of a fake API; no code of a test runs while the lock is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Final

import attrs

from batchfsm.testing.result_files import Requests
from batchfsm.testing.timeline import BatchLife, WireObject, made_id

EXPIRY_S: Final = 30 * 86_400
"""Seconds after which input and output files expire by default. Source: openai-openapi, path /files."""


@attrs.frozen(kw_only=True)
class File:
    """One file."""

    id: str
    filename: str
    purpose: str
    created_at: int
    content: bytes
    expires_at: int | None = None
    """Time from which the file is gone; Unix seconds. None: never."""

    def to_dict(self) -> WireObject:
        """Return the file object as the server sends it."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


@attrs.frozen
class Entry:
    """One batch: its life, and its requests with their answers."""

    life: BatchLife
    requests: Requests | None = None
    """None for a recording, which has no results."""
    output_expires_s: int = EXPIRY_S
    """Seconds after their creation at which the output and error file expire."""


class Store:
    """Files and batches; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._number = 0
        self._files: dict[str, File] = {}
        self._batches: dict[str, Entry] = {}
        self._removed: set[str] = set()

    def next_number(self) -> int:
        """Return a number that was not returned before."""
        with self._lock:
            self._number += 1
            return self._number

    def put_file(self, file: File) -> None:
        """Store a file, in place of an earlier one with its id."""
        with self._lock:
            self._files[file.id] = file
            self._removed.discard(file.id)

    def file(self, file_id: str, now: float) -> File | None:
        """Return a file that exists now, uploaded or made by a batch; None if there is none."""
        with self._lock:
            if file_id in self._removed:
                return None
            upload, entries = self._files.get(file_id), list(self._batches.values())
        made = (made for entry in entries for made in _result_files(entry, now, file_id))
        found = next(made, None) if upload is None else upload
        return None if found is None or _is_expired(found, now) else found

    def files(self, now: float) -> list[File]:
        """Return all files, newest first."""
        with self._lock:
            entries, uploads, removed = list(self._batches.values()), list(self._files.values()), set(self._removed)
        found = [*uploads, *(made for entry in entries for made in _result_files(entry, now))]
        kept = [file for file in found if file.id not in removed and not _is_expired(file, now)]
        return sorted(kept, key=lambda file: file.created_at)[::-1]

    def remove_file(self, file_id: str) -> None:
        """Delete a file."""
        with self._lock:
            self._removed.add(file_id)

    def add_batch(self, entry: Entry) -> None:
        """Store a batch; ValueError if there is one with its id."""
        with self._lock:
            batch_id = entry.life.batch_id
            if batch_id in self._batches:
                raise ValueError(f"there is a batch {batch_id} already")
            self._batches[batch_id] = entry

    def life(self, batch_id: str, now: float) -> BatchLife | None:
        """Return the life of a batch; None if the batch does not exist yet."""
        with self._lock:
            entry = self._batches.get(batch_id)
        return None if entry is None or entry.life.begins_at > now else entry.life

    def lives(self, now: float) -> list[BatchLife]:
        """Return the lives of all batches that exist now, newest first."""
        with self._lock:
            found = [entry.life for entry in self._batches.values() if entry.life.begins_at <= now]
        return sorted(found, key=lambda life: life.begins_at)[::-1]

    def change_life(self, batch_id: str, change: Callable[[BatchLife], BatchLife | None]) -> BatchLife | None:
        """Replace a batch's life by the result of `change`; nothing is replaced if that is None."""
        with self._lock:
            entry = self._batches[batch_id]
            life = change(entry.life)
            if life is not None:
                self._batches[batch_id] = attrs.evolve(entry, life=life)
            return life


def _is_expired(file: File, now: float) -> bool:
    return file.expires_at is not None and file.expires_at <= now


def _result_files(entry: Entry, now: float, file_id: str | None = None) -> Iterator[File]:
    """Yield the output and error file of a batch that has ended; only the one with `file_id` if that is given."""
    if entry.requests is None or entry.life.ends_at > now:
        return
    ended = entry.life.at(entry.life.ends_at)
    names = {"output": ended["output_file_id"], "error": ended["error_file_id"]}
    wanted = {kind: name for kind, name in names.items() if name is not None and file_id in (None, name)}
    if not wanted:
        return
    output, error = entry.requests.files(ended)
    created_at = int(entry.life.ends_at)
    for kind, name in wanted.items():
        yield File(
            id=name,
            filename=f"{ended['id']}_{kind}.jsonl",
            purpose="batch_output",
            created_at=created_at,
            content=output if kind == "output" else error,
            expires_at=created_at + entry.output_expires_s,
        )


def new_file(filename: str, purpose: str, content: bytes, *, now: float, number: int, expires_s: int | None) -> File:
    """Return an uploaded file with a new id; `expires_s` None: the default of its purpose."""
    created_at = int(now)
    if expires_s is None and purpose == "batch":
        expires_s = EXPIRY_S
    return File(
        id=made_id("file-", created_at, number, "upload"),
        filename=filename,
        purpose=purpose,
        created_at=created_at,
        content=content,
        expires_at=None if expires_s is None else created_at + expires_s,
    )
