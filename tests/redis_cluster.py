"""A real Redis cluster for a test, on ports of its own.

Its nodes are started with the file in which a node remembers the others, so that nobody has to be introduced
and no slot handed out: all there is to wait for are the 2 s that a master gives itself before it serves. Such
a file is understood by every version.
"""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
import redis
from redis.crc import key_slot
from redis_server import BUS, RedisServer, on_free_ports, quiet_ports

SLOTS = 16_384
#: Who is killed is missed after so long; on a busy machine the others may take their time to answer.
NODE_TIMEOUT_MS = 1_000


@contextmanager
def own_cluster(masters=3, replicas=0, version=None, options=(), tls=None, *, is_waited_for=True):
    """One whose slots are shared out evenly.

    Args:
        masters: How many nodes serve slots.
        replicas: How many replicas each of them has.
        version: Of all nodes.
        options: Of all nodes.
        tls: As of `RedisServer`.
        is_waited_for: Else it serves nothing yet, and several can be started at once.

    """
    with ExitStack() as stack:
        made = partial(RedisCluster, masters, replicas, options, version=version, tls=tls)
        cluster = on_free_ports(made, stack)
        if is_waited_for:
            cluster.wait_until_well()
        yield cluster


class RedisCluster:
    """Runs until the stack is unwound."""

    def __init__(self, masters, replicas, options, stack, **more):
        ids = [secrets.token_hex(20) for _ in range(masters * (1 + replicas))]
        ports = quiet_ports(len(ids))
        self.nodes = []
        #: What each node is called among the nodes.
        self.ids = dict(zip(ports, ids, strict=True))
        for port, id_ in zip(ports, ids, strict=True):
            file = "".join(
                _line(number, masters, ids, ports, "myself," if other == id_ else "")
                for number, other in enumerate(ids)
            )
            node = RedisServer(
                *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
                *("--cluster-node-timeout", NODE_TIMEOUT_MS, "--repl-diskless-sync-delay", 0),
                *options,
                port=port,
                files={"nodes.conf": f"{file}vars currentEpoch {masters} lastVoteEpoch 0\n"},
                **more,
            )
            stack.callback(node.close)
            self.nodes.append(node)

    @property
    def url(self):
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    @property
    def running(self):
        return [node for node in self.nodes if node.is_running]

    def wait_until_well(self, seconds=20):
        """Until every node serves every slot, and every replica has what its master has."""
        deadline = time.monotonic() + seconds
        for node in self.running:
            while not _is_well(node):
                if time.monotonic() > deadline:
                    pytest.fail(f"no cluster: {(node.directory / 'log').read_text()}")
                time.sleep(0.01)

    def node_of(self, key, seconds=20):
        """The master that serves a key, as soon as there is one."""
        deadline = time.monotonic() + seconds
        while True:
            for node in self.running:
                try:
                    node.call("EXISTS", key)
                except redis.exceptions.MovedError:
                    continue
                except redis.exceptions.AskError:
                    return node
                except redis.exceptions.ResponseError:  # the cluster is down
                    continue
                return node
            assert time.monotonic() < deadline, f"nobody serves {key}"
            time.sleep(0.01)

    def other_than(self, node):
        """A master that is not this one."""
        return next(one for one in self._masters() if one is not node)

    def call(self, key, *words):
        """Send a command to the node that serves the key."""
        return self.node_of(key).call(*words)

    def move_slot(self, key, target):
        """Give the slot of a key, and what is in it, to another master."""
        source = self.begin_move(key, target)
        self.move_keys(key, source, target)
        self.end_move(key, source, target)

    def begin_move(self, key, target):
        """From now on a key of the slot that is not there is looked for at the target. Returns the source."""
        source, slot = self.node_of(key), key_slot(key.encode())
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source.port])
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target.port])
        return source

    def move_keys(self, key, source, target):
        """Move all that is in the slot of a key."""
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", key_slot(key.encode()), 100):
            source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)

    def end_move(self, key, source, target):
        """Say whose the slot is now; the target must be the first to know."""
        others = [node for node in self._masters() if node not in (source, target)]
        for node in (target, source, *others):
            node.call("CLUSTER", "SETSLOT", key_slot(key.encode()), "NODE", self.ids[target.port])

    def kill_master_of(self, key):
        """Kill who serves a key; its replica, if it has one, is elected some 2 s later. Returns the dead."""
        node = self.node_of(key)
        node.kill()
        return node

    def _masters(self):
        return [node for node in self.running if node.call("ROLE")[0] == b"master"]


def _line(number, masters, ids, ports, is_me):
    """What the file of a node says of one of them; the masters come first, then replicas of each in turn."""
    master = number % masters
    role, slots = f"slave {ids[master]}", ""
    if number < masters:
        first, beyond = (SLOTS * part // masters for part in (master, master + 1))
        role, slots = "master -", f" {first}-{beyond - 1}"
    place = f"127.0.0.1:{ports[number]}@{ports[number] + BUS}"
    return f"{ids[number]} {place} {is_me}{role} 0 0 {master + 1} connected{slots}\n"


def _is_well(node):
    if b"cluster_state:ok" not in node.call("CLUSTER", "INFO"):
        return False
    role = node.call("ROLE")
    return role[0] == b"master" or role[3] == b"connected"
