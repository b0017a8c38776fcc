"""The OpenTelemetry collector, asked by a request in which there is nothing."""

from __future__ import annotations

import time
from typing import Final

import attrs
import trio

from trio_cursor.endpoint import Place
from trio_cursor.outputs.follower import OutputError
from trio_cursor.outputs.otlp_address import Collector

_SECONDS: Final = 3.0


@attrs.frozen
class CollectorLook:
    """One place where something goes."""

    #: What goes there, and where; may be shown.
    place: str
    #: Why it takes nothing, in words; None: it does.
    trouble: str | None
    #: It is there, and did not take the request with nothing in it: how it said so.
    refusal: str | None = None


async def look_at_collector(collector: Collector) -> tuple[CollectorLook, ...]:
    """Send each of its places a request without a span and without a metric, and hear what comes back."""
    places = {"spans": collector.traces, "metrics": collector.metrics}
    found: dict[str, CollectorLook] = {}

    async def ask(kind: str, place: Place) -> None:
        found[kind] = CollectorLook(f"{place} ({kind})", *await _answered(collector, place))

    async with trio.open_nursery() as nursery:
        for kind, place in places.items():
            if place is not None:
                nursery.start_soon(ask, kind, place)
    return tuple(found[kind] for kind in places if kind in found)


async def _answered(collector: Collector, place: Place) -> tuple[str | None, str | None]:
    """What is wrong, and else how it refuses a request for being empty."""
    # Needs the extra `otel`, which is there: the collector was found to be usable.
    from trio_cursor.outputs.otlp_posting import Poster, Refused  # noqa: PLC0415

    with trio.move_on_after(_SECONDS):
        try:
            answer = await Poster(collector, lambda: int(time.time() * 1000)).post(place, b"")
        except OutputError as error:
            # It begins with the place, which is told anyway.
            return str(error).removeprefix(str(place)).lstrip(": "), None
        if not isinstance(answer, Refused):
            return None, None
        # Some refuse a request for being empty.
        return (None, str(answer)) if answer.is_of_the_bytes else (f"it refuses: {answer}", None)
    return f"it does not answer within {_SECONDS:g} s", None
