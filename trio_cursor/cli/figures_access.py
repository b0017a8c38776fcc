"""What `stats` and `plot` share: figures of the window that is asked for."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from trio_cursor.cli.log_access import PassedOver, readable, refuse_unknown
from trio_cursor.cli.output import printable, say
from trio_cursor.cli.progress import counting
from trio_cursor.eventlog import Filter, count_events, open_for_reading, read_facts
from trio_cursor.events import EVENT_TYPE
from trio_cursor.figures import Fact, Figures, figures_of
from trio_cursor.figures.days import offsets_of, zone_of
from trio_cursor.records import Event

#: So many are counted between two looks at the bar.
_STEP_EVENTS = 1000
#: Of summer and of winter.
_OFFSETS_MOST = 2


def window_of(arguments: argparse.Namespace, event_type: str | None = EVENT_TYPE) -> Filter:
    """The window that is asked for, from now on back."""
    since = None if arguments.since is None else int((time.time() - arguments.since) * 1000)
    return Filter(since, arguments.workspace, arguments.session, event_type)


def zone_name(arguments: argparse.Namespace) -> str:
    """How the zone of days and hours is called."""
    return "UTC" if arguments.utc else "local time"


def zone_for_others(arguments: argparse.Namespace, figures: Figures) -> str:
    """The same for a file that is shown to others, who do not know where we are."""
    offsets = offsets_of((day for day, _ in figures.days), zone_of(is_utc=arguments.utc))
    if arguments.utc or not offsets:
        return zone_name(arguments)
    # Of centuries ago there are odd ones: one clock that was wrong is enough for many.
    words = " and ".join(offsets) if len(offsets) <= _OFFSETS_MOST else f"{offsets[0]} to {offsets[-1]}"
    return f"{zone_name(arguments)}, {words}"


def load_figures(
    arguments: argparse.Namespace,
    directory: Path,
    veil_for: Callable[[Any], Callable[[Event], Event]] | None = None,
) -> Figures | None:
    """Figures of the window, with a bar if it takes a while; None, and words why, if there is nothing in it.

    Raises `TrioCursorError` if nobody knows the workspace or the session.

    `veil_for` makes of the open log what becomes of each event before it is counted.
    """
    wanted = window_of(arguments)
    figures = None
    connection = open_for_reading(directory)
    if connection is not None:
        with closing(connection), readable(directory):
            veil = None if veil_for is None else veil_for(connection)
            facts = read_facts(connection, wanted, unreadable=PassedOver(), veil=veil)
            total = count_events(connection, wanted)
            figures = figures_of(_with_bar(facts, total, arguments), zone_of(is_utc=arguments.utc))
            if not figures.events:
                refuse_unknown(connection, directory, wanted)
    if figures is None or not figures.events:
        say_nothing_there(directory, wanted, has_log=connection is not None)
        return None
    return figures


def say_nothing_there(directory: Path, wanted: Filter, *, has_log: bool) -> None:
    """Say why nothing is printed."""
    chosen = "" if wanted == Filter(event_type=wanted.event_type) else " that match"
    hint = "" if has_log else "; there is no event log yet: `run` makes one"
    say(f"no events{chosen} in {printable(str(directory))}{hint}")


def _with_bar(facts: Iterator[Fact], total: int, arguments: argparse.Namespace) -> Iterator[Fact]:
    is_wanted = sys.stderr.isatty() and not arguments.quiet
    with counting("counting", total, is_wanted=is_wanted, no_color=arguments.no_color) as advance:
        for number, fact in enumerate(facts):
            if number % _STEP_EVENTS == 0:
                advance(_STEP_EVENTS if number else 0)
            yield fact
