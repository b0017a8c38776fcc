"""Spans to a collector, as many at once as it takes, and what it never takes laid aside one by one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeAlias

import attrs
import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from trio_cursor.endpoint import Place
from trio_cursor.events import EVENT_TYPE
from trio_cursor.logs import get_logger
from trio_cursor.outputs.follower import OutputError
from trio_cursor.outputs.otlp_posting import Poster, Refused, Taken
from trio_cursor.outputs.otlp_spans import key_values, resource_spans, span_of
from trio_cursor.records import Event

log = get_logger(__name__)

#: At once. Most collectors take some megabytes.
_BATCH_BYTES: Final = 2_000_000
#: So many are made of events before the other tasks have their moment.
_STRIDE: Final = 20

#: Called for an event that is never taken, with the reason.
Bury: TypeAlias = Callable[[Event, str], Awaitable[None]]
_Pair: TypeAlias = tuple[Event, Span]


@attrs.define(eq=False)
class SpanSender:
    """Who sends the spans of events, in order."""

    poster: Poster
    place: Place
    resource: Resource
    with_texts: bool
    bury: Bury
    #: Events up to this sequence were taken, or laid aside: they are not sent again in this run.
    done: int = 0
    #: Why spans were not taken nobody knows which, in words; None: there were none.
    rejected: str | None = None
    #: It has taken something since it was looked at last: what it refuses then is not everything.
    _has_taken: bool = False

    async def look(self) -> None:
        """Find out whether there is a collector, by a request with nothing in it. Raises `OutputError`."""
        answer = await self.poster.post(self.place, ExportTraceServiceRequest().SerializeToString())
        # Some refuse a request for being empty.
        if isinstance(answer, Refused) and not answer.is_of_the_bytes:
            raise answer.error(self.place)
        self._has_taken = isinstance(answer, Taken)

    async def send(self, events: Sequence[Event]) -> None:
        """Send those that were not sent. Raises `OutputError`; what was taken before it is remembered."""
        batch: list[_Pair] = []
        size = 0
        for number, event in enumerate(events):
            if event.event_type != EVENT_TYPE or event.sequence <= self.done:
                continue
            span = span_of(event, with_texts=self.with_texts)
            if batch and size + span.ByteSize() > _BATCH_BYTES:
                await self._send(batch)
                batch, size = [], 0
            batch.append((event, span))
            size += span.ByteSize()
            if number % _STRIDE == 0:
                await trio.lowlevel.checkpoint()
        if batch:
            await self._send(batch)

    async def _send(self, batch: list[_Pair]) -> None:
        spans = resource_spans((span for _, span in batch), self.resource)
        answer = await self.poster.post(
            self.place, ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString()
        )
        last = batch[-1][0]
        if isinstance(answer, Taken):
            # One that took none of them may take nothing at all.
            self._has_taken = self._has_taken or answer.rejected < len(batch)
            if answer.rejected:
                await self._note_rejected([event for event, _ in batch], answer)
        elif not answer.is_of_the_bytes:
            raise answer.error(self.place)
        elif len(batch) > 1:
            for half in _halves(batch):
                await self._send(half)
        elif not self._has_taken:
            raise OutputError(f"{self.place} has refused everything yet: {answer}", pause=30.0)
        else:
            await self.bury(last, f"the collector refuses it: {answer}")
        self.done = max(self.done, last.sequence)

    async def _note_rejected(self, events: list[Event], answer: Taken) -> None:
        """It did not take all, and is by the protocol not to be sent them again."""
        why = answer.why or "it gave no reason"
        if answer.rejected >= len(events):
            for event in events:
                await self.bury(event, f"the collector refuses it: {why}")
            return
        which = f"{answer.rejected} of {len(events)} spans (#{events[0].sequence} to #{events[-1].sequence})"
        self.rejected = f"the collector did not take {which}: {why}"
        log.error("the collector did not take all spans", which=which, why=why)


def resource_of(attributes: dict[str, str], instance: str | None = None) -> Resource:
    """Who we are; with the id of the log, which tells the totals of several apart."""
    own = {} if instance is None else {"service.instance.id": instance}
    return Resource(attributes=key_values({**own, **attributes}))


def _halves(batch: list[_Pair]) -> Iterator[list[_Pair]]:
    middle = len(batch) // 2
    yield batch[:middle]
    yield batch[middle:]
