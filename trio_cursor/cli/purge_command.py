"""`purge`: delete from our own log, by window, by workspace, or all of it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import Any

from trio_cursor import page_index
from trio_cursor.cli.log_access import readable
from trio_cursor.cli.output import Style, plural, printable, say, size
from trio_cursor.cli.progress import counting
from trio_cursor.config import Config, load_config
from trio_cursor.durations import parse_duration
from trio_cursor.errors import AlreadyRunningError, StateError, TrioCursorError
from trio_cursor.eventlog import (
    FORMAT,
    Filter,
    Purge,
    give_back,
    open_for_reading,
    open_for_writing,
    outputs_taken,
    plan_purge,
    purge,
)
from trio_cursor.sqlite_library import sqlite3
from trio_cursor.state_dir import held, is_held

_FAILED, _USAGE = 1, 2
_FREE_WORTH_SAYING = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is to go."""
    add = parser.add_argument
    add("--before", metavar="WHEN", type=_moment, help="what began earlier: 30d ago, or on a day, 2026-11-01,"
        " or a moment of it, 2026-11-01T15:00 (local time)")  # fmt: skip
    add("--workspace", metavar="NAME", help="of this one: part of its path, its id or hash")
    add("--session", metavar="ID", help="of this session")
    add("--all", action="store_true", help="everything")
    add("--yes", action="store_true", help="without a question")
    add("--force", action="store_true", help="also what an output has not taken yet and then never gets")


def run(arguments: argparse.Namespace) -> int:
    """Delete it, once somebody has said yes."""
    narrowed = [arguments.before, arguments.workspace, arguments.session]
    if arguments.all == any(value is not None for value in narrowed):
        say("trio_cursor: purge: say what: --before WHEN, --workspace NAME, --session ID, or --all alone")
        return _USAGE
    config = load_config(arguments.config, overrides=arguments.overrides)
    directory = Path(config.state.dir)
    wanted = Filter(None, arguments.workspace, arguments.session, None, arguments.before)
    connection = open_for_reading(directory)
    if connection is None:
        say(f"no events in {printable(str(directory))}; there is no event log yet: `run` makes one")
        return 0
    with closing(connection), readable(directory):
        _refuse_older_service(connection, directory)
        taken, behind = _taken(connection, config)
        planned = plan_purge(connection, wanted, taken)
        is_unknown = not planned.generations + planned.gaps and _is_unknown(connection, arguments)
    if is_unknown:
        say(f"no such workspace or session in {printable(str(directory))}")
        return _FAILED
    kept = 0 if arguments.force else planned.untaken
    number = planned.generations + planned.gaps - kept
    _tell(planned, kept, behind)
    deleted = 0
    if number:
        if not arguments.yes and not _is_agreed(number, directory, arguments):
            return _FAILED
        deleted = _delete(directory, planned, number, arguments)
        _delete_from_the_page(directory)
    elif not kept:
        say(f"nothing to delete in {printable(str(directory))}")
    if arguments.json:
        print(json.dumps({"deleted": deleted, "kept_for_outputs": kept}))
    return 0


def _delete_from_the_page(directory: Path) -> None:
    try:
        page_index.prune_beside(directory)
    except (sqlite3.Error, OSError, TrioCursorError) as error:
        try:
            # Without a service nobody has it open, and the next one makes it anew.
            with held(directory, tries=1):
                page_index.remove(directory)
        except (OSError, TrioCursorError):
            file = printable(str(directory / page_index.FILE_NAME))
            say(
                f"the page's index still has what was deleted ({error}): a service takes it out of there"
                f" within a minute; without one, remove {file}"
            )


def _moment(text: str) -> int:
    """Milliseconds of a moment, or of as long ago as a duration says."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        # A number alone may be meant as a year, and is not worth the risk.
        seconds = None if text.strip().isdigit() else parse_duration(text)
    except ValueError:
        seconds = None
    if seconds is None:
        raise argparse.ArgumentTypeError(
            f"{text!r:.60} is neither a duration nor a date: write 30d, 2026-11-01 or 2026-11-01T15:00"
        )
    return int((time.time() - seconds) * 1000)


def _refuse_older_service(connection: Any, directory: Path) -> None:
    """Opening for writing brings the log to our format, under the feet of whoever knows only another one."""
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != FORMAT and is_held(directory):
        raise StateError(f"the service that runs on {directory} is of another version; stop it, then purge")


def _taken(connection: Any, config: Config) -> tuple[int | None, list[str]]:
    """Up to where every output has the events, None if there are none; and which ones are not at the end."""
    taken = dict(outputs_taken(connection))
    # One that was asked for, and never ran, gets everything from the beginning.
    path = config.outputs.json_lines.path
    if path and path != "-":
        taken.setdefault(f"json_lines:{Path(path).absolute()}", 0)
    if not taken:
        return None, []
    least = min(taken.values())
    return least, [name for name, sequence in taken.items() if sequence == least]


def _is_unknown(connection: Any, arguments: argparse.Namespace) -> bool:
    """Whether nothing of this workspace or session was ever there, whenever it began."""
    if arguments.workspace is None and arguments.session is None:
        return False
    found = plan_purge(connection, Filter(None, arguments.workspace, arguments.session, None), None)
    return not found.generations + found.gaps


def _tell(planned: Purge, kept: int, behind: list[str]) -> None:
    names = ", ".join(map(printable, behind))
    if kept:
        say(f"{plural(kept, 'record')} not taken yet by {names}: kept; --force deletes them all the same")
    elif planned.untaken:
        say(f"{plural(planned.untaken, 'record')} not taken yet by {names}: it will never get them")


def _is_agreed(number: int, directory: Path, arguments: argparse.Namespace) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        say(f"trio_cursor: purge: {plural(number, 'record')} would be deleted; add --yes")
        return False
    style = Style.of(sys.stderr, no_color=arguments.no_color)
    question = f"Delete {plural(number, 'record')} from {printable(str(directory))} for good? [y/N] "
    print(style("bold", question), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    say("nothing was deleted")
    return False


def _delete(directory: Path, planned: Purge, number: int, arguments: argparse.Namespace) -> int:
    deleted = 0
    with ExitStack() as stack:
        stack.enter_context(readable(directory))
        connection = stack.enter_context(closing(open_for_writing(directory)))
        is_wanted = sys.stderr.isatty() and not arguments.quiet
        with counting("deleting", number, is_wanted=is_wanted, no_color=arguments.no_color) as advance:
            try:
                for some in purge(connection, planned, is_forced=arguments.force):
                    deleted += some
                    advance(some)
            except KeyboardInterrupt:
                say(f"{plural(deleted, 'record')} deleted until then; the rest is still there")
                raise
        try:
            # Only for this: a service that starts meanwhile would be told that another one runs.
            stack.enter_context(held(directory, tries=1))
        except AlreadyRunningError:
            free = give_back(connection, is_alone=False)
        else:
            free = give_back(connection, is_alone=True)
    if not arguments.quiet:
        left = f"; {size(free)} are free in the file for what comes" if free >= _FREE_WORTH_SAYING else ""
        say(f"{plural(deleted, 'record')} deleted; nothing of it will be reported again{left}")
    return deleted
