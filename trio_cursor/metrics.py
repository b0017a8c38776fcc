"""Every metric: its name, type, labels and meaning, and where its figures come from.

A new one is its declaration here and, if nobody keeps the figure yet, one line where it happens. Labels are
few and bounded: never a path, a text, or anything that somebody else may choose. No library is needed here.
"""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, TypeAlias

import attrs
import trio

from trio_cursor.alarms import RULES
from trio_cursor.busiest import Busiest
from trio_cursor.cursor.guest import Guest
from trio_cursor.meters import Histogram, Meters
from trio_cursor.records import DISCOVERY, FILES, HTTP, REDIS
from trio_cursor.sqlite_library import sqlite3
from trio_cursor.states import OutputState
from trio_cursor.status_board import Board
from trio_cursor.version import __version__

#: Values of the labels, in the order of their names, and the figure.
Sample: TypeAlias = tuple[tuple[str, ...], float | Histogram]

_DATABASE_STATES: Final = ("connected", "synced", "error", "timeout", "locked", "unknown_schema")


@attrs.define(eq=False)
class Metrics:
    """Where the figures come from: one for each service."""

    board: Board
    guest: Guest
    meters: Meters
    generations: Busiest = attrs.field(factory=Busiest)
    errors: Busiest = attrs.field(factory=Busiest)

    def read(self) -> list[Family]:
        """All metrics as they are now. Called by a task: it looks at what other tasks write down."""
        return [Family(metric, tuple(metric.read(self))) for metric in METRICS]

    def outputs(self) -> Iterator[tuple[str, OutputState]]:
        """Outputs by what they are: their own names have paths and addresses in them."""
        kinds = [state.name.partition(":")[0] for state in self.board.outputs]
        seen: Counter[str] = Counter()
        for kind, state in zip(kinds, self.board.outputs, strict=True):
            yield (f"{kind}_{seen[kind]}" if kinds.count(kind) > 1 else kind), state
            seen[kind] += 1


@attrs.frozen
class Metric:
    """A declaration."""

    #: As it is asked for; of a histogram without `_bucket`.
    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    meaning: str
    read: Callable[[Metrics], Iterable[Sample]]
    labels: tuple[str, ...] = ()


@attrs.frozen
class Family:
    """A metric and its figures, at one moment."""

    metric: Metric
    samples: tuple[Sample, ...]


def _one(value: float | None) -> Iterator[Sample]:
    if value is not None:
        yield (), value


def _by(counts: Iterable[tuple[str, float]]) -> Iterator[Sample]:
    for label, value in counts:
        yield (label,), value


def _build(_: Metrics) -> Iterator[Sample]:
    yield (__version__, platform.python_version(), trio.__version__, sqlite3.sqlite_version), 1


def _last_sweep(it: Metrics) -> Iterator[Sample]:
    swept = max((one.swept_at for one in it.board.scanner.watched.values()), default=-math.inf)
    if swept > -math.inf:
        yield (), it.board.now_ms() / 1000 - (trio.current_time() - swept)


def _last_read(it: Metrics) -> float | None:
    checks = (state.last_check for state in it.board.states.values() if state.status == "synced")
    return max((check / 1000 for check in checks if check is not None), default=None)


def _databases(it: Metrics) -> Iterator[tuple[str, float]]:
    found = Counter(state.status for state in it.board.states.values())
    return ((status, found[status]) for status in _DATABASE_STATES)


def _alarms(it: Metrics) -> Iterator[tuple[str, float]]:
    found = Counter(episode.kind for episode in it.board.alarms.episodes())
    return ((kind, found[kind]) for kind in RULES)


def _sessions(it: Metrics) -> Iterator[tuple[str, float]]:
    found = Counter(session.source for session in it.board.registry.sessions())
    return ((source, found[source]) for source in (REDIS, FILES, HTTP, DISCOVERY))


def _duplicates(it: Metrics) -> Iterator[tuple[str, float]]:
    yield "log", it.board.sink.counts.duplicates
    yield "output", sum(state.already_there for state in it.board.outputs)
    yield "others", sum(state.taken for state in it.board.foreign)


def _unreported(it: Metrics) -> Iterator[tuple[str, float]]:
    counts = it.board.sink.counts
    yield "excluded", counts.excluded
    yield "nameless", counts.nameless
    yield "unattributed", counts.unattributed


def _output_events(it: Metrics) -> Iterator[Sample]:
    for name, state in it.outputs():
        yield (name, "taken"), state.meter.taken
        yield (name, "already_there"), state.already_there
        yield (name, "dead"), state.meter.dead


def _lag_events(it: Metrics) -> Iterator[tuple[str, float]]:
    newest = it.board.events.last_sequence
    return ((name, max(0, newest - state.sequence)) for name, state in it.outputs())


