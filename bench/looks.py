"""Looking at a database through the door as the poller does, and timing it; without a service around it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import attrs

from trio_cursor.cursor.guest import Guest
from trio_cursor.cursor.guest import Page as Read
from trio_cursor.cursor.schemas import FollowUp
from trio_cursor.cursor.schemas.known import readable_columns, reread_database, scan_database
from trio_cursor.observations import Observation, Turn, TurnContent, Wanted
from trio_cursor.records import Page

#: As the sink wants them.
CONTENTS_AT_ONCE = 50


def door(root: Path, private: Path, *, deadline_seconds: float = 5.0) -> Guest:
    """The one door, for what lies below a `User` directory."""
    return Guest(
        roots=(str(root),),
        tables=readable_columns(),
        deadline_seconds=deadline_seconds,
        max_concurrent=2,
        private_dir=str(private),
    )


@attrs.define
class Looker:
    """Reads one database again and again, each time from where it was."""

    guest: Guest
    path: str
    positions: dict[str, str] = attrs.field(factory=dict)
    #: How often the database was opened.
    opened: int = 0
    #: Seconds of the longest lock.
    held: float = 0.0

    async def look(self, *, since_ms: int | None) -> tuple[list[Observation], float]:
        """What is new, all of it; and the seconds of the first read, which is the one that finds it."""
        found: list[Observation] = []
        first, is_more = 0.0, True
        while is_more:
            scan = partial(
                scan_database, positions=self.positions, rescan=False, verify=False, since_ms=since_ms
            )
            began = time.perf_counter()
            read = await self._read(scan)
            first = first or time.perf_counter() - began
            pages = {name: await self._complete(step) for name, step in read.steps.items()}
            self.positions |= {name: page.position for name, page in pages.items()}
            found += [one for page in pages.values() for one in page.observations]
            is_more = any(page.more for page in pages.values())
        return found, first

    async def contents(self, turns: list[Turn]) -> list[TurnContent]:
        """Everything that is reported of these."""
        left = {turn.id: Wanted(turn.schema, turn.id, with_content=True) for turn in turns}
        found: list[TurnContent] = []
        while left:
            some = tuple(left.values())[:CONTENTS_AT_ONCE]
            page = await self._complete(await self._read(partial(reread_database, wanted=some)))
            answers = [one for one in page.observations if isinstance(one, TurnContent)]
            if not answers:
                raise AssertionError("nothing was answered")
            for answer in answers:
                left.pop(answer.turn.id, None)
            found += answers
        return found

    async def _complete(self, step: Page | FollowUp) -> Page:
        while isinstance(step, FollowUp):
            step = await self._read(step.make)
        return step

    async def _read(self, make):
        outcome = await self.guest.read(self.path, make)
        if not isinstance(outcome, Read):
            raise SystemExit(f"not read: {outcome}")
        self.opened += 1
        self.held = max(self.held, outcome.held_seconds)
        return outcome.result


def turns_of(found: list[Observation]) -> list[Turn]:
    """Of what was found, the turns; of one that was seen twice the last."""
    by_id: Mapping[object, Turn] = {one.id: one for one in found if isinstance(one, Turn)}
    return list(by_id.values())
