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
from trio_cursor.cli.log_access import readable, refuse_unknown
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
    narrowed,
    open_for_reading,
    open_for_writing,
    outputs_taken,
    plan_purge,
    purge,
    workspaces_in,
)
from trio_cursor.sqlite_library import sqlite3
from trio_cursor.state_dir import held, is_held

_FAILED, _USAGE = 1, 2
_FREE_WORTH_SAYING = 1_000_000
#: More workspaces than that nobody reads; --json has all of them.
_SHOWN_WORKSPACES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is to go."""
    add = parser.add_argument
    add("--before", metavar="WHEN", type=_moment, help="what began earlier: 30d ago, or on a day, 2026-11-01,"
        " or a moment of it, 2026-11-01T15:00 (local time)")  # fmt: skip
    add("--workspace", metavar="NAME", help="of this one: its path or the end of that, its id or hash; else"
        " of each that has it in its path, after a question")  # fmt: skip
    add("--session", metavar="ID", help="of this session")
    add("--all", action="store_true", help="everything")
    add("--yes", action="store_true", help="without a question")
    add("--force", action="store_true", help="also what an output has not taken yet and then never gets")


def run(arguments: argparse.Namespace) -> int:
    """Delete it, once somebody has said yes."""
    given = [arguments.before, arguments.workspace, arguments.session]
    if arguments.all == any(value is not None for value in given):
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
        wanted = narrowed(connection, wanted)
        refuse_unknown(connection, directory, wanted)
        taken, behind = _taken(connection, config)
        planned = plan_purge(connection, wanted, taken)
        matching = _matching(connection, planned)
    kept = 0 if arguments.force else planned.untaken
    number = planned.generations + planned.gaps - kept
    deleted, is_refused = 0, _is_vague(matching, wanted, arguments)
    if not is_refused:
        _tell(planned, kept, behind)
        if number:
            if not arguments.yes and not _is_agreed(number, directory, arguments):
                return _FAILED
            deleted = _delete(directory, planned, number, arguments)
            _delete_from_the_page(directory)
        elif not kept:
            say(f"nothing to delete in {printable(str(directory))}")
    if arguments.json:
        print(json.dumps({"deleted": deleted, "kept_for_outputs": kept, **_as_json(matching)}))
    return _FAILED if is_refused else 0


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


def _matching(connection: Any, planned: Purge) -> dict[str, int] | None:
    """How many records of each workspace that is meant are to go; None: no workspace was named.

    Also of one of which none is: what a name may mean must not depend on the day on which it is given.
    """
    wanted = planned.wanted
    if wanted.workspace is None and wanted.workspace_exactly is None:
        return None
    meant = Filter(None, wanted.workspace, event_type=None, workspace_exactly=wanted.workspace_exactly)
    return {name: planned.workspaces.get(name, 0) for name in workspaces_in(connection, meant)}


def _is_vague(matching: dict[str, int] | None, wanted: Filter, arguments: argparse.Namespace) -> bool:
    """Tell which workspaces are meant; whether that would have to be asked, and nobody can be."""
    if matching is None:
        return False
    if not (arguments.quiet and arguments.yes):
        for name, count in list(matching.items())[:_SHOWN_WORKSPACES]:
            say(f"{count:,} of {printable(name)}")
        if (more := len(matching) - _SHOWN_WORKSPACES) > 0:
            say(f"and of {more:,} more")
    if wanted.workspace is None or len(matching) <= 1 or (_is_somebody_there() and not arguments.yes):
        return False
    name = printable(arguments.workspace)
    say(f"trio_cursor: purge: {name} may mean {len(matching):,} workspaces; name one by its whole path")
    return True


def _as_json(matching: dict[str, int] | None) -> dict[str, Any]:
    if matching is None:
        return {}
    return {"workspaces": [{"workspace": name, "records": count} for name, count in matching.items()]}


def _tell(planned: Purge, kept: int, behind: list[str]) -> None:
    names = ", ".join(map(printable, behind))
    if kept:
        say(f"{plural(kept, 'record')} not taken yet by {names}: kept; --force deletes them all the same")
    elif planned.untaken:
        say(f"{plural(planned.untaken, 'record')} not taken yet by {names}: it will never get them")


def _is_somebody_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _is_agreed(number: int, directory: Path, arguments: argparse.Namespace) -> bool:
    if not _is_somebody_there():
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
