"""What a configuration asks of the service: where to look, how far back, which workspaces and sources."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

import attrs
import trio

from trio_cursor.config import Config
from trio_cursor.cursor.selection import included
from trio_cursor.cursor.user_dirs import candidate_user_dirs, is_wsl
from trio_cursor.logs import get_logger
from trio_cursor.records import Workspace

log = get_logger(__name__)

_HOUR_MS = 3_600_000
#: A window this long is one without a beginning (the configuration's upper bound, a hundred years).
_ALL_HOURS = 876_000
#: Of a window without a beginning.
_LONGEST_MARKER_HOURS = 90 * 24
#: To list some directories takes milliseconds; a mount that takes this long is dead.
_FIND_SECONDS = 5.0


async def find_dirs(config: Config) -> tuple[str, ...]:
    """As `cursor_dirs`; without those that are on a drive of Windows if the drives do not answer."""
    with trio.move_on_after(_FIND_SECONDS):
        return await trio.to_thread.run_sync(
            cursor_dirs, config, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1)
        )
    log.warning("the drives of Windows do not answer; until the next start Cursor is not looked for there")
    return cursor_dirs(config, mounts=None)


def cursor_dirs(config: Config, *, mounts: str | None = "/mnt") -> tuple[str, ...]:
    """Where to look for Cursor: what is configured, else every place that it has on this platform.

    Blocks for as long as it takes to look below `mounts`, under WSL.
    """
    if config.cursor.dirs:
        return config.cursor.dirs
    wsl = is_wsl(os.environ, platform.release())
    found = candidate_user_dirs(sys.platform, os.environ, str(Path.home()), wsl=wsl, mounts=mounts)
    return tuple(item.user_dir for item in found)


def window_ms(config: Config) -> int | None:
    """How far a first sync reaches back; None: to the beginning."""
    hours = config.cursor_database_monitor.sync_window_hours
    return None if hours >= _ALL_HOURS else int(hours * _HOUR_MS)


def marker_seconds(config: Config) -> int:
    """How long a server remembers that a generation is on the stream, and a consumer that it was dealt with.

    Longer than anything can be told anew: the first sync of a log that was lost, another producer's entry.
    """
    monitor = config.cursor_database_monitor
    hours = max(monitor.sync_window_hours, monitor.dedup_window_hours) + 24
    return int(min(hours, _LONGEST_MARKER_HOURS) * 3600)


def is_allowed(config: Config, workspace: Workspace) -> bool:
    """Whether the globs let a workspace be reported."""
    return included(workspace, config.cursor.include, config.cursor.exclude)


def is_rolled_out(workspace: Workspace, percent: float) -> bool:
    """Whether a workspace is in the share that is monitored; a greater share holds every smaller one.

    The same for whoever asks, at whatever time: by the workspace hash (by the id where there is none),
    whichever scope its first entries were reported under.
    """
    if percent >= 100:  # noqa: PLR2004 - asked for every generation
        return True
    name = workspace.hash or workspace.id or "global"
    # As many bits as a float keeps.
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 11
    return place / 2**53 * 100 < percent


@attrs.frozen
class Sources:
    """From where sessions are taken."""

    redis: bool
    files: bool
    #: `POST /events` is taken; health and status are served whatever it says.
    http: bool
    discovery: bool


def sources(config: Config) -> Sources:
    """What `[sessions] mode` means for each source."""
    mode = config.sessions.mode
    is_announced = mode != "discovery"
    return Sources(
        redis=is_announced and config.redis.url is not None,
        files=is_announced,
        http=is_announced and config.http.listen != "off",
        discovery=mode != "extension",
    )


def stream_of(config: Config) -> str:
    """The stream from which announcements are taken."""
    return config.sessions.stream or config.redis.stream
