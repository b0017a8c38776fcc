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
#: that read. The others wait for their turn in their own tasks, since whoever starts them takes the changes
#: of all sessions, and would hold up the sweep.
_FIRST_LOOKS = 1000


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
    _first_looks: trio.Semaphore = attrs.field(factory=lambda: trio.Semaphore(_FIRST_LOOKS), init=False)

    async def supervise(self, changes: trio.abc.ReceiveChannel[ReadingChange]) -> None:
        """Start and end watchers as sessions come and go, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for change in changes:
                match change:
                    case ToBeRead(workspace) if workspace.database not in self._watchers:
                        self._start(workspace, nursery)
                    case WorkspaceGone(database):
                        self._forget(database)
                    case LookAgain(database) if watcher := self._watchers.get(database):
                        # Not cancelled: it leaves by itself once it has read all that there is.
                        watcher.watched.wake()

    def _start(self, workspace: Workspace, nursery: trio.Nursery) -> None:
        watched = self.scanner.watched.get(workspace.database)
        if watched is None:
            return  # it has vanished again
        state = self.states.setdefault(workspace.database, WorkspaceState(workspace))
        self._watchers[workspace.database] = watcher = _Watcher(watched)
        nursery.start_soon(self._watch, watcher, state)

    async def _watch(self, watcher: _Watcher, state: WorkspaceState) -> None:
        watched, database = watcher.watched, watcher.watched.workspace.database
        turn = ExitStack()

        def looked() -> None:
            turn.close()
            self.first_pass.looked(watched.workspace)

        try:
            with turn, watcher.scope:
                if not state.looked:
                    await self._first_looks.acquire()
                    turn.callback(self._first_looks.release)
                # Not while it waits for its turn: the first look finds all that changes meanwhile.
                watched.active = True
                await watch_workspace(watched, state, self.tools, looked)
        finally:
            watched.active = False
            # It may have vanished and come back: then another one watches already.
            if self._watchers.get(database) is watcher:
                del self._watchers[database]

    def _forget(self, database: str) -> None:
        self.states.pop(database, None)
        if watcher := self._watchers.pop(database, None):
            watcher.scope.cancel()
