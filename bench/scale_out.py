"""More producers, consumers and shards on a cluster of three nodes: rates, memory, CPU.

A producer is an event log with the Redis output behind it, a consumer `open_reader` and an ack for each
event; each is a process of its own. All of them and the cluster share the cores of this machine, so a rate is
what they do together, and adding a process adds none. CPU is of the producer or the consumer alone.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from deadlines import until
from redis_cluster import RedisCluster, own_cluster
from redis_outputs import STREAM, config, everything_is_sent, following, numbered

from trio_cursor.eventlog import Entry, open_event_log
from trio_cursor.reader import open_reader
from trio_cursor.redis_keys import keys_of
from trio_cursor.wire import to_fields

NUMBERS, SHARDS = (1, 2, 4, 8), (1, 3, 6)
WORKSPACES, AT_ONCE = 64, 500
TEXT = "An answer of the usual length, in plain words. " * 40
FORK = multiprocessing.get_context("fork")
PATIENCE_SECONDS = 30


@attrs.frozen
class Rate:
    """What some processes did together."""

    per_second: float
    #: Of one of them, for each event.
    cpu_us: float


class Crowd:
    """Processes that begin at the same moment."""

    def __init__(self, cluster: RedisCluster, size: int) -> None:
        self.cluster, self.size = cluster, size
        self.barrier = FORK.Barrier(size + 1)
        self.results = FORK.SimpleQueue()

    def run(self, work: Callable[[int], Any], events: int) -> Rate:
        """`work` is async, and is given the number of its process."""
        children = [FORK.Process(target=self._child, args=(work, number)) for number in range(self.size)]
        for child in children:
            child.start()
        self.barrier.wait(PATIENCE_SECONDS)
        began = time.monotonic()
        for child in children:
            child.join(PATIENCE_SECONDS)
            if child.exitcode != 0:
                for other in children:
                    other.kill()
                raise SystemExit("a process failed, or did not end")
        ends, cpu = zip(*(self.results.get() for _ in children), strict=True)
        return Rate(events / (max(ends) - began), sum(cpu) / events * 1e6)

    def _child(self, work: Callable[[int], Any], number: int) -> None:
        for node in self.cluster.nodes:
            node.leave_to_the_parent()
        logging.disable()
        self.barrier.wait(PATIENCE_SECONDS)
        before = time.process_time()
        ended = trio.run(work, number)
        self.results.put((ended, time.process_time() - before))


async def fill(directory: Path, first: int, events: int) -> None:
    """An event log with so many events."""
    async with open_event_log(directory) as log:
        for start in range(first, first + events, AT_ONCE):
            last = min(start + AT_ONCE, first + events) - 1
            await log.append(Entry(numbered(start, last, workspaces=WORKSPACES, text=TEXT)))


async def produce(directory: Path, url: str, shards: int, number: int) -> float:
    """Send what is in the log; returns when all of it was."""
    where = config(url, shards=shards, max_length=0, suppress=False)
    async with following(directory / str(number), where) as (log, states):
        await everything_is_sent(log, states, PATIENCE_SECONDS)
        return time.monotonic()


async def consume(url: str, shards: int, group: str, left: Any, _: int) -> float:
    """Read and acknowledge until nothing is left; returns when this one had its last."""
    last = time.monotonic()
    async with open_reader(url, group=group, shards=shards) as reader, trio.open_nursery() as nursery:

        async def until_nothing_is_left() -> None:
            await until(lambda: left.value <= 0, PATIENCE_SECONDS)
            nursery.cancel_scope.cancel()

        nursery.start_soon(until_nothing_is_left)
        async for delivery in reader:
            await delivery.ack()
            with left.get_lock():
                left.value -= 1
            last = time.monotonic()
    return last


def memory(cluster: RedisCluster) -> Counter[str]:
    """Bytes in Redis by kind of key, as MEMORY USAGE says; and of all, as the servers say."""
    found = Counter[str]()
    for node in cluster.nodes:
        keys = node.call("KEYS", "*")
        pipe = node.client.pipeline(transaction=False)
        for key in keys:
            pipe.memory_usage(key, samples=0)
        for key, size in zip(keys, pipe.execute(), strict=True):
            kind = key.decode().rpartition("}")[2].split(":")
            found[kind[1] if len(kind) > 1 and kind[0] == "" and b"}:" in key else "stream"] += size
        time.sleep(0.2)  # for what connections that were closed just now had
        found["used"] += node.call("INFO", "memory")["used_memory"]
    return found


def flush(cluster: RedisCluster) -> None:
    for node in cluster.nodes:
        node.call("FLUSHALL")


def measure(cluster: RedisCluster, logs: Path, events: int, shards: int) -> None:
    """Print the lines of one number of shards."""
    nodes = len({cluster.node_of(keys.stream).port for keys in keys_of(STREAM, shards)})
    print(f"\nshards {shards}, on {nodes} of {len(cluster.nodes)} nodes")
    before = Counter[str]()
    for producers in reversed(NUMBERS):
        flush(cluster)
        before = memory(cluster) if producers == NUMBERS[0] else before
        with tempfile.TemporaryDirectory() as place:
            copies = Path(place) / "logs"
            shutil.copytree(logs, copies)
            rate = Crowd(cluster, producers).run(
                partial(produce, copies, cluster.url, shards), events * producers
            )
        show(f"producers {producers} write", rate)
    written = memory(cluster) - before
    for consumers in NUMBERS:
        left = FORK.Value("i", events)
        rate = Crowd(cluster, consumers).run(
            partial(consume, cluster.url, shards, f"g{consumers}", left), events
        )
        show(f"consumers {consumers} read and ack", rate)
    done = (memory(cluster)["done"]) / len(NUMBERS) / events
    each = {kind: size / events for kind, size in written.items()}
    print(
        f"  bytes an event: stream {each['stream']:.0f}, marker {each['seen']:.0f},"
        f" mark {each.get('hwm', 0):.1f}; all that the servers took {each['used']:.0f};"
        f" and {done:.0f} for each group that has read it"
    )


def show(what: str, rate: Rate) -> None:
    print(f"  {what:26} {rate.per_second:8,.0f}/s  {rate.cpu_us:6.0f} us CPU each", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=3000, help="of each producer")
    events = parser.parse_args().events
    began = time.monotonic()
    fields = [to_fields(one) for _, one in itertools.islice(numbered(1, 1, text=TEXT), 1)]
    payload = len(fields[0]["payload"])
    print(f"{os.cpu_count()} cores, which all processes and the cluster share; {events} events a producer")
    print(f"payload {payload} bytes, all fields {sum(map(len, fields[0].values()))};", end=" ")
    print(f"goal: 1.1 x payload + 500 = {1.1 * payload + 500:.0f} bytes an event")
    with tempfile.TemporaryDirectory() as place, own_cluster() as cluster:
        logs = Path(place)
        for number in range(max(NUMBERS)):
            (logs / str(number)).mkdir()
            trio.run(fill, logs / str(number), number * events, events)
        for shards in SHARDS:
            measure(cluster, logs, events, shards)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
