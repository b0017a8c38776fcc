"""Which databases the announced workspaces are: at a glance where that is possible, else by and by."""

from __future__ import annotations

import math

import attrs
import trio
from trio_util import RepeatedEvent

from trio_cursor.assembly.deadlines import Queue
from trio_cursor.cursor.mapping import Mapped, Mapper, Unmapped
from trio_cursor.errors import StateError
from trio_cursor.eventlog import EventLog
from trio_cursor.logs import get_logger
from trio_cursor.records import FoundMapping, Session, path_of
from trio_cursor.sessions.registry import Registry

log = get_logger(__name__)

#: Between the searches for one workspace: the first soon, since Cursor may be making its directory just now.
_FIRST_SECONDS, _SECOND_SECONDS, _MOST_SECONDS = 1.0, 5.0, 600.0
#: Between any two searches, and so many times what the last one took: a stream that several machines share is
#: full of sessions that are not of this one, and looking for them must not keep us reading.
_PAUSE_SECONDS, _PAUSE_FACTOR = 1.0, 50
#: So many are looked up whenever a workspace appears; of more all at once, but not as often.
_FEW = 100


@attrs.define
class _Sought:
    """A workspace that was not found yet."""

    #: Until it is searched for again.
    pause: float
    why: dict[str, str]
    #: A way that takes longer has found it.
    found: Mapped | None = None


@attrs.define(eq=False)
class Placing:
    """Finds databases for sessions, and says of the others why there is none."""

    registry: Registry
    mapper: Mapper
    log: EventLog
    #: By hash.
    _sought: dict[str, _Sought] = attrs.field(factory=dict, init=False)
    #: Their hashes, by when they are to be searched for.
    _due: Queue[float] = attrs.field(factory=Queue, init=False)
    #: Those that were not searched for yet.
    _fresh: set[str] = attrs.field(factory=set, init=False)
    _is_hurried: bool = attrs.field(default=False, init=False)
    _unsaved: list[FoundMapping] = attrs.field(factory=list, init=False)
    _news: RepeatedEvent = attrs.field(factory=RepeatedEvent, init=False)
    _all_at: float = attrs.field(default=-math.inf, init=False)
    #: Of what is listed, as it was when all were looked up.
    _edition: int = attrs.field(default=-1, init=False)
    _rest_until: float = attrs.field(default=-math.inf, init=False)

    def place(self, workspace_hash: str, now_ms: int) -> list[Session]:
        """Place the sessions of one workspace, if it is found at a glance; returns those that changed.

        Those that have a place may get another: of the directories of a folder the one written last counts.
        """
        sessions = self.registry.open_of(workspace_hash)
        if not sessions:
            return []
        is_placed = sessions[0].database is not None
        path = path_of(sessions)
        known = self._sought.get(workspace_hash)
        if known is not None and known.found and not self.mapper.is_there(known.found.workspace.database):
            known.found = None
        outcome: Mapped | Unmapped | None = known.found if known else None
        outcome = outcome or self.mapper.quick(workspace_hash, path, now_ms)
        if isinstance(outcome, Unmapped):
            if not is_placed:
                self._seek(workspace_hash, outcome.why)
            return []
        self._forget(workspace_hash)
        mapping = FoundMapping(workspace_hash, outcome.workspace.database, outcome.strategy, path, now_ms)
        if self.mapper.remember(mapping):
            self._unsaved.append(mapping)
        if outcome.workspace.database != sessions[0].database:
            log.info("workspace found", workspace=outcome.workspace.name, by=outcome.strategy)
        return self.registry.place(workspace_hash, outcome.workspace, now_ms)

    def place_all(self, now_ms: int) -> list[Session]:
        """Place whatever is found at a glance now; returns the sessions that changed."""
        edition, at = self.mapper.edition(), trio.current_time()
        if edition == self._edition:
            return []
        unplaced = self.registry.unplaced_hashes()
        if len(unplaced) > _FEW and at < self._all_at:
            return []
        self._edition, self._all_at = edition, at + _PAUSE_SECONDS
        for gone in self._sought.keys() - set(unplaced):
            self._forget(gone)
        return [session for hash_ in unplaced for session in self.place(hash_, now_ms)]

    def hurry(self) -> None:
        """What is there is known, and somebody waits for the first searches: no pause between them."""
        self._is_hurried, self._rest_until = True, -math.inf
        for hash_ in self._fresh:
            self._due.put(hash_, trio.current_time())
        self._news.set()

    def calm(self) -> None:
        """Nobody waits any more."""
        self._is_hurried = False

    def has_fresh(self) -> bool:
        """Whether anything was not searched for yet."""
        return bool(self._fresh)

    def look_again(self) -> None:
        """A database may be read that might not before: what was not found is looked up again."""
        self._edition = -1

    async def search(self) -> str | None:
        """Wait until a search is due, and search. Returns the hash of what it has found, to be placed."""
        await trio.sleep_until(self._rest_until)
        hash_, sessions, sought = await self._next()
        began = trio.current_time()
        outcome = await self.mapper.search(
            hash_, path_of(sessions), tuple(one.session_id for one in sessions)
        )
        now = trio.current_time()
        if hash_ in self._sought:
            self._due.put(hash_, now + sought.pause)
        sought.pause = min(sought.pause * 3, _MOST_SECONDS)
        self._fresh.discard(hash_)
        if not self._is_hurried:
            self._rest_until = now + max(_PAUSE_SECONDS, (now - began) * _PAUSE_FACTOR)
        if isinstance(outcome, Mapped):
            sought.found = outcome
            return hash_
        sought.why = {**sought.why, **outcome.why}
        return None

    async def store(self) -> None:
        """Write what was found; what the log does not take is written another time."""
        try:
            while self._unsaved:
                await self.log.save_mapping(self._unsaved[0])
                del self._unsaved[0]
        except StateError as error:
            log.warning("where a workspace was found could not be stored", error=str(error))

    def why(self, workspace_hash: str) -> dict[str, str]:
        """Why a workspace is not found, by strategy, in words."""
        sought = self._sought.get(workspace_hash)
        return dict(sought.why) if sought else {}

    async def _next(self) -> tuple[str, tuple[Session, ...], _Sought]:
        while True:
            due_at = self._due.first()
            if due_at is not None and due_at <= trio.current_time():
                hash_ = self._due.pop()
                if sessions := self.registry.unplaced_of(hash_):
                    return hash_, sessions, self._sought[hash_]
                # All of its sessions have ended meanwhile.
                self._forget(hash_)
                continue
            with trio.CancelScope() as scope:
                if due_at is not None:
                    scope.deadline = due_at
                await self._news.wait()

    def _seek(self, workspace_hash: str, why: dict[str, str]) -> None:
        known = self._sought.get(workspace_hash)
        if known is not None:
            known.why = {**known.why, **why}
            return
        self._sought[workspace_hash] = _Sought(_SECOND_SECONDS, why)
        self._fresh.add(workspace_hash)
        pause = 0 if self._is_hurried else _FIRST_SECONDS
        self._due.put(workspace_hash, trio.current_time() + pause)
        self._news.set()

    def _forget(self, workspace_hash: str) -> None:
        self._sought.pop(workspace_hash, None)
        self._fresh.discard(workspace_hash)
        self._due.drop(workspace_hash)
