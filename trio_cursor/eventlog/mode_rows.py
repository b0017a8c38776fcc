"""The statements about privacy: the key of digests, and in which modes the log was written. Synchronous."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from typing import Any

from trio_cursor.privacy import FULL, MODES, History

_KEY_BYTES = 32
_KEY, _MODES = "privacy_key", "privacy_modes"


def load_key(connection: Any) -> bytes | None:
    """The key; None: none was made yet."""
    found = _value(connection, _KEY)
    return None if found is None else bytes.fromhex(found)


def make_key(connection: Any) -> bytes:
    """Make and store one."""
    key = secrets.token_bytes(_KEY_BYTES)
    connection.execute("INSERT INTO meta VALUES (?, ?)", (_KEY, key.hex()))
    return key


def load_modes(connection: Any) -> History:
    """From which sequence on which mode; empty: it was never said."""
    found = json.loads(_value(connection, _MODES) or "[]")
    # One that a later release has is not known to be any stricter.
    return tuple((int(first), mode if mode in MODES else FULL) for first, mode in found)


def save_modes(connection: Any, modes: History) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_MODES, json.dumps(modes)))


def empty_the_log_beside(connection: Any) -> None:
    """Move everything from the `-wal` into the file, and cut it to nothing if nobody reads it."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def count_between(connection: Any, ranges: Iterable[tuple[int, int | None]]) -> int:
    """How many records have sequences in the ranges."""
    # The signs keep it from walking through the records themselves, which an index spares.
    statement = "SELECT count(*) FROM events WHERE +seq >= ? AND (? IS NULL OR +seq < ?)"
    return sum(int(connection.execute(statement, (first, end, end)).fetchone()[0]) for first, end in ranges)


def _value(connection: Any, key: str) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])
