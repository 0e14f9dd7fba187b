"""What a fake API holds: files and batches, behind one lock under which nobody else's code runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock

import attrs

from batchfsm.testing.result_files import Requests
from batchfsm.testing.timeline import BatchLife, Wire, made_id


@attrs.frozen(kw_only=True)
class File:
    """One file."""

    id: str
    filename: str
    purpose: str
    created_at: int
    content: bytes

    def to_dict(self) -> Wire:
        """Return it as the server describes it."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "expires_at": None,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


@attrs.frozen
class Entry:
    """One batch: what becomes of it, and of its requests."""

    life: BatchLife
    requests: Requests | None = None
    """None if nobody knows them: a recording has no results."""


class Store:
    """Files and batches; thread-safe."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = Lock()
        self._number = 0
        self._files: dict[str, File] = {}
        self._batches: dict[str, Entry] = {}
        self._removed: set[str] = set()

    def number(self) -> int:
        """Return a number that was never returned before."""
        with self._lock:
            self._number += 1
            return self._number

    def upload(self, filename: str, purpose: str, content: bytes, now: float) -> File:
        """Keep a file."""
        created_at, number = int(now), self.number()
        name = made_id("file-", created_at, number, "upload")
        file = File(id=name, filename=filename, purpose=purpose, created_at=created_at, content=content)
        with self._lock:
            self._files[file.id] = file
        return file

    def file(self, file_id: str, now: float) -> File | None:
        """Return a file, uploaded or made by a batch by now; None if there is none."""
        with self._lock:
            if file_id in self._removed:
                return None
            upload, entries = self._files.get(file_id), list(self._batches.values())
        if upload is not None:
            return upload
        return next((made for entry in entries for made in _made(entry, now, file_id)), None)

    def files(self, now: float) -> list[File]:
        """Return all files, newest first."""
        with self._lock:
            entries, uploads, removed = list(self._batches.values()), list(self._files.values()), set(self._removed)
        found = [*uploads, *(made for entry in entries for made in _made(entry, now))]
        kept = [file for file in found if file.id not in removed]
        return sorted(kept, key=lambda file: file.created_at)[::-1]

    def remove(self, file_id: str) -> None:
        """Forget a file."""
        with self._lock:
            self._removed.add(file_id)

    def put(self, entry: Entry) -> None:
        """Keep a batch; ValueError if there is one with its id."""
        with self._lock:
            batch_id = entry.life.batch_id
            if batch_id in self._batches:
                raise ValueError(f"there is a batch {batch_id} already")
            self._batches[batch_id] = entry

    def life(self, batch_id: str, now: float) -> BatchLife | None:
        """Return what becomes of a batch; None if there is none yet."""
        with self._lock:
            entry = self._batches.get(batch_id)
        return None if entry is None or entry.life.begins_at > now else entry.life

    def lives(self, now: float) -> list[BatchLife]:
        """Return what becomes of all batches, newest first."""
        with self._lock:
            found = [entry.life for entry in self._batches.values() if entry.life.begins_at <= now]
        return sorted(found, key=lambda life: life.begins_at)[::-1]

    def change(self, batch_id: str, change: Callable[[BatchLife], BatchLife | None]) -> BatchLife | None:
        """Put what `change` makes of a batch's life in its place; None, and nothing changes, if it makes none."""
        with self._lock:
            entry = self._batches[batch_id]
            life = change(entry.life)
            if life is not None:
                self._batches[batch_id] = attrs.evolve(entry, life=life)
            return life


def _made(entry: Entry, now: float, file_id: str | None = None) -> Iterator[File]:
    """Yield the files that a batch has made by now, or the one of them that is asked for."""
    if entry.requests is None or entry.life.ends_at > now:
        return
    ended = entry.life.at(entry.life.ends_at)
    names = {"output": ended["output_file_id"], "error": ended["error_file_id"]}
    wanted = {kind: name for kind, name in names.items() if name is not None and file_id in (None, name)}
    if not wanted:
        return
    output, error = entry.requests.files(ended)
    for kind, name in wanted.items():
        yield File(
            id=name,
            filename=f"{ended['id']}_{kind}.jsonl",
            purpose="batch_output",
            created_at=int(entry.life.ends_at),
            content=output if kind == "output" else error,
        )
