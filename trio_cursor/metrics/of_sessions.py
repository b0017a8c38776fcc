"""Sessions, and those who tell of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from trio_cursor.metrics.declaring import Metric, Sources, by, single
from trio_cursor.records import DISCOVERY, FILES, HTTP, REDIS


def _sessions(it: Sources) -> Iterator[tuple[str, float]]:
    found = Counter(session.source for session in it.board.registry.sessions())
    return ((source, found[source]) for source in (REDIS, FILES, HTTP, DISCOVERY))


def _source_kind(name: str) -> str:
    return name.partition(":")[0]


METRICS: Final = (
    Metric(
        "trio_cursor_sessions",
        "gauge",
        "Open sessions, by who told of them first.",
        lambda it: by(_sessions(it)),
        ("source",),
    ),
    Metric(
        "trio_cursor_active_workspaces",
        "gauge",
        "Workspaces with an open session.",
        lambda it: single(len({session.key[0] for session in it.board.registry.sessions()})),
    ),
    Metric(
        "trio_cursor_unmapped_workspaces",
        "gauge",
        "Announced workspaces whose database was not found.",
        lambda it: single(len(it.board.registry.unplaced_hashes())),
    ),
    Metric(
        "trio_cursor_refused_sessions_total",
        "counter",
        "Starts of sessions refused because too many are open.",
        lambda it: single(it.board.registry.refused),
    ),
    Metric(
        "trio_cursor_source_up",
        "gauge",
        "1 if a source of sessions is heard; 0 also where there are no session files yet.",
        lambda it: by((_source_kind(one.name), one.state == "connected") for one in it.board.sources),
        ("source",),
    ),
    Metric(
        "trio_cursor_source_announcements_total",
        "counter",
        "Announcements taken from a source of sessions.",
        lambda it: by((_source_kind(one.name), one.taken) for one in it.board.sources),
        ("source",),
    ),
    Metric(
        "trio_cursor_source_skipped_total",
        "counter",
        "Entries of a source that cannot be used.",
        lambda it: by((_source_kind(one.name), one.skipped.total()) for one in it.board.sources),
        ("source",),
    ),
    Metric(
        "trio_cursor_source_errors_total",
        "counter",
        "Failures of a source of sessions.",
        lambda it: by((_source_kind(one.name), one.errors) for one in it.board.sources),
        ("source",),
    ),
)
