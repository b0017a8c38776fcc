"""The tree of files, put together: global database, windows, and what happened before the demo began."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import attrs

from trio_cursor.demo import places
from trio_cursor.demo.database import Database
from trio_cursor.demo.ledger import Entry
from trio_cursor.demo.ring import RingItem, new_item
from trio_cursor.demo.storage import COMPOSER_HEADERS, DATABASE_NAME
from trio_cursor.demo.tables import GenerationTables
from trio_cursor.demo.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trio_cursor.demo.ledger import Ledger, LedgerWriter

#: Every fourth workspace has an empty `composerHeaders` table too, as some have been seen to.
_WITH_COMPOSER_HEADERS: Final = (4, 1)

_HOUR_MS: Final = 3_600_000
#: Nothing of the history lies near the edge of the 24 hours that the service looks back at first.
_RECENT_MS: Final = (60_000, 23 * _HOUR_MS)
_OLD_MS: Final = (26 * _HOUR_MS, 9 * 24 * _HOUR_MS)
_OLD: Final = 0.15


@attrs.frozen
class Plan:
    """What kind of Cursor it is to be."""

    #: Generations a second, over all windows; 0: none, but the windows live.
    rate: float = 1.0
    workspaces: int = 3
    #: One of `places.JOURNALS`.
    journal: str = "mixed"
    #: One of `tables.SCHEMAS`: the first workspace then has these tables.
    tables: str | None = None
    #: Generations that are there at the start of a new tree.
    history: int = 20
    #: How many windows are open at a time.
    open_windows: int = 8
    #: How long a window stays open on average; 0: for ever.
    window_seconds: float = 45.0
    #: The number of generations to make; None: no end.
    generations: int | None = None
    #: How long to live; None: no end.
    seconds: float | None = None
    #: Live on when all generations are made.
    stay: bool = False
    #: The same seed gives the same ids and texts in the same order.
    seed: int = 0
    #: Of the requests that can have a conversation, the share that has one; 0: nothing but rings.
    conversations: float = 0.9
    #: How many bubbles of old conversations are there at the start of a new tree, about.
    bubbles: int = 0


class Tree:
    """All databases of the demo, closed; what an earlier run left in doubt is theirs to clear up."""

    def __init__(self, directory: Path, plan: Plan, ledger: LedgerWriter, known: Ledger, run: int) -> None:
        self.cursor_dir = directory / "User"
        self.has_history = run > 1
        self._directory = directory
        self._plan = plan
        self._ledger = ledger
        self._run = run
        self._doubtful = known.unresolved
        self.application = self._application()
        self.application.expect_turns(known.open_turns.values())
        self.windows = [self._window(index) for index in range(plan.workspaces)]

    def random(self, purpose: str) -> Random:
        """Another run has other ids, or it would write the ones that stand in the rings once more."""
        return Random(f"{purpose}/{self._plan.seed}/{self._run}")  # noqa: S311 nothing here is a secret

    def windows_by_urgency(self) -> list[Window]:
        """Those first about whose last commit the ledger does not know."""
        doubtful = {entry.database for entry in self._doubtful}
        return sorted(self.windows, key=lambda window: window.database.name not in doubtful)

    def _application(self) -> Database:
        """Cursor 3 has its global database in WAL mode, so the mixture has it too."""
        path = self.cursor_dir / "globalStorage" / DATABASE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        return self._database(path, None, statements=COMPOSER_HEADERS, use_wal=self._plan.journal != "delete")

    def _window(self, index: int) -> Window:
        place = places.place(index, self._plan.journal)
        directory = places.create(self.cursor_dir / "workspaceStorage", place)
        tables = None
        if index == 0 and self._plan.tables is not None:
            tables = GenerationTables(self._plan.tables, self.random("tables"))
        every, remainder = _WITH_COMPOSER_HEADERS
        database = self._database(
            directory / DATABASE_NAME,
            place,
            statements=COMPOSER_HEADERS if index % every == remainder else (),
            use_wal=place.use_wal,
            tables=tables,
        )
        return Window(place, database, self.random(f"window {index}"), has_tables=tables is not None)

    def _database(
        self,
        path: Path,
        place: places.Place | None,
        *,
        statements: tuple[str, ...],
        use_wal: bool,
        tables: GenerationTables | None = None,
    ) -> Database:
        template = Entry(
            generation_id="",
            database=path.relative_to(self._directory).as_posix(),
            workspace_id=None if place is None else place.id,
            workspace=None if place is None else place.name,
            journal="",
            schema="ring",
            unix_ms=0,
        )
        database = Database(
            path, template, self._ledger, statements=statements, use_wal=use_wal, tables=tables
        )
        database.expect(entry for entry in self._doubtful if entry.database == template.database)
        return database


def history(count: int, random: Random, now_ms: int) -> Iterator[RingItem]:
    """What was asked before the demo began: most of it within a day, some older; oldest first."""
    ages = sorted(
        (random.randint(*(_OLD_MS if random.random() < _OLD else _RECENT_MS)) for _ in range(count)),
        reverse=True,
    )
    for age in ages:
        yield new_item(random, now_ms - age)
