"""The book of sessions: each in every list that it belongs in, and none in memory for ever. Pure.

The rules are the registry's. All times are milliseconds since the epoch.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import attrs

from trio_cursor.records import Session
from trio_cursor.sessions.history import Known
from trio_cursor.sessions.places import Place, Ranking

#: Ended ones that are remembered per workspace, as announced; and of all workspaces.
KEPT_ENDED = 64
KEPT_ENDED_IN_ALL = 10_000
#: Ends of sessions that are not, or no longer, known.
KEPT_ENDS = 10_000

#: Of `Session.key`.
Key = tuple[str, str]


@attrs.define(eq=False)
class Group:
    """Sessions announced for one workspace (or the synthetic ones of one database), by id."""

    #: Where the workspace was found; None: nowhere yet.
    database: str | None
    open: dict[str, Known] = attrs.field(factory=dict)
    #: In the order of their ends.
    ended: dict[str, Known] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Book:
    """Sessions by key, by workspace as announced, and by database."""

    end_grace_ms: int
    settle_ms: int
    _known: dict[Key, Known] = attrs.field(factory=dict)
    groups: dict[str, Group] = attrs.field(factory=dict)
    places: dict[str, Place] = attrs.field(factory=dict)
    #: Places that are open or in their grace.
    ranking: Ranking = attrs.field(factory=Ranking)
    #: Places where something is due.
    quieting: dict[str, Place] = attrs.field(factory=dict)
    #: Open ones without a database, the one heard of longest ago first.
    unplaced: OrderedDict[Key, Known] = attrs.field(factory=OrderedDict)
    _ended: OrderedDict[Key, Known] = attrs.field(factory=OrderedDict)
    #: Ends of sessions that are not known: when, and when that was heard.
    _ends: OrderedDict[Key, tuple[int, int]] = attrs.field(factory=OrderedDict)
    #: How many open ones somebody has announced.
    open_announced: int = 0
    #: Each open one has been alive since; it may be that none is as old.
    alive_since_ms: float = math.inf

    def find(self, key: Key) -> Known | None:
        return self._known.get(key)

    def open(self) -> Iterator[Known]:
        return (known for known in self._known.values() if known.is_open)

    def place(self, database: str) -> Place:
        if database not in self.places:
            self.places[database] = Place(database)
        return self.places[database]

    def enter(self, session: Session, alive_ms: int, *, received_ms: int = 0) -> Session:
        """Take in a session, in place of what was known of it. Its database is that of its workspace."""
        name, _ = session.key
        former_end_ms = -1
        if (was := self.find(session.key)) is not None:
            self._detach(was)
            former_end_ms = was.former_end_ms if was.session.ended_at is None else was.session.ended_at
        group = self.groups.setdefault(name, Group(session.database))
        if session.database != group.database:
            session = attrs.evolve(session, database=group.database)
        self._attach(Known(session, alive_ms, {session.source}, former_end_ms, received_ms))
        return session

    def change(self, known: Known, **changes: Any) -> Session:
        """The one way in which a session changes; that it was alive until now is noted with it."""
        alive_ms = self.alive_ms(known)
        self._detach(known)
        if known.is_open:
            known.alive_ms = alive_ms
            changes = {"heard_at": max(known.session.heard_at, alive_ms), **changes}
        known.session = attrs.evolve(known.session, **changes)
        self._attach(known)
        return known.session

    def close(self, known: Known, at_ms: int, heard_at: int) -> Session:
        """Its end, as it was told, and when that was heard."""
        ended_at = max(known.session.started_at, at_ms)
        return self.change(known, ended_at=ended_at, heard_at=heard_at, is_uncertain=False)

    def move(self, group: Group, database: str | None) -> list[Session]:
        """Its workspace is at another place now. Returns its sessions, if that is new."""
        if group.database == database:
            return []
        group.database = database
        # Ended ones in the order of their ends, which is kept.
        moved = [*group.ended.values(), *group.open.values()]
        return [self.change(known, database=database) for known in moved]

    def forget(self, known: Known) -> None:
        """As if it had never been."""
        self._detach(known)
        name, _ = known.session.key
        if not self.groups[name].open and not self.groups[name].ended:
            del self.groups[name]

    def alive_ms(self, known: Known) -> int:
        """The last sign of life of a session: an announcement, or a change of its database."""
        place = self.places.get(known.session.database or "")
        return known.alive_ms if place is None else max(known.alive_ms, place.changed_ms)

    def heard_again(self, known: Known, alive_ms: int) -> None:
        """An open one was announced again."""
        known.alive_ms = max(known.alive_ms, alive_ms)
        if known.session.database is None:
            self.unplaced.move_to_end(known.session.key)
        else:
            self._alive(self.place(known.session.database), alive_ms)

    def changed(self, database: str, changed_ms: int) -> None:
        """A database has changed."""
        place = self.place(database)
        place.changed_ms = max(place.changed_ms, changed_ms)
        self._alive(place, changed_ms)

    def keep_end(self, key: Key, at_ms: int, heard_at: int) -> None:
        """Remember when a session has ended, and nothing else of it."""
        self._ends[key] = max(self._ends.pop(key, (at_ms, heard_at)), (at_ms, heard_at))
        if len(self._ends) > KEPT_ENDS:
            self._ends.popitem(last=False)

    def end_of(self, key: Key) -> tuple[int, int] | None:
        """The end of a session that is not known: when, and when that was heard."""
        return self._ends.get(key)

    def next_due_ms(self) -> float:
        """When something is due at a place; infinite: nothing is."""
        return min((min(place.dues) for place in self.quieting.values()), default=math.inf)

    def quieted(self, now_ms: int) -> list[str]:
        """Places where something was due since the last call."""
        found = []
        for database, place in list(self.quieting.items()):
            if not place.is_watched(now_ms, self.end_grace_ms):
                self.ranking.drop(database)
            if any(due_ms <= now_ms for due_ms in place.dues):
                found.append(database)
                place.dues = [due_ms for due_ms in place.dues if due_ms > now_ms]
            if not place.dues:
                del self.quieting[database]
        return found

    def recount_alive(self) -> None:
        """Find out exactly since when each open one has been alive."""
        self.alive_since_ms = min(map(self.alive_ms, self.open()), default=math.inf)

    def _attach(self, known: Known) -> None:
        session, key = known.session, known.session.key
        group = self.groups[key[0]]
        self._known[key] = known
        if known.is_open:
            group.open[key[1]] = known
            self.open_announced += known.is_announced
            self.alive_since_ms = min(self.alive_since_ms, known.alive_ms)
            if session.database is None:
                self.unplaced[key] = known
        else:
            group.ended[key[1]] = self._ended[key] = known
        if session.database is not None:
            place = self.place(session.database)
            place.history.add(known)
            if not known.is_open:
                place.ended_ms = max(place.ended_ms or 0, session.heard_at, known.received_ms)
            self._alive(place, known.alive_ms)
            self._review(place)
        if len(group.ended) > KEPT_ENDED:
            self._let_go(next(iter(group.ended.values())))
        elif len(self._ended) > KEPT_ENDED_IN_ALL:
            self._let_go(next(iter(self._ended.values())))

    def _detach(self, known: Known) -> None:
        session, key = known.session, known.session.key
        group = self.groups[key[0]]
        del self._known[key]
        if known.is_open:
            del group.open[key[1]]
            self.open_announced -= known.is_announced
            self.unplaced.pop(key, None)
        else:
            del group.ended[key[1]], self._ended[key]
        if session.database is not None:
            place = self.place(session.database)
            place.history.remove(known)
            self._review(place)

    def _let_go(self, known: Known) -> None:
        """Keep no more of an ended one than its end: an old start must not open it again."""
        session = known.session
        self.forget(known)
        self.keep_end(session.key, session.ended_at or 0, session.heard_at)

    def _alive(self, place: Place, alive_ms: int) -> None:
        place.alive_ms = max(place.alive_ms, alive_ms)
        if place.database in self.ranking:
            self.ranking.put(place.database, place.alive_ms)

    def _review(self, place: Place) -> None:
        """A session has come into a database or gone out of it: what is due there now?"""
        if place.history.open_count:
            place.was_open, place.dues = True, []
            self.quieting.pop(place.database, None)
        elif place.was_open or place.ended_ms != place.quiet_ms:
            place.was_open, place.quiet_ms = False, place.ended_ms
            ended_ms = place.ended_ms or 0
            place.dues = [ended_ms + self.end_grace_ms, ended_ms + self.settle_ms]
            self.quieting[place.database] = place
        else:
            return
        self.ranking.put(place.database, place.alive_ms)
