"""The Assembler: takes in what was observed, and says what goes out.

It knows nothing of earlier runs but what `restore` gives back.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

import attrs

from trio_cursor.assembly.attribution import Directory, Places
from trio_cursor.assembly.book import Book
from trio_cursor.assembly.generations import Parts
from trio_cursor.assembly.groups import Group
from trio_cursor.assembly.intake import Intake, Told
from trio_cursor.assembly.ownership import Ownership, is_inside
from trio_cursor.assembly.pending import Pending, PendingEntry, PendingTurn, Row, key_of, turn_key
from trio_cursor.assembly.recent import Recent
from trio_cursor.assembly.schedule import Schedule
from trio_cursor.assembly.steps import Admission, Change, Step
from trio_cursor.assembly.waits import Freshness, Waits
from trio_cursor.observations import Observation, Place, Rule, TurnContent, Wanted
from trio_cursor.records import Workspace

#: Generations that one step releases: what a first pass leaves pending would hold up everything else
#: while all of its events are built.
_STEP = 500


@attrs.define(eq=False)
class Assembler:
    """Joins what it is told by generation id, and releases each generation once."""

    directory: Directory
    freshness: Freshness
    ring_grace_ms: int
    conversation_wait_ms: int
    settle_timeout_ms: int
    #: None: everything is somebody's.
    admission: Admission | None = None
    _book: Book = attrs.field(init=False)
    _intake: Intake = attrs.field(init=False)
    _schedule: Schedule = attrs.field(init=False)
    _ownership: Ownership = attrs.field(init=False)
    _excluded: Recent = attrs.field(factory=Recent, init=False)

    def __attrs_post_init__(self) -> None:
        waits = Waits(self.ring_grace_ms, self.conversation_wait_ms, self.settle_timeout_ms)
        self._book = Book(Places(self.directory))
        self._intake = Intake(self._book)
        self._schedule = Schedule(self.freshness, waits, self._book)
        self._ownership = Ownership(self._book, self.directory, self.admission)

    def __len__(self) -> int:
        """How many generations are pending."""
        return len(self._book.groups)

    def restore(
        self, pending: Iterable[Pending], places: Iterable[tuple[str, Place]], now_ms: int, at: float
    ) -> None:
        """Take up what an earlier run had observed and not released, before anything else."""
        for profile, place in places:
            self._book.learn(profile, place)
        for item in pending:
            if isinstance(item, PendingEntry):
                self._book.put_entry(item, now_ms)
            else:
                self._book.put_turn(item, now_ms)
        self._book.changes()
        self._schedule.begin(now_ms, at)
        self._book.set_back(now_ms)
        # Whether a workspace is wanted is asked later: nobody may have looked for workspaces yet.
        for key in self._book.take_touched():
            self._schedule.place(self._book.groups[key], now_ms, at)

    def keys_of(self, workspace: Workspace, observation: Observation) -> tuple[str, ...]:
        """Keys of which one is known to the log if the observation was reported already."""
        return self._intake.keys_of(workspace, observation)

    def observe(self, workspace: Workspace, told: Iterable[Told], now_ms: int, at: float) -> Change:
        """Take in what one page brought, and release what was read for that."""
        step = Step(now_ms, at)
        self._schedule.begin(now_ms, at)
        found = self._intake.take(workspace, list(told), now_ms)
        step.places += found.places
        if found.places:
            self.readmit()
        step.nameless += len(found.nameless)
        for row in found.rows.values():
            self._take_row(row, step)
        self._settle(step)
        for content in found.contents:
            self._take_content(turn_key(workspace.database, content.turn.id), content, found.asked, step)
        return self._change(step)

    def release(self, now_ms: int, at: float) -> Change:
        """Release what has waited long enough, in the order of time, and no more than is good for one step.

        While `next_deadline_ms` is 0 there is more.
        """
        step = Step(now_ms, at)
        self._schedule.begin(now_ms, at)
        self._book.touched.update(dict.fromkeys(self._schedule.take_overdue(now_ms)))
        self._settle(step)
        for group in self._schedule.take_due(_STEP):
            if not (self._book.move(group) or self._hold(group, step)):
                self._finish(group, None, step)
        self._settle(step)
        return self._change(step)

    def next_deadline_ms(self) -> int | None:
        """When `release` has something to do without being told more; 0: now, None: never."""
        deadline = self._schedule.next_deadline_ms()
        return None if deadline is None else math.ceil(deadline)

    def wanted(self, database: str, limit: int = 50) -> tuple[Wanted, ...]:
        """Turns of a database whose contents are to be read now; until they are told, the same again."""
        found = self._schedule.wanted(database, limit)
        return tuple(Wanted(item.turn.schema, item.turn.id, with_content=True) for item in found)

    def wanted_since(self, database: str) -> float:
        """At which moment the first of what is wanted of a database now came to be so; inf if nothing is."""
        return self._schedule.wanted_since(database)

    def wanted_databases(self) -> set[str]:
        """Databases of which contents are to be read now."""
        return self._schedule.wanted_databases()

    def unsettled(self, database: str, limit: int = 200) -> tuple[Wanted, ...]:
        """Turns of a database that are in flight, to be looked at again; of many, others each time."""
        found = self._book.next_unsettled(database, limit)
        return tuple(Wanted(item.turn.schema, item.turn.id, with_content=False) for item in found)

    def holds(self, database: str) -> bool:
        """Whether anything of a database is pending that does not wait for a session alone."""
        return self._book.count(database) > self._schedule.held.in_database(database)

    def holding(self) -> list[str]:
        """Databases of which anything is pending that does not wait for a session alone."""
        return [database for database in self._book.databases() if self.holds(database)]

    def pending(self) -> list[str]:
        """Databases of which anything is pending."""
        return self._book.databases()

    def held(self) -> int:
        """How many generations wait for a session."""
        return len(self._schedule.held)

    def readmit(self) -> None:
        """Sessions have changed, or what is known of workspaces: whose is what is held?

        Found out with the next release.
        """
        self._book.touched.update(dict.fromkeys(self._schedule.held.keys()))

    def waits_for_freshness(self, profile: str | None = None) -> bool:
        """Whether something would go out if more was known to be read."""
        return self._schedule.waits_for_freshness(profile)

    def _settle(self, step: Step) -> None:
        """Find out of everything that has changed what it waits for now."""
        book, schedule = self._book, self._schedule
        while book.touched or book.loose_rows:
            while book.loose_rows:
                self._take_row(book.loose_rows.pop(), step)
            for key in book.take_touched():
                group = book.groups.get(key)
                if group is None:
                    schedule.forget(key)
                elif not (self._without_gone(group) or self._hold(group, step)):
                    was_wanted = schedule.asked(group) is not None
                    schedule.place(group, step.now_ms, step.at)
                    if not was_wanted and (wanted := schedule.asked(group)) is not None:
                        self._exclude(group, wanted, step)

    def _without_gone(self, group: Group) -> bool:
        """Drop copies that are gone, if anything else bears the key; returns whether it has changed."""
        gone = [key for key, item in group.turns.items() if item.is_gone]
        if not gone or (len(gone) == len(group.turns) and group.entry is None and group.row is None):
            return False
        for storage_key in gone:
            self._book.drop_turn(storage_key)
        return True

    def _hold(self, group: Group, step: Step) -> bool:
        """Hold what is nobody's, for as long as somebody may come; returns whether it is held, or gone."""
        if self.admission is None:
            return False
        found = self._ownership.unclaimed(group, self._schedule.chosen(group), step.now_ms)
        if found is None:
            return False
        workspace, until_ms = found
        if step.now_ms < until_ms:
            self._schedule.hold(group, until_ms)
            return True
        if workspace.is_global:
            step.unattributed += 1
        else:
            step.excluded += self._excluded.add(group.key)
        self._book.drop_group(group)
        return True

    def _exclude(self, group: Group, wanted: PendingTurn, step: Step) -> None:
        """The texts of a workspace that is not to be reported are not read either."""
        workspace = self._ownership.workspace_of(group, wanted, group.row)
        if not self._ownership.is_wanted(group, wanted, workspace):
            step.excluded += self._excluded.add(group.key)
            self._learn_from_ring(group, step)
            self._book.drop_group(group)

    def _take_row(self, found: Row, step: Step) -> None:
        """A row goes out at once, but for the turn of its key, which has to be read first."""
        key = key_of(found.row.generation_id, found.workspace)
        group = self._book.groups.get(key)
        turns = [item for item in group.turns.values() if not item.is_gone] if group else []
        if not turns and not self._ownership.is_admitted(found.workspace, found.row.timestamp, step.now_ms):
            # A row cannot be held: it is read again, with its workspace, when somebody works there.
            step.excluded += self._excluded.add(key)
        elif group is None:
            self._finish_row(key, found, step)
        elif not turns:
            self._finish(group, None, step, found)
        elif group.row is None:
            self._book.put_turn(attrs.evolve(turns[0], row=found), step.now_ms)

    def _take_content(
        self, storage_key: str, content: TurnContent, asked: Collection[str], step: Step
    ) -> None:
        """Release what was read, if it is what was to be read."""
        group = self._book.group_of(storage_key)
        if group is None or group.key not in asked:
            return
        wanted = self._schedule.asked(group)
        if wanted is not None and wanted.key == storage_key and not self._hold(group, step):
            self._finish(group, content, step)
            self._settle(step)

    def _finish(self, group: Group, content: TurnContent | None, step: Step, row: Row | None = None) -> None:
        """A group goes out, if it is wanted, and nothing of it is pending any more."""
        book, row = self._book, row or group.row
        item = self._schedule.chosen(group)
        if item is not None and item.is_gone and row is not None:
            item = None
        workspace = self._ownership.workspace_of(group, item, row)
        parts = Parts(group.entry, item.turn if item else None, content, row)
        if not is_inside(group, row, parts.timestamp()[0]):
            pass  # that of another run, with a wider window
        elif not self._ownership.is_wanted(group, item, workspace):
            step.excluded += self._excluded.add(group.key)
        elif row is None and group.is_nameless:
            step.nameless += 1
        else:
            aliases = dict.fromkeys(turn.alias for turn in group.turns.values() if turn.alias is not None)
            if step.keys.isdisjoint(keys := (group.key, *aliases)):
                step.keys.update(keys)
                step.released.append(parts.generation(group.key, workspace, tuple(aliases)))
        self._learn_from_ring(group, step)
        for turn in list(group.turns.values()):
            if turn.alias is not None:
                for storage_key in book.twins(turn.turn.id):
                    if book.group_of(storage_key) is not group:
                        book.drop_turn(storage_key)
        book.drop_group(group)

    def _finish_row(self, key: str, found: Row, step: Step) -> None:
        """As `_finish`, of a row whose key nothing else bears: of a table that is nearly every one."""
        if not found.is_inside:
            pass
        elif not self.directory.is_wanted(found.workspace):
            step.excluded += self._excluded.add(key)
        elif key not in step.keys:
            step.keys.add(key)
            step.released.append(Parts(row=found).generation(key, found.workspace))

    def _learn_from_ring(self, group: Group, step: Step) -> None:
        """The ring that holds one turn of a conversation says where the others belong."""
        ring = group.entry.workspace if group.entry else None
        if ring is None or ring.id is None:
            return
        for item in list(group.turns.values()):
            place = Place(item.turn.id.conversation_id, Rule.RING, workspace_id=ring.id)
            if item.workspace.profile == ring.profile and self._book.learn(ring.profile, place):
                step.places.append((ring.profile, place))
                self.readmit()

    def _change(self, step: Step) -> Change:
        pending, settled = self._book.changes()
        return Change(
            tuple(step.released),
            pending,
            settled,
            tuple(step.places),
            excluded=step.excluded,
            nameless=step.nameless,
            unattributed=step.unattributed,
        )
