"""Redis away while events arrive, then back: what is lost or doubled, how fast it drains, in what memory."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from chaos_count import counted
from chaos_producer import WORKSPACES, Load
from deadlines import until
from redis_outputs import config, everything_is_sent, following, numbered
from redis_server import RedisServer, own_server

from trio_cursor.eventlog import Entry, EventLog

AT_ONCE = 100
#: What is arriving must be much before memory counts as level.
WARM_EVENTS = 2000
PATIENCE_SECONDS = 300


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


async def arrive(log: EventLog, first: int, last: int) -> None:
    for start in range(first, last + 1, AT_ONCE):
        await log.append(Entry(numbered(start, min(start + AT_ONCE - 1, last), workspaces=WORKSPACES)))


async def measure(directory: Path, server: RedisServer, events: int) -> None:
    async with following(directory, config(server.tcp_url, max_length=0)) as (log, states):
        await arrive(log, 1, WARM_EVENTS)
        await everything_is_sent(log, states)
        before = rss_mb()
        server.kill()
        began = time.monotonic()
        await arrive(log, WARM_EVENTS + 1, events)
        arrived, without = time.monotonic() - began, rss_mb()
        server.start()
        back = time.monotonic()
        await until(lambda: states[0].state == "connected")
        noticed = time.monotonic()
        await everything_is_sent(log, states, PATIENCE_SECONDS)
        took, after = time.monotonic() - noticed, rss_mb()
    rate = (events - WARM_EVENTS) / took
    print(f"{events} events, of which {events - WARM_EVENTS} while Redis was away, in {arrived:.1f} s")
    print(f"sent again {noticed - back:.1f} s after it was back; drained in {took:.1f} s: {rate:.0f}/s")
    print(f"memory: +{without - before:.1f} MB while it was away, +{after - before:.1f} MB in the end")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=52_000)
    arguments = parser.parse_args()
    began = time.monotonic()
    # What was there before the kill was saved: what a server forgets is another subject.
    with (
        own_server("--appendonly", "yes", "--appendfsync", "always") as server,
        tempfile.TemporaryDirectory() as place,
    ):
        trio.run(measure, Path(place), server, arguments.events)
        count = counted(server.call, Load(arguments.events), kills=1, began=began)
    print(count)
    return 0 if count.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
