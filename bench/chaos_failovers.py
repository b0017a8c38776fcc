"""Masters of a cluster, and of Sentinel, killed under a producer, and replaced by replicas that lack entries.

Replication is asynchronous. In every second round the replica is cut off before the blow, until its master
has taken entries that it never gets: they are rolled back, which only the producer's mark can tell.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from chaos_children import ChaosError, ended, forked
from chaos_count import Count, counted
from chaos_producer import Load, produce, rollbacks_noted
from redis_cluster import own_cluster
from redis_outputs import STREAM, config
from redis_sentinels import NAME, own_sentinels
from redis_server import RedisServer

from trio_cursor.redis_keys import keys_of

SEED = 5
MASTERS = SENTINELS = SHARDS = 3
#: The producer takes some 250 a second, and is to be at work all the while.
GENERATIONS_PER_ROUND = 1500
#: So many entries are taken by a master that is cut off; and so long it is waited for them, less than the
#: others need to miss a replica.
BEHIND, BEHIND_SECONDS = 5, 0.6
#: On a busy machine sentinels with less patience take a master for dead that is not, over and over.
CALM = (f"sentinel down-after-milliseconds {NAME} 1500",)


def fail_over_cluster(version: str, directory: Path, rounds: int) -> Count:
    """Kill the master of a shard in each round; its replica takes over, and it comes back as one."""
    began, chance = time.monotonic(), random.Random(SEED)
    load = Load(rounds * GENERATIONS_PER_ROUND, at_once=3, pause=0.01)
    streams = [keys.stream for keys in keys_of(STREAM, SHARDS)]
    with own_cluster(MASTERS, replicas=1, version=version) as cluster:

        def ask(command: str, key: str, *words: Any) -> Any:
            return cluster.call(key, command, key, *words)

        where = config(cluster.url, max_length=0, shards=SHARDS)
        producer = partial(forked, cluster.nodes, produce, directory, where, load)
        child = producer()
        for number in range(rounds):
            stream = chance.choice(streams)
            master = cluster.node_of(stream)
            strike(master, replica_of(cluster.running, master), stream, chance, is_behind=number % 2 == 0)
            cluster.node_of(stream)  # waits for the new one
            master.start()
            cluster.wait_until_well()
        finish(child, producer)
        return counted(
            ask, load, kills=rounds, began=began, shards=SHARDS, rollbacks=rollbacks_noted(directory)
        )


def fail_over_sentinel(version: str, directory: Path, rounds: int) -> Count:
    """Kill the master in each round; the sentinels name the other one, and it comes back as its replica."""
    began, chance = time.monotonic(), random.Random(SEED)
    load = Load(rounds * GENERATIONS_PER_ROUND, at_once=3, pause=0.01)
    with own_sentinels(SENTINELS, version=version, sentinel_lines=CALM) as sentinels:
        nodes = [*sentinels.servers, *sentinels.sentinels]
        where = config(sentinels.url, max_length=0)
        producer = partial(forked, nodes, produce, directory, where, load)
        child = producer()
        for number in range(rounds):
            master = waited_for(sentinels.master)
            other = next(server for server in sentinels.servers if server is not master)
            strike(master, other, STREAM, chance, is_behind=number % 2 == 0)
            waited_for(lambda port=other.port: all(named(one) == port for one in sentinels.sentinels))
            waited_for(lambda one=other: one.call("ROLE")[0] == b"master")
            master.start()
            master.call("REPLICAOF", "127.0.0.1", other.port)
            waited_for(lambda one=master: one.call("ROLE")[3] == b"connected")
        finish(child, producer)
        ask = waited_for(sentinels.master).call
        return counted(ask, load, kills=rounds, began=began, rollbacks=rollbacks_noted(directory))


def named(sentinel: RedisServer) -> int:
    """The port of whom it takes for the master."""
    return int(sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])


def replica_of(nodes: Sequence[RedisServer], master: RedisServer) -> RedisServer:
    for node in nodes:
        role = node.call("ROLE")
        if role[0] == b"slave" and int(role[2]) == master.port:
            return node
    raise ChaosError(f"{master.port} has no replica")


def strike(
    master: RedisServer, replica: RedisServer, stream: str, chance: random.Random, *, is_behind: bool
) -> None:
    """Kill the master, with entries that its replica has not, or at any moment."""
    waited_for(lambda: master.call("XLEN", stream))
    time.sleep(chance.uniform(0, 0.3))
    if not is_behind:
        master.kill()
        return
    replica.stall()
    try:
        master.call("CLIENT", "KILL", "TYPE", "replica")
        enough, deadline = master.call("XLEN", stream) + BEHIND, time.monotonic() + BEHIND_SECONDS
        while master.call("XLEN", stream) < enough and time.monotonic() < deadline:
            time.sleep(0.002)
        master.kill()
    finally:
        replica.resume()


def waited_for(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise ChaosError("no failover, or no replica after it")
        time.sleep(0.01)
    return found


def finish(child: BaseProcess, producer: Callable[[], BaseProcess]) -> None:
    """Let the producer do what is left, and another one look once more at what the server has."""
    ended(child)
    ended(producer())
