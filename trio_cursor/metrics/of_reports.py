"""What was reported and what was not, and how long that took."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trio_cursor.metrics.declaring import Metric, Sources, by, single


def _duplicates(it: Sources) -> Iterator[tuple[str, float]]:
    yield "log", it.board.sink.counts.duplicates
    yield "output", sum(state.already_there for state in it.board.outputs)
    yield "others", sum(state.taken for state in it.board.foreign)


def _unreported(it: Sources) -> Iterator[tuple[str, float]]:
    counts = it.board.sink.counts
    yield "excluded", counts.excluded
    yield "nameless", counts.nameless
    yield "unattributed", counts.unattributed


METRICS: Final = (
    Metric(
        "trio_cursor_generations_total",
        "counter",
        "Generations reported, by workspace hash: the 100 busiest, `other`, and `none` without one.",
        lambda it: by(it.generations.shares(it.meters.generations).items()),
        ("workspace",),
    ),
    Metric(
        "trio_cursor_generation_results_total",
        "counter",
        "The same generations by how they ended.",
        lambda it: by(it.meters.statuses.items()),
        ("status",),
    ),
    Metric(
        "trio_cursor_gaps_total",
        "counter",
        "Times that generations were missed because the ring rolled on unseen.",
        lambda it: single(it.board.sink.counts.gaps),
    ),
    Metric(
        "trio_cursor_duplicates_total",
        "counter",
        "Generations seen again: known to the log, on an output already, or put there by other producers.",
        lambda it: by(_duplicates(it)),
        ("layer",),
    ),
    Metric(
        "trio_cursor_unreported_total",
        "counter",
        "Generations that are not to be reported, or that nothing names, or that are nobody's.",
        lambda it: by(_unreported(it)),
        ("reason",),
    ),
    Metric(
        "trio_cursor_pending_generations",
        "gauge",
        "Observed and not reported yet: in flight, or waiting for something.",
        lambda it: single(len(it.board.sink.assembler)),
    ),
    Metric(
        "trio_cursor_held_generations",
        "gauge",
        "Those of them that wait for a session of their workspace.",
        lambda it: single(it.board.sink.assembler.held()),
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
)
