"""The file that a host reads: written whole or not at all, and removed, at one place."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from trio_cursor.cursor.grounds import cursor_directory_of
from trio_cursor.errors import HostError
from trio_cursor.hosts.host import Host
from trio_cursor.hosts.templates import Found, compared
from trio_cursor.os_files import patiently

#: A file of ours has four thousand bytes.
_MOST_BYTES = 1_000_000


def look(host: Host) -> Found:
    """What stands there now. Raises `HostError` if that cannot be told."""
    try:
        with Path(host.file).open("rb") as file:
            content = file.read(_MOST_BYTES)
    except FileNotFoundError:
        # A link that leads nowhere is somebody's all the same.
        return Found.FOREIGN if os.path.lexists(host.file) else Found.NOTHING
    except OSError as error:
        raise HostError(f"{host.file} cannot be read ({error.strerror}); mend its permissions") from error
    return compared(content, host.content, host.encoding, host.like)


def write(host: Host) -> None:
    """Put it there, in the place of whatever is. Raises `HostError` if it cannot be."""
    path = Path(host.file)
    if (cursors := cursor_directory_of(path)) is not None:
        raise HostError(f"{path} lies in {cursors}, which is Cursor's: nothing is ever written there")
    fresh = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Left by one that was killed; O_EXCL does not follow what somebody else has put there.
        with suppress(FileNotFoundError):
            fresh.unlink()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(host.content)
            file.flush()
            os.fsync(file.fileno())
        patiently(partial(fresh.replace, path))
    except OSError as error:
        raise HostError(f"{path} cannot be written ({error.strerror})") from error


def remove(host: Host) -> None:
    """Take it away. Raises `HostError` if it cannot be."""
    try:
        patiently(partial(Path(host.file).unlink, missing_ok=True))
    except OSError as error:
        raise HostError(f"{host.file} cannot be removed ({error.strerror})") from error
