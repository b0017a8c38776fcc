"""The service that runs on our state directory, as it speaks of itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import attrs

from trio_cursor.errors import StateError
from trio_cursor.observations import JsonObject
from trio_cursor.state_dir import is_held
from trio_cursor.status_file import read_status

#: One that has just been started, or has slept with the machine, gets this long to write its status.
_PATIENCE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05
#: It writes once a second; one that has not for so long hangs.
STALE_MS: Final = 10_000


@attrs.frozen
class ServiceLook:
    """Whether one runs, and what it says."""

    is_running: bool = False
    status: JsonObject | None = None
    #: How old that is.
    age_ms: int = 0
    #: It cannot be told.
    trouble: StateError | None = None


def look_at_service(directory: Path) -> ServiceLook:
    """Blocks for a moment if one is just starting."""
    began = time.monotonic()
    try:
        while is_held(directory):
            status = read_status(directory)
            age = 0 if status is None else int(time.time() * 1000) - int(status["taken_at"])
            is_fresh = status is not None and age <= STALE_MS
            if is_fresh or time.monotonic() - began > _PATIENCE_SECONDS:
                return ServiceLook(is_running=True, status=status, age_ms=age)
            time.sleep(_LOOK_SECONDS)
    except StateError as error:
        return ServiceLook(trouble=error)
    return ServiceLook()
