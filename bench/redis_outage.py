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

from chaos_count import configured, counted
from chaos_producer import Load, generation
from redis_server import own_server

from trio_cursor.eventlog import Entry, open_event_log
from trio_cursor.outputs.follower import follow
from trio_cursor.outputs.stream_opening import open_redis_streams

AT_ONCE = 100
#: What is arriving must be much before memory counts as level.
WARM_EVENTS = 2000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


async def measure(directory: Path, server, events: int) -> None:
    async with open_event_log(directory) as log, trio.open_nursery() as nursery:
        ((output, state),) = await open_redis_streams(configured(server.tcp_url), log, now_ms)
        nursery.start_soon(follow, output, log, state)

        async def arrive(first: int, last: int) -> None:
            for start in range(first, last + 1, AT_ONCE):
                batch = map(generation, range(start, min(start + AT_ONCE, last + 1)))
                await log.append(Entry(tuple(((one.event_id,), one) for one in batch)))

        async def drained() -> None:
            while state.sequence < log.last_sequence:  # noqa: ASYNC110 - it is looked at
                await trio.sleep(0.01)

        await arrive(1, WARM_EVENTS)
        await drained()
        before = rss_mb()
        server.kill()
        began = time.monotonic()
        await arrive(WARM_EVENTS + 1, events)
        arrived, without = time.monotonic() - began, rss_mb()
        server.start()
        back = time.monotonic()
        while state.state != "connected":  # noqa: ASYNC110 - it is looked at
            await trio.sleep(0.01)
        noticed = time.monotonic()
        await drained()
        took, after = time.monotonic() - noticed, rss_mb()
        nursery.cancel_scope.cancel()
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
