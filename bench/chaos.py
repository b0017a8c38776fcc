"""Kill producers, servers, masters and consumers, over and over, and count what was lost and what came twice.

`nox -s chaos` runs all of it; `nox -s chaos -- --short` a little of each part. Exit 1 if anything was lost,
came twice, came out of order in its workspace, or was left lying. What cannot be played here is named.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import chaos_consumers
from chaos_children import ChaosError, ended, forked, kill_all, killed
from chaos_count import Count, counted
from chaos_failovers import fail_over_cluster, fail_over_sentinel
from chaos_producer import POINTS, Blow, Load, produce, rollbacks_noted
from redis_outputs import STREAM, config
from redis_server import RedisServer, free_port, own_server, programs, version_on_path, versions

from trio_cursor.config import Config

SEED = 5
#: So long it is waited for a producer to be at work again; it may have nothing left to do.
AT_WORK_SECONDS = 2


def kill_producers(server: RedisServer, directory: Path, kills: int, generations: int) -> Count:
    """Half of the blows fall at a named point, half at any time."""
    began, chance = time.monotonic(), random.Random(SEED)
    load = Load(generations, at_once=3, pause=0.001, in_a_life=generations // kills)
    where = config(server.url, max_length=0)
    for number in range(kills):
        blow = Blow(chance.choice(list(POINTS)), chance.randrange(1, 4)) if number % 2 else None
        child = forked([server], produce, directory, where, load, blow)
        child.join(chance.uniform(0.01, 0.1) if blow is None else 1)
        killed(child)
    finish(server, directory, where, load)
    return counted(server.call, load, kills=kills, began=began)


def kill_servers(server: RedisServer, directory: Path, kills: int, generations: int) -> Count:
    """The server saves at times, is killed at others, and comes back with what it had saved."""
    began, chance = time.monotonic(), random.Random(SEED)
    load = Load(generations, at_once=2, pause=0.005)
    where = config(server.url, max_length=0)
    child = forked([server], produce, directory, where, load)
    for _ in range(kills):
        await_entries(server)
        strike(server, chance)
    ended(child)
    finish(server, directory, where, load)
    return counted(server.call, load, kills=kills, began=began, rollbacks=rollbacks_noted(directory))


def kill_both(server: RedisServer, directory: Path, kills: int, generations: int) -> Count:
    """Both, at moments of their own, in each round."""
    began, chance = time.monotonic(), random.Random(SEED)
    load = Load(generations, at_once=3, pause=0.002, in_a_life=generations // kills)
    where = config(server.url, max_length=0)
    for _ in range(kills):
        child = forked([server], produce, directory, where, load)
        if chance.random() < 0.5:
            strike(server, chance)
            time.sleep(chance.uniform(0, 0.05))
            killed(child)
        else:
            time.sleep(chance.uniform(0.02, 0.12))
            killed(child)
            strike(server, chance)
    finish(server, directory, where, load)
    return counted(server.call, load, kills=2 * kills, began=began)


def await_entries(server: RedisServer) -> None:
    """A producer that is still away when its server dies again loses nothing by that."""
    had, deadline = server.call("XLEN", STREAM), time.monotonic() + AT_WORK_SECONDS
    while server.call("XLEN", STREAM) == had and time.monotonic() < deadline:
        time.sleep(0.002)


def strike(server: RedisServer, chance: random.Random) -> None:
    """Save, perhaps; kill a while later; start again."""
    time.sleep(chance.uniform(0, 0.05))
    if chance.random() < 0.6:
        server.call("SAVE")
    time.sleep(chance.uniform(0, 0.05))
    server.kill()
    time.sleep(chance.uniform(0, 0.05))
    server.start()


def finish(server: RedisServer, directory: Path, where: Config, load: Load) -> None:
    """Let a last one do what is left."""
    ended(forked([server], produce, directory, where, attrs.evolve(load, in_a_life=None, at_once=50)))


Part = Callable[[RedisServer, Path, int, int], Count]


class Play:
    """Plays part after part, says what came of each, and remembers whether all went well."""

    def __init__(self) -> None:
        self.is_well = True

    def on_server(self, what: str, part: Part, version: str, kills: int, generations: int) -> None:
        """One part on a server of its own."""

        def played(directory: Path) -> Count:
            with own_server(version=version) as server:
                return part(server, directory, kills, generations)

        self._play(what, version, played)

    def consumers(self, version: str, seconds: int) -> None:
        def played(_: Path) -> str:
            with own_server(version=version) as server:
                figures = chaos_consumers.main(seconds, server)
            return ", ".join(f"{name} {count:,}" for name, count in figures.items())

        self._play("consumers killed", version, played)

    def failovers(self, version: str, rounds: int) -> None:
        self._play("master in a cluster killed", version, lambda at: fail_over_cluster(version, at, rounds))
        self._play("master of Sentinel killed", version, lambda at: fail_over_sentinel(version, at, rounds))

    def _play(self, what: str, version: str, part: Callable[[Path], Count | str]) -> None:
        with tempfile.TemporaryDirectory(prefix="chaos-") as place:
            try:
                outcome = part(Path(place))
            except (ChaosError, AssertionError, pytest.fail.Exception) as error:
                outcome, is_well = f"FAILED: {error}", False
            else:
                is_well = isinstance(outcome, str) or outcome.is_well
            finally:
                kill_all()
        self.is_well &= is_well
        print(f"{what} [Redis {version}]: {outcome}{'' if is_well else '  <-- FAILED'}", flush=True)


def obstacle() -> str | None:
    """Why nothing can be played on this machine; None: it can."""
    if not hasattr(os, "fork"):
        return "it takes fork, which this system has not"
    if not programs():
        return "no redis-server on PATH, and none in a wheel for this platform and Python"
    try:
        free_port()
    except OSError as error:
        return f"no server can listen on 127.0.0.1: {error}"
    return None


def absent() -> list[str]:
    """Kinds of servers that it is made for and that are not here."""
    lines = {version.split(".")[0] for version in programs()}
    found = [f"Redis {line}" for line in ("6", "7", "8") if line not in lines]
    return found + ["Valkey"] * (shutil.which("valkey-server") is None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a little of each part")
    arguments = parser.parse_args()
    if (why := obstacle()) is not None:
        print(f"not run: anything: {why}")
        return 1
    found = versions()
    # The machine's own server is the reference, where there is one.
    first = version_on_path() or found[0]
    play = Play()
    if arguments.short:
        play.on_server("producer killed", kill_producers, first, 20, 400)
        play.on_server("server killed", kill_servers, first, 20, 2000)
        play.on_server("both killed", kill_both, first, 20, 400)
        play.consumers(first, 5)
        play.failovers(first, 1)
        others = ", ".join(version for version in found if version != first)
        print(f"not run: Redis {others or '-'}, and most of each part (without --short)")
    else:
        for version in sorted(found, key=lambda version: version != first):
            kills, generations = (1000, 20_000) if version == first else (200, 4_000)
            play.on_server("producer killed", kill_producers, version, kills, generations)
        for version in found:
            play.on_server("server killed", kill_servers, version, 50, 6_000)
        play.on_server("both killed", kill_both, first, 100, 3_000)
        for version in found:
            play.consumers(version, 30)
        for version in found:
            play.failovers(version, 6)
    if missing := absent():
        print(f"not run: {', '.join(missing)}: not on this machine")
    return 0 if play.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
