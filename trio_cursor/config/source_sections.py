"""The sections about what is read, when, and what is kept of it here.

There is no `from __future__ import annotations` here: the types of the fields are read at run time.
"""

import os
import sys
from typing import Literal

import attrs

from trio_cursor.config.checks import DAY_SECONDS, LONGEST_HOURS, all_written, number, stream_name
from trio_cursor.config.fields import key_field, path_field
from trio_cursor.config.places import default_state_dir, home_directory


@attrs.frozen(kw_only=True)
class DatabaseMonitorConfig:
    """`[cursor_database_monitor]`: the keys of the specification."""

    enabled: bool = key_field(
        True, "The feature flag; false: nothing runs, and an embedding host gets a handle that says so."
    )
    rollout_percent: float = key_field(
        100,
        "The share of workspaces that are monitored, by a stable hash: who is in stays in.",
        check=number(0, 100),
    )
    poll_interval_seconds: float = key_field(
        30, "A full check even if nothing seemed to change.", check=number(0.01, DAY_SECONDS)
    )
    probe_interval_seconds: float = key_field(
        0.25,
        "The cheap check of everything active; idle databases at most each second.",
        check=number(0.01, 60),
    )
    sync_window_hours: float = key_field(
        24, "How far the first sync of a workspace reaches back.", check=number(0, LONGEST_HOURS)
    )
    query_timeout_seconds: float = key_field(
        1.5, "The deadline of one open, read and close.", check=number(0.05, 60)
    )
    max_retries: int = key_field(
        3,
        "Pages in a row that may fail before a workspace is marked and left for later.",
        check=number(1, 100),
    )
    retry_backoff_seconds: float = key_field(
        2, "The wait after the first failure; it doubles, with jitter.", check=number(0.01, 3_600)
    )
    dedup_window_hours: float = key_field(
        24,
        "Bounds memory and the life of markers in Redis; keys in our own log are kept for ever.",
        check=number(0, LONGEST_HOURS),
    )
    max_concurrent_workspaces: int = key_field(
        10, "How many may be read at the same moment; not how many may be watched.", check=number(1, 256)
    )


@attrs.frozen(kw_only=True)
class CursorConfig:
    """`[cursor]`: whose databases are read."""

    dirs: tuple[str, ...] = path_field(
        (), "Cursor's `User` directories; none: every one found on this platform.", check=all_written
    )
    include: tuple[str, ...] = path_field(
        (),
        "Only workspaces whose folder path or URI matches one of these globs; none: all.",
        check=all_written,
    )
    exclude: tuple[str, ...] = path_field(
        (), "Never open a workspace whose folder path or URI matches one of these globs.", check=all_written
    )


@attrs.frozen(kw_only=True)
class StateConfig:
    """`[state]`: our own files."""

    dir: str = path_field(
        attrs.Factory(lambda: default_state_dir(sys.platform, os.environ, home_directory())),
        "Where the event log lives; default: the state directory of this platform.",
        example="~/.local/state/trio-cursor",
    )


@attrs.frozen(kw_only=True)
class SessionsConfig:
    """`[sessions]`: how we hear who is working."""

    mode: Literal["auto", "extension", "discovery"] = key_field(
        "auto", "auto: every source; extension: announced workspaces only; discovery: by looking only."
    )
    files_dir: str = path_field("~/.blueplane/cursor-session", "Where session files appear.")
    stream: str | None = key_field(
        None,
        "The Redis stream of session events; default: that of [redis].",
        check=stream_name,
        example="telemetry:events",
    )
    inactive_timeout_hours: float = key_field(
        12, "A session without a sign of life for this long is closed.", check=number(0.001, LONGEST_HOURS)
    )
    end_grace_seconds: float = key_field(
        30,
        "A workspace is watched for this long after its last session ended.",
        check=number(0, DAY_SECONDS),
    )
    max_active: int = key_field(
        1000,
        "How many workspaces may be active; above it the least recently changed wait.",
        check=number(1, 100_000),
    )


@attrs.frozen(kw_only=True)
class AssemblyConfig:
    """`[assembly]`: when a generation counts as finished."""

    ring_grace_seconds: float = key_field(
        2, "The wait for an edit or apply, which no conversation knows.", check=number(0, DAY_SECONDS)
    )
    conversation_wait_seconds: float = key_field(
        60, "The wait for the conversation of any other request.", check=number(0, DAY_SECONDS)
    )
    settle_timeout_seconds: float = key_field(
        300,
        "What nothing else settles is reported after this long without a change.",
        check=number(0, DAY_SECONDS),
    )


@attrs.frozen(kw_only=True)
class LogConfig:
    """`[log]`: how long events are kept."""

    keep_days: float = key_field(
        365, "Events are kept for this long, oldest go first.", check=number(0.001, 36_500)
    )
    max_megabytes: int = key_field(2048, "The event log stays below this size.", check=number(1, 1 << 30))
