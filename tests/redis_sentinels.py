"""A real Redis server, its replica and their sentinels for a test, on ports of their own.

The sentinels are started with all that they would find out about each other within some seconds.
"""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import pytest
import redis
from redis_server import RedisServer, on_free_ports, quiet_ports

NAME = "mymaster"
#: Who is killed by `failover` is missed after so long.
DOWN_AFTER_MS = 300
#: Who is not, is not missed: on a busy machine a server that lives may well be silent for a second.
NEVER_DOWN_MS = 60_000


@contextmanager
def own_sentinels(count=1, version=None, options=(), sentinel_lines=(), tls=None):
    """Two servers, the first one the master, and so many sentinels, of which most must agree.

    Args:
        count: How many sentinels.
        version: Of all of them.
        options: Of both servers.
        sentinel_lines: Of the file of each sentinel.
        tls: As of `RedisServer`, of all of them.

    """
    with ExitStack() as stack:
        made = partial(RedisSentinels, count, options, sentinel_lines, version=version, tls=tls)
        sentinels = on_free_ports(made, stack)
        sentinels.wait_until_well()
        yield sentinels


class RedisSentinels:
    """Runs until the stack is unwound."""

    def __init__(self, count, options, sentinel_lines, stack, **of_all):
        def started(*words, **more):
            server = RedisServer(*words, **of_all, **more)
            stack.callback(server.close)
            return server

        options = ("--repl-diskless-sync-delay", 0, *options)
        first = started(*options)
        self.servers = [first, started("--replicaof", "127.0.0.1", first.port, *options)]
        ids = [secrets.token_hex(20) for _ in range(count)]
        ports = quiet_ports(count)
        self.sentinels = []
        for id_, port in zip(ids, ports, strict=True):
            known = [
                f"sentinel myid {id_}",
                f"sentinel monitor {NAME} 127.0.0.1 {first.port} {count // 2 + 1}",
                f"sentinel down-after-milliseconds {NAME} {NEVER_DOWN_MS}",
                f"sentinel failover-timeout {NAME} 4000",
                f"sentinel known-replica {NAME} 127.0.0.1 {self.servers[1].port}",
                *(
                    f"sentinel known-sentinel {NAME} 127.0.0.1 {other_port} {other}"
                    for other, other_port in zip(ids, ports, strict=True)
                    if other != id_
                ),
                *sentinel_lines,
            ]
            self.sentinels.append(started("--sentinel", port=port, config="\n".join(known) + "\n"))

    @property
    def url(self):
        return self.url_of(*self.sentinels)

    def url_of(self, *sentinels):
        """The URL that names these sentinels alone."""
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{one.port}" for one in sentinels) + f"/{NAME}"

    def wait_until_well(self):
        """Until the replica follows, and every sentinel could make another master."""
        self._until(lambda: self.servers[1].call("ROLE")[3] == b"connected")
        for sentinel in self.sentinels:
            self._until(lambda asked=sentinel: _is_well(asked))

    def master(self):
        """The server that the sentinels name, if it agrees and runs; else None."""
        for sentinel in self.sentinels:
            if not sentinel.is_running:
                continue
            found = sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
            port = int(found[1]) if found else None
            for server in self.servers:
                if server.port == port and server.is_running and server.call("ROLE")[0] == b"master":
                    return server
        return None

    def failover(self):
        """Kill the master, and wait until the sentinels have made another one of the replica.

        Returns the dead and the new one.
        """
        old = self.master()
        old.kill()
        self._miss_after(DOWN_AFTER_MS)
        new = self._until(self.master)
        self._miss_after(NEVER_DOWN_MS)
        return old, new

    def demote(self, server):
        """Make a server a replica of the master, as the sentinels do with one that comes back.

        They take their time for it, some 10 s, and close its connections; here they stay open.
        """
        server.call("REPLICAOF", "127.0.0.1", self.master().port)

    def _miss_after(self, milliseconds):
        for sentinel in self.sentinels:
            if sentinel.is_running:
                sentinel.call("SENTINEL", "SET", NAME, "down-after-milliseconds", milliseconds)

    def _until(self, condition, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            with suppress(redis.exceptions.ConnectionError):
                if found := condition():
                    return found
            if time.monotonic() > deadline:
                pytest.fail("\n".join((one.directory / "log").read_text() for one in self.sentinels))
            time.sleep(0.01)


def _is_well(sentinel):
    """Whether it sees the master and the replica."""
    name = sentinel.call("INFO", "sentinel")["master0"]
    return name["status"] == "ok" and int(name["slaves"]) == 1
