"""What is counted as it happens."""

from __future__ import annotations

import attrs
import pytest
from log_events import event
from scans import workspace

from trio_cursor.cursor.outcomes import Busy, FileStat, Signature, TimedOut
from trio_cursor.cursor.read_meter import ReadMeter
from trio_cursor.cursor.schemas import Catalog
from trio_cursor.cursor.visits import Page as Read
from trio_cursor.cursor.visits import Unchanged
from trio_cursor.meters import LATENCY_BOUNDS, Histogram, Meters, OutputMeter
from trio_cursor.observations import RingEntry
from trio_cursor.records import Generation, Page

NOW = 1_800_000_000_000
HOME = workspace("w1", path="/home/me/project", hash_="0123456789abcdef")
FOUND = (RingEntry("g", NOW, "composer", "text", 1, {}),)
SIGNATURE = Signature(FileStat(1, 1, 1, NOW * 10**6), None)


def generation(**fields):
    known = Generation("k", "g", HOME, "ring", "completed", NOW - 2000, "ring")
    return attrs.evolve(known, **fields)


def read(way="ro", mode="delete", held=0.001):
    return Read(None, SIGNATURE, Catalog(1, {}, (), has_octet_length=True), way, mode, held, 1)


@pytest.fixture
def meters():
    return Meters(lambda: NOW, since_ms=NOW - 10_000)


def test_a_value_is_counted_with_the_first_bound_that_is_not_below_it():
    histogram = Histogram((1.0, 2.0))
    for value in (-3.0, 0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)
    assert (histogram.counts, histogram.total) == ([3, 2, 1], 7.5)


def test_a_copy_stays_as_it_is():
    histogram = Histogram((1.0,))
    histogram.observe(0.5)
    copy = histogram.copy()
    histogram.observe(5)
    assert (copy.counts, copy.total, histogram.counts) == ([1, 0], 0.5, [1, 1])


def test_bounds_rise():
    assert list(LATENCY_BOUNDS) == sorted(set(LATENCY_BOUNDS))


def test_generations_are_counted_by_workspace_and_status(meters):
    nameless = attrs.evolve(HOME, hash=None)
    meters.reported([generation(), generation(status="error"), generation(workspace=nameless)])
    assert meters.generations == {HOME.hash: 2, None: 1}
    assert {name: count for name, count in meters.statuses.items() if count} == {"completed": 2, "error": 1}


def test_how_long_it_took_is_told_of_what_began_in_this_run(meters):
    meters.reported(
        [
            generation(completed_timestamp=NOW - 500),
            generation(),
            generation(timestamp=NOW - 20_000, completed_timestamp=NOW - 19_000),
            generation(timestamp=None, completed_timestamp=NOW - 500),
        ]
    )
    assert (sum(meters.start_to_log.counts), meters.start_to_log.total) == (2, 4.0)
    assert (sum(meters.finish_to_log.counts), meters.finish_to_log.total) == (1, 0.5)


@pytest.mark.parametrize(
    ("written_ms", "page", "counts"),
    [
        (NOW - 70, Page(FOUND, "{}"), 1),
        (NOW - 70, Page((), "{}"), 0),
        (NOW - 70, Page(FOUND, "{}", backfill=True), 0),
        (NOW - 20_000, Page(FOUND, "{}"), 0),
        (None, Page(FOUND, "{}"), 0),
    ],
)
def test_a_commit_counts_if_it_was_seen_live(meters, written_ms, page, counts):
    meters.committed(written_ms, [Page((), "{}"), page])
    assert sum(meters.commit_to_log.counts) == counts
    assert meters.commit_to_log.total == pytest.approx(0.07 * counts)


def test_a_file_was_written_when_the_newer_of_both_was():
    database, log = FileStat(1, 1, 1, 5_000_000), FileStat(1, 2, 1, 7_000_000)
    assert [Signature(*files).written_ms for files in ((database, log), (database, None), (None, None))] == [
        *(7, 5, None)
    ]


def test_an_output_counts_what_it_has_taken():
    meter = OutputMeter(lambda: NOW, since_ms=NOW - 10_000)
    assert meter.taken_at_ms is None
    odd = attrs.evolve(event(3), metadata={"captured_at": "never"})
    meter.took([event(1, captured_at=NOW - 300), event(2, captured_at=NOW - 20_000), odd])
    meter.took([event(4, captured_at=NOW)], 0)
    assert (meter.taken, meter.taken_at_ms) == (3, NOW)
    assert (sum(meter.log_to_output.counts), meter.log_to_output.total) == (2, 0.3)


def test_reads_are_counted_by_what_came_of_them():
    meter = ReadMeter()
    busy = Busy("it is locked")
    assert meter.counted(busy) is busy
    meter.counted(TimedOut("no answer", abandoned=True))
    meter.counted(Unchanged(SIGNATURE))
    meter.counted(read())
    assert {name: count for name, count in meter.outcomes.items() if count} == {
        **dict.fromkeys(("busy", "timed_out", "unchanged", "page"), 1)
    }


def test_locks_are_timed_where_there_are_any():
    meter = ReadMeter()
    for way, mode in (("ro", "delete"), ("ro+readonly_shm", "wal"), ("immutable", "wal")):
        meter.counted(read(way, mode))
    meter.counted(read("private copy", "wal"))
    assert {mode: sum(found.counts) for mode, found in meter.locks.items()} == {"delete": 1, "wal": 1}
