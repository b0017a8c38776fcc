"""When to sweep: at every probe, at once if somebody waits; in between, wherever something is hinted at."""

from __future__ import annotations

from collections.abc import Callable

import trio

from trio_cursor.scanner import Scanner
from trio_cursor.watched import Sighting

#: Whoever waits for a sweep does not get one sooner than this after the last.
_HURRY_SECONDS = 0.02


async def scan_clock(
    scanner: Scanner,
    sightings: trio.abc.SendChannel[Sighting],
    *,
    every: Callable[[], float],
    swept: Callable[[], None] = lambda: None,
) -> None:
    """Sweep for ever and tell what was seen; `swept` is called after each sweep and its sightings.

    `every` says after how many seconds the next one is due; it is asked each time, since it may change.
    """
    while True:
        seconds = every()
        scanner.expected_at = trio.current_time()
        for sighting in await scanner.sweep(seconds):
            await sightings.send(sighting)
            # Of ten thousand databases one by one: whoever takes them is at it.
            scanner.expected_at = trio.current_time()
        swept()
        ended = trio.current_time()
        while True:
            if scanner.is_hurried():
                due = ended + min(_HURRY_SECONDS, seconds)
            else:
                due = scanner.next_sweep(ended, seconds)
            scanner.expected_at = due
            now = trio.current_time()
            if now >= due:
                break
            if now >= (hinted := scanner.ladder.next_due()):
                for sighting in await scanner.look_at_hinted():
                    await sightings.send(sighting)
                swept()
                continue
            with trio.move_on_at(min(due, hinted)):
                await scanner.hurried.wait()
