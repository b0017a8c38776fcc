"""What can be asked of `cursorDiskKV`, `ItemTable` and `composerHeaders`: single rows by their keys.

An *ask* is one query, or a few, that is answered as a whole or not at all in this look. Which rows a
conversation has is found out step by step; how that goes on over several looks is in `exchange.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, ClassVar, Protocol, TypeAlias

import attrs

from trio_cursor.cursor.schemas import ROWID, Catalog, Query, Rows
from trio_cursor.cursor.schemas.fields import FOLDER_LIMIT, short_text
from trio_cursor.cursor.schemas.sql import end_of, marks, short, size_of
from trio_cursor.cursor.schemas.values import (
    ID_BYTES,
    TIME_BYTES,
    BadValueError,
    milliseconds,
    parse_json,
    usable_id,
)

#: So few that SQLite has found them before it looks at the clock for the first time.
_KEYS_AT_ONCE = 25
_CONTEXTS = 3
_CONTEXT_LIMIT = 1 << 20
_HEAD_COLUMNS = {
    "workspaceId": ID_BYTES,
    "createdAt": TIME_BYTES,
    "lastUpdatedAt": TIME_BYTES,
    "isSubagent": 8,
    "checkpointAt": TIME_BYTES,
}
HEADS = "composerHeaders"
HEADS_READABLE = frozenset({"composerId", *_HEAD_COLUMNS})


@attrs.frozen
class Answer:
    """To one ask."""

    #: Parses what was read; called after the file was closed.
    make: Callable[[], Any]
    #: Bytes of the values in it.
    size: int = 0


Asking: TypeAlias = Generator[Query, Rows, Answer | None]


class Ask(Protocol):
    """What is to be found out."""

    @property
    def words(self) -> str:
        """What could not be read, if it comes to that."""

    @property
    def is_optional(self) -> bool:
        """Where it cannot be read it counts as not there."""

    def read(self, catalog: Catalog, room: int) -> Asking:
        """Ask; None: the lock budget was spent, or what there is has more bytes than `room`."""


@attrs.frozen
class Row:
    """A row whose value is not NULL."""

    #: 0: not known, as it is too large for SQLite.
    rowid: int
    #: In bytes; None as above.
    size: int | None
    #: As `parse` made it; None if it could not.
    value: Any = None
    #: Why there is no value, in words.
    problem: str | None = None
    is_too_large: bool = False


@attrs.frozen
class Value:
    """Asks for a row with its value; answered by a `Row`, or None if there is none or only a tombstone."""

    key: str
    limit: int
    parse: Callable[[Any], Any] = attrs.field(eq=False)
    table: str = "cursorDiskKV"
    is_optional: ClassVar = False

    @property
    def words(self) -> str:
        return f"a row of {self.table}"

    def read(self, catalog: Catalog, room: int) -> Asking:
        size, most = size_of("value", catalog), min(self.limit, room)
        # In a damaged table without its unique index the newest row counts.
        answer = yield Query(
            f"SELECT {ROWID}, {size}, CASE WHEN {size} <= ? THEN value END"  # noqa: S608 - our own names
            f" FROM {self.table} WHERE key = ? ORDER BY {ROWID} DESC LIMIT 1",
            (most, self.key),
            can_wait=True,
        )
        if answer.stopped == "too big":
            by_number = f"SELECT {ROWID} FROM {self.table} WHERE key = ? ORDER BY {ROWID} DESC LIMIT 1"  # noqa: S608
            row = (yield Query(by_number, (self.key,))).rows
            return _too_large(row[0][0] if row else 0, None, "it is larger than SQLite may read")
        if not answer.rows:
            return None if answer.stopped else _NOTHING
        rowid, found, stored = answer.rows[0]
        if found is None:
            return _NOTHING
        if found > self.limit:
            return _too_large(rowid, found, f"it has {found} bytes, more than {self.limit}")
        return None if found > most else Answer(partial(self._parsed, rowid, found, stored), found)

    def _parsed(self, rowid: int, size: int, stored: Any) -> Row:
        try:
            return Row(rowid, size, self.parse(stored))
        except BadValueError as error:
            return Row(rowid, size, problem=str(error))


@attrs.frozen
class Found:
    """Which of the rows asked for are there, and which are still to be asked for."""

    #: Key to rowid and size, of those that are not NULL.
    rows: Mapping[str, tuple[int, int | None]]
    rest: tuple[str, ...]


@attrs.frozen
class Present:
    """Asks which of these keys of `cursorDiskKV` are there; answered by `Found`."""

    keys: tuple[str, ...]
    words: ClassVar = "the list of bubbles"
    is_optional: ClassVar = False

    def read(self, catalog: Catalog, room: int) -> Asking:  # noqa: ARG002 - no value is read
        # Without `octet_length` the size of a TEXT costs all of it.
        known = "octet_length(value)" if catalog.has_octet_length else "NULL"
        select = f"SELECT {ROWID}, key, typeof(value), {known} FROM cursorDiskKV WHERE key IN"  # noqa: S608
        found: dict[str, tuple[int, int | None]] = {}
        left = self.keys
        while left:
            some = left[:_KEYS_AT_ONCE]
            answer = yield Query(f"{select} ({marks(some)})", some, can_wait=True)
            seen = {key.decode(): (rowid, size, kind != b"null") for rowid, key, kind, size in answer.rows}
            found |= {key: (rowid, size) for key, (rowid, size, is_there) in seen.items() if is_there}
            left = tuple(key for key in some if answer.stopped and key not in seen) + left[len(some) :]
            if answer.stopped:
                break
        return None if left == self.keys else Answer(partial(Found, found, left))


@attrs.frozen
class Head:
    """A row of `composerHeaders`; the default of everything is "not known"."""

    workspace_id: str | None = None
    newest_ms: int | None = None
    checkpoint_ms: int | None = None
    is_sub_agent: bool = False


@attrs.frozen
class HeadOf:
    """Asks for a conversation's row in `composerHeaders`.

    Answered by a `Head`, which knows nothing where there is no such row, or by None where it cannot be read.
    """

    conversation_id: str
    words: ClassVar = "a row of composerHeaders"
    is_optional: ClassVar = True

    def read(self, catalog: Catalog, room: int) -> Asking:  # noqa: ARG002 - a few short columns
        table = catalog.tables.get(HEADS)
        if table is None or table.misfit(frozenset({"composerid"})):
            return Answer(Head)
        has = table.column_names()
        columns = ", ".join(
            short(name, limit, catalog) if name.lower() in has else "NULL"
            for name, limit in _HEAD_COLUMNS.items()
        )
        answer = yield Query(
            f"SELECT {columns} FROM {HEADS} WHERE composerId = ? LIMIT 1",  # noqa: S608 - our own names
            (self.conversation_id,),
            can_wait=True,
        )
        if not answer.rows:
            return None if answer.stopped else Answer(Head)
        return Answer(partial(_head, *answer.rows[0]))


@attrs.frozen
class FoldersOf:
    """Asks for the folders that the context of a conversation's prompts names.

    Answered by paths or URIs, or by None where it cannot be read.
    """

    conversation_id: str
    words: ClassVar = "the context of a prompt"
    is_optional: ClassVar = True

    def read(self, catalog: Catalog, room: int) -> Asking:
        prefix = f"messageRequestContext:{self.conversation_id}:"
        size = size_of("value", catalog)
        most = min(_CONTEXT_LIMIT, room // _CONTEXTS)
        answer = yield Query(
            f"SELECT {size}, CASE WHEN {size} <= ? THEN value END"  # noqa: S608 - our own names
            f" FROM cursorDiskKV WHERE key >= ? AND key < ? ORDER BY key LIMIT {_CONTEXTS}",
            (most, prefix, end_of(prefix)),
            can_wait=True,
        )
        if answer.stopped and not answer.rows:
            return None
        if any(found is not None and most < found <= _CONTEXT_LIMIT for found, _ in answer.rows):
            return None
        stored = [value for _, value in answer.rows]
        return Answer(partial(_folders, stored), sum(len(one) for one in stored if isinstance(one, bytes)))


_NOTHING = Answer(lambda: None)


def _too_large(rowid: int, size: int | None, problem: str) -> Answer:
    return Answer(lambda: Row(rowid, size, problem=problem, is_too_large=True))


def _head(workspace: Any, created: Any, updated: Any, is_sub_agent: Any, checkpoint: Any) -> Head:
    times = [time for value in (created, updated, checkpoint) if (time := milliseconds(value)) is not None]
    return Head(
        workspace_id=usable_id(workspace),
        newest_ms=max(times, default=None),
        checkpoint_ms=milliseconds(checkpoint),
        is_sub_agent=is_sub_agent == 1,
    )


def _folders(stored: list[Any]) -> tuple[str, ...]:
    """`projectLayouts[].rootPath`; one layout may be JSON text inside the JSON."""
    found: dict[str, None] = {}
    for value in stored:
        context = _parsed_or_none(value)
        layouts = context.get("projectLayouts") if isinstance(context, dict) else None
        for item in layouts if isinstance(layouts, list) else ():
            layout = _parsed_or_none(item.encode()) if isinstance(item, str) else item
            path = layout.get("rootPath") if isinstance(layout, dict) else None
            if folder := short_text(path, FOLDER_LIMIT):
                found[folder] = None
    return tuple(found)


def _parsed_or_none(value: Any) -> Any:
    try:
        return parse_json(value, limit=_CONTEXT_LIMIT)
    except BadValueError:
        return None
