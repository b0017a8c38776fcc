"""`--prove`: everything that we may touch is hashed before and after a whole look at every database.

Cursor may write meanwhile. So it is done again until each file was the same before and after some look, with
a rest of the same length after each look: what changes in rests as well is changed by somebody else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import trio

from trio_cursor.asked import window_ms
from trio_cursor.config import Config
from trio_cursor.cursor.guest import Guest, Page, TimedOut
from trio_cursor.cursor.schemas.known import reread_database, scan_database
from trio_cursor.doctor import fingerprints
from trio_cursor.doctor.check import Check, finding, note, ok
from trio_cursor.doctor.looking import CursorLook, completed, in_time
from trio_cursor.observations import Turn, Wanted
from trio_cursor.records import Page as SchemaPage

Marks: TypeAlias = Mapping[str, Sequence[Any]]

#: How often, at most, before it is said what could not be proven.
ROUNDS: Final = 5
#: For one look at all databases, and for hashing what there is once.
_LOOK_SECONDS: Final = 20.0
_HASH_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 2.0
#: After so long no further round is begun.
_ALL_SECONDS: Final = 120.0
#: A rest is at least so long, so that whoever writes now and then is seen to.
_LEAST_REST_SECONDS: Final = 0.2
#: Turns of a page whose texts are read, too.
_MOST_TURNS: Final = 50
#: What is known of a file besides its content.
_PLAIN_MARK: Final = 5


@attrs.define(eq=False)
class Record:
    """What was seen of each path over all rounds."""

    rounds: int = 0
    #: In how many looks, and in how many rests, a path changed.
    in_looks: Counter[str] = attrs.field(factory=Counter)
    in_rests: Counter[str] = attrs.field(factory=Counter)
    #: Those that came or went during a look.
    came_or_went: set[str] = attrs.field(factory=set)
    #: As they were at the end.
    marks: Marks = attrs.field(factory=dict)
    #: How many databases the last look has read, and whether it had the time for all of each.
    read: int = 0
    is_cut_short: bool = False

    def take_look(self, before: Marks, after: Marks) -> None:
        """Compare what was before and after a look."""
        self.rounds += 1
        self.marks = after
        changed = changes(before, after)
        self.in_looks.update(changed)
        self.came_or_went |= {path for path in changed if (path in before) != (path in after)}

    @property
    def unproven(self) -> set[str]:
        """Paths that changed in every look. One that was the same before and after some look is proven."""
        return {path for path, times in self.in_looks.items() if times == self.rounds}

    @property
    def suspicious(self) -> set[str]:
        """What changes each time that we look, and never else: if anything is by us, it looks like this."""
        if self.rounds < ROUNDS:
            return set()
        return {path for path in self.unproven if not self.in_rests[path]}


def changes(before: Marks, after: Marks) -> set[str]:
    """Paths that are not what they were."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


async def prove(config: Config, look: CursorLook, guest: Guest) -> list[Check]:
    """Prove it as far as it can be proven."""
    record, end = Record(), trio.current_time() + _ALL_SECONDS
    before = await take_marks(look)
    while before is not None:
        began = trio.current_time()
        await _look_at_all(config, look, guest, record)
        seconds = trio.current_time() - began
        if (after := await take_marks(look)) is None:
            break
        record.take_look(before, after)
        is_late = trio.current_time() + seconds > end
        if not record.unproven or record.rounds == ROUNDS or is_late:
            return list(verdict(record))
        await trio.sleep(max(seconds, _LEAST_REST_SECONDS))
        before = await take_marks(look)
        record.in_rests.update(changes(after, before or after))
    what = f"nothing could be proven: the files could not be hashed within {_HASH_SECONDS:g} s"
    return [finding("proof", "proof", what, "see whether the disk or mount answers (ls it)")]


async def take_marks(look: CursorLook) -> Marks | None:
    """Hash everything, in a child process; None: it does not come to an end."""
    # What did not answer the door would not answer the child.
    known = [item for item in look.databases if not isinstance(item.failure, TimedOut)]
    directories = dict.fromkeys(
        str(place)
        for item in known
        for place in (
            Path(item.workspace.profile),
            Path(item.workspace.database).parent.parent,
            Path(item.workspace.database).parent,
        )
    )
    # What is left out is never opened, by nobody.
    databases = [item.workspace.database for item in known if item.left_out is None]
    asked = json.dumps({"directories": list(directories), "databases": databases})
    return await in_time(partial(_hash, asked.encode()), _HASH_SECONDS + _GRACE_SECONDS)


