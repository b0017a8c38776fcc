"""What is still to be stored of sessions: at once where somebody waits for it, else as soon as it can be."""

from __future__ import annotations

import attrs

from trio_cursor.errors import StateError
from trio_cursor.eventlog import EventLog, insist
from trio_cursor.logs import get_logger
from trio_cursor.records import Session, StreamMark

log = get_logger(__name__)


@attrs.define(eq=False)
class Storing:
    """Sessions that have changed and are not stored yet."""

    log: EventLog
    _unsaved: dict[tuple[str, str], Session] = attrs.field(factory=dict, init=False)

    def add(self, session: Session) -> None:
        """It has changed."""
        self._unsaved[session.key] = session

    async def insist(self, mark: StreamMark | None) -> None:
        """Store what has changed, and the mark, as soon as the log takes it."""
        if self._unsaved or mark is not None:
            await insist(lambda: self._store(mark), "sessions")

    async def attempt(self) -> None:
        """Store what has changed; what the log does not take is stored with the next change."""
        if not self._unsaved:
            return
        try:
            await self._store(None)
        except StateError as error:
            # It holds in this run; the next one learns it from the sources again, or at the next change.
            log.warning("a session could not be stored", error=str(error))

    async def _store(self, mark: StreamMark | None) -> None:
        sessions = dict(self._unsaved)
        await self.log.save_sessions(sessions.values(), mark)
        for key, session in sessions.items():
            if self._unsaved.get(key) is session:
                del self._unsaved[key]
