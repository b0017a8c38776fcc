"""The run: what it is, since when, and whether it can do its work."""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Iterator
from typing import Final

import trio

from trio_cursor.alarms import RULES
from trio_cursor.metrics.declaring import Metric, Sample, Sources, by, single
from trio_cursor.sqlite_library import sqlite3
from trio_cursor.version import __version__


def _build(_: Sources) -> Iterator[Sample]:
    yield (__version__, platform.python_version(), trio.__version__, sqlite3.sqlite_version), 1


def _last_sweep(it: Sources) -> Iterator[Sample]:
    swept = max((one.swept_at for one in it.board.scanner.watched.values()), default=-math.inf)
    if swept > -math.inf:
        yield (), it.board.now_ms() / 1000 - (trio.current_time() - swept)


def _last_read(it: Sources) -> float | None:
    checks = (state.last_check for state in it.board.states.values() if state.status == "synced")
    return max((check / 1000 for check in checks if check is not None), default=None)


def _alarms(it: Sources) -> Iterator[tuple[str, float]]:
    found = Counter(episode.kind for episode in it.board.alarms.episodes())
    return ((kind, found[kind]) for kind in RULES)


METRICS: Final = (
    Metric(
        "trio_cursor_build_info",
        "info",
        "What is running.",
        _build,
        ("version", "python", "trio", "sqlite"),
    ),
    Metric(
        "trio_cursor_start_time_seconds",
        "gauge",
        "When this run began, seconds since the epoch.",
        lambda it: single(it.board.started_at / 1000),
    ),
    Metric(
        "trio_cursor_ready",
        "gauge",
        "1 if it can do its work, as /readyz says.",
        lambda it: single(not it.board.unready()),
    ),
    Metric(
        "trio_cursor_last_sweep_timestamp_seconds",
        "gauge",
        "When Cursor's files were last looked at; absent without any, or while switched off.",
        _last_sweep,
    ),
    Metric(
        "trio_cursor_last_read_timestamp_seconds",
        "gauge",
        "When a database was last read, or found to be as it was. Old where nobody works.",
        lambda it: single(_last_read(it)),
    ),
    Metric(
        "trio_cursor_alarms_active",
        "gauge",
        "Alarms that were raised and are not over, by kind.",
        lambda it: by(_alarms(it)),
        ("kind",),
    ),
    Metric(
        "trio_cursor_alarms_lost_total",
        "counter",
        "Alarms, raised or over, that the webhook never took and that were given up; absent without one.",
        lambda it: single(None if (webhook := it.board.webhook()) is None else webhook.lost),
    ),
)
