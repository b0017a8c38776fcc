"""The tracker: makes sessions of what the sources say and the sweep sees, and says what is to be read.

Discovery is one of the sources: a workspace that nobody has announced gets a synthetic session once anything
happens in it (the sink opens it for one that has something inside the window at first sight).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import attrs
import trio

from trio_cursor.atlas import Atlas
from trio_cursor.demand import Demand
from trio_cursor.eventlog import EventLog
from trio_cursor.first_pass import FirstPass
from trio_cursor.logs import bound, get_logger
from trio_cursor.records import (
    LookAgain,
    ReadingChange,
    Session,
    StreamMark,
    ToBeRead,
    Workspace,
    WorkspaceGone,
)
from trio_cursor.sessions.announcements import Announcement
from trio_cursor.sessions.beginning import Beginning
from trio_cursor.sessions.placing import Placing
from trio_cursor.sessions.registry import Registry
from trio_cursor.sessions.storing import Storing
from trio_cursor.watched import Appeared, Changed, Sighting, Swept, Vanished, Watched

log = get_logger(__name__)

_EXPIRY_SECONDS = 60.0


@attrs.define(eq=False)
class Tracker:
    """What tracking works with. A `Desk`: sources hand in here what they have heard."""

    registry: Registry
    demand: Demand
    log: EventLog
    atlas: Atlas
    placing: Placing
    first_pass: FirstPass
    now_ms: Callable[[], int]
    changes: trio.abc.SendChannel[ReadingChange]
    #: Called when sessions have changed: what was observed may be somebody's now.
    changed: Callable[[], None] = lambda: None
    beginning: Beginning = attrs.field(factory=Beginning)
    #: Databases whose sessions were taken up from an earlier run, which may have lived on meanwhile.
    _restored: frozenset[str] = attrs.field(init=False)
    _lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _storing: Storing = attrs.field(init=False)
    #: Sessions that have changed and were not acted upon yet, by key.
    _untold: dict[tuple[str, str], Session] = attrs.field(factory=dict, init=False)
    #: Databases that the first pass was told of in this run.
    _expected: set[str] = attrs.field(factory=set, init=False)
    #: Keys of open sessions that were told of; a sign of life is no news.
    _open: set[tuple[str, str]] = attrs.field(factory=set, init=False)
    _is_crowded: bool = attrs.field(default=False, init=False)
    _wait: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    def __attrs_post_init__(self) -> None:
        self._storing = Storing(self.log)
        databases = (session.database for session in self.registry.sessions())
        self._restored = frozenset(database for database in databases if database is not None)

    async def listen(self, sightings: trio.abc.ReceiveChannel[Sighting]) -> None:
        """Take what the sweep sees, and close what is over, for ever."""
        while True:
            sighting = None
            # Around the wait alone: a sighting that was taken must never be dropped half-way.
            with trio.CancelScope() as self._wait:
                self._reschedule()
                sighting = await sightings.receive()
            async with self._lock:
                if sighting is not None:
                    await self._take(sighting)
                await self._begin()
                self._expire()
                await self._flush()
                await self._let_go()

    async def announce(self, heard: Sequence[Announcement], mark: StreamMark | None = None) -> None:
        """Take announcements in, in their order; returns once they and the mark are stored.

        One that is cancelled before that may be handed in again: what it has changed is stored then.
        """
        async with self._lock:
            now = self.now_ms()
            for one in heard:
                self._note(self.registry.announce(one, now))
            for hash_ in dict.fromkeys(one.workspace_hash for one in heard if one.is_start):
                self._note(self.placing.place(hash_, now))
            await self._storing.insist(mark)
            await self._flush()
            self._reschedule()

    async def doubt(self, source: str) -> None:
        """Announcements of a source may have been missed."""
        async with self._lock:
            doubtful = self.registry.doubt(source)
            if doubtful:
                log.warning("ends of sessions may have been missed", source=source, sessions=len(doubtful))
            self._note(doubtful)
            await self._flush()

    def caught_up(self, source: str) -> None:
        """A source has told what was there at the start, or cannot be reached."""
        self.beginning.awaited.discard(source)
        self._reschedule()

    async def search(self) -> None:
        """Look for the databases of announced workspaces that are not found at a glance, for ever."""
        while True:
            found = await self.placing.search()
            async with self._lock:
                now = self.now_ms()
                self._note([] if found is None else self.placing.place(found, now))
                # Of very many not all are looked up with each workspace that appears.
                self._note(self.placing.place_all(now))
                await self._flush()
                self._reschedule()

    async def _take(self, sighting: Sighting) -> None:
        match sighting:
            case Appeared(watched):
                await self._appeared(watched)
            case Changed(watched):
                await self._revive(watched)
            case Vanished(watched):
                await self._vanished(watched)
            case Swept():
                self.beginning.swept()
                self.placing.hurry()

    async def _appeared(self, watched: Watched) -> None:
        workspace, now = watched.workspace, self.now_ms()
        if watched.changed_ms is not None and workspace.database in self._restored:
            self.registry.last_changed(workspace.database, watched.changed_ms, now)
        self.placing.look_again()
        self._note(self.placing.place_all(now))
        if self.beginning.has_begun:
            self._take_over(workspace)
        if self._may_read_at_once and self.demand.reads(workspace):
            await self._start(workspace)

    async def _vanished(self, watched: Watched) -> None:
        workspace = watched.workspace
        self._unplace(workspace.database)
        self._expected.discard(workspace.database)
        await self.changes.send(WorkspaceGone(workspace.database))
        self.first_pass.looked(workspace)
        await self.changes.send(LookAgain(self.atlas.global_of(workspace.profile).database))

    def _unplace(self, database: str) -> None:
        """A database is there no more; that of its workspace may be another now."""
        freed = self.registry.unplace(database)
        self._note(freed)
        for hash_ in dict.fromkeys(session.workspace_hash for session in freed):
            if hash_ is not None:
                self._note(self.placing.place(hash_, self.now_ms()))

    def _take_over(self, workspace: Workspace) -> None:
        """Somebody writes to a directory of a folder with sessions in another one: it may be theirs."""
        now = self.now_ms()
        for database in self.registry.watching.with_session(now):
            other = self.atlas.watched(database)
            if other is None or workspace.hash is None or other.workspace.hash != workspace.hash:
                continue
            for hash_ in self.registry.announced_in(database):
                self._note(self.placing.place(hash_, now))

    async def _revive(self, watched: Watched) -> None:
        workspace, now = watched.workspace, self.now_ms()
        session = None
        # The global one changes with everything that happens anywhere, which says nothing of a session.
        if not workspace.is_global:
            if not self.registry.watching.is_active(workspace.database, now):
                self._take_over(workspace)
            session = self.registry.sign_of_life(workspace, now)
            self._note([session] if session else [])
        if not self._may_read_at_once:
            return
        if session is None and not watched.active and self.demand.reads(workspace):
            await self._start(workspace)

    @property
    def _may_read_at_once(self) -> bool:
        return self.beginning.has_begun or (self.registry.discovers and not self.beginning.awaited)

    async def _begin(self) -> None:
        """Once it is known what is there and who works there: begin to act upon it."""
        if self.beginning.may_begin():
            for database in self._restored:
                if self.atlas.watched(database) is None:
                    self._unplace(database)
            self.beginning.has_begun = True
            self._expire()
            await self._flush()
            for watched in self.atlas.all_watched():
                # What an earlier run has left pending, too.
                if watched.workspace.database not in self._expected and self.demand.reads(watched.workspace):
                    await self._start(watched.workspace)
        if self.beginning.may_tell(searches=self.placing.has_fresh()):
            self.placing.calm()
            self.first_pass.swept()
            self.beginning.has_told = True

    def _expire(self) -> None:
        # Not before it is known what has happened while nobody looked.
        if not self.beginning.has_begun:
            return
        for session in self.registry.expire(self.now_ms()):
            with self._about(session):
                log.info("session closed: no sign of life for long", source=session.source)
            self._open.discard(session.key)
            self._note([session])

    async def _start(self, workspace: Workspace) -> None:
        if workspace.database not in self._expected:
            self._expected.add(workspace.database)
            self.first_pass.expect(workspace)
        await self.changes.send(ToBeRead(workspace))

    async def _let_go(self) -> None:
        """Let readers find out that nobody needs them any more."""
        profiles = set()
        for database in self.registry.quieted(self.now_ms()):
            await self.changes.send(LookAgain(database))
            if (watched := self.atlas.watched(database)) is not None:
                profiles.add(watched.workspace.profile)
        for profile in profiles:
            await self.changes.send(LookAgain(self.atlas.global_of(profile).database))

    def _note(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            self._untold[session.key] = session
            self._storing.add(session)

    async def _flush(self) -> None:
        """Store and act upon what has changed."""
        await self._storing.attempt()
        await self.placing.store()
        if not (self._untold and self._may_read_at_once):
            return
        is_anybodys = False
        while self._untold:
            session = self._untold.pop(next(iter(self._untold)))
            is_anybodys |= session.database is not None
            await self._tell(session)
        self._say_if_crowded()
        if is_anybodys:
            self.changed()

    async def _tell(self, session: Session) -> None:
        with self._about(session):
            await self._tell_of(session)

    def _about(self, session: Session) -> AbstractContextManager[None]:
        """For log lines about it."""
        watched = self.atlas.watched(session.database) if session.database else None
        name = watched.workspace.name if watched else session.database
        return bound(workspace=name, session=session.session_id)

    async def _tell_of(self, session: Session) -> None:
        if session.database is None:
            hash_ = session.workspace_hash
            log.debug("session of an unknown workspace", source=session.source, workspace_hash=hash_)
            return
        watched = self.atlas.watched(session.database)
        if session.ended_at is not None:
            if session.key in self._open:
                self._open.discard(session.key)
                log.info("session closed", source=session.source)
            await self.changes.send(LookAgain(session.database))
        elif session.key not in self._open:
            self._open.add(session.key)
            log.info("session opened", source=session.source)
        is_open = session.ended_at is None
        if watched is not None and (is_open or (not watched.active and self.demand.reads(watched.workspace))):
            await self._start(watched.workspace)
            if not self.registry.discovers:
                home = self.atlas.watched(self.atlas.global_of(watched.workspace.profile).database)
                if home is not None:
                    await self._start(home.workspace)

    def _reschedule(self) -> None:
        now, at = self.now_ms(), trio.current_time()
        next_ms = self.registry.next_ms(now) if self.beginning.has_begun else None
        seconds = _EXPIRY_SECONDS if next_ms is None else min(max((next_ms - now) / 1000, 0), _EXPIRY_SECONDS)
        begins_at = self.beginning.next_at(searches=self.placing.has_fresh())
        self._wait.deadline = min(at + seconds, max(begins_at, at))

    def _say_if_crowded(self) -> None:
        is_crowded = self.registry.watching.is_crowded()
        if is_crowded and not self._is_crowded:
            log.warning(
                "more workspaces are worked in than max_active; the least recently changed wait",
                max_active=self.registry.max_active,
            )
        self._is_crowded = is_crowded