def _hash(asked: bytes) -> Marks | None:
    """In a thread: a child that hangs in the kernel cannot be killed, and is left alone with it."""
    words = [sys.executable, "-I", fingerprints.__file__]
    try:
        done = subprocess.run(words, input=asked, stdout=subprocess.PIPE, check=True, timeout=_HASH_SECONDS)
        marks: dict[str, list[Any]] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        return None
    return marks


async def _look_at_all(config: Config, look: CursorLook, guest: Guest, record: Record) -> None:
    """Read every database as a service does that has just been started: the whole window, and texts."""
    record.read = 0
    with trio.move_on_after(_LOOK_SECONDS) as scope:
        async with trio.open_nursery() as nursery:
            for item in look.databases:
                if item.left_out is None and not isinstance(item.failure, TimedOut):
                    nursery.start_soon(_look_at, item.workspace.database, config, look, guest, record)
    record.is_cut_short = scope.cancelled_caught


async def _look_at(database: str, config: Config, look: CursorLook, guest: Guest, record: Record) -> None:
    window = window_ms(config)
    since_ms = None if window is None else look.taken_ms - window
    positions: dict[str, str] = {}
    while True:
        scan = partial(scan_database, positions=dict(positions), rescan=False, verify=True, since_ms=since_ms)
        outcome = await guest.read(database, scan)
        if not isinstance(outcome, Page):
            return  # what came of it stands among the databases
        is_more = False
        for name, step in outcome.result.steps.items():
            page = await completed(guest, database, step)
            if not isinstance(page, SchemaPage):
                return
            await _read_texts(guest, database, page)
            positions[name], is_more = page.position, is_more or page.more
        if not is_more:
            record.read += 1
            return


async def _read_texts(guest: Guest, database: str, page: SchemaPage) -> None:
    turns = [found for found in page.observations if isinstance(found, Turn)][:_MOST_TURNS]
    wanted = tuple(Wanted(turn.schema, turn.id, with_content=True) for turn in turns)
    if wanted:
        outcome = await guest.read(database, partial(reread_database, wanted=wanted))
        if isinstance(outcome, Page):
            await completed(guest, database, outcome.result)


def verdict(record: Record) -> Iterator[Check]:
    """What is proven, and what is not."""
    name, times = "proof", f"{record.rounds} look{'s' * (record.rounds != 1)}"
    unproven, suspicious = record.unproven, record.suspicious
    files = [path for path, mark in record.marks.items() if mark[0] == "file" and path not in unproven]
    hashed = {path: record.marks[path][5] for path in files if len(record.marks[path]) > _PLAIN_MARK}
    if files and not suspicious:
        what = (
            f"not changed by us: {len(files):,} files were the same before and after a look at"
            f" {record.read:,} databases, by name, size, time of change and inode, {len(hashed):,} of them"
            f" by content ({times})"
        )
        yield ok(name, name, what)
    elif not files:
        yield note(name, name, "there is no file that could have been changed")
    if slices := sum(kind == "slices" for kind in hashed.values()):
        limit = fingerprints.WHOLE_BYTES >> 20
        yield note(name, name, f"{slices:,} files above {limit} MiB were hashed in slices, not as a whole")
    if unread := sum(kind == "error" for kind in hashed.values()):
        yield note(name, name, f"{unread:,} files could not be read, so that their content was not compared")
    if record.is_cut_short:
        what = f"of some databases not everything was read: there was no time in {_LOOK_SECONDS:g} s"
        yield note(name, name, what)
    for directory, names in _by_directory(suspicious, record.marks):
        what = f"changed in each of {times} of ours, and never in the rests between them: {names}"
        yield finding(name, directory, what, "report it, with what ls -l shows there; was Cursor running?")
    for directory, names in _by_directory(unproven - suspicious, record.marks):
        what = f"not proven: somebody, Cursor most likely, wrote during each of {times}: {names}"
        yield note(name, directory, what, "close Cursor and prove it again")
    for directory, names in _by_directory(record.came_or_went - unproven, record.marks):
        what = f"came or went while we looked, as happens when Cursor opens or closes a database: {names}"
        yield note(name, directory, what, "if Cursor did not run, report it")
    for directory, names in _by_directory(
        set(record.in_looks) - unproven - record.came_or_went, record.marks
    ):
        yield note(name, directory, f"somebody wrote during some of {times}, not during others: {names}")


def _by_directory(paths: Collection[str], marks: Marks) -> Iterator[tuple[str, str]]:
    """Each directory with the names of those in it; `.` is the directory itself."""
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        is_directory = path in marks and marks[path][0] == "directory"
        home, name = (path, ".") if is_directory else (str(Path(path).parent), Path(path).name)
        found.setdefault(home, []).append(name)
    yield from ((home, ", ".join(names)) for home, names in found.items())
