"""What is to be said of the OpenTelemetry collector, and of events that no output will ever take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from trio_cursor.doctor.check import Check, Level, finding, ok
from trio_cursor.doctor.cursor_checks import ago
from trio_cursor.doctor.facts import Facts

_DO: Final = (
    "start the collector, or mend its address ([outputs.otlp] endpoint, or OTEL_EXPORTER_OTLP_ENDPOINT) and"
    " its headers; events wait in the event log until then"
)


def collector(facts: Facts) -> Iterator[Check]:
    """Whether it answers as a collector does."""
    for look in facts.collector:
        if look.trouble is None:
            yield ok("otlp", look.place, "takes what it is sent (an empty request was)")
        else:
            yield finding("otlp", look.place, look.trouble, _DO)


def dead(facts: Facts) -> Iterator[Check]:
    """Which events can never be sent, and why."""
    own = facts.own
    if own is None or not own.dead:
        return
    newest = "; ".join(
        f"#{one.sequence} to {one.output}, {ago(facts.now_ms - one.at)}: {one.reason}"
        for one in own.newest_dead
    )
    what = f"{own.dead:,} event{'s' * (own.dead != 1)} can never be sent; the newest: {newest}"
    do = "`show '#SEQUENCE'` shows one; they stay in the event log, and nothing else waits for them"
    known = {"number": own.dead, "newest": [attrs.asdict(one) for one in own.newest_dead]}
    yield Check("output.dead", "event log", Level.NOTE, what, do, facts=known)
