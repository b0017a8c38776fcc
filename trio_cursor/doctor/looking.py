"""One look at Cursor: which of its directories are there, and what came of reading each database once.

Beside a running service and without one; only through the listing and the guest door. Whatever hangs is left
alone, and that it did not answer is what was found.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias, TypeVar

import attrs
import trio

from trio_cursor.asked import find_dirs, is_rolled_out
from trio_cursor.config import Config
from trio_cursor.cursor.guest import (
    PRIVATE_CAP_BYTES,
    Busy,
    Empty,
    Guest,
    NeedsRecovery,
    Page,
    TimedOut,
    Unchanged,
    Unreadable,
)
from trio_cursor.cursor.listing import Lister, Listing, list_workspaces
from trio_cursor.cursor.schemas import FollowUp, Step
from trio_cursor.cursor.schemas.known import Reading, readable_columns, scan_database
from trio_cursor.cursor.selection import hides_its_folder, included
from trio_cursor.cursor.user_dirs import user_dirs
from trio_cursor.observations import RingEntry, TableRow
from trio_cursor.records import Page as SchemaPage
from trio_cursor.records import Workspace

AnswerT = TypeVar("AnswerT")
Failure: TypeAlias = Unchanged | Busy | NeedsRecovery | Empty | Unreadable | TimedOut

#: To list a directory takes milliseconds; one that takes this long is on a mount that is dead.
LIST_SECONDS: Final = 5.0


@attrs.frozen
class Directory:
    """A place where Cursor may be."""

    path: str
    is_there: bool
    #: Why nothing can be said of it, in words.
    trouble: str | None = None
    #: Its `User` directory under its real name, by which it is listed.
    user_dir: str | None = None


@attrs.define(eq=False)
class Database:
    """A workspace's database, or a profile's, and what came of a look at it."""

    workspace: Workspace
    #: It is not to be read, in words.
    left_out: str | None = None
    #: None: it was read.
    failure: Failure | None = None
    was_looked_at: bool = False
    journal_mode: str | None = None
    #: Of the file.
    size: int | None = None
    schemas: list[str] = attrs.field(factory=list)
    #: What looked like a store of generations and is of no layout that we know, in words.
    unknown: list[str] = attrs.field(factory=list)
    #: What stands where it should, and cannot be understood, in words.
    problems: list[str] = attrs.field(factory=list)
    #: What of it was passed over, by why, and rows that were not counted any more; in words.
    skipped: list[str] = attrs.field(factory=list)
    #: Generations that are counted: those of rings and tables.
    entries: int = 0
    #: When the file system says that it was last written to, in milliseconds since the epoch.
    written_ms: int | None = None
    #: Of the newest of them.
    last_activity: int | None = None

    @property
    def is_read(self) -> bool:
        return self.was_looked_at and self.failure is None


@attrs.frozen
class CursorLook:
    """Cursor, as it was found."""

    directories: tuple[Directory, ...]
    listings: tuple[Listing, ...]
    databases: tuple[Database, ...]
    #: Milliseconds since the epoch.
    taken_ms: int = 0

    @property
    def there(self) -> tuple[str, ...]:
        """The directories that are there and answer."""
        return tuple(item.path for item in self.directories if item.is_there and not item.trouble)


async def in_time(work: Callable[[], AnswerT], seconds: float) -> AnswerT | None:
    """Do it in a thread, which is left alone if it does not end; then there is no answer."""
    with trio.move_on_after(seconds):
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
    return None


async def list_cursor(config: Config) -> CursorLook:
    """Find Cursor's directories and what is in them; opens no database."""
    dirs = await find_dirs(config)
    found: dict[str, Directory] = {}

    async def ask(path: str) -> None:
        silent = Directory(path, is_there=True, trouble="it does not answer")
        found[path] = await in_time(partial(_directory, path), LIST_SECONDS) or silent

    async with trio.open_nursery() as nursery:
        for path in dirs:
            nursery.start_soon(ask, path)
    directories = tuple(found[path] for path in dirs)
    there = CursorLook(directories, (), ()).there
    listings = await in_time(Lister(there).list, LIST_SECONDS)
    if listings is None:
        # They answered a moment ago; nobody can tell any more which of them it is.
        directories = tuple(
            attrs.evolve(item, trouble="it does not answer") if item.path in there else item
            for item in directories
        )
    databases = [Database(item) for listing in listings or () for item in listing.workspaces]
    for item in databases:
        item.left_out = _why_left_out(config, item.workspace)
    return CursorLook(directories, listings or (), tuple(databases), int(time.time() * 1000))


