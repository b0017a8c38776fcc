"""What is to be said of the OpenTelemetry collector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trio_cursor.doctor.check import Check, finding, ok
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
