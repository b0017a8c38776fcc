"""The status file, by which other processes see how the service is."""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from trio_cursor.errors import StateError
from trio_cursor.observations import JsonObject
from trio_cursor.os_files import patiently
from trio_cursor.state_dir import is_held
from trio_cursor.status import Status

FILE_NAME = "status.json"
#: The service writes once a second; one that has not for so long hangs.
STALE_MS: Final = 10_000
#: One that has just been started, or has slept with the machine, gets this long to write.
_PATIENCE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05


@attrs.frozen
class ServiceLook:
    """Whether a service runs, and what it says of itself."""

    is_running: bool = False
    #: None though it runs: there is nothing that can be read.
    status: JsonObject | None = None
    #: How old that is.
    age_ms: int = 0
    #: It cannot be told.
    trouble: StateError | None = None


def write_status(directory: Path, status: Status) -> None:
    """Put the status where `trio_cursor status` finds it; whole or not at all."""
    target = directory / FILE_NAME
    fresh = directory / f"{FILE_NAME}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(status.to_json())
    patiently(partial(fresh.replace, target))


def read_status(directory: Path) -> JsonObject | None:
    """What the last service on this directory wrote; None if there is nothing to be read."""
    try:
        with patiently(partial((directory / FILE_NAME).open, encoding="utf-8")) as file:
            touched_ms = os.fstat(file.fileno()).st_mtime_ns // 1_000_000
            found: Any = json.load(file)
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    # Whatever it says itself, of whichever version it is.
    return {**found, "taken_at": touched_ms}


def look_at_service(directory: Path) -> ServiceLook:
    """Look whether one runs on this directory; blocks for a moment if it is just starting."""
    began = time.monotonic()
    try:
        while is_held(directory):
            status = read_status(directory)
            age_ms = 0 if status is None else int(time.time() * 1000) - int(status["taken_at"])
            is_fresh = status is not None and age_ms <= STALE_MS
            if is_fresh or time.monotonic() - began > _PATIENCE_SECONDS:
                return ServiceLook(is_running=True, status=status, age_ms=age_ms)
            time.sleep(_LOOK_SECONDS)
    except StateError as error:
        return ServiceLook(trouble=error)
    return ServiceLook()


def confirm_status(directory: Path) -> None:
    """Say that what was written last still holds, without writing it again."""
    os.utime(directory / FILE_NAME)
