"""The registry as plain as can be: one list of sessions, looked through from end to end for every answer."""

from __future__ import annotations

import math

import attrs

from trio_cursor.records import Session


@attrs.define(eq=False)
class Told:
    """A session, open or ended."""

    session: Session
    alive: int
    sources: set
    former_end: int = -1
    received: int = 0

    @property
    def is_open(self):
        return self.session.ended_at is None

    @property
    def order(self):
        return (self.session.started_at, self.session.workspace_hash is not None, self.session.key)


@attrs.define(eq=False)
class Model:
    inactive: int
    max_active: int
    grace: int
    settle: int
    window: int | None = None
    discovers: bool = True
    #: Ended ones that are remembered of each workspace.
    kept: int = 64
    #: In the order in which they were opened or closed.
    all: list = attrs.field(factory=list)
    #: By key: ends of sessions that are not known.
    ends: dict = attrs.field(factory=dict)
    databases: dict = attrs.field(factory=dict)
    changed: dict = attrs.field(factory=dict)
    alive: dict = attrs.field(factory=dict)
    ended: dict = attrs.field(factory=dict)
    #: What was due when a database was last open or heard of an end.
    dues: dict = attrs.field(factory=dict)
    was_open: set = attrs.field(factory=set)
    told_of: dict = attrs.field(factory=dict)
    ranked: set = attrs.field(factory=set)

    def restore(self, sessions, now):
        for session in sorted(sessions, key=lambda one: (one.heard_at, one.key)):
            self.all.append(Told(session, session.heard_at or session.started_at, {session.source}))
            if session.ended_at is not None and (
                self.window is None or session.heard_at >= now - self.window
            ):
                self.all[-1].received = now
            if session.workspace_hash and session.database:
                self.databases[session.workspace_hash] = session.database
        self.tidy()

    def tidy(self):
        """What follows from the sessions as they are now."""
        for told in self.all:
            database = told.session.database
            if database is None:
                continue
            if told.is_open:
                told.alive = max(told.alive, self.changed.get(database, 0))
            else:
                heard = max(told.session.heard_at, told.received)
                self.ended[database] = max(self.ended.get(database, 0), heard)
            self.alive[database] = max(self.alive.get(database, 0), told.alive)
        for database in {told.session.database for told in self.all} | self.was_open:
            if database is None:
                continue
            if self.open_in(database):
                self.was_open.add(database)
                self.dues[database] = []
                self.ranked.add(database)
            elif database in self.was_open or self.ended.get(database) != self.told_of.get(database):
                self.was_open.discard(database)
                self.told_of[database] = self.ended.get(database)
                last = self.ended.get(database, 0)
                self.dues[database] = [last + self.grace, last + self.settle]
                self.ranked.add(database)
        for name in {told.session.key[0] for told in self.all}:
            ended = [told for told in self.all if told.session.key[0] == name and not told.is_open]
            for told in ended[: -self.kept]:
                self.all.remove(told)
                self.keep_end(told.session.key, told.session.ended_at, told.session.heard_at)

    def find(self, key):
        return next((told for told in self.all if told.session.key == key), None)

    def open_in(self, database):
        return [told for told in self.all if told.is_open and told.session.database == database]

    def keep_end(self, key, at, heard):
        self.ends[key] = max(self.ends.get(key, (at, heard)), (at, heard))

    def announce(self, heard, now):
        key = (heard.workspace_hash, heard.session_id)
        at, alive = min(heard.at_ms, heard.heard_ms), min(heard.heard_ms, now)
        told = self.find(key)
        if heard.is_start:
            self.start(heard, key, told, at=at, alive=alive, now=now)
        elif told is not None and told.is_open:
            session = told.session
            again = heard.source == session.source == "redis" and heard.heard_ms <= session.heard_at
            if not (at < session.started_at and (again or at <= told.former_end)):
                recent = self.window is None or alive >= now - self.window
                told.received = now if recent else 0
                self.close(told, at, alive)
        elif told is None or at > told.session.ended_at:
            self.keep_end(key, at, alive)
        self.tidy()

    def start(self, heard, key, told, *, at, alive, now):
        if told is not None and told.is_open:
            told.sources.add(heard.source)
            told.alive = max(told.alive, alive)
            session = told.session
            path = session.workspace_path or heard.workspace_path
            is_stale = told.alive - session.heard_at >= self.inactive // 4
            if path != session.workspace_path or session.is_uncertain or is_stale:
                self.note(told, workspace_path=path, is_uncertain=False)
            return
        if told is not None and at < told.session.ended_at:
            return
        end = self.ends.get(key)
        if end is not None and end[0] <= at:
            end = None
        self.ends.pop(key, None)
        path = heard.workspace_path
        former_end = -1
        if told is not None:
            self.all.remove(told)
            path = path or told.session.workspace_path
            former_end = told.session.ended_at
        database = self.databases.get(heard.workspace_hash)
        session = Session(
            heard.session_id,
            database,
            heard.source,
            at,
            end and end[0],
            heard.workspace_hash,
            path,
            end[1] if end else alive,
        )
        self.all.append(Told(session, alive, {heard.source}, former_end))
        self.hand_over(database, now)

    def note(self, told, **changes):
        if told.is_open:
            changes = {"heard_at": max(told.session.heard_at, told.alive), **changes}
        told.session = attrs.evolve(told.session, **changes)

    def close(self, told, at, heard_at):
        ended_at = max(at, told.session.started_at)
        self.note(told, ended_at=ended_at, heard_at=heard_at, is_uncertain=False)
        self.all.remove(told)
        self.all.append(told)

    def hand_over(self, database, now):
        if database is None:
            return
        real = [told for told in self.open_in(database) if told.session.workspace_hash]
        synthetic = [told for told in self.open_in(database) if not told.session.workspace_hash]
        if real:
            started = min(told.session.started_at for told in real)
            for told in synthetic:
                self.close(told, min(started, now), now)

    def place(self, hash_, workspace, now):
        mine = [told for told in self.all if told.session.workspace_hash == hash_]
        if not mine:
            return
        self.databases[hash_] = workspace.database
        for told in mine:
            if told.session.database != workspace.database:
                self.note(told, database=workspace.database)
        self.tidy()
        self.hand_over(workspace.database, now)
        self.tidy()

    def unplace(self, database):
        self.databases = {hash_: place for hash_, place in self.databases.items() if place != database}
        for told in self.all:
            if told.session.database == database and told.session.workspace_hash:
                self.note(told, database=None)
        self.tidy()

    def doubt(self, source):
        for told in self.all:
            if told.is_open and told.sources == {source} and not told.session.is_uncertain:
                self.note(told, is_uncertain=True)

    def sign_of_life(self, workspace, now):
        self.last_changed(workspace.database, now, now)
        if self.discovers and not self.is_watched(workspace.database, now):
            return self.open_synthetic(workspace, now)
        return None

    def open_synthetic(self, workspace, now):
        session = Session(
            f"scan_{workspace.id or 'global'}", workspace.database, "discovery", now, heard_at=now
        )
        told = self.find(session.key)
        if told is not None:
            self.all.remove(told)
        former_end = -1 if told is None else told.session.ended_at
        self.all.append(Told(session, now, {"discovery"}, former_end))
        self.tidy()
        return session

    def last_changed(self, database, changed, now):
        self.changed[database] = max(self.changed.get(database, 0), min(changed, now))
        self.alive[database] = max(self.alive.get(database, 0), min(changed, now))
        self.tidy()

    def session_of(self, workspace, time, now):
        time = now if time is None else time
        here = [told for told in self.all if told.session.database == workspace.database]
        then = [told for told in here if told.session.started_at <= time <= self.end(told)]
        if then:
            return max(then, key=lambda told: told.order).session
        latest = math.inf if self.discovers or self.window is None else time + self.window
        later = [told for told in here if time < told.session.started_at <= latest]
        if later:
            return min(later, key=lambda told: told.order).session
        before = [told for told in here if told.session.started_at <= time]
        if not before:
            return None
        last = max(before, key=lambda told: (self.end(told), told.order)).session
        return last if time <= max(last.ended_at, last.heard_at) + self.grace else None

    @staticmethod
    def end(told):
        return math.inf if told.is_open else told.session.ended_at

    def session_for(self, workspace, time, now):
        session = self.session_of(workspace, time, now)
        if session is None and not self.discovers:
            return None
        if workspace.is_global:
            self.last_changed(workspace.database, now, now)
        return (session, False) if session else (self.open_synthetic(workspace, now), True)

    def is_watched(self, database, now):
        if self.open_in(database):
            return True
        return database in self.ended and now < self.ended[database] + self.grace

    def is_active(self, database, now):
        mine = (self.alive.get(database, 0), database)
        later = [one for one in self.ranked if (self.alive[one], one) > mine]
        return self.is_watched(database, now) and len(later) < self.max_active

    def may_finish(self, database, now):
        if self.is_active(database, now):
            return True
        if self.open_in(database):
            return False
        return database not in self.ended or now < self.ended[database] + self.settle

    def expire(self, now):
        late = [told for told in self.all if told.is_open and told.alive + self.inactive <= now]
        for told in late:
            self.close(told, told.alive, told.alive)
        self.tidy()
        return sorted((told.session for told in late), key=lambda one: (one.started_at, one.key))

    def quieted(self, now):
        self.ranked = {database for database in self.ranked if self.is_watched(database, now)}
        found = {name for name, dues in self.dues.items() if any(due <= now for due in dues)}
        self.dues = {name: [due for due in dues if due > now] for name, dues in self.dues.items()}
        return found

    def due(self):
        dues = [due for dues in self.dues.values() for due in dues]
        return min([told.alive + self.inactive for told in self.all if told.is_open] + dues, default=None)

    def sessions(self):
        found = [told.session for told in self.all if told.is_open]
        return sorted(found, key=lambda one: (one.started_at, one.key))
