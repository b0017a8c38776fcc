"""What came of a part of the chaos: what was lost, what came twice, what came out of order."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from chaos_producer import WORKSPACES, Load
from log_events import event
from redis_outputs import STREAM

from trio_cursor.redis_keys import keys_of

#: Sends a command, whose first word but one is a key, to whoever serves the key.
Ask = Callable[..., Any]


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
    #: How often a server had lost what it had taken, and we noticed; None: that was not what it is about.
    rollbacks: int | None = None

    @property
    def is_well(self) -> bool:
        # Where a rollback was brought about, one that nobody has noticed is a mistake of the script at least.
        return not (self.lost or self.doubled or self.disordered) and self.rollbacks != 0

    def __str__(self) -> str:
        noticed = "" if self.rollbacks is None else f"{self.rollbacks} rollbacks noticed, "
        return (
            f"{self.kills} kills, {noticed}{self.generations} generations: lost {self.lost},"
            f" doubled {self.doubled}, workspaces out of order {self.disordered}; {self.seconds:.0f} s"
        )


def counted(
    ask: Ask, load: Load, *, kills: int, began: float, shards: int = 1, rollbacks: int | None = None
) -> Count:
    """Compare what is on the stream with what was to be there."""
    numbers = {event(number).event_id: number for number in range(1, load.generations + 1)}
    found: defaultdict[int, int] = defaultdict(int)
    order: defaultdict[int, list[int]] = defaultdict(list)
    for keys in keys_of(STREAM, shards):
        after = "-"
        while entries := ask("XRANGE", keys.stream, after, "+", "COUNT", 1000):
            for _, fields in entries:
                number = numbers[fields[b"event_id"].decode()]
                found[number] += 1
                order[number % WORKSPACES].append(number)
            after = f"({entries[-1][0].decode()}"
    return Count(
        kills=kills,
        generations=load.generations,
        lost=load.generations - len(found),
        doubled=sum(found.values()) - len(found),
        disordered=sum(seen != sorted(seen) for seen in order.values()),
        seconds=time.monotonic() - began,
        rollbacks=rollbacks,
    )
