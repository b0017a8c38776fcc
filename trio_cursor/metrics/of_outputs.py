"""The event log and its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trio_cursor.metrics.declaring import Metric, Sample, Sources, by, single


def _output_events(it: Sources) -> Iterator[Sample]:
    for name, state in it.outputs():
        yield (name, "taken"), state.meter.taken
        yield (name, "already_there"), state.already_there
        yield (name, "dead"), state.meter.dead


def _lag_events(it: Sources) -> Iterator[tuple[str, float]]:
    newest = it.board.events.last_sequence
    return ((name, max(0, newest - state.sequence)) for name, state in it.outputs())


def _lag_seconds(it: Sources) -> Iterator[tuple[str, float]]:
    now, newest = it.board.now_ms(), it.board.events.last_sequence
    for name, state in it.outputs():
        is_behind = state.oldest_ms is not None and state.sequence < newest
        yield name, max(0, now - (state.oldest_ms or 0)) / 1000 if is_behind else 0


METRICS: Final = (
    Metric(
        "trio_cursor_log_up",
        "gauge",
        "1 if the event log can be written and read.",
        lambda it: single(it.board.events.trouble is None),
    ),
    Metric(
        "trio_cursor_log_last_sequence",
        "gauge",
        "Sequence of the newest record in the event log.",
        lambda it: single(it.board.events.last_sequence),
    ),
    Metric(
        "trio_cursor_lost_events_total",
        "counter",
        "Events that the size limit deleted before every output had taken them.",
        lambda it: single(it.board.losses.events),
    ),
    Metric(
        "trio_cursor_output_up",
        "gauge",
        "1 if an output takes events, or would.",
        lambda it: by((name, state.state in ("connected", "waiting")) for name, state in it.outputs()),
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
        lambda it: by((name, state.errors) for name, state in it.outputs()),
        ("output",),
    ),
    Metric(
        "trio_cursor_output_rollbacks_total",
        "counter",
        "Times that an output was found to have lost what it had.",
        lambda it: by((name, state.rollbacks) for name, state in it.outputs()),
        ("output",),
    ),
    Metric(
        "trio_cursor_output_lag_events",
        "gauge",
        "Records of the event log that an output has not taken yet.",
        lambda it: by(_lag_events(it)),
        ("output",),
    ),
    Metric(
        "trio_cursor_output_lag_seconds",
        "gauge",
        "Age of the oldest of them; 0 if there is none.",
        lambda it: by(_lag_seconds(it)),
        ("output",),
    ),
    Metric(
        "trio_cursor_output_last_taken_timestamp_seconds",
        "gauge",
        "When an output last took events; absent before the first.",
        lambda it: by(
            (name, state.meter.taken_at_ms / 1000)
            for name, state in it.outputs()
            if state.meter.taken_at_ms is not None
        ),
        ("output",),
    ),
)
