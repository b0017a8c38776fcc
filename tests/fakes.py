"""Doubles for the edges that have threads behind them, for tests in virtual time."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import attrs
import trio
from trio_util import RepeatedEvent

from trio_cursor.assembly import Assembler
from trio_cursor.atlas import Atlas
from trio_cursor.cursor.guest import FileStat, Page, Signature, Unchanged
from trio_cursor.cursor.opening import is_settled
from trio_cursor.cursor.schemas import Catalog, Column, Rows, Table
from trio_cursor.eventlog import Known
from trio_cursor.freshness import Freshness
from trio_cursor.heard import Heard
from trio_cursor.ladder import Ladder
from trio_cursor.records import Workspace

EPOCH_MS = 1_800_000_000_000


def now_ms() -> int:
    """The wall clock of tests in virtual time."""
    return EPOCH_MS + round(trio.current_time() * 1000)


async def nobody(_: Workspace) -> None:
    """Of what is needed nothing is read."""


def workspace(name: str | None = "w1", profile: str = "/cursor/User") -> Workspace:
    home = f"workspaceStorage/{name}" if name else "globalStorage"
    return Workspace(f"{profile}/{home}/state.vscdb", profile, name, path=name and f"/home/demo/{name}")


#: Closed by a fixture after each test: Python 3.13 warns of what is left open.
OPEN: list[sqlite3.Connection] = []


class FakeDatabase:
    """A `state.vscdb` in memory, and what stat would say of it."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        OPEN.append(self.connection)
        self.connection.text_factory = bytes
        self.connection.execute("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
        self.inode, self.version = 1, 1
        self.written_ns = (EPOCH_MS - 86_400_000) * 1_000_000
        #: Come before anything is read: refusals to be returned, exceptions to be raised.
        self.script = []

    @property
    def signature(self) -> Signature:
        return Signature(
            FileStat(1, self.inode, 4096 * self.version, self.written_ns),
            None,
            settled=is_settled(self.written_ns, now_ms() * 1_000_000),
        )

    def execute(self, sql: str, *parameters: object) -> None:
        self.connection.execute(sql, parameters)
        self.version += 1

    def set_ring(self, *items: object) -> None:
        self.execute("INSERT INTO ItemTable VALUES ('aiService.generations', ?)", json.dumps(items))

    def catalog(self) -> Catalog:
        names = [
            name.decode()
            for (name,) in self.connection.execute("SELECT name FROM sqlite_master WHERE sql > ''")
        ]
        tables = {}
        for name in names:
            rows = self.connection.execute(
                "SELECT name, pk, type, hidden FROM pragma_table_xinfo(?)", (name,)
            )
            columns = (Column(row[0].decode(), row[1], row[2].decode(), row[3]) for row in rows)
            tables[name] = Table(name, tuple(columns))
        return Catalog(self.version, tables, tuple(names), has_octet_length=False)


class FakeGuest:
    """Reads fake databases by path."""

    def __init__(self) -> None:
        self.databases: dict[str, FakeDatabase] = {}
        #: When each path was asked for, whatever came of it.
        self.visits: list[tuple[float, str]] = []
        #: Nothing is read before it is set.
        self.gate = trio.Event()
        self.gate.set()

    def __getitem__(self, path: str) -> FakeDatabase:
        return self.databases.setdefault(path, FakeDatabase())

    async def read(self, path, make, *, unless=None):
        self.visits.append((trio.current_time(), path))
        await self.gate.wait()
        database = self[path]
        if database.script:
            outcome = database.script.pop(0)
            if callable(outcome):
                outcome = outcome()
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome is not None:
                return outcome
        if database.signature == unless:
            return Unchanged(unless)
        scan = make(database.catalog())
        answer = None
        try:
            while True:
                query = scan.send(answer)
                answer = Rows(database.connection.execute(query.sql, query.params).fetchall())
        except StopIteration as done:
            return Page(
                done.value(), database.signature, database.catalog(), "ro", "delete", 0.0, database.version
            )


class FakeLog:
    """The event log's door, in memory. `failures` are raised by the next calls, one by one."""

    directory = Path("state")

    def __init__(self) -> None:
        self.events, self.keys, self.pending_items, self.place_items = [], [], {}, {}
        self.positions: dict[str, Known] = {}
        self.sessions, self.stored, self.marks, self.mappings = {}, {}, {}, {}
        self.last_sequence = 0
        self.appended = RepeatedEvent()
        self.failures: list[Exception] = []
        self.writes = 0
        self.batches = []

    async def _checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.failures:
            raise self.failures.pop(0)

    async def append(self, entry):
        await self._checkpoint()
        self.writes += 1
        for keys, event in entry.events:
            assert isinstance(keys, tuple)
            assert not set(keys) & set(self.keys)
            self.last_sequence += 1
            self.keys += keys
            self.events.append(attrs.evolve(event, sequence=self.last_sequence))
        for key in entry.settled:
            del self.pending_items[key]
        self.pending_items |= {item.key: item for item in entry.pending}
        self.place_items |= {
            (profile, place.conversation_id, place.rule): (profile, place) for profile, place in entry.places
        }
        self.sessions |= {session.database: session for session in entry.sessions}
        if entry.database is not None:
            known = self.positions.get(entry.database, Known())
            positions = {**known.positions, **entry.positions}
            self.positions[entry.database] = Known(positions, entry.identity, entry.since_ms, entry.scope)
        if entry.events:
            self.appended.set()

    async def known_keys(self, keys):
        await self._checkpoint()
        return set(keys) & set(self.keys)

    async def known(self, database):
        await self._checkpoint()
        return self.positions.get(database, Known())

    async def pending(self):
        await self._checkpoint()
        return list(self.pending_items.values())

    async def places(self):
        await self._checkpoint()
        return list(self.place_items.values())

    async def save_sessions(self, sessions, mark=None):
        await self._checkpoint()
        self.sessions |= {session.database: session for session in sessions}
        self.stored |= {session.key: session for session in sessions}
        if mark is not None:
            self.marks[mark.name] = mark.id

    async def save_mapping(self, mapping):
        await self._checkpoint()
        self.mappings[mapping.workspace_hash] = mapping

    async def read(self, after, *, limit=500, event_type=None):
        await self._checkpoint()
        return [event for event in self.events if event.sequence > after][:limit]

    def ids(self) -> list[str]:
        return [event.generation_id for event in self.events if event.event_type == "database_trace"]


@attrs.define
class FakeScanner:
    """What the supervisor and the first pass look at."""

    watched: dict = attrs.field(factory=dict)
    listings: dict = attrs.field(factory=dict)
    has_swept: bool = True
    hurries: int = 0
    ladder: Ladder = attrs.field(factory=Ladder)
    hurried: RepeatedEvent = attrs.field(factory=RepeatedEvent)
    heard: Heard = attrs.field(factory=Heard)
    touched: set = attrs.field(factory=set)

    def hurry(self):
        self.hurries += 1

    await_look = hurry

    def take_touched(self):
        # Tests put what they watch there by hand.
        return {*self.watched, *self.touched}


def make_assembler(scanner, *, ring_grace_ms=0, conversation_wait_ms=0, settle_timeout_ms=300_000):
    """A real one, that knows what the scanner knows; and its freshness."""
    freshness = Freshness(scanner)
    atlas = Atlas(scanner, lambda _: True)
    assembler = Assembler(
        atlas,
        freshness,
        ring_grace_ms=ring_grace_ms,
        conversation_wait_ms=conversation_wait_ms,
        settle_timeout_ms=settle_timeout_ms,
    )
    return assembler, freshness
