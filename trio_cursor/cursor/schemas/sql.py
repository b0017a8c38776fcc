"""Fragments of SQL that several schemas use. Whatever stands in them is a name or a number of ours."""

from __future__ import annotations

from collections.abc import Sized

from trio_cursor.cursor.schemas import ROWID, Catalog, Query

#: Longer keys are none of ours; Cursor's have about 80 bytes.
KEY_BYTES = 512
#: Keys that `next_keys` gives at most.
KEYS_LISTED = 1000
LEAST_ROWID, MOST_ROWID = -(2**63), 2**63 - 1


def size_of(column: str, catalog: Catalog) -> str:
    """Bytes of a column, which old versions of SQLite tell of a BLOB alone: of a TEXT its characters."""
    return f"octet_length({column})" if catalog.has_octet_length else f"length({column})"


def short(column: str, limit: int, catalog: Catalog) -> str:
    """The column unless it is larger than that."""
    return f"CASE WHEN {size_of(column, catalog)} <= {limit} THEN {column} END"


def marks(params: Sized) -> str:
    """A question mark for each parameter."""
    return ",".join("?" * len(params))


def end_of(prefix: str) -> str:
    """First text that is greater than all with the prefix: its last character moves on by one."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def upwards(select: str, after: int | None, params: tuple[str, ...] = (), *, limit: int) -> Query:
    """Query for the next rows in the order of their rowids; None: from the very first one."""
    beyond = f"{ROWID} >= ?" if after is None else f"{ROWID} > ?"
    start = LEAST_ROWID if after is None else after
    return Query(f"{select} WHERE {beyond} ORDER BY {ROWID} LIMIT {limit}", (*params, start))


def next_keys(table: str, prefix: str, after: bytes, catalog: Catalog) -> Query:
    """Query for keys with a prefix, from one of them on, and their rowids: index only, not all at once."""
    # `after` is in bytes, since not every key is text.
    return Query(
        f"SELECT key, {ROWID} FROM {table} WHERE key > CAST(? AS TEXT) AND key < ?"  # noqa: S608 - our own names
        f" AND {size_of('key', catalog)} <= {KEY_BYTES} ORDER BY key LIMIT {KEYS_LISTED}",
        (after, end_of(prefix)),
        can_wait=True,
    )
