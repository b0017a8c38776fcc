"""Kill the producer, the server, or both, over and over, and count what was lost and what came twice.

`nox -s chaos` runs all of it; `nox -s chaos -- --short` a little of each part. Exit 1 if anything was lost,
came twice, or came out of order in its workspace.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from chaos_producer import POINTS, Load, forked, generation, killed_at, workspace_of
from redis_server import RedisServer, own_server, version_on_path, versions

from trio_cursor.config import Config, RedisConfig
from trio_cursor.redis_keys import keys_of

STREAM = "telemetry:events"
SEED = 5


@attrs.frozen
class Count:
    """What came of a part."""

    kills: int
    generations: int
    lost: int
    doubled: int
    #: Workspaces whose generations are not in their order.
    disordered: int
    seconds: float

    @property
    def is_well(self) -> bool:
        return not (self.lost or self.doubled or self.disordered)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.generations} generations: lost {self.lost}, doubled {self.doubled},"
            f" workspaces out of order {self.disordered}; {self.seconds:.0f} s"
        )


def configured(url: str, shards: int = 1) -> Config:
    return Config(redis=RedisConfig(url=url, max_length=0, shards=shards))


def counted(server: RedisServer, load: Load, *, kills: int, began: float, shards: int = 1) -> Count:
    """Compare what is on the stream with what was to be there."""
    numbers = {generation(number).event_id: number for number in range(1, load.generations + 1)}
    found: defaultdict[int, int] = defaultdict(int)
    order: defaultdict[str, list[int]] = defaultdict(list)
    for keys in keys_of(STREAM, shards):
        after = "-"
        while entries := server.call("XRANGE", keys.stream, after, "+", "COUNT", 1000):
            for _, fields in entries:
                number = numbers[fields[b"event_id"].decode()]
                found[number] += 1
                order[workspace_of(number)].append(number)
            after = f"({entries[-1][0].decode()}"
    return Count(
        kills=kills,
        generations=load.generations,
        lost=load.generations - len(found),
        doubled=sum(found.values()) - len(found),
        disordered=sum(seen != sorted(seen) for seen in order.values()),
        seconds=time.monotonic() - began,
    )


def kill_producers(server: RedisServer, directory: Path, kills: int, generations: int) -> Count:
    """Half of the blows fall at a named point, half at any time."""
    began, chance = time.monotonic(), random.Random(SEED)
    load = Load(generations, at_once=3, pause=0.001, in_a_life=generations // kills)
    config = configured(server.url)
    for number in range(kills):
        point = chance.choice(POINTS) if number % 2 else None
        steps = [] if point is None else [killed_at(point, chance)]
        child = forked(server, directory, config, load, *steps)
        die_by = time.monotonic() + (chance.uniform(0.01, 0.1) if point is None else 1)
        while time.monotonic() < die_by and not has_ended(child):
            time.sleep(0.001)
        end(child)
    finish(server, directory, config, load)
    return counted(server, load, kills=kills, began=began)


def kill_servers(server: RedisServer, directory: Path, kills: int, generations: int) -> Count:
    """The server saves at times, is killed at others, and comes back with what it had saved."""
    began, chance = time.monotonic(), random.Random(SEED)
    load = Load(generations, at_once=2, pause=0.001)
    config = configured(server.url)
    child = forked(server, directory, config, load)
    for _ in range(kills):
        strike(server, chance)
    os.waitpid(child, 0)
    finish(server, directory, config, load)
    return counted(server, load, kills=kills, began=began)


def kill_both(server: RedisServer, directory: Path, kills: int, generations: int) -> Count:
    """Both, at moments of their own, in each round."""
    began, chance = time.monotonic(), random.Random(SEED)
    load = Load(generations, at_once=3, pause=0.002, in_a_life=generations // kills)
    config = configured(server.url)
    for _ in range(kills):
        child = forked(server, directory, config, load)
        if chance.random() < 0.5:
            strike(server, chance)
            time.sleep(chance.uniform(0, 0.05))
            end(child)
        else:
            time.sleep(chance.uniform(0.02, 0.12))
            end(child)
            strike(server, chance)
    finish(server, directory, config, load)
    return counted(server, load, kills=2 * kills, began=began)


def has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end(child: int) -> None:
    """Kill a child, unless it has done so itself."""
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"a producer ended by itself ({status})")


def strike(server: RedisServer, chance: random.Random) -> None:
    """Save, perhaps; kill a while later; start again."""
    time.sleep(chance.uniform(0, 0.05))
    if chance.random() < 0.6:
        server.call("SAVE")
    time.sleep(chance.uniform(0, 0.05))
    server.kill()
    time.sleep(chance.uniform(0, 0.05))
    server.start()


def finish(server: RedisServer, directory: Path, config: Config, load: Load) -> None:
    """Let a last one do what is left."""
    child = forked(server, directory, config, attrs.evolve(load, in_a_life=None, at_once=50))
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"the last producer failed ({status})")


Part = Callable[[RedisServer, Path, int, int], Count]


def play(what: str, part: Part, version: str, kills: int, generations: int) -> bool:
    """One part on a server of its own; says what came of it."""
    with own_server(version=version) as server, tempfile.TemporaryDirectory(prefix="chaos-") as place:
        count = part(server, Path(place), kills, generations)
    print(f"{what} [Redis {version}]: {count}", flush=True)
    return count.is_well


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="20 kills of each kind")
    arguments = parser.parse_args()
    found = versions()
    # The machine's own server is the reference, where there is one.
    first = version_on_path() or found[0]
    results = []
    if arguments.short:
        results.append(play("producer killed", kill_producers, first, 20, 400))
        results.append(play("server killed", kill_servers, first, 20, 4000))
        results.append(play("both killed", kill_both, first, 20, 400))
    else:
        for version in sorted(found, key=lambda version: version != first):
            kills, generations = (1000, 20_000) if version == first else (200, 4_000)
            results.append(play("producer killed", kill_producers, version, kills, generations))
        results += [play("server killed", kill_servers, version, 50, 10_000) for version in found]
        results.append(play("both killed", kill_both, first, 100, 3_000))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