def _lag_seconds(it: Metrics) -> Iterator[tuple[str, float]]:
    now, newest = it.board.now_ms(), it.board.events.last_sequence
    for name, state in it.outputs():
        is_behind = state.oldest_ms is not None and state.sequence < newest
        yield name, max(0, now - (state.oldest_ms or 0)) / 1000 if is_behind else 0


def _source_kind(name: str) -> str:
    return name.partition(":")[0]


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
        lambda it: _one(it.board.started_at / 1000),
    ),
    Metric(
        "trio_cursor_ready",
        "gauge",
        "1 if it can do its work, as /readyz says.",
        lambda it: _one(not it.board.unready()),
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
        lambda it: _one(_last_read(it)),
    ),
    Metric(
        "trio_cursor_alarms_active",
        "gauge",
        "Alarms that were raised and are not over, by kind.",
        lambda it: _by(_alarms(it)),
        ("kind",),
    ),
    # What was reported, and what was not.
    Metric(
        "trio_cursor_generations_total",
        "counter",
        "Generations reported, by workspace hash: the 100 busiest, `other`, and `none` without one.",
        lambda it: _by(it.generations.shares(it.meters.generations).items()),
        ("workspace",),
    ),
    Metric(
        "trio_cursor_generation_results_total",
        "counter",
        "The same generations by how they ended.",
        lambda it: _by(it.meters.statuses.items()),
        ("status",),
    ),
    Metric(
        "trio_cursor_gaps_total",
        "counter",
        "Times that generations were missed because the ring rolled on unseen.",
        lambda it: _one(it.board.sink.counts.gaps),
    ),
    Metric(
        "trio_cursor_duplicates_total",
        "counter",
        "Generations seen again: known to the log, on an output already, or put there by other producers.",
        lambda it: _by(_duplicates(it)),
        ("layer",),
    ),
    Metric(
        "trio_cursor_unreported_total",
        "counter",
        "Generations that are not to be reported, or that nothing names, or that are nobody's.",
        lambda it: _by(_unreported(it)),
        ("reason",),
    ),
    Metric(
        "trio_cursor_pending_generations",
        "gauge",
        "Observed and not reported yet: in flight, or waiting for something.",
        lambda it: _one(len(it.board.sink.assembler)),
    ),
    Metric(
        "trio_cursor_held_generations",
        "gauge",
        "Those of them that wait for a session of their workspace.",
        lambda it: _one(it.board.sink.assembler.held()),
    ),
    # How long it takes, of what happened since the start of this run.
    Metric(
        "trio_cursor_commit_to_log_seconds",
        "histogram",
        "From Cursor's last write to a database until what was new in it was in the event log.",
        lambda it: [((), it.meters.commit_to_log.copy())],
    ),
    Metric(
        "trio_cursor_finish_to_log_seconds",
        "histogram",
        "From the end of a generation, if known, until it was in the event log; Cursor writes late itself.",
        lambda it: [((), it.meters.finish_to_log.copy())],
    ),
    Metric(
        "trio_cursor_start_to_log_seconds",
        "histogram",
        "From the start of a generation until it was in the event log: mostly the generation itself.",
        lambda it: [((), it.meters.start_to_log.copy())],
    ),
    Metric(
        "trio_cursor_log_to_output_seconds",
        "histogram",
        "From the event log until an output had it.",
        lambda it: [((name,), state.meter.log_to_output.copy()) for name, state in it.outputs()],
        ("output",),
    ),
    # Reading Cursor's databases.
    Metric(
        "trio_cursor_reads_total",
        "counter",
        "Reads of Cursor's databases, by what came of them.",
        lambda it: _by(it.guest.meter.outcomes.items()),
        ("outcome",),
    ),
    Metric(
        "trio_cursor_read_retries_total",
        "counter",
        "Attempts made again within a read: Cursor was in the way, or it was not our turn yet.",
        lambda it: _by((("busy", it.guest.meter.busy), ("not_yet", it.guest.meter.not_yet))),
        ("reason",),
    ),
    Metric(
        "trio_cursor_read_errors_total",
        "counter",
        "Looks at a database that failed, by workspace hash as for generations.",
        lambda it: _by(it.errors.shares(it.meters.errors).items()),
        ("workspace",),
    ),
    Metric(
        "trio_cursor_lock_seconds",
        "histogram",
        "For how long a read held a lock on a database of Cursor's, by journal mode.",
        lambda it: [((mode,), found.copy()) for mode, found in it.guest.meter.locks.items()],
        ("journal_mode",),
    ),
    Metric(
        "trio_cursor_abandoned_reads_total",
        "counter",
        "Reads whose threads did not end in time and were left behind.",
        lambda it: _one(it.guest.meter.abandoned),
    ),
    Metric(
        "trio_cursor_hanging_reads",
        "gauge",
        "Threads left behind that still hang.",
        lambda it: _one(it.guest.abandoned),
    ),
    Metric(
        "trio_cursor_quarantined_databases",
        "gauge",
        "Databases that are left alone because their reads do not end.",
        lambda it: _one(len(it.guest.quarantined())),
    ),
    Metric(
        "trio_cursor_databases",
        "gauge",
        "Databases read in this run, by how it stands with them.",
        lambda it: _by(_databases(it)),
        ("status",),
    ),
    Metric(
        "trio_cursor_watched_databases",
        "gauge",
        "Databases that are read whenever they change.",
        lambda it: _one(sum(one.active for one in it.board.scanner.watched.values())),
    ),
    Metric(
        "trio_cursor_databases_bytes",
        "gauge",
        "Size of the databases read in this run, together.",
        lambda it: _one(sum(state.size or 0 for state in it.board.states.values())),
    ),
    # Sessions and those who tell of them.
    Metric(
        "trio_cursor_sessions",
        "gauge",
        "Open sessions, by who told of them first.",
        lambda it: _by(_sessions(it)),
        ("source",),
    ),
    Metric(
        "trio_cursor_active_workspaces",
        "gauge",
        "Workspaces with an open session.",
        lambda it: _one(len({session.key[0] for session in it.board.registry.sessions()})),
    ),
    Metric(
        "trio_cursor_unmapped_workspaces",
        "gauge",
        "Announced workspaces whose database was not found.",
        lambda it: _one(len(it.board.registry.unplaced_hashes())),
    ),
    Metric(
        "trio_cursor_refused_sessions_total",
        "counter",
        "Starts of sessions refused because too many are open.",
        lambda it: _one(it.board.registry.refused),
    ),
    Metric(
        "trio_cursor_source_up",
        "gauge",
        "1 if a source of sessions is heard; 0 also where there are no session files yet.",
        lambda it: _by((_source_kind(one.name), one.state == "connected") for one in it.board.sources),
        ("source",),
    ),
    Metric(
        "trio_cursor_source_announcements_total",
        "counter",
        "Announcements taken from a source of sessions.",
        lambda it: _by((_source_kind(one.name), one.taken) for one in it.board.sources),
        ("source",),
    ),
    Metric(
        "trio_cursor_source_skipped_total",
        "counter",
        "Entries of a source that cannot be used.",
        lambda it: _by((_source_kind(one.name), one.skipped.total()) for one in it.board.sources),
        ("source",),
    ),
    Metric(
        "trio_cursor_source_errors_total",
        "counter",
        "Failures of a source of sessions.",
        lambda it: _by((_source_kind(one.name), one.errors) for one in it.board.sources),
        ("source",),
    ),
    # The event log and its outputs.
    Metric(
        "trio_cursor_log_up",
        "gauge",
        "1 if the event log can be written and read.",
        lambda it: _one(it.board.events.trouble is None),
    ),
    Metric(
        "trio_cursor_log_last_sequence",
        "gauge",
        "Sequence of the newest record in the event log.",
        lambda it: _one(it.board.events.last_sequence),
    ),
    Metric(
        "trio_cursor_output_up",
        "gauge",
        "1 if an output takes events, or would.",
        lambda it: _by((name, state.state in ("connected", "waiting")) for name, state in it.outputs()),
        ("output",),
    ),
    Metric(
        "trio_cursor_output_events_total",
        "counter",
        "Events that an output has taken, that were there already, and that it can never take.",
        _output_events,
        ("output", "outcome"),
    ),
    Metric(
        "trio_cursor_output_errors_total",
        "counter",
        "Times that an output did not take events.",
        lambda it: _by((name, state.errors) for name, state in it.outputs()),
        ("output",),
    ),
    Metric(
        "trio_cursor_output_rollbacks_total",
        "counter",
        "Times that an output was found to have lost what it had.",
        lambda it: _by((name, state.rollbacks) for name, state in it.outputs()),
        ("output",),
    ),
    Metric(
        "trio_cursor_output_lag_events",
        "gauge",
        "Records of the event log that an output has not taken yet.",
        lambda it: _by(_lag_events(it)),
        ("output",),
    ),
    Metric(
        "trio_cursor_output_lag_seconds",
        "gauge",
        "Age of the oldest of them; 0 if there is none.",
        lambda it: _by(_lag_seconds(it)),
        ("output",),
    ),
    Metric(
        "trio_cursor_output_last_taken_timestamp_seconds",
        "gauge",
        "When an output last took events; absent before the first.",
        lambda it: _by(
            (name, state.meter.taken_at_ms / 1000)
            for name, state in it.outputs()
            if state.meter.taken_at_ms is not None
        ),
        ("output",),
    ),
)
