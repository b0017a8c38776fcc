"""What a first pass costs the event loop in the Assembler: many full rings, many conversations."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from trio_cursor.assembly import Assembler, Told, from_text, to_text
from trio_cursor.atlas import Atlas
from trio_cursor.observations import Observation, RingEntry, Turn, TurnContent, TurnId
from trio_cursor.records import Workspace
from trio_cursor.scanner import Scanner

NOW_MS = 1_760_000_000_000
PROFILE = "/cursor/User"
GLOBAL = Workspace(f"{PROFILE}/globalStorage/state.vscdb", PROFILE, None)
#: Turns that one look brings.
LOOK = 200


@attrs.define
class Reader:
    """How far rings and conversations were read."""

    moment: float = -math.inf

    def rings(self, _profile: str) -> float:
        """Of the only profile."""
        return self.moment

    def conversations(self, _profile: str) -> float:
        """Of the only profile."""
        return self.moment


@attrs.define
class Clock:
    """Adds up what calls of one kind take."""

    spent: dict[str, list[float]] = attrs.field(factory=dict)

    def __call__(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """Make the call."""
        began = time.process_time()
        result = call(*arguments)
        self.spent.setdefault(name, []).append(time.process_time() - began)
        return result

    def report(self) -> None:
        """Print the figures."""
        for name, times in self.spent.items():
            print(
                f"{name:24} {len(times):6} calls {sum(times):7.2f} s, the longest {max(times) * 1e3:7.1f} ms"
            )


def uuid(kind: int, number: int) -> str:
    """An id."""
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def ring(workspace: int, entries: int) -> tuple[Workspace, list[Told]]:
    """A ring, whose times lie among those of the others."""
    place = Atlas(Scanner((), lambda _: True), lambda _: True).workspace(PROFILE, str(workspace))
    found = [
        RingEntry(uuid(workspace, at), NOW_MS - 10**9 + 1000 * at + workspace, "composer", "", 1, {})
        for at in range(entries)
    ]
    return place, [Told(item, is_old=True, since_ms=None) for item in found]


def turn(number: int, entries: int) -> Turn:
    """A turn; every second one has an entry in a ring, each conversation has ten."""
    workspace, at = divmod(number // 2, entries)
    return Turn(
        id=TurnId(f"c{number // 10}", f"b{number}"),
        schema="conversations",
        generation_id=uuid(workspace, at) if number % 2 else uuid(0xFFFF_FFFF, number),
        is_named_by_bubble=True,
        is_settled=True,
        is_sub_agent=False,
        created_ms=NOW_MS - 10**9,
        timestamp=NOW_MS - 10**9 + number,
        timestamp_source="bubble",
        newest_ms=NOW_MS - 10**9 + number,
        fingerprint="f",
    )


def told(observations: list[Observation]) -> Iterator[Told]:
    """As of a first sync."""
    return (Told(item, is_old=True, since_ms=None) for item in observations)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspaces", type=int, default=1000)
    parser.add_argument("--entries", type=int, default=100)
    parser.add_argument("--turns", type=int, default=20_000)
    arguments = parser.parse_args()
    rings = [ring(number, arguments.entries) for number in range(arguments.workspaces)]
    turns = {item.id: item for item in (turn(at, arguments.entries) for at in range(arguments.turns))}
    reader, clock = Reader(), Clock()
    assembler = Assembler(Atlas(Scanner((), lambda _: True), lambda _: True), reader, 2000, 60_000, 300_000)
    stored = {}
    for place, found in rings:
        change = clock("take in a ring", assembler.observe, place, found, NOW_MS, 1.0)
        stored.update({item.key: item for item in change.pending})
        clock("next deadline", assembler.next_deadline_ms)
    every = list(turns.values())
    for start in range(0, len(every), LOOK):
        change = clock(
            "take in turns", assembler.observe, GLOBAL, told(every[start : start + LOOK]), NOW_MS, 1.0
        )
        stored.update({item.key: item for item in change.pending})
    texts = clock("all to text", lambda: list(map(to_text, stored.values())))
    restored = clock("all from text", lambda: list(map(from_text, texts)))
    again = Assembler(Atlas(Scanner((), lambda _: True), lambda _: True), reader, 2000, 60_000, 300_000)
    clock("restore", again.restore, restored, (), NOW_MS, 1.0)
    clock("release nothing", assembler.release, NOW_MS, 1.5)
    reader.moment = 2.0
    released = 0
    while clock("next deadline", assembler.next_deadline_ms) == 0:
        released += len(clock("release", assembler.release, NOW_MS, 2.0).released)
    while wanted := clock("wanted", assembler.wanted, GLOBAL.database):
        answers = [
            Told(TurnContent(turns[item.id], "completed", 1), is_old=False, since_ms=None) for item in wanted
        ]
        released += len(clock("contents", assembler.observe, GLOBAL, answers, NOW_MS, 2.0).released)
    clock.report()
    print(f"{released} released, {len(assembler)} left")


if __name__ == "__main__":
    main()
