"""The ring: key `aiService.generations` of `ItemTable`, the last 100 generations asked for in a window.

Cursor rewrites the whole value by a plain INSERT on a key that is UNIQUE ON CONFLICT REPLACE, so the
row gets a new rowid each time: an unchanged rowid and size mean an unchanged ring. UPSERT or UPDATE
would keep the rowid; `verify` therefore reads the value whatever they say.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import attrs

from trio_cursor.cursor.schemas import ROWID, Catalog, Query, Scan, Step
from trio_cursor.cursor.schemas.fields import known_keys, short_text
from trio_cursor.cursor.schemas.sql import size_of
from trio_cursor.cursor.schemas.values import (
    RING_LIMIT,
    BadValueError,
    canonical_id,
    digest,
    milliseconds,
    parse_json,
    text_of,
    usable_id,
)
from trio_cursor.observations import JsonObject, RingEntry
from trio_cursor.records import Gap, Page, Position

KEY = "aiService.generations"
#: Cursor keeps this many entries (an LRU of capacity 100, seen in one build and on real machines).
CAPACITY = 100
#: No ring of Cursor's comes near this; a larger one must not make its neighbours wait.
MOST_ENTRIES = 5000
_KEYS = ("unixMs", "generationUUID", "type", "textDescription")
_TYPE_LIMIT = 100


@attrs.frozen
class _Seen:
    """The ring as it was when it was last read: what a position holds."""

    #: Of the row that was read; None: there was none, or it must be read again.
    rowid: int | None = None
    size: int | None = None
    #: Digests of the ids that were in it when it last held any.
    ids: tuple[str, ...] = ()
    #: Of those that gave way to older content, a backup for instance: they may come back.
    aside: tuple[str, ...] = ()
    #: Of the entries that it last held.
    oldest_ms: int | None = None
    newest_ms: int | None = None
    #: How many there are now.
    entries: int = 0
    #: It was read once, or known not to be there: what appears from then on is new.
    synced: bool = False
    problem: str | None = None

    @classmethod
    def from_position(cls, position: Position | None) -> _Seen:
        return cls() if position is None else _parsed(position)

    def to_position(self) -> Position:
        return json.dumps(attrs.asdict(self, recurse=False), separators=(",", ":"))


@lru_cache(maxsize=128)
def _parsed(position: Position) -> _Seen:
    """Kept, as most looks find nothing new and begin with the same position."""
    known = json.loads(position)
    return _Seen(**{**known, "ids": tuple(known["ids"]), "aside": tuple(known.get("aside", ()))})


@attrs.frozen
class RingSchema:
    """Schema `ring`, in workspaces and, for windows without a folder, in the global database."""

    name: str = "ring"
    readable: Mapping[str, frozenset[str]] = attrs.field(
        factory=lambda: {"ItemTable": frozenset({"key", "value"})}, eq=False
    )

    def matches(self, catalog: Catalog) -> bool | str:
        table = catalog.tables.get("ItemTable")
        return False if table is None else table.misfit(self.readable["ItemTable"]) or True

    def scan(
        self,
        catalog: Catalog,
        position: Position | None,
        *,
        rescan: bool,
        verify: bool,
        since_ms: int | None,  # noqa: ARG002 - all of it is read anyway
    ) -> Scan[Step]:
        seen = _Seen.from_position(position)
        unless = (None, None) if rescan or verify else (seen.rowid, seen.size)
        answer = yield _query(catalog, unless)
        if answer.stopped == "too big":
            return lambda: _broken(seen, None, None, f"it is larger than {RING_LIMIT} bytes")
        if not answer.rows:
            return lambda: _unanswered(seen) if answer.stopped else _absent(seen)
        rowid, size, value = answer.rows[0]
        if position is not None and rowid is not None and (rowid, size) == unless:
            return lambda: Page((), position, problem=seen.problem, entries=seen.entries)
        if size is not None and size > RING_LIMIT:
            return lambda: _broken(seen, rowid, size, f"it has {size} bytes, more than {RING_LIMIT}")
        return lambda: _read(seen, rowid, size, value, rescan=rescan)


def _query(catalog: Catalog, unless: tuple[int | None, int | None]) -> Query:
    # One query and not two, because only the first of a transaction is sure to be answered within the lock
    # budget. The value comes only if rowid or size have changed, and if it is not too large.
    size = size_of("value", catalog)
    value = f"CASE WHEN {size} <= {RING_LIMIT} AND NOT ({ROWID} IS ? AND {size} IS ?) THEN value END"
    # In a damaged table without its unique index the newest row counts.
    return Query(
        f"SELECT {ROWID}, {size}, {value} FROM ItemTable WHERE key = ? ORDER BY {ROWID} DESC LIMIT 1",  # noqa: S608
        (*unless, KEY),
    )


def _unanswered(seen: _Seen) -> Page:
    """The lock budget was not enough for one lookup: an ItemTable without its index."""
    # Without a rowid the next look reads again.
    position = attrs.evolve(seen, rowid=None).to_position()
    return Page((), position, problem="the ring could not be read within the lock budget", is_given_up=True)


def _absent(seen: _Seen) -> Page:
    """No such key: Cursor before 2025, or a window in which nothing was asked yet."""
    now = attrs.evolve(seen, rowid=None, size=None, entries=0, synced=True, problem=None)
    return Page((), now.to_position(), entries=0)


def _broken(seen: _Seen, rowid: int | None, size: int | None, why: str) -> Page:
    problem = f"the ring ({KEY}) cannot be read: {why}"
    now = attrs.evolve(seen, rowid=rowid, size=size, entries=0, problem=problem)
    return Page((), now.to_position(), problem=problem)


def _read(seen: _Seen, rowid: int, size: int | None, value: Any, *, rescan: bool) -> Page:
    try:
        items = parse_json(value, limit=RING_LIMIT)
    except BadValueError as error:
        return _broken(seen, rowid, size, str(error))
    if not isinstance(items, list):
        return _broken(seen, rowid, size, "it is not a list")
    entries, skipped = _entries(items)
    ids = tuple(entry.name.digest for entry in entries)
    known = frozenset() if rescan else frozenset(seen.ids)
    times = [entry.unix_ms for entry in entries if entry.unix_ms is not None]
    now = attrs.evolve(seen, rowid=rowid, size=size, entries=len(entries), synced=True, problem=None)
    if entries:  # what an empty ring held before is still what was seen last
        now = attrs.evolve(
            now, ids=ids, oldest_ms=min(times, default=None), newest_ms=max(times, default=None)
        )
        now = attrs.evolve(now, aside=_aside(seen, now))
    return Page(
        tuple(entry.observed(rowid) for entry in entries if entry.name.digest not in known),
        now.to_position(),
        backfill=rescan or not seen.synced,
        gaps=_gaps(seen, now, len(items)),
        skipped=skipped,
        entries=len(entries),
    )


class _Name(NamedTuple):
    """An id as it is reported, and as it is compared."""

    id: str
    canonical: str
    digest: str


#: Kept, as of a ring with a new entry 99 were in it before.
@lru_cache(maxsize=2048)
def _name_of(id_: str) -> _Name | None:
    if (usable := usable_id(id_)) is None:
        return None
    same = canonical_id(usable)
    return _Name(usable, same, digest(same))


class _Entry(NamedTuple):
    """Of an entry what is looked at before it is known to be new."""

    name: _Name
    unix_ms: int | None
    item: JsonObject

    def observed(self, rowid: int) -> RingEntry:
        return RingEntry(
            generation_id=self.name.id,
            unix_ms=self.unix_ms,
            type=short_text(self.item.get("type"), _TYPE_LIMIT),
            text=text_of(self.item.get("textDescription")),
            rowid=rowid,
            source=known_keys(self.item, _KEYS),
        )


def _entries(items: list[Any]) -> tuple[list[_Entry], dict[str, int]]:
    entries: dict[str, _Entry] = {}
    skipped: Counter[str] = Counter()
    for item in items:
        if not isinstance(item, dict):
            skipped["ring item is not an object"] += 1
            continue
        id_ = item.get("generationUUID")
        if not isinstance(id_, str) or (name := _name_of(id_)) is None:
            skipped["ring item without a usable id"] += 1
            continue
        entry = _Entry(name, milliseconds(item.get("unixMs")), item)
        if (other := entries.get(name.canonical)) is not None:
            skipped["ring item repeats an id"] += 1
            if not _is_earlier(entry, other):
                continue
        entries[name.canonical] = entry
    if len(entries) > MOST_ENTRIES:
        skipped[f"ring item beyond the newest {MOST_ENTRIES}"] += len(entries) - MOST_ENTRIES
        newest = heapq.nlargest(MOST_ENTRIES, entries.values(), key=lambda entry: entry.unix_ms or 0)
        return newest, dict(skipped)
    return list(entries.values()), dict(skipped)


def _is_earlier(entry: _Entry, other: _Entry) -> bool:
    return entry.unix_ms is not None and (other.unix_ms is None or entry.unix_ms < other.unix_ms)


def _aside(seen: _Seen, now: _Seen) -> tuple[str, ...]:
    if _is_older(seen, now):
        return seen.ids
    return seen.aside if set(seen.aside).isdisjoint(now.ids) else ()


def _is_older(seen: _Seen, now: _Seen) -> bool:
    """Whether older content was put back that shares nothing with what was there."""
    if seen.oldest_ms is None or now.newest_ms is None or set(seen.ids) & set(now.ids):
        return False
    return now.newest_ms <= seen.oldest_ms


def _gaps(seen: _Seen, now: _Seen, size: int) -> tuple[Gap, ...]:
    """A full ring that shares nothing with what was seen of it has rolled on while nobody looked."""
    known = {*seen.ids, *seen.aside}
    if not seen.synced or size < CAPACITY or known & set(now.ids) or _is_older(seen, now):
        return ()
    held = "held nothing that was there at the last look" if seen.ids else "was empty at the last look"
    return (
        Gap(
            "ring",
            f"the ring was full and {held}: entries between were missed",
            seen.newest_ms,
            now.oldest_ms,
        ),
    )
