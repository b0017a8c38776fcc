"""Whether the operating system would tell us of changes in Cursor's directories."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from trio_cursor.os_events import NoEventsError, open_os_events
from trio_cursor.os_watches import Adding

_LIMITS: Final = Path("/proc/sys/fs/inotify")


@attrs.frozen
class EventsLook:
    """How many directories can be watched besides what is watched already."""

    wanted: int
    watched: int = 0
    #: Why there are no such events at all, in words.
    trouble: str | None = None
    #: A limit of the system is reached.
    is_full: bool = False
    #: `max_user_watches`, `max_user_instances`; what cannot be read is not there.
    limits: dict[str, int] = attrs.field(factory=dict)


def look_at_events(databases: Sequence[str]) -> EventsLook:
    """Watch the directories of these databases for an instant. Blocks; a dead mount hangs it."""
    directories = sorted({os.path.dirname(path) for path in databases})  # noqa: PTH120 - paths are text
    limits = _limits()
    try:
        events = open_os_events()
    except NoEventsError as error:
        return EventsLook(len(directories), trouble=str(error), limits=limits)
    with closing(events):
        adding = Adding(events, dict.fromkeys(directories), above=(), devices={})
        adding.run()
    watched = len(adding.added) + len(adding.absent)
    return EventsLook(len(directories), watched, is_full=adding.is_full, limits=limits)


def _limits() -> dict[str, int]:
    found = {}
    for name in ("max_user_watches", "max_user_instances"):
        try:
            found[name] = int((_LIMITS / name).read_text())
        except (OSError, ValueError):
            continue  # not Linux, or hidden from us: nothing to tell
    return found
