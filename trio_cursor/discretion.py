"""Which privacy mode a run works in, and what an earlier run in another one has left in the log."""

from __future__ import annotations

from pathlib import Path

import attrs

from trio_cursor.assembly import Pending
from trio_cursor.eventlog import EventLog
from trio_cursor.logs import get_logger
from trio_cursor.privacy import FULL, Privacy, is_more_open, more_open_ranges

log = get_logger(__name__)


@attrs.frozen
class Discretion:
    """The mode, and what is stored of earlier ones."""

    privacy: Privacy
    #: What an earlier run had observed and not released, as this mode has it.
    pending: list[Pending]
    #: Records that were stored in more open modes, as many as there were at the start.
    more_open: int


async def enter_mode(events: EventLog, mode: str, home: str | None = None) -> Discretion:
    """Bring the log into a mode: what is pending with it, but not what was reported."""
    privacy = Privacy(mode, await events.privacy_key(), home or str(Path.home()))
    pending = await events.pending()
    modes = await events.modes()
    if not modes and (events.last_sequence or pending):
        # Written before there were any modes.
        modes = ((1, FULL),)
    was = modes[-1][1] if modes else mode
    if not modes or was != mode:
        modes = (*modes, (events.last_sequence + 1, mode))
        is_stricter = is_more_open(was, mode)
        if is_stricter:
            pending = [privacy.pending(item) for item in pending]
        await events.enter_mode(modes, pending if is_stricter else None)
    more_open = await events.count_between(more_open_ranges(modes, mode))
    if more_open:
        log.warning(
            "the event log holds records that were stored in a more open privacy mode; outputs get no more "
            "of them than this mode allows, but they stay as they are until [log] keep_days is over; "
            "to be rid of them now, stop the service and remove the state directory",
            records=more_open,
            mode=mode,
        )
    events.outgoing = privacy.sent
    return Discretion(privacy, pending, more_open)
