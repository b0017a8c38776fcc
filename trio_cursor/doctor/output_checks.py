"""What is to be said of the OpenTelemetry collector, and of events that no output will ever take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

from trio_cursor.doctor.check import Check, Level, finding, ok
from trio_cursor.doctor.cursor_checks import ago
from trio_cursor.doctor.facts import Facts

_ADDRESS: Final = "its address ([outputs.otlp] endpoint, or OTEL_EXPORTER_OTLP_ENDPOINT)"
_MEND_ADDRESS: Final = f"mend {_ADDRESS}"
#: By what is said of it; the first that fits. Whoever answers does not have to be started.
_REMEDIES: Final = {
    r"HTTP 40[13]\b": "mend its headers (OTEL_EXPORTER_OTLP_HEADERS)",
    r"HTTP (3\d\d|404|405)\b|a page for people|does not encrypt|^encrypts": _MEND_ADDRESS,
    "CERTIFICATE_VERIFY_FAILED": (
        "name who vouches for it (a PEM file in OTEL_EXPORTER_OTLP_CERTIFICATE), or mend the host's name in"
        f" {_ADDRESS}"
    ),
    "": f"start the collector, or mend {_ADDRESS} and its headers",
}
_WAITS: Final = "events wait in the event log until then"


def collector(facts: Facts) -> Iterator[Check]:
    """Whether it answers as a collector does."""
    for look in facts.collector:
        if look.trouble is None and look.refusal is not None:
            what = f"answers; a request with nothing in it was refused ({look.refusal}), as some do"
            yield ok("otlp", look.place, what)
        elif look.trouble is None:
            yield ok("otlp", look.place, "takes what it is sent (an empty request was)")
        else:
            trouble = look.trouble
            do = next(do for words, do in _REMEDIES.items() if re.search(words, trouble))
            yield finding("otlp", look.place, trouble, f"{do}; {_WAITS}")


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
