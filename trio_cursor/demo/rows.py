"""Rows of `cursorDiskKV` and `composerHeaders`, on their way into the global database.

Nobody has published the SQL with which Cursor writes them. What was seen is its effect: each rewrite has a
new rowid (tonyzzr/cursor-chat-browser), as a plain INSERT into this table has; what is deleted becomes NULL
(wisdgod/cursor-chat-cleanup).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from trio_cursor.demo.javascript import stringify

if TYPE_CHECKING:
    from trio_cursor.demo.storage import Storage
    from trio_cursor.observations import JsonObject

INSERT: Final = "INSERT INTO cursorDiskKV VALUES (?, ?)"
INSERT_HEADER: Final = (
    "INSERT OR REPLACE INTO composerHeaders (composerId, workspaceId, createdAt, lastUpdatedAt, isArchived,"
    " isSubagent, recency, checkpointAt, value) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def composer_key(composer_id: str) -> str:
    return f"composerData:{composer_id}"


def bubble_key(composer_id: str, bubble_id: str) -> str:
    return f"bubbleId:{composer_id}:{bubble_id}"


class Rows(Protocol):
    """Where documents go."""

    def put(self, key: str, document: JsonObject, *, as_blob: bool = False) -> None:
        """Write a document in place of the one before."""

    def put_raw(self, key: str | None, value: str | bytes | None) -> None:
        """Write something that is no JSON object; None: a tombstone."""

    def put_header(self, *columns: Any) -> None:
        """Write a row of `composerHeaders`."""


class LiveRows:
    """Each writing goes into the next flush: what a reader may see in between is part of the demo."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def put(self, key: str, document: JsonObject, *, as_blob: bool = False) -> None:
        text = stringify(document)
        self._storage.execute(INSERT, key, text.encode() if as_blob else text)

    def put_raw(self, key: str | None, value: str | bytes | None) -> None:
        self._storage.execute(INSERT, key, value)

    def put_header(self, *columns: Any) -> None:
        self._storage.execute(INSERT_HEADER, *columns)


class HeldRows:
    """Keeps only the last state of each document, until `release`: for what happened long ago."""

    def __init__(self) -> None:
        self._documents: dict[str, tuple[JsonObject, bool]] = {}
        self._raw: list[tuple[str | None, str | bytes | None]] = []
        self._headers: dict[str, tuple[Any, ...]] = {}

    def put(self, key: str, document: JsonObject, *, as_blob: bool = False) -> None:
        self._documents[key] = document, as_blob

    def put_raw(self, key: str | None, value: str | bytes | None) -> None:
        self._raw.append((key, value))

    def put_header(self, *columns: Any) -> None:
        self._headers[columns[0]] = columns

    def release(self, rows: Rows) -> None:
        for key, (document, as_blob) in self._documents.items():
            rows.put(key, document, as_blob=as_blob)
        for raw_key, value in self._raw:
            rows.put_raw(raw_key, value)
        for columns in self._headers.values():
            rows.put_header(*columns)
        self._documents.clear()
        self._raw.clear()
        self._headers.clear()
