"""Our own directory, as it is found: its permissions, the event log in it, the disk under it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Final

import attrs

from trio_cursor import state_dir
from trio_cursor.config import Config
from trio_cursor.cursor.filesystems import network_filesystem
from trio_cursor.cursor.private_copies import place_for_copies
from trio_cursor.errors import ConfigError, StateError
from trio_cursor.eventlog import FILE_NAME, DeadEvent, formats, newest_dead, open_for_reading
from trio_cursor.eventlog.reading import last_sequence
from trio_cursor.events import GAP_TYPE
from trio_cursor.outputs.json_lines import why_not_appended
from trio_cursor.outputs.otlp_address import Collector
from trio_cursor.outputs.otlp_opening import usable_collector
from trio_cursor.page_index import file as index
from trio_cursor.page_index.filling import progress
from trio_cursor.sqlite_library import sqlite3

#: How long the log may be looked through for damage: it may have gigabytes.
_THOROUGH_SECONDS: Final = 2.0
_STEPS: Final = 10_000
#: The first in which it is noted what can never be sent; of that, so many are told.
_FORMAT_WITH_DEAD: Final = 4
_MOST_DEAD: Final = 10


@attrs.define(eq=False)
class OwnLook:
    """The state directory and the files of ours."""

    directory: Path
    #: It cannot be used.
    trouble: StateError | None = None
    #: What was mended, in words.
    mended: str | None = None
    #: Where databases may be copied to that cannot be read in place; else why nowhere.
    private_dir: str | None = None
    no_copies: str | None = None
    #: None: it cannot be told.
    free_bytes: int | None = None
    #: Type of the file system if it is a remote one.
    network: str | None = None
    #: None: there is no log yet.
    log_format: int | None = None
    log_bytes: int = 0
    log_trouble: StateError | None = None
    #: What SQLite says of its pages, `ok` if they are well; None: there was no time to look at all.
    pages: str | None = None
    #: Sequence of the newest record ever, and records that are kept.
    last_sequence: int = 0
    events: int = 0
    #: Of these, those that say that generations were missed.
    gaps: int = 0
    #: Those that some output can never take: how many, and the newest of them.
    dead: int = 0
    newest_dead: tuple[DeadEvent, ...] = ()
    #: Why the file for JSON lines cannot be written, in words; None: it can, or there is none.
    json_lines_trouble: str | None = None
    #: Why no OpenTelemetry collector can be used, in words, before any is tried.
    otlp_trouble: tuple[str, ...] = ()
    #: The one to be tried; None: there is none.
    collector: Collector | None = None
    #: By how many milliseconds the clock of its file system is ahead of ours; None: it cannot be told.
    ahead_ms: int | None = None
    #: Bytes of the page's index; None: there is none.
    index_bytes: int | None = None
    #: Why it cannot be used as it is, in words.
    index_trouble: str | None = None
    #: Records that are in the log and not in the index.
    index_missing: int = 0


def look_at_own(config: Config, stack: ExitStack) -> OwnLook:
    """Look at it all. Blocks. A place for copies is held until the stack is closed."""
    look = OwnLook(Path(config.state.dir))
    path = config.outputs.json_lines.path
    look.json_lines_trouble = None if path in (None, "-") else _why_not_written(Path(path or ""))
    if config.outputs.otlp.enabled:
        try:
            look.collector = usable_collector(config, os.environ)
        except ConfigError as error:
            look.otlp_trouble = error.faults
    try:
        look.mended = state_dir.prepare(look.directory)
    except StateError as error:
        look.trouble = error
        return look
    try:
        look.private_dir = stack.enter_context(place_for_copies(look.directory))
    except (StateError, OSError) as error:
        look.no_copies = str(error)
    look.network = network_filesystem(os.path.realpath(look.directory / FILE_NAME))
    look.ahead_ms = _ahead_ms(look.directory)
    with suppress(OSError):
        look.free_bytes = shutil.disk_usage(look.directory).free
    try:
        _look_at_log(look)
        _look_at_index(look, config.privacy.mode)
    except StateError as error:
        look.log_trouble = error
    except (sqlite3.Error, OSError) as error:
        look.log_trouble = StateError(
            f"the event log {look.directory / FILE_NAME} cannot be read ({error});"
            " if that stays so, move it away to start a new one"
        )
    return look


def _ahead_ms(directory: Path) -> int | None:
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            before = time.time()
            file.write(b"now")
            file.flush()
            written = os.fstat(file.fileno()).st_mtime
            ours = min(max(written, before), time.time())
            return round((written - ours) * 1000)
    except OSError:
        return None  # a full disk is told of by its figures


def _look_at_log(look: OwnLook) -> None:
    connection = open_for_reading(look.directory)
    if connection is None:
        return
    files = (look.directory / f"{FILE_NAME}{suffix}" for suffix in ("", "-wal"))
    look.log_bytes = sum(file.stat().st_size for file in files if file.exists())
    with closing(connection):
        look.log_format = formats.format_of(connection)
        look.last_sequence = last_sequence(connection)
        look.events = int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
        gaps = connection.execute("SELECT count(*) FROM events WHERE type = ?", (GAP_TYPE,))
        look.gaps = int(gaps.fetchone()[0])
        if look.log_format >= _FORMAT_WITH_DEAD:
            look.dead = int(connection.execute("SELECT count(*) FROM dead").fetchone()[0])
            look.newest_dead = tuple(newest_dead(connection, _MOST_DEAD))
        look.pages = _pages(connection)


def _look_at_index(look: OwnLook, mode: str) -> None:
    path = look.directory / index.FILE_NAME
    try:
        look.index_bytes = path.stat().st_size
        with index.open_index(look.directory, mode) as connection:
            if connection is not None:
                look.index_missing = progress(connection).missing
    except FileNotFoundError:
        return
    except index.UnusableIndexError as error:
        look.index_trouble = str(error)
    except (sqlite3.Error, OSError, StateError) as error:
        look.index_trouble = f"it cannot be looked at now ({error})"


def _pages(connection: Any) -> str | None:
    """What SQLite says of the pages, as far as there is time."""
    end = time.monotonic() + _THOROUGH_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        if time.monotonic() > end:
            return None
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _why_not_written(path: Path) -> str | None:
    """Asks only: to open it could make it, or wait for whoever reads a pipe."""
    try:
        if (why := why_not_appended(path)) is not None:
            return f"it {why}"
    except OSError as error:
        return f"it cannot be looked at ({error.strerror})"
    if not path.exists():
        return _why_not_made(path.absolute().parent)
    return None if os.access(path, os.W_OK) else "it cannot be written by this user"


def _why_not_made(parent: Path) -> str | None:
    if not parent.is_dir():
        return f"its directory {parent} is not there"
    return None if os.access(parent, os.W_OK | os.X_OK) else f"nothing can be made in {parent} by this user"
