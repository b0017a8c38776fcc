"""Ten consumers of one group, three of them killed at random every second, while entries come.

In the end every event had its effect, once for each event id; nothing is pending; what kills whoever
touches it, and what is no event, is among the dead letters with its reason.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from chaos_children import forked, kill_all, killed
from log_events import event
from redis_outputs import STREAM
from redis_server import RedisServer, own_server, versions
from scans import uuid

from trio_cursor.deliveries import Delivery
from trio_cursor.events import event_id
from trio_cursor.reader import open_reader
from trio_cursor.wire import to_fields

GROUP, DEAD = "chaos", f"{{{STREAM}}}:dlq"
CONSUMERS, KILLS = 10, 3
CLAIM_SECONDS, ATTEMPTS = 1.0, 5
#: How fast entries come; how long one is worked on; how long all may take to come to rest.
EVENTS_PER_SECOND, WORK_SECONDS, PATIENCE_SECONDS = 300, 0.005, 120
POISON = "poison"


def is_poison(number: int) -> bool:
    return number % 500 == 250


def has_twin(number: int) -> bool:
    """Another producer reports it too, at the same moment."""
    return number % 6 == 0 and not is_poison(number)


def has_late_twin(number: int) -> bool:
    """Another producer reports it too, a second later."""
    return number % 6 == 3 and not is_poison(number)


def is_followed_by_rubbish(number: int) -> bool:
    return number % 400 == 399


# --- the consumer ---


def effects(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")  # processes die here, not the machine
    connection.execute("CREATE TABLE IF NOT EXISTS effect (event_id TEXT PRIMARY KEY)")
    connection.execute("CREATE TABLE IF NOT EXISTS try (event_id TEXT, first INTEGER)")
    return connection


def work(store: sqlite3.Connection, delivery: Delivery) -> None:
    id_ = delivery.event.event_id
    if delivery.event.payload.get("response_text") == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    store.execute("BEGIN IMMEDIATE")
    is_new = store.execute("INSERT OR IGNORE INTO effect VALUES (?)", (id_,)).rowcount
    store.execute("INSERT INTO try VALUES (?, ?)", (id_, is_new))
    store.execute("COMMIT")


async def consume(url: str, consumer: str | None, path: Path) -> None:
    store = effects(path)
    async with open_reader(
        url, group=GROUP, consumer=consumer, claim_after_seconds=CLAIM_SECONDS, max_attempts=ATTEMPTS
    ) as reader:
        async for delivery in reader:
            await trio.sleep(WORK_SECONDS)
            work(store, delivery)
            await trio.sleep(WORK_SECONDS)  # there is time to die between the effect and the ack
            await delivery.ack()


# --- the world around ---


class Consumers:
    """Half of them have the same name again after a restart, the others a new one."""

    def __init__(self, server: RedisServer, path: Path) -> None:
        self.server, self.path = server, path
        self.children: dict[int, BaseProcess] = {}
        self.deaths = Counter[str]()

    def start_missing(self) -> None:
        for number in [number for number, child in self.children.items() if not child.is_alive()]:
            self._end(number, "by poison")
        for number in set(range(CONSUMERS)) - self.children.keys():
            name = f"consumer{number}" if number % 2 else None
            self.children[number] = forked([self.server], consume, self.server.url, name, self.path)

    def kill(self, number: int) -> None:
        for victim in random.sample(list(self.children), min(number, len(self.children))):
            self._end(victim, "killed")

    def _end(self, number: int, why: str) -> None:
        killed(self.children.pop(number))
        self.deaths[why] += 1


@contextmanager
def consumers_of(server: RedisServer, path: Path) -> Iterator[Consumers]:
    try:
        yield Consumers(server, path)
    finally:
        kill_all()


def of_another_producer(number: int) -> dict[str, str]:
    payload = json.dumps({"trace_type": "generation", "generation_id": uuid(number)})
    return {"event_type": "database_trace", "session_id": "s", "payload": payload}


def entries(number: int) -> list[dict[str, str]]:
    """An event; now and then another producer's of the same generation, or what is no event."""
    found = [to_fields(event(number, text=POISON if is_poison(number) else "answer"))]
    if has_twin(number):
        found.append(of_another_producer(number))
        random.shuffle(found)
    earlier = number - EVENTS_PER_SECOND
    if earlier >= 0 and has_late_twin(earlier):
        found.append(of_another_producer(earlier))
    if is_followed_by_rubbish(number):
        found.append({"event_type": "database_trace", "payload": "{", "number": str(number)})
    if number % 50 == 0:
        found.append({"event_type": "session_start", "payload": "{}"})
    return found


