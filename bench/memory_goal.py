"""Goal 16: what an event takes in Redis, markers included, against the bytes of its payload."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio
from figures import Measured, of_rounds
from sync_goals import NAIVE, NO_REDIS, table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from redis_outputs import STREAM, config, everything_is_sent, following, numbered
from redis_server import RedisServer, own_server, programs

from trio_cursor.eventlog import Entry

TEXT = "An answer of the usual length, in plain words. " * 40
AT_ONCE = 500
#: Bytes besides the payload that an event may take.
ALLOWED = 500


def used(server: RedisServer) -> int:
    time.sleep(0.3)  # for what connections that were closed just now had
    return int(server.call("INFO", "memory")["used_memory"])


async def send(server: RedisServer, place: Path, events: int) -> None:
    async with following(place, config(server.tcp_url, max_length=0)) as (log, states):
        for first in range(1, events + 1, AT_ONCE):
            await log.append(Entry(numbered(first, min(first + AT_ONCE - 1, events), text=TEXT)))
        await everything_is_sent(log, states, 60)


def payloads(server: RedisServer, events: int) -> float:
    """Mean bytes of a payload, of the entries that are there."""
    found = server.call("XRANGE", STREAM, "-", "+", "COUNT", 1000)
    if server.call("XLEN", STREAM) != events:
        raise AssertionError(f"{server.call('XLEN', STREAM)} of {events} entries")
    return sum(len(fields[b"payload"]) for _, fields in found) / len(found)


def measure(*, events: int = 5000, rounds: int = 3) -> Measured:
    """Bytes that the server took, for each event; ours and the naive poller's."""
    if not programs():
        return Measured(not_run=NO_REDIS)
    shares, ours, theirs, payload = [], [], [], 0.0
    for _ in range(rounds):
        with own_server() as server, tempfile.TemporaryDirectory() as place:
            before = used(server)
            trio.run(send, server, Path(place), events)
            each, payload = (used(server) - before) / events, payloads(server, events)
            ours.append(each)
            shares.append(each / (1.1 * payload + ALLOWED))
        with own_server() as server:
            before = used(server)
            words = [sys.executable, NAIVE, str(table(events, "wal")), server.tcp_url]
            subprocess.run([*words, "--once", "--max-length", "0"], check=True)
            theirs.append((used(server) - before) / events)
    behind = f"payload {payload:.0f} B, so {1.1 * payload + ALLOWED:.0f} B are allowed"
    return Measured(
        (
            of_rounds("share of 1.1 x payload + 500 B", shares, "x", goal=1.0, behind=behind),
            of_rounds("an event takes", ours, "B"),
            of_rounds("the naive poller's, of a text as long", theirs, "B"),
        )
    )
