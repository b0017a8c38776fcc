"""`events` and `tail`: what the event log holds."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import attrs

from trio_cursor.cli.event_words import event_in_full, event_json, event_line
from trio_cursor.cli.kinds import wanted_kinds
from trio_cursor.cli.log_access import PassedOver, by_time, readable, refuse_unknown
from trio_cursor.cli.output import Style, printable, say, terminal_width
from trio_cursor.cli.stopping import terminable
from trio_cursor.config import load_config
from trio_cursor.eventlog import FILE_NAME, Filter, last_sequence, open_for_reading, read_events
from trio_cursor.events import EVENT_TYPE, GAP_TYPE
from trio_cursor.records import Event

_LOOK_SECONDS = 0.1
#: How often `tail` asks whether the log is still the one that it has open.
_FILE_SECONDS = 1.0
_BATCH_EVENTS = 500


def events(arguments: argparse.Namespace) -> int:
    """Print what the log holds, by timestamp."""
    show = _printer(arguments, event_line)
    directory = Path(load_config(arguments.config, overrides=arguments.overrides).state.dir)
    wanted = _filter(arguments, GAP_TYPE if arguments.gaps else EVENT_TYPE)
    kinds = wanted_kinds(arguments)
    found = 0
    connection = open_for_reading(directory)
    if connection is not None:
        with closing(connection), readable(directory):
            for event in by_time(connection, wanted, arguments.number, PassedOver(), kinds):
                show(event)
                found += 1
            if not found:
                refuse_unknown(connection, directory, wanted)
    if not found:
        what = "gap records" if arguments.gaps else "events"
        everything = Filter(event_type=wanted.event_type)
        chosen = "" if wanted == everything and kinds is None else " that match"
        hint = "" if connection else "; there is no event log yet: `run` makes one"
        say(f"no {what}{chosen} in {printable(str(directory))}{hint}")
    return 0


def tail(arguments: argparse.Namespace) -> NoReturn:
    """Print what the log holds, by sequence, then what comes, until interrupted."""
    show = _printer(arguments, event_in_full if arguments.full else event_line)
    directory = Path(load_config(arguments.config, overrides=arguments.overrides).state.dir)
    number = arguments.number
    with terminable(), readable(directory):
        while True:
            connection, file = _opened(directory)
            with closing(connection):
                wanted = _filter(arguments, EVENT_TYPE)
                position = LogPosition(connection, wanted, is_wanted=wanted_kinds(arguments))
                if number is not None:
                    position.leap_to_last(number)
                _follow(position, partial(_is_file, directory, file), show)
            number = None  # a new log is new from its beginning


def _opened(directory: Path) -> tuple[Any, tuple[int, int]]:
    """Wait for a log; the connection, and which file that is."""
    is_said = False
    while True:
        # Both before and after: it may be replaced meanwhile.
        file = _file(directory)
        connection = open_for_reading(directory)
        if connection is not None:
            if file is not None and _file(directory) == file:
                return connection, file
            connection.close()
        elif not is_said:
            say(f"no event log in {printable(str(directory))} yet; waiting for one")
            is_said = True
        time.sleep(_LOOK_SECONDS)


def _file(directory: Path) -> tuple[int, int] | None:
    """Which file is the log now. As long as one is open, no other gets its number."""
    try:
        found = (directory / FILE_NAME).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _is_file(directory: Path, file: tuple[int, int]) -> bool:
    return _file(directory) == file


@attrs.define(eq=False)
class LogPosition:
    """How far the log of a service in another process was read."""

    connection: Any
    wanted: Filter
    #: Everything up to this sequence was given, or is not wanted.
    after: int = 0
    #: Told the sequence of each row that is no event, once or several times.
    unreadable: Callable[[int], None] = attrs.field(factory=PassedOver)
    #: What the filter cannot say; None: all that it lets through.
    is_wanted: Callable[[Event], bool] | None = None
    _version: int | None = None

    def leap_to_last(self, number: int) -> None:
        """Begin with the last ones that are wanted."""
        newest = last_sequence(self.connection)
        found = self._read(limit=number, newest=True)
        self.after = found[0].sequence - 1 if found else newest

    def news(self) -> Iterator[Event]:
        """What was added."""
        # Changes with every commit of the service, and costs no reading.
        version = self.connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return
        # Before reading: what is added meanwhile is for the next time.
        newest = last_sequence(self.connection)
        if newest < self.after:  # restored from an older copy, in place
            self.after = 0
        while found := self._read(after=self.after, limit=_BATCH_EVENTS):
            yield from found
            self.after = found[-1].sequence
        # Not where the last match was: everything behind it would be read again at each commit.
        self.after = max(self.after, newest)
        self._version = version

    def _read(self, **options: Any) -> list[Event]:
        return read_events(
            self.connection, self.wanted, unreadable=self.unreadable, is_wanted=self.is_wanted, **options
        )


def _follow(position: LogPosition, is_current: Callable[[], bool], show: Callable[[Event], None]) -> None:
    """Show what comes, until there is another log, or none, where this one was."""
    looked = time.monotonic()
    while True:
        for event in position.news():
            show(event)
        sys.stdout.flush()
        time.sleep(_LOOK_SECONDS)
        if time.monotonic() - looked >= _FILE_SECONDS:
            if not is_current():
                return
            looked = time.monotonic()


def _filter(arguments: argparse.Namespace, event_type: str) -> Filter:
    since = None if arguments.since is None else int((time.time() - arguments.since) * 1000)
    return Filter(since, arguments.workspace, arguments.session, event_type)


def _printer(
    arguments: argparse.Namespace, line: Callable[[Event, Style, int], str]
) -> Callable[[Event], None]:
    """For a person on a terminal, JSON lines everywhere else."""
    if arguments.json or not sys.stdout.isatty():
        return lambda event: print(event_json(event))
    style = Style.of(sys.stdout, no_color=arguments.no_color)
    return lambda event: print(line(event, style, terminal_width()))
