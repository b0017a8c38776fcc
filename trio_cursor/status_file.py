"""The status file, by which other processes see how the service is."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from trio_cursor.observations import JsonObject
from trio_cursor.os_files import patiently
from trio_cursor.status import Status

FILE_NAME = "status.json"


def write_status(directory: Path, status: Status) -> None:
    """Put the status where `trio_cursor status` finds it; whole or not at all."""
    target = directory / FILE_NAME
    fresh = directory / f"{FILE_NAME}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(status.to_object(), file)
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
    return {**found, "taken_at": touched_ms}


def confirm_status(directory: Path) -> None:
    """Say that what was written last still holds, without writing it again."""
    os.utime(directory / FILE_NAME)
