"""A `state.vscdb` as its owner holds it: storage, the ring in it, the ledger's lines around commits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

from trio_cursor.demo.honest_reader import look
from trio_cursor.demo.ring import RING_KEY, Ring, RingItem
from trio_cursor.demo.storage import Storage
from trio_cursor.demo.tables import GenerationTables
from trio_cursor.demo.turns import TurnBook

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from trio_cursor.demo.ledger import Entry, LedgerWriter
    from trio_cursor.demo.turns import Turn


class Database:
    """Takes generations in, and says nothing about them in the ledger that is not so.

    `template` is an entry of the ledger with everything in it that is the same for all of this database.
    """

    def __init__(
        self,
        path: Path,
        template: Entry,
        ledger: LedgerWriter,
        *,
        statements: Sequence[str] = (),
        use_wal: bool = False,
        tables: GenerationTables | None = None,
    ) -> None:
        if tables is not None:
            statements = (*statements, *tables.statements)
        self.storage = Storage(path, tables=statements, use_wal=use_wal, report=self._report)
        self.name = template.database
        journal = "wal" if self.storage.use_wal else "delete"
        self._template = attrs.evolve(template, journal=journal)
        #: Of the conversations in it; only the global database has any.
        self.turns = TurnBook(self.name, ledger)
        self._ledger = ledger
        self._tables = tables
        self._ring = Ring(None)
        #: Not in the file yet, nor in the ledger.
        self._unwritten: dict[str, Entry] = {}
        #: In the ledger as intents.
        self._intended: list[Entry] = []
        self._doubtful_turns: list[Turn] = []

    def expect(self, entries: Iterable[Entry]) -> None:
        """These were intended by a process that was killed: the next opening tells what became of them."""
        self._intended.extend(entries)

    def expect_turns(self, turns: Iterable[Turn]) -> None:
        """These were in flight: Cursor leaves them as they are, and the ledger is to say how that is."""
        self._doubtful_turns.extend(turns)

    def open(self, *, last_try: bool = False) -> None:
        """Open as the owner does; `StorageBusyError` asks to come again."""
        self.storage.open(last_try=last_try)
        value = self.storage.items.get(RING_KEY)
        self._ring = Ring(value)
        if value is None:
            self.storage.set(RING_KEY, self._ring.value())
        if self._tables is not None:
            self._tables.resume(self.storage)
        self._look_for_intended()

    def add(self, item: RingItem) -> None:
        """Register a request in the ring; with tables: write a finished generation into them instead."""
        if self._tables is not None:
            self._record(self._tables.add(self.storage, self._template, item.unix_ms))
            return
        fell_out = self._ring.append(item)
        if fell_out is not None:
            # If it came and went between two flushes, it was never in the file.
            self._unwritten.pop(fell_out.generation_id, None)
        self.storage.set(RING_KEY, self._ring.value())
        self._record(
            attrs.evolve(
                self._template,
                generation_id=item.generation_id,
                unix_ms=item.unix_ms,
                type=item.type,
                text=item.text,
                # The name of a file is not what somebody asked.
                prompt_text=None if item.type == "apply" else item.text,
            )
        )

    def flush(self) -> None:
        """Commit what has changed, between the ledger's two lines."""
        self._intend()
        started = time.perf_counter()
        if self.storage.flush():
            took_ms = round((time.perf_counter() - started) * 1000, 3)
            self._ledger.commit(self._intended, took_ms)
            self._intended.clear()
            self.turns.commit(took_ms)

    def close(self) -> None:
        """Close as the owner does. After errors what is in doubt stays so until the next opening."""
        self.flush()
        if self.storage.close():
            self._ledger.commit(self._intended)
            self._intended.clear()
            self.turns.commit(None)

    def _record(self, entry: Entry) -> None:
        self._unwritten[entry.generation_id] = entry

    def _intend(self) -> None:
        entries = list(self._unwritten.values())
        self._ledger.intend(entries)
        self._intended += entries
        self._unwritten.clear()
        self.turns.intend()

    def _look_for_intended(self) -> None:
        for turn in self._doubtful_turns:
            self.turns.resolve(turn, look(self.storage.query, turn))
        self._doubtful_turns.clear()
        ids = self._ring.ids
        there: list[Entry] = []
        lost: list[Entry] = []
        for entry in self._intended:
            found = entry.generation_id in ids or (
                self._tables is not None and self._tables.holds(self.storage, entry.generation_id)
            )
            (there if found else lost).append(entry)
        self._ledger.commit(there)
        self._ledger.rolled_back(lost)
        self._intended.clear()

    def _report(self, what: str, detail: str) -> None:
        self._ledger.incident(what, self.name, detail)
