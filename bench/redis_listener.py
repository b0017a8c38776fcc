"""The Redis listener: how soon it is cancelled, how soon it hears after each fault, what a flood costs."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from redis_outputs import STREAM
from redis_server import RedisServer, versions

from trio_cursor.config.output_sections import RedisConfig
from trio_cursor.redis_address import address_of
from trio_cursor.redis_streams import StreamReader, thread_limiter
from trio_cursor.sessions.redis_events import listen_to_redis
from trio_cursor.states import SourceState

FLOOD = """for n = 1, tonumber(ARGV[2]) do redis.call('XADD', KEYS[1], '*', 'event_type', ARGV[3],
    'payload', '{"session_id": "fake' .. n .. '", "workspace_path": "/home/demo/project"}',
    'metadata', ARGV[1]) end"""


class Desk:
    """Takes everything at once."""

    def __init__(self) -> None:
        self.heard: defaultdict[str, trio.Event] = defaultdict(trio.Event)

    async def announce(self, heard, _mark=None) -> None:
        await trio.lowlevel.checkpoint()
        for one in heard:
            self.heard[one.session_id].set()

    async def doubt(self, _source) -> None:
        await trio.lowlevel.checkpoint()


def add(server: RedisServer, session_id: str, id_: str = "*") -> None:
    server.add(
        STREAM,
        {
            "event_type": "session_start",
            "payload": json.dumps({"session_id": session_id}),
            "metadata": json.dumps({"workspace_hash": "0123456789abcdef"}),
        },
        id_,
    )


def threads() -> int:
    return sum(thread.name.startswith("trio_cursor redis") for thread in threading.enumerate())


async def cancel_latency(server: RedisServer, rounds: int) -> list[float]:
    took = []
    for _ in range(rounds):
        reader = StreamReader(
            address_of(RedisConfig(url=server.tcp_url)), STREAM, limiter=thread_limiter(), block_ms=1000
        )
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader.read, "0-0")
                await trio.sleep(0.05)
                began = time.perf_counter()
                scope.cancel()
        took.append(time.perf_counter() - began)
        await reader.aclose()
    return took


async def first_event(server: RedisServer, seconds: float, fault, mend) -> float:
    """Seconds from the end of a fault to the announcement made right after it."""
    desk = Desk()
    state = SourceState("redis")
    address = address_of(RedisConfig(url=server.tcp_url))
    caught_up = trio.Event()
    async with trio.open_nursery() as nursery:

        async def listen() -> None:
            await listen_to_redis(
                address,
                STREAM,
                after=None,
                desk=desk,
                state=state,
                caught_up=caught_up.set,
                now_ms=lambda: time.time_ns() // 1_000_000,
            )

        nursery.start_soon(listen)
        await caught_up.wait()
        await trio.to_thread.run_sync(fault, server)
        await trio.sleep(seconds)
        await trio.to_thread.run_sync(mend, server)
        began = time.perf_counter()
        await desk.heard["after"].wait()
        took = time.perf_counter() - began
        nursery.cancel_scope.cancel()
    return took


async def faults(seconds: float, version: str | None) -> None:
    def table():
        yield (
            "killed, back with its data",
            RedisServer.kill,
            lambda server: (server.start(), add(server, "after")),
        )
        yield "stalled", RedisServer.stall, lambda server: (server.resume(), add(server, "after"))
        yield (
            "emptied, then older ids",
            lambda server: server.call("FLUSHALL"),
            lambda server: add(server, "after", "5-0"),
        )
        yield (
            "another type on the key",
            lambda server: (server.call("DEL", STREAM), server.call("LPUSH", STREAM, "x")),
            lambda server: (server.call("DEL", STREAM), add(server, "after")),
        )
        yield (
            "trimmed to nothing",
            lambda server: server.call("XTRIM", STREAM, "MAXLEN", "0"),
            lambda server: add(server, "after"),
        )

    for name, fault, mend in table():
        server = RedisServer(version=version)
        add(server, "before")
        took = await first_event(server, seconds, fault, mend)
        server.close()
        print(f"  {name:<28} {took:6.2f} s")


async def flood(server: RedisServer, kind: str, number: int) -> None:
    server.call("FLUSHALL")
    server.call("EVAL", FLOOD, 1, STREAM, json.dumps({"workspace_hash": "0123456789abcdef"}), number, kind)
    desk = Desk()
    before = resource.getrusage(resource.RUSAGE_SELF)
    began, cpu = time.perf_counter(), time.process_time()

    async def nothing() -> None:
        pass

    caught_up = trio.Event()
    async with trio.open_nursery() as nursery:

        async def listen() -> None:
            await listen_to_redis(
                address_of(RedisConfig(url=server.url)),
                STREAM,
                after=None,
                desk=desk,
                state=SourceState("redis"),
                caught_up=caught_up.set,
                now_ms=lambda: time.time_ns() // 1_000_000,
            )

        nursery.start_soon(listen)
        await caught_up.wait()
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before.ru_maxrss
        print(f"  {number:,} of {kind}: {took:.2f} s, {cpu:.2f} s of CPU, {grown / 1024:.0f} MB more")
        if kind == "session_start":
            before = time.process_time()
            await trio.sleep(5)
            print(f"  idle: {(time.process_time() - before) / 5 * 100:.2f} % of a core")
        nursery.cancel_scope.cancel()


async def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--fault-seconds", type=float, default=7.0)
    parser.add_argument("--redis", choices=versions(), default=None)
    arguments = parser.parse_args()
    server = RedisServer(version=arguments.redis)
    took = await cancel_latency(server, arguments.rounds)
    worst = max(took) * 1000
    print(f"a blocked XREAD is cancelled: {statistics.median(took) * 1000:.1f} ms, at worst {worst:.1f} ms")
    await trio.sleep(2)
    print(f"threads left after 2 s: {threads()}")
    print("flood:")
    await flood(server, "session_start", arguments.entries)
    await flood(server, "database_trace", arguments.entries)
    server.close()
    print(f"first event after a fault of {arguments.fault_seconds:g} s:")
    await faults(arguments.fault_seconds, arguments.redis)


if __name__ == "__main__":
    trio.run(main)
