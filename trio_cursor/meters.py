"""What is counted where it happens since nobody keeps it otherwise: plain numbers, for `metrics.py`. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from trio_cursor.records import Event, Generation, Page

#: Upper bounds, seconds: from what nobody notices to what somebody should look at.
LATENCY_BOUNDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    *(300.0, 1800.0, 7200.0),
)
#: The budgets of a lock are among them: 5 ms with a rollback journal, 20 ms in WAL mode.
LOCK_BOUNDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1)
#: How a generation may have ended, as events say it.
STATUSES: Final = ("completed", "aborted", "error", "incomplete", "unknown")


def _no_clock() -> int:
    return 0


@attrs.define(eq=False)
class Histogram:
    """How often a value was at most so large. One search among a few numbers for each value."""

    #: Upper bounds, rising; what is above the last one is counted behind it.
    bounds: tuple[float, ...]
    #: Of each bound, those at most so large and above the bound before it; one more than there are bounds.
    counts: list[int] = attrs.field(init=False)
    total: float = 0.0

    @counts.default
    def _make_counts(self) -> list[int]:
        return [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a value. One below 0, which only a clock that was put back gives, counts as 0."""
        value = max(0.0, value)
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> Histogram:
        """As it is now: to be looked at elsewhere while this one counts on."""
        found = Histogram(self.bounds, self.total)
        found.counts[:] = self.counts
        return found


def _latencies() -> Histogram:
    return Histogram(LATENCY_BOUNDS)


@attrs.define(eq=False)
class Meters:
    """What readers and sink count, of one run."""

    #: The wall clock, in milliseconds.
    now_ms: Callable[[], int] = _no_clock
    #: When the run began: how long it took to report what is older says nothing of us.
    since_ms: int = 0
    #: Generations and failed looks by workspace hash; None: where there is none.
    generations: Counter[str | None] = attrs.field(factory=Counter)
    errors: Counter[str | None] = attrs.field(factory=Counter)
    #: Generations by how they ended.
    statuses: Counter[str] = attrs.field(factory=lambda: Counter(dict.fromkeys(STATUSES, 0)))
    commit_to_log: Histogram = attrs.field(factory=_latencies)
    start_to_log: Histogram = attrs.field(factory=_latencies)
    finish_to_log: Histogram = attrs.field(factory=_latencies)

    def committed(self, written_ms: int | None, pages: Iterable[Page]) -> None:
        """What was read of a database that was last written then is in the log."""
        if written_ms is None or written_ms < self.since_ms:
            return
        if any(page.observations and not page.backfill for page in pages):
            self.commit_to_log.observe((self.now_ms() - written_ms) / 1000)

    def reported(self, generations: Sequence[Generation]) -> None:
        """These are in the log."""
        now = self.now_ms()
        for one in generations:
            self.generations[one.workspace.hash] += 1
            self.statuses[one.status] += 1
            if one.timestamp is None or one.timestamp < self.since_ms:
                continue
            self.start_to_log.observe((now - one.timestamp) / 1000)
            if one.completed_timestamp is not None:
                self.finish_to_log.observe((now - one.completed_timestamp) / 1000)


@attrs.define(eq=False)
class OutputMeter:
    """What one output has taken, in one run."""

    now_ms: Callable[[], int] = _no_clock
    since_ms: int = 0
    #: The output counts by itself: it knows which of those that it is handed are its own.
    is_kept_by_output: bool = False
    #: Without those that were there already.
    taken: int = 0
    #: Those that it can never take.
    dead: int = 0
    #: When it took any; None: it has not yet.
    taken_at_ms: int | None = None
    log_to_output: Histogram = attrs.field(factory=_latencies)

    def took(self, events: Sequence[Event], number: int | None = None) -> None:
        """It has these; `number` of them by this, if others were there already."""
        self.taken += len(events) if number is None else number
        self.taken_at_ms = now = self.now_ms()
        for event in events:
            captured = event.metadata.get("captured_at")
            if isinstance(captured, int) and captured >= self.since_ms:
                self.log_to_output.observe((now - captured) / 1000)
