"""Discovery: the session source that needs nobody's announcement.

Every workspace is looked at once; one in which anything happens afterwards gets a synthetic session
(the sink opens it for one that has something inside the window at first sight).
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from trio_cursor.errors import StateError
from trio_cursor.eventlog import EventLog
from trio_cursor.first_pass import FirstPass
from trio_cursor.logs import get_logger
from trio_cursor.records import Session, SessionEnded, SessionStarted
from trio_cursor.sessions.registry import Registry
from trio_cursor.watched import Appeared, Changed, Sighting, Swept, Vanished, Watched

log = get_logger(__name__)

_EXPIRY_SECONDS = 60.0


@attrs.define(eq=False)
class Discovery:
    """What discovery works with."""

    registry: Registry
    log: EventLog
    now_ms: Callable[[], int]
    first_pass: FirstPass
    _is_crowded: bool = False

    async def listen(
        self,
        sightings: trio.abc.ReceiveChannel[Sighting],
        changes: trio.abc.SendChannel[SessionStarted | SessionEnded],
    ) -> None:
        """Turn what the sweep sees into sessions, for ever."""
        next_expiry = trio.current_time() + _EXPIRY_SECONDS
        while True:
            sighting = None
            # Around the wait alone: a sighting that was taken must never be dropped half-way.
            with trio.move_on_at(next_expiry):
                sighting = await sightings.receive()
            if sighting is not None:
                await self._take(sighting, changes)
            else:
                next_expiry = trio.current_time() + _EXPIRY_SECONDS
                await self._expire(changes)

    async def _take(
        self, sighting: Sighting, changes: trio.abc.SendChannel[SessionStarted | SessionEnded]
    ) -> None:
        match sighting:
            case Appeared(watched):
                self.first_pass.expect(watched.workspace)
                if watched.changed_ms is not None:
                    self.registry.last_changed(watched.workspace.database, watched.changed_ms, self.now_ms())
                await changes.send(SessionStarted(watched.workspace, None))
            case Changed(watched):
                await self._revive(watched, changes)
            case Vanished(watched):
                await changes.send(SessionEnded(watched.workspace.database, None))
                self.first_pass.looked(watched.workspace)
            case Swept():
                self.first_pass.swept()
                # What an earlier run left open, and nobody has touched since.
                await self._expire(changes)

    async def _revive(
        self, watched: Watched, changes: trio.abc.SendChannel[SessionStarted | SessionEnded]
    ) -> None:
        if watched.workspace.is_global:
            # It changes with everything that happens anywhere, which says nothing about a session of its own.
            if not watched.active:
                await changes.send(SessionStarted(watched.workspace, None))
            return
        session = self.registry.sign_of_life(watched.workspace, self.now_ms())
        if session is not None:
            await self._save(session)
            log.info("session opened", workspace=watched.workspace.name, session=session.session_id)
            self._say_if_crowded()
        if session is not None or not watched.active:
            await changes.send(SessionStarted(watched.workspace, session))

    def _say_if_crowded(self) -> None:
        if self.registry.is_crowded() and not self._is_crowded:
            log.warning(
                "more workspaces are worked in than max_active; the least recently changed wait",
                max_active=self.registry.max_active,
            )
        self._is_crowded = self.registry.is_crowded()

    async def _expire(self, changes: trio.abc.SendChannel[SessionStarted | SessionEnded]) -> None:
        for session in self.registry.expire(self.now_ms()):
            await self._save(session)
            log.info("session closed: nothing has changed for long", session=session.session_id)
            await changes.send(SessionEnded(session.database, session))

    async def _save(self, session: Session) -> None:
        try:
            await self.log.save_sessions([session])
        except StateError as error:
            # It holds in this run; the next one opens it again at the next change, under the same id.
            log.warning("a session could not be stored", session=session.session_id, error=str(error))
