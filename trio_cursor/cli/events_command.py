"""`events` and `tail`: what the event log holds."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import attrs

from trio_cursor.cli.output import Style, event_in_full, event_line, printable, say, terminal_width
from trio_cursor.cli.stopping import terminable
from trio_cursor.config import load_config
from trio_cursor.errors import StateError
from trio_cursor.eventlog_format import FILE_NAME, Filter, open_for_reading, read_events
from trio_cursor.events import EVENT_TYPE, GAP_TYPE, to_object
from trio_cursor.records import Event
from trio_cursor.sqlite_library import sqlite3

_LOOK_SECONDS = 0.1
_BATCH_EVENTS = 500


def events(arguments: argparse.Namespace) -> int:
    """Print what the log holds, by timestamp."""
    show = _printer(arguments, event_line)
    directory = Path(load_config(arguments.config, overrides=arguments.overrides).state.dir)
    wanted = _filter(arguments, GAP_TYPE if arguments.gaps else EVENT_TYPE)
    found = 0
    connection = open_for_reading(directory)
    if connection is not None:
        with closing(connection), _readable(directory):
            for event in _by_time(connection, wanted, arguments.number):
                show(event)
                found += 1
    if not found:
        what = "gap records" if arguments.gaps else "events"
        everything = Filter(event_type=wanted.event_type)
        chosen = "" if wanted == everything else " that match"
        hint = "" if connection else "; there is no event log yet: `run` makes one"
        say(f"no {what}{chosen} in {printable(str(directory))}{hint}")
    return 0


def _by_time(connection: Any, wanted: Filter, number: int | None) -> Iterator[Event]:
    """By time, some at a time: the log may be larger than the memory."""
    if number is not None:
        yield from read_events(connection, wanted, limit=number, by_time=True, newest=True)
        return
    #: Those of the last moment that were given already: the next read begins with that moment again.
    given: set[int] = set()
    while True:
        found = read_events(connection, wanted, limit=_BATCH_EVENTS + len(given), by_time=True)
        fresh = [event for event in found if event.sequence not in given]
        if not fresh:
            return
        yield from fresh
        last = fresh[-1].timestamp
        given = {event.sequence for event in found if event.timestamp == last}
        wanted = attrs.evolve(wanted, since_ms=last)


def tail(arguments: argparse.Namespace) -> NoReturn:
    """Print what the log holds, by sequence, then what comes, until interrupted."""
    show = _printer(arguments, event_in_full if arguments.full else event_line)
    directory = Path(load_config(arguments.config, overrides=arguments.overrides).state.dir)
    wanted = _filter(arguments, EVENT_TYPE)
    with terminable(), closing(_opened(directory)) as connection, _readable(directory):
        _follow(connection, wanted, arguments.number, show)


def _opened(directory: Path) -> Any:
    connection = open_for_reading(directory)
    if connection is None:
        say(f"no event log in {printable(str(directory))} yet; waiting for one")
    while connection is None:
        time.sleep(_LOOK_SECONDS)
        connection = open_for_reading(directory)
    return connection


def _follow(connection: Any, wanted: Filter, number: int | None, show: Callable[[Event], None]) -> NoReturn:
    after, changed = 0, None
    if number is not None:
        found = read_events(connection, wanted, limit=number, newest=True)
        for event in found:
            show(event)
        after = found[-1].sequence if found else 0
    while True:
        # Changes with every commit of the service, and costs no reading.
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version == changed:
            sys.stdout.flush()
            time.sleep(_LOOK_SECONDS)
            continue
        while found := read_events(connection, wanted, after=after, limit=_BATCH_EVENTS):
            for event in found:
                show(event)
            after = found[-1].sequence
        changed = version


@contextmanager
def _readable(directory: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:  # not SQLite, or a row that is no event
        raise StateError(
            f"the event log {directory / FILE_NAME} cannot be read ({error}); "
            "if that stays so, move it away to start a new one"
        ) from error


def _filter(arguments: argparse.Namespace, event_type: str) -> Filter:
    since = None if arguments.since is None else int((time.time() - arguments.since) * 1000)
    return Filter(since, arguments.workspace, arguments.session, event_type)


def _printer(
    arguments: argparse.Namespace, line: Callable[[Event, Style, int], str]
) -> Callable[[Event], None]:
    """For a person on a terminal, JSON lines everywhere else."""
    if arguments.json or not sys.stdout.isatty():
        return lambda event: print(json.dumps({"sequence": event.sequence, **to_object(event)}))
    style = Style.of(sys.stdout, no_color=arguments.no_color)
    return lambda event: print(line(event, style, terminal_width()))
