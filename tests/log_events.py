"""Events for the tests of the log and its followers, and runs that are killed in the middle of their work.

log_events.py append DIRECTORY ROUNDS       appends to a log; killed and started again so many times
log_events.py follow DIRECTORY FILE ROUNDS  the same, with JSON lines behind the log
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import attrs
import trio
from scans import NOW_MS, uuid, workspace
from scans import session as a_session

from trio_cursor.assembly import PendingEntry, PendingTurn
from trio_cursor.eventlog import Entry, EventLog, open_event_log
from trio_cursor.events import build_event, build_gap
from trio_cursor.observations import Place, RingEntry, Turn, TurnId
from trio_cursor.outputs.follower import follow
from trio_cursor.outputs.json_lines import JsonLinesFile
from trio_cursor.records import Event, Gap, Generation, Workspace
from trio_cursor.states import OutputState

HOME = workspace("w1", path="/home/me/project", hash_="0123456789abcdef")
PLACE = Place("conversation", 2, workspace_id="w1")
EVENTS_AT_ONCE = 3


def sequences(events: Iterable[Event]) -> list[int]:
    return [item.sequence for item in events]


def event(
    number: int,
    *,
    place: Workspace = HOME,
    captured_at: int = NOW_MS,
    session: str = "scan_w1",
    text: str | None = None,
) -> Event:
    generation = Generation(
        uuid(number), uuid(number), place, "ring", "unknown", NOW_MS + number, "ring", response_text=text
    )
    return build_event(
        generation, session=a_session(session), captured_at=captured_at, host="h", max_text_bytes=10**9
    )


def gap(place: Workspace = HOME) -> Event:
    record = Gap("ring", "missed", None, NOW_MS)
    return build_gap(place, record, session=a_session("scan_w1"), captured_at=NOW_MS, host="h")


def entry(*numbers: int, **options: object) -> Entry:
    """What the sink appends, with a key for each event."""
    return Entry(tuple(((uuid(number),), event(number, **options)) for number in numbers))


def pending(number: int) -> PendingEntry:
    found = RingEntry(uuid(number), NOW_MS, "composer", "a\ufffdb", 5, {"unixMs": [1, None, True]})
    return PendingEntry(uuid(number), HOME, found, NOW_MS + 1)


def pending_turn(conversation: str, place: Workspace = HOME) -> PendingTurn:
    turn = Turn(
        TurnId(conversation, "bubble"),
        "conversations",
        generation_id=None,
        is_named_by_bubble=False,
        is_settled=False,
        is_sub_agent=False,
        created_ms=NOW_MS,
        timestamp=None,
        timestamp_source=None,
        newest_ms=None,
        fingerprint="f",
    )
    return PendingTurn(place, turn, NOW_MS + 1, NOW_MS + 2)


async def append_for_ever(log: EventLog) -> None:
    """Events, pending and position, which must always agree."""
    done = int((await log.known("db")).positions.get("ring", "0"))
    while True:
        numbers = range(done * EVENTS_AT_ONCE, (done + 1) * EVENTS_AT_ONCE)
        done += 1
        step = attrs.evolve(
            entry(*numbers),
            pending=(pending(10**6 + done),),
            settled=(uuid(10**6 + done - 1),),
            database="db",
            positions={"ring": str(done)},
            identity=(1, 2),
        )
        await log.append(step)


async def run(directory: Path, lines: Path | None, begun: int) -> None:
    async with open_event_log(directory) as log, trio.open_nursery() as nursery:
        os.write(begun, b"1")
        nursery.start_soon(append_for_ever, log)
        if lines:
            output = JsonLinesFile(lines)
            nursery.start_soon(follow, output, log, OutputState(output.name))


def main(directory: str, *rest: str) -> None:
    lines = Path(rest[0]) if len(rest) > 1 else None
    chance = random.Random(7)
    for number in range(int(rest[-1])):
        hears, begun = os.pipe()
        child = os.fork()
        if child == 0:
            trio.run(run, Path(directory), lines, begun)
        os.close(begun)
        if number % 4:
            os.read(hears, 1)  # else it may be killed while it opens the log
        os.close(hears)
        time.sleep(chance.uniform(0.005, 0.06))  # when the blow falls is left to chance, on purpose
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[2:])
