"""The supervisor: one child task for each workspace that is to be read, and no other."""

from __future__ import annotations

from contextlib import ExitStack

import attrs
import trio

from trio_cursor.first_pass import FirstPass
from trio_cursor.polling import Tools
from trio_cursor.records import LookAgain, ReadingChange, ToBeRead, Workspace, WorkspaceGone
from trio_cursor.scanner import Scanner
from trio_cursor.states import WorkspaceState
from trio_cursor.watched import Watched
from trio_cursor.watcher import watch_workspace

#: So many workspaces are looked at for the first time at once: more would only wait for the few threads
#: that read, and ten thousand waiting tasks need more memory than all that is known of their workspaces.
_FIRST_LOOKS = 200


@attrs.frozen(eq=False)
class _Watcher:
    """A watching task."""

    watched: Watched
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


@attrs.define(eq=False)
class Supervisor:
    """Owns the watchers. `states` outlives them: it is what `status` shows."""

    scanner: Scanner
    first_pass: FirstPass
    tools: Tools
    states: dict[str, WorkspaceState]
    #: By database.
    _watchers: dict[str, _Watcher] = attrs.field(factory=dict, init=False)
    #: Databases that wait for their first look, in the order in which they came.
    _waiting: dict[str, None] = attrs.field(factory=dict, init=False)
    _first_looks: int = attrs.field(default=0, init=False)

    async def supervise(self, changes: trio.abc.ReceiveChannel[ReadingChange]) -> None:
        """Start and end watchers as sessions come and go, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for change in changes:
                match change:
                    case ToBeRead(workspace) if workspace.database not in self._watchers:
                        self._begin(workspace, nursery)
                    case WorkspaceGone(database):
                        self._forget(database)
                    case LookAgain(database) if watcher := self._watchers.get(database):
                        # Not cancelled: it leaves by itself once it has read all that there is.
                        watcher.watched.wake()

    def _begin(self, workspace: Workspace, nursery: trio.Nursery) -> None:
        """Watch a workspace: at once, if it was looked at before, else when it is its turn."""
        database = workspace.database
        if database not in self.scanner.watched:
            return  # it has vanished again
        if self.states.setdefault(database, WorkspaceState(workspace, meters=self.tools.meters)).looked:
            self._start(database, nursery)
        else:
            self._waiting[database] = None
            self._start_waiting(nursery)

    def _start_waiting(self, nursery: trio.Nursery) -> None:
        while self._waiting and self._first_looks < _FIRST_LOOKS:
            database = next(iter(self._waiting))
            del self._waiting[database]
            self._start(database, nursery)

    def _start(self, database: str, nursery: trio.Nursery) -> None:
        watched, state = self.scanner.watched.get(database), self.states[database]
        if watched is None:
            return  # it has vanished meanwhile
        self._watchers[database] = watcher = _Watcher(watched)
        # Not while it waits for its turn: the first look finds all that changes meanwhile.
        watched.active = True
        # If nothing is heard of it, it is looked at sooner than it was to be.
        self.scanner.hurried.set()
        turn = ExitStack()
        if not state.looked:
            self._first_looks += 1
            turn.callback(self._end_turn, nursery)
        nursery.start_soon(self._watch, watcher, state, turn)

    def _end_turn(self, nursery: trio.Nursery) -> None:
        self._first_looks -= 1
        self._start_waiting(nursery)

    async def _watch(self, watcher: _Watcher, state: WorkspaceState, turn: ExitStack) -> None:
        watched, database = watcher.watched, watcher.watched.workspace.database

        def looked() -> None:
            turn.close()
            self.first_pass.looked(watched.workspace)

        try:
            with turn, watcher.scope:
                await watch_workspace(watched, state, self.tools, looked)
        finally:
            watched.active = False
            # It may have vanished and come back: then another one watches already.
            if self._watchers.get(database) is watcher:
                del self._watchers[database]

    def _forget(self, database: str) -> None:
        self.states.pop(database, None)
        self._waiting.pop(database, None)
        if watcher := self._watchers.pop(database, None):
            watcher.scope.cancel()
