"""Which privacy mode a run works in, and what an earlier run in another one has left in the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from trio_cursor.assembly import Pending
from trio_cursor.errors import StateError
from trio_cursor.eventlog import EventLog, load_key, load_modes
from trio_cursor.logs import get_logger
from trio_cursor.privacy import FULL, METADATA, Privacy, is_more_open, more_open_ranges
from trio_cursor.records import Event

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


def veil_of(connection: Any, mode: str, home: str | None = None) -> Callable[[Event], Event]:
    """What events of a log become that are sent from beside its service; nothing is written. Synchronous.

    Of the mode and the one that the log was last in, the stricter one counts: that of a running service may
    not be known where we are.

    Args:
        connection: The log, open for reading.
        mode: The configuration's.
        home: The user's own.

    Raises:
        StateError: Digests are needed, and the log has no key for any yet.

    """
    modes = load_modes(connection)
    if modes and is_more_open(mode, modes[-1][1]):
        mode = modes[-1][1]
    key = load_key(connection)
    if key is None and mode == METADATA:
        raise StateError(
            "in the privacy mode metadata texts become digests, and this event log has no key for them yet;"
            " `run --once` makes it"
        )
    return Privacy(mode, key or b"", home or str(Path.home())).sent
