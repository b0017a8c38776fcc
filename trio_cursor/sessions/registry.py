"""The registry of sessions: who works where, and to which session an event belongs. Pure.

All times are milliseconds since the epoch, and what time it is is an argument. What a method returns has
changed and is worth storing: `restore` of the latest of each key brings back the same open sessions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from trio_cursor.records import DISCOVERY, REDIS, Session, Workspace
from trio_cursor.sessions.announcements import Announcement
from trio_cursor.sessions.book import Book, Group
from trio_cursor.sessions.history import Known, by_start
from trio_cursor.sessions.watching import Watching

#: Announced ones that are open; above it the unplaced one heard of longest ago is dropped...
MOST_SESSIONS = 10_000
#: ... and so is, of a single workspace with more open ones than this, the one heard of longest ago.
MOST_OF_ONE = 256


def synthetic(workspace: Workspace, now_ms: int) -> Session:
    """The session of a workspace that nobody announces; its id is always the same."""
    id_ = f"scan_{workspace.id or 'global'}"
    return Session(id_, workspace.database, DISCOVERY, now_ms, heard_at=now_ms)


@attrs.define(eq=False)
class Registry:
    """Sessions by workspace, as announced, and by database, where that is known."""

    #: A session without a sign of life for this long is closed.
    inactive_ms: int
    #: So many workspaces are watched at the same time; the least recently changed of more must wait.
    max_active: int
    #: A workspace is watched for so long after its last session has ended, since Cursor writes late...
    end_grace_ms: int = 30_000
    #: ... and what is pending in it is read for so long.
    settle_ms: int = 300_000
    #: How long something that belongs to no session may wait for the next one; None: for ever.
    window_ms: int | None = None
    #: Whether a workspace that nobody announces has a synthetic session.
    discovers: bool = True
    #: Sessions that were dropped, or not opened, because there were too many.
    refused: int = 0
    watching: Watching = attrs.field(init=False)
    _book: Book = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._book = Book(self.end_grace_ms, self.settle_ms)
        self.watching = Watching(self._book, self.max_active)

    def restore(self, sessions: Iterable[Session], now_ms: int) -> None:
        """Take up what an earlier run left: open sessions, and those that have ended of late.

        The grace of those begins anew: that run may have been killed in it.
        """
        heard = sorted(sessions, key=lambda session: (session.heard_at, session.key))
        # What was let go before its workspace was found says nothing of its place.
        databases = {session.key[0]: session.database for session in heard}
        for session in heard:
            if session.database != (database := databases[session.key[0]]):
                session = attrs.evolve(session, database=database)  # noqa: PLW2901 - the same one, placed
            is_recent = session.ended_at is not None and self._is_recent(session.heard_at, now_ms)
            alive_ms = session.heard_at or session.started_at
            self._book.enter(session, alive_ms, received_ms=now_ms if is_recent else 0)

    def announce(self, heard: Announcement, now_ms: int) -> list[Session]:
        """Somebody says that a session has started or ended. Returns all that this has changed."""
        return self._start(heard, now_ms) if heard.is_start else self._end(heard, now_ms)

    def place(self, workspace_hash: str, workspace: Workspace, now_ms: int) -> list[Session]:
        """The database of a workspace was found. Returns its sessions, and the synthetic one if that ends.

        It holds for as long as anything is known of the announced workspace.
        """
        group = self._book.groups.get(workspace_hash)
        if group is None:
            return []
        return [*self._book.move(group, workspace.database), *self._hand_over(group, now_ms)]

    def unplace(self, database: str) -> list[Session]:
        """A database has vanished. Returns what was announced for it, which waits for a place again."""
        groups = self._book.groups.items()
        gone = [group for name, group in groups if group.database == database != name]
        return [session for group in gone for session in self._book.move(group, None)]

    def unplaced_hashes(self) -> list[str]:
        """Announced workspaces with open sessions and without a database."""
        return list(dict.fromkeys(name for name, _ in self._book.unplaced))

    def announced_in(self, database: str) -> list[str]:
        """Announced workspaces with open sessions that were found to be this database."""
        groups = self._book.groups.items()
        return [name for name, group in groups if group.database == database != name and group.open]

    def open_of(self, workspace_hash: str) -> tuple[Session, ...]:
        """Open sessions of one workspace, by start."""
        group = self._book.groups.get(workspace_hash)
        return () if group is None else tuple(by_start(group.open.values()))

    def unplaced_of(self, workspace_hash: str) -> tuple[Session, ...]:
        """Open sessions of one workspace, by start, if it has no database."""
        sessions = self.open_of(workspace_hash)
        return sessions if sessions and sessions[0].database is None else ()

    def doubt(self, source: str) -> list[Session]:
        """Announcements of a source may have been missed. Returns what is open by its word alone."""
        known = [
            known
            for known in self._book.open()
            if known.sources == {source} and not known.session.is_uncertain
        ]
        return [self._book.change(doubtful, is_uncertain=True) for doubtful in known]

    def sign_of_life(self, workspace: Workspace, now_ms: int) -> Session | None:
        """The database of a workspace has changed. Returns its synthetic session if this has opened it."""
        self._book.changed(workspace.database, now_ms)
        if not self.discovers or self.watching.has_session(workspace.database, now_ms):
            return None
        return self._book.enter(synthetic(workspace, now_ms), now_ms)

    def last_changed(self, database: str, changed_ms: int, now_ms: int) -> None:
        """A workspace was found whose database was last changed then: perhaps while nobody looked."""
        self._book.changed(database, min(changed_ms, now_ms))

    def session_of(self, workspace: Workspace, time_ms: int | None, now_ms: int) -> Session | None:
        """The session of what began then (None: now); None: nobody's, or nobody's yet."""
        place = self._book.places.get(workspace.database)
        if place is None:
            return None
        time_ms = now_ms if time_ms is None else time_ms
        until_ms = None if self.discovers or self.window_ms is None else time_ms + self.window_ms
        known = place.history.session_at(time_ms, until_ms=until_ms, grace_ms=self.end_grace_ms)
        return None if known is None else known.session

    def session_for(
        self, workspace: Workspace, time_ms: int | None, now_ms: int
    ) -> tuple[Session, bool] | None:
        """As `session_of`, but with discovery a synthetic session is opened where there is none.

        Returns the session, and whether it was opened; None without discovery only.
        """
        session = self.session_of(workspace, time_ms, now_ms)
        if session is None and not self.discovers:
            return None
        if workspace.is_global:
            # Nothing else tells that its session is alive: the database changes with all that happens.
            self._book.changed(workspace.database, now_ms)
        return (session, False) if session else (self._book.enter(synthetic(workspace, now_ms), now_ms), True)

    def admits(self, workspace: Workspace, time_ms: int | None, now_ms: int) -> bool:
        """Whether what began then is, or with discovery will be, anybody's."""
        return self.discovers or self.session_of(workspace, time_ms, now_ms) is not None

    def hold_until(self, time_ms: int | None, seen_ms: int) -> float:
        """Until when something that is nobody's may wait for a session; infinite without a window."""
        if self.window_ms is None:
            return math.inf
        return (seen_ms if time_ms is None else time_ms) + self.window_ms

    def expire(self, now_ms: int) -> list[Session]:
        """Close what has shown no sign of life for too long. Returns the closed sessions, by start."""
        book = self._book
        if now_ms < book.alive_since_ms + self.inactive_ms:
            return []
        late = [known for known in book.open() if book.alive_ms(known) + self.inactive_ms <= now_ms]
        for known in late:
            # No end was heard of: there is no grace, and what began after its last sign is not its own.
            book.close(known, book.alive_ms(known), book.alive_ms(known))
        book.recount_alive()
        return by_start(late)

    def quieted(self, now_ms: int) -> list[str]:
        """Databases whose grace, or time for settling, is over since the last call."""
        return self._book.quieted(now_ms)

    def next_ms(self, now_ms: int) -> int | None:
        """When `expire` or `quieted` has something to tell, or may have; None: not as things are."""
        if self._book.alive_since_ms + self.inactive_ms <= now_ms:
            self._book.recount_alive()
        first_ms = min(self._book.alive_since_ms + self.inactive_ms, self._book.next_due_ms())
        return None if first_ms == math.inf else int(first_ms)

    def sessions(self) -> list[Session]:
        """Those that are open, by start."""
        return by_start(self._book.open())

    def latest(self, session: Session) -> Session:
        """A session as it is now."""
        known = self._book.find(session.key)
        return session if known is None else known.session

    def _start(self, heard: Announcement, now_ms: int) -> list[Session]:
        book, key = self._book, (heard.workspace_hash, heard.session_id)
        at_ms, alive_ms = min(heard.at_ms, heard.heard_ms), min(heard.heard_ms, now_ms)
        known = book.find(key)
        if known is not None and known.is_open:
            return self._confirm(known, heard, alive_ms)
        # Windows reload within a millisecond, or within a second where that is how times are told.
        if known is not None and at_ms < (known.session.ended_at or 0):
            return []
        session = Session(
            heard.session_id,
            None,
            heard.source,
            at_ms,
            workspace_hash=heard.workspace_hash,
            workspace_path=heard.workspace_path or (known.session.workspace_path if known else None),
            heard_at=alive_ms,
        )
        end = book.end_of(key)
        if end is not None and at_ms < end[0]:
            session = attrs.evolve(session, ended_at=end[0], heard_at=end[1])
            return [book.enter(session, alive_ms)]
        room = self._make_room(heard.workspace_hash, now_ms)
        if room is None:
            self.refused += 1
            return []
        session = book.enter(session, alive_ms)
        return [session, *room, *self._hand_over(book.groups[heard.workspace_hash], now_ms)]

    def _confirm(self, known: Known, heard: Announcement, alive_ms: int) -> list[Session]:
        """Another start of what is open: only what was not known is worth storing."""
        known.sources.add(heard.source)
        self._book.heard_again(known, alive_ms)
        session = known.session
        path = session.workspace_path or heard.workspace_path
        # Or that it is alive, if by what is stored it would be closed before long.
        is_fresh = self._book.alive_ms(known) - session.heard_at < self.inactive_ms // 4
        if path == session.workspace_path and not session.is_uncertain and is_fresh:
            return []
        return [self._book.change(known, workspace_path=path, is_uncertain=False)]

    def _end(self, heard: Announcement, now_ms: int) -> list[Session]:
        key = (heard.workspace_hash, heard.session_id)
        at_ms, heard_at = min(heard.at_ms, heard.heard_ms), min(heard.heard_ms, now_ms)
        known = self._book.find(key)
        if known is not None and known.is_open:
            session = known.session
            # A stream tells again in the same order after a trouble, with the times of the first telling.
            is_told_again = heard.source == session.source == REDIS and heard.heard_ms <= session.heard_at
            if at_ms < session.started_at and (is_told_again or at_ms <= known.former_end_ms):
                return []
            # What was written before it while nobody read is read in the grace, which begins only now.
            # What lies before the window is not.
            known.received_ms = now_ms if self._is_recent(heard_at, now_ms) else 0
            return [self._book.close(known, at_ms, heard_at)]
        if known is None or at_ms > (known.session.ended_at or 0):
            self._book.keep_end(key, at_ms, heard_at)
        return []

    def _is_recent(self, time_ms: int, now_ms: int) -> bool:
        return self.window_ms is None or time_ms >= now_ms - self.window_ms

    def _make_room(self, workspace_hash: str, now_ms: int) -> list[Session] | None:
        """Drop one if one more is too many. Returns it as closed; None: there is none to be dropped."""
        group = self._book.groups.get(workspace_hash)
        if group is not None and len(group.open) >= MOST_OF_ONE:
            victim = min(group.open.values(), key=lambda known: (known.alive_ms, known.session.key))
        elif self._book.open_announced < MOST_SESSIONS:
            return []
        elif self._book.unplaced:
            victim = next(iter(self._book.unplaced.values()))
        else:
            return None
        self.refused += 1
        # As if it had never been: whoever still announces it may open it again.
        self._book.forget(victim)
        session = victim.session
        return [attrs.evolve(session, ended_at=max(session.started_at, now_ms), heard_at=now_ms)]

    def _hand_over(self, group: Group, now_ms: int) -> list[Session]:
        """A synthetic session ends where a real one is open."""
        synthetic = self._book.groups.get(group.database or "")
        if synthetic is None or synthetic is group or not group.open:
            return []
        started_at = min(known.session.started_at for known in group.open.values())
        open_ = list(synthetic.open.values())
        return [self._book.close(known, min(started_at, now_ms), now_ms) for known in open_]