def is_at_rest(server: RedisServer) -> bool:
    (group,) = server.client.xinfo_groups(STREAM)
    last = server.client.xinfo_stream(STREAM)["last-generated-id"]
    return group["pending"] == 0 and group["last-delivered-id"] == last


def check(server: RedisServer, path: Path, numbers: int, deaths: int) -> dict[str, int]:
    """Raise AssertionError if anything was lost, doubled, left lying, or worked on again without need."""
    store = effects(path)
    found = {id_ for (id_,) in store.execute("SELECT event_id FROM effect")}
    tries = Counter(id_ for (id_,) in store.execute("SELECT event_id FROM try WHERE first = 0"))
    poison = {event_id(uuid(n)) for n in range(numbers) if is_poison(n)}
    twins = {event_id(uuid(n)) for n in range(numbers) if has_twin(n)}
    late_twins = {event_id(uuid(n)) for n in range(numbers - EVENTS_PER_SECOND) if has_late_twin(n)}
    wanted = {event_id(uuid(n)) for n in range(numbers)} - poison
    letters = [fields for _, fields in server.call("XRANGE", DEAD, "-", "+")]
    reasons = Counter(letter[b"dead_reason"].decode() for letter in letters)
    dead = {letter[b"event_id"].decode() for letter in letters if b"event_id" in letter}
    assert dead == poison, f"{len(poison - dead)} poisonous, {len(dead - poison)} innocent"
    assert found == wanted, f"{len(wanted - found)} events had no effect"
    malformed = sum(map(is_followed_by_rubbish, range(numbers)))
    assert reasons == {
        "no event: payload is not JSON": malformed,
        f"delivered {ATTEMPTS} times and never acknowledged": len(poison),
    }
    assert is_at_rest(server)
    again = Counter(
        "at once" if id_ in twins else "later" if id_ in late_twins else "alone" for id_ in tries.elements()
    )
    # Who dies between the effect and the ack has worked on one event; all others are marked as done.
    needless = again["later"] + again["alone"] - deaths
    assert needless <= 0, f"{needless} events more than consumers that died were worked on again"
    return {
        "events": len(wanted),
        "poison": len(poison),
        "malformed": malformed,
        "of two producers at once": len(twins),
        "of those worked on twice": again["at once"],
        "of another a second later": len(late_twins),
        "of these worked on twice": again["later"],
        "others worked on again after a death": again["alone"],
    }


def main(seconds: int, server: RedisServer) -> dict[str, int]:
    """So many seconds of deaths, then rest; returns figures, or raises AssertionError."""
    pipe = server.client.pipeline(transaction=False)
    written = 0
    with tempfile.TemporaryDirectory() as directory, consumers_of(server, Path(directory) / "db") as all_:
        effects(all_.path).close()
        began = time.monotonic()
        next_kill = began + 1
        while (passed := time.monotonic() - began) < seconds:
            while written < passed * EVENTS_PER_SECOND:
                for fields in entries(written):
                    pipe.xadd(STREAM, fields)
                written += 1
            pipe.execute()
            if time.monotonic() >= next_kill:
                all_.kill(KILLS)
                next_kill += 1
            all_.start_missing()
            time.sleep(0.1)  # in bursts, so that more is fetched at once than one
        stopped = time.monotonic()
        while not is_at_rest(server):
            assert time.monotonic() - stopped < PATIENCE_SECONDS, "it does not come to rest"
            all_.start_missing()
            time.sleep(0.05)
        rest = time.monotonic() - stopped
        figures = check(server, all_.path, written, all_.deaths.total())
    deaths = {f"deaths {why}": count for why, count in all_.deaths.items()}
    return figures | deaths | {"ms to rest": int(rest * 1000)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="of deaths, three in each")
    parser.add_argument("--all", action="store_true", help="on every server that is here, not one only")
    arguments = parser.parse_args()
    for version in versions() if arguments.all else versions()[:1]:
        with own_server(version=version) as own:
            figures = main(arguments.seconds, own)
            print(f"Redis {version}:", ", ".join(f"{name} {count:,}" for name, count in figures.items()))