def _directory(path: str) -> Directory:
    """Looks at all that a listing looks at: what hangs, hangs here."""
    try:
        if not stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116 - text, as it is shown
            return Directory(path, is_there=False)
    except (FileNotFoundError, NotADirectoryError):
        return Directory(path, is_there=False)
    except OSError as error:
        return Directory(path, is_there=True, trouble=f"it cannot be looked at ({error.strerror})")
    list_workspaces(path)
    return Directory(path, is_there=True, user_dir=user_dirs((path,))[0])


def _why_left_out(config: Config, workspace: Workspace) -> str | None:
    """As the service leaves it out."""
    if config.cursor.exclude and hides_its_folder(workspace):
        return "left out: its folder is not known, and exclude is set"
    if not included(workspace, config.cursor.include, config.cursor.exclude):
        return "left out by include or exclude"
    if not is_rolled_out(workspace, config.cursor_database_monitor.rollout_percent):
        return "left out by rollout_percent"
    return None


def guest_of(config: Config, dirs: Sequence[str], private_dir: str | None) -> Guest:
    """The door, as the service has it; with nowhere to copy to, nothing is copied in order to be read."""
    monitor = config.cursor_database_monitor
    return Guest(
        roots=dirs,
        tables=readable_columns(),
        deadline_seconds=monitor.query_timeout_seconds,
        max_concurrent=monitor.max_concurrent_workspaces,
        private_dir=private_dir or "",
        private_cap_bytes=PRIVATE_CAP_BYTES if private_dir else 0,
    )


async def read_all(guest: Guest, databases: Sequence[Database], seconds: float) -> None:
    """Read each that may be read, once; what has not been looked at when the time is over says so."""
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for item in databases:
                if item.left_out is None:
                    nursery.start_soon(_read, guest, item)


async def _read(guest: Guest, item: Database) -> None:
    # Conversations are not counted, which would be to read gigabytes: of no window next to none is read.
    now_ms, positions = int(time.time() * 1000), dict[str, str]()
    while True:
        scan = partial(scan_database, positions=dict(positions), rescan=False, verify=False, since_ms=now_ms)
        outcome = await guest.read(item.workspace.database, scan)
        if not isinstance(outcome, Page):
            item.failure = outcome
            break
        pages, item.failure = await _pages(guest, item, outcome.result)
        # On a slow machine the lock budget may be over before anything was read: that is not an empty table.
        # The position counts how often, and the schema gives up.
        unread = {name: page.position for name, page in pages.items() if page.more and page.is_given_up}
        if item.failure or not unread:
            item.journal_mode = outcome.journal_mode
            item.size = outcome.signature.database.size if outcome.signature.database else None
            item.written_ms = outcome.signature.written_ms
            item.unknown += outcome.result.unknown
            _take(item, pages)
            break
        positions |= unread
    item.was_looked_at = True


async def _pages(
    guest: Guest, item: Database, reading: Reading
) -> tuple[dict[str, SchemaPage], Failure | None]:
    """Of each schema, up to the first whose further looks failed."""
    pages: dict[str, SchemaPage] = {}
    for name, step in reading.steps.items():
        page = await completed(guest, item.workspace.database, step)
        if not isinstance(page, SchemaPage):
            return pages, page
        pages[name] = page
    return pages, None


def _take(item: Database, pages: Mapping[str, SchemaPage]) -> None:
    for name, page in pages.items():
        item.schemas.append(name)
        item.problems += [page.problem] if page.problem else []
        asked = [found for found in page.observations if isinstance(found, RingEntry | TableRow)]
        number = len(asked) if page.entries is None else page.entries
        item.entries += number
        item.skipped += [f"{count} times: {reason}" for reason, count in page.skipped.items()]
        if page.more and asked:
            item.skipped.append(f"{name}: more than {number} rows; only the first were counted here")
        times = [found.timestamp for found in asked if found.timestamp]
        item.last_activity = max([*times, item.last_activity or 0]) or None


async def completed(guest: Guest, database: str, step: Step) -> SchemaPage | Failure:
    """Take the further looks that a page needs."""
    while isinstance(step, FollowUp):
        outcome = await guest.read(database, step.make)
        if not isinstance(outcome, Page):
            return outcome
        step = outcome.result
    return step
