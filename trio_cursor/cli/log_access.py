"""What commands share that read the event log beside its service, or without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Literal

import attrs

from trio_cursor.cli.output import say
from trio_cursor.errors import StateError, TrioCursorError
from trio_cursor.eventlog import FILE_NAME, Filter, holds, last_part, paths_in, read_events, sessions_in
from trio_cursor.records import Event
from trio_cursor.sqlite_library import sqlite3

_BATCH_EVENTS = 500
_EVERYTHING = Filter(event_type=None)
#: Of what somebody has typed; a path is hardly longer.
_SHOWN_CHARACTERS = 200


@attrs.define(eq=False)
class PassedOver:
    """Rows of the log that are no events: each is named once, however often it is read."""

    _said: set[int] = attrs.field(factory=set, init=False)

    def __call__(self, sequence: int) -> None:
        """Say so of this one."""
        if sequence not in self._said:
            self._said.add(sequence)
            say(f"passed over: #{sequence} of the event log cannot be understood")


def by_time(
    connection: Any,
    wanted: Filter,
    number: int | None,
    unreadable: Callable[[int], None],
    is_wanted: Callable[[Event], bool] | None = None,
) -> Iterator[Event]:
    """By time, some at a time: the log may be larger than the memory. `number`: only the last so many.

    `is_wanted`: as for `read_events`.
    """
    read = partial(read_events, connection, by_time=True, unreadable=unreadable, is_wanted=is_wanted)
    if number is not None:
        yield from read(wanted, limit=number, newest=True)
        return
    #: Those of the last moment that were given already: the next read begins with that moment again.
    given: set[int] = set()
    while True:
        found = read(wanted, limit=_BATCH_EVENTS + len(given))
        fresh = [event for event in found if event.sequence not in given]
        if not fresh:
            return
        yield from fresh
        last = fresh[-1].timestamp
        given = {event.sequence for event in found if event.timestamp == last}
        wanted = attrs.evolve(wanted, since_ms=last)


@contextmanager
def readable(directory: Path) -> Iterator[None]:
    """Turn what SQLite says of the log into one line with a hint."""
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(
            f"the event log {directory / FILE_NAME} cannot be read ({error}); "
            "if that stays so, move it away to start a new one"
        ) from error


def nothing_known(connection: Any, wanted: Filter) -> Literal["workspace", "session"] | None:
    """Which of them the log has nothing of, whenever that began; an empty log is no evidence of anything."""
    if not holds(connection, _EVERYTHING):
        return None
    if not holds(connection, attrs.evolve(_EVERYTHING, workspace=wanted.workspace)):
        return "workspace"
    if not holds(connection, attrs.evolve(_EVERYTHING, session=wanted.session)):
        return "session"
    return None


def refuse_unknown(connection: Any, directory: Path, wanted: Filter) -> None:
    """For a command that has found nothing. Raises `TrioCursorError` with the nearest name that is known."""
    kind = nothing_known(connection, wanted)
    if kind is None:
        return
    if kind == "workspace":
        name, places = wanted.workspace or "", paths_in(connection)
        known = [*places, *map(last_part, places)]
    else:
        name, known = wanted.session or "", sessions_in(connection)
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise TrioCursorError(f"no such {kind} in {directory}: {name:.{_SHOWN_CHARACTERS}}{hint}")
