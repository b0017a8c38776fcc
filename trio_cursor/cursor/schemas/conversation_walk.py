"""The walk through `cursorDiskKV` by rowid: what was written since the last look.

Cursor writes by a plain INSERT on a key that is UNIQUE ON CONFLICT REPLACE, so every write gives its row the
highest rowid: the order of rowids is the order of last writes, and what is new lies at the top.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import TypeAlias

import attrs

from trio_cursor.cursor.schemas import ROWID, Catalog, Query, Rows
from trio_cursor.cursor.schemas.conversation_looks import Naming
from trio_cursor.cursor.schemas.sql import KEY_BYTES, LEAST_ROWID, MOST_ROWID, marks, size_of
from trio_cursor.cursor.schemas.values import digest
from trio_cursor.records import Position

PAGE_ROWS = 500
#: Rows just below the position by which rowids that were used again are noticed.
GUARDS = 8
#: Conversations of which it is remembered what their documents named.
_MOST_NAMINGS = 100

#: Rowid and key; None: the key is not a text of ours. Upwards unless it is said otherwise.
KeyRow: TypeAlias = tuple[int, bytes | None]
#: Rowid and digest of the key.
Mark: TypeAlias = tuple[int, str]


@attrs.frozen
class Seen:
    """What a position holds."""

    #: Rowid of the last row that was walked; None: none was.
    at: int | None = None
    #: The last rows walked as they stood then, upwards, without a gap between them.
    guards: tuple[Mark, ...] = ()
    #: Older rows that were walked, upwards, the further below the further apart.
    anchors: tuple[Mark, ...] = ()
    #: Everything above it is walked; None: everything.
    floor: int | None = None
    #: The end was reached once: what comes above `at` is new.
    synced: bool = False
    #: Where the search for the floor goes on, downwards; None: it is over.
    down: int | None = None
    #: Documents in a row that were too old, as far as that search has come.
    out: int = 0
    #: Digest of a conversation to what its document named, of those looked at last.
    namings: Mapping[str, Naming] = attrs.field(factory=dict)
    #: Last key of the verification's last slice, in hexadecimal; empty: the next one starts at the beginning.
    verified: str = ""

    @classmethod
    def from_position(cls, position: Position) -> Seen:
        known = json.loads(position)
        marks = {name: tuple((rowid, key) for rowid, key in known[name]) for name in ("guards", "anchors")}
        namings = {id_: (number, last) for id_, (number, last) in known["namings"].items()}
        return cls(**{**known, **marks, "namings": namings})

    def to_position(self) -> Position:
        return json.dumps(attrs.asdict(self, recurse=False), separators=(",", ":"))

    @classmethod
    def before_everything(cls, since_ms: int | None) -> Seen:
        """Where a first sync begins."""
        return cls() if since_ms is None else cls(down=MOST_ROWID)

    @classmethod
    def at_floor(cls, rows: list[KeyRow]) -> Seen:
        """Where the walk upwards begins, above the last of these rows."""
        return cls(floor=rows[-1][0]).walked(rows)

    def walked(self, rows: list[KeyRow]) -> Seen:
        """After these rows, which are the guards that still stand and what comes above them."""
        if not rows:
            return self
        marks = tuple((rowid, digest_of(key)) for rowid, key in rows[-GUARDS:])
        return attrs.evolve(self, at=rows[-1][0], guards=marks, anchors=_thinned((*self.anchors, marks[0])))

    def remembering(self, namings: Mapping[str, Naming]) -> Seen:
        """With what the documents named that were looked at."""
        # In a fixed order, so that a look that finds nothing new leaves the position as it is.
        kept = {id_: naming for id_, naming in self.namings.items() if id_ not in namings}
        newest = [*kept.items(), *sorted(namings.items())][-_MOST_NAMINGS:]
        return attrs.evolve(self, namings=dict(newest))


@attrs.frozen
class Walked:
    """Rows that a look passed."""

    #: Upwards: the guards that still stand, and all above the lowest of them.
    rows: list[KeyRow]
    #: Those that were not known.
    news: list[KeyRow]
    #: There is nothing further.
    is_end: bool
    #: Nothing of what was known is there any more.
    is_lost: bool = False


def digest_of(key: bytes | None) -> str:
    return digest("" if key is None else key.decode("utf-8", "surrogateescape"))


def walk_up(catalog: Catalog, seen: Seen, so_far: list[KeyRow]) -> Generator[Query, Rows, Walked | None]:
    """Read the rows above those so far, or from the guards on; None: the lock budget left no time."""
    if so_far:
        beyond, start = ">", so_far[-1][0]
    else:
        beyond, start = ">=", seen.guards[0][0] if seen.guards else LEAST_ROWID
    answer = yield Query(
        f"{_select(catalog)} WHERE {ROWID} {beyond} ? ORDER BY {ROWID} LIMIT {PAGE_ROWS}", (start,)
    )
    if answer.stopped and not answer.rows:
        return None
    rows: list[KeyRow] = [*so_far, *answer.rows]
    is_end = answer.stopped is None and len(answer.rows) < PAGE_ROWS
    known = set(seen.guards)
    news = [row for row in rows if (row[0], digest_of(row[1])) not in known]
    # What was rewritten or deleted is gone from where it stood: one row that stands is enough.
    is_past = is_end or (bool(rows and known) and rows[-1][0] > seen.guards[-1][0])
    return Walked(rows, news, is_end, is_lost=bool(known) and is_past and len(news) == len(rows))


def step_back(catalog: Catalog, seen: Seen, since_ms: int | None) -> Generator[Query, Rows, Seen | None]:
    """Where the walk goes on when no guard stands any more; None: the lock budget left no time.

    At the highest older row that stands; where there is none the rowids were dealt anew (VACUUM), and all is
    read as at first. A position without guards: not all of them were looked at yet.
    """
    answer = yield Query(
        f"{_select(catalog)} WHERE {ROWID} IN ({marks(seen.anchors)}) ORDER BY {ROWID} DESC",
        tuple(rowid for rowid, _ in seen.anchors),
    )
    if answer.stopped and not answer.rows:
        return None
    there = {(rowid, digest_of(key)) for rowid, key in answer.rows}
    standing = [number for number, anchor in enumerate(seen.anchors) if anchor in there]
    if standing:
        anchors = seen.anchors[: standing[-1] + 1]
        return attrs.evolve(seen, at=anchors[-1][0], guards=anchors[-1:], anchors=anchors[:-1])
    left = tuple(anchor for anchor in seen.anchors if answer.stopped and anchor[0] < answer.rows[-1][0])
    return attrs.evolve(seen, guards=(), anchors=left) if left else Seen.before_everything(since_ms)


def walk_down(catalog: Catalog, seen: Seen) -> Generator[Query, Rows, Walked | None]:
    """Read further rows in search of the floor, downwards; None: the lock budget left no time."""
    answer = yield Query(
        f"{_select(catalog)} WHERE {ROWID} <= ? ORDER BY {ROWID} DESC LIMIT {PAGE_ROWS}", (seen.down,)
    )
    if answer.stopped and not answer.rows:
        return None
    is_end = answer.stopped is None and len(answer.rows) < PAGE_ROWS
    return Walked(answer.rows, answer.rows, is_end or answer.rows[-1][0] == LEAST_ROWID)


def _select(catalog: Catalog) -> str:
    """Every row is answered, so that the last one says how far the look has come."""
    key = f"CASE WHEN typeof(key) = 'text' AND {size_of('key', catalog)} <= {KEY_BYTES} THEN key END"
    return f"SELECT {ROWID}, {key} FROM cursorDiskKV"  # noqa: S608 - our own names


def _thinned(marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """So many that each lies at most twice as far below the last one as the next above it: some forty."""
    newest, kept = marks[-1][0], [marks[-1]]
    below = [mark for mark in reversed(marks) if mark[0] < newest]
    for number, mark in enumerate(below, 1):
        if number == len(below) or newest - below[number][0] > 2 * (newest - kept[-1][0]):
            kept.append(mark)
    return tuple(reversed(kept))
