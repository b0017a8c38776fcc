"""Spans to a collector, as many at once as it takes, and what it never takes laid aside one by one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
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
from trio_cursor.outputs.otlp_posting import NoAnswerError, Poster, Refused, Taken
from trio_cursor.outputs.otlp_spans import key_values, resource_spans, span_of
from trio_cursor.records import Event

log = get_logger(__name__)

#: At once. Most collectors take some megabytes; over a slow line it is less, but not less than this.
_BATCH_BYTES: Final = 2_000_000
_LEAST_BYTES: Final = 64_000
#: So many are made of events before the other tasks have their moment.
_STRIDE: Final = 20

#: Called for events that are never taken, with the reason.
Bury: TypeAlias = Callable[[Sequence[Event], str], Awaitable[None]]
#: Called for events that were taken, with how many of them; which is not always known.
NoteTaken: TypeAlias = Callable[[Sequence[Event], int], None]
_Pair: TypeAlias = tuple[Event, Span]


class _NothingTakenError(OutputError):
    """It has refused everything yet, and so may be no collector."""


def _nobody_counts(_events: Sequence[Event], _number: int) -> None:
    """Beside the service nothing is counted."""


@attrs.define(eq=False)
class SpanSender:
    """Who sends the spans of events, in order."""

    poster: Poster
    place: Place
    resource: Resource
    with_texts: bool
    bury: Bury
    note_taken: NoteTaken = _nobody_counts
    #: Events up to this sequence were taken, or laid aside: they are not sent again in this run.
    done: int = 0
    #: Why spans were not taken nobody knows which, in words; None: there were none.
    rejected: str | None = None
    #: So much is sent at once.
    most_bytes: int = attrs.field(factory=lambda: _BATCH_BYTES)
    #: It has taken something in this run: what it refuses then is not everything.
    _has_taken: bool = False
    #: Sequences behind `done` that were taken before their turn.
    _ahead: set[int] = attrs.field(factory=set)

    async def look(self) -> None:
        """Find out whether there is a collector, by a request with nothing in it. Raises `OutputError`."""
        answer = await self.poster.post(self.place, ExportTraceServiceRequest().SerializeToString())
        # Some refuse a request for being empty.
        if isinstance(answer, Refused) and not answer.is_of_the_bytes:
            raise answer.error(self.place)
        self._has_taken = self._has_taken or isinstance(answer, Taken)

    async def send(self, events: Sequence[Event]) -> None:
        """Send those that were not sent. Raises `OutputError`; what was taken before it is remembered."""
        batch: list[_Pair] = []
        size = 0
        for number, event in enumerate(events):
            if event.event_type != EVENT_TYPE or event.sequence <= self.done or event.sequence in self._ahead:
                continue
            span = span_of(event, with_texts=self.with_texts)
            if batch and size + span.ByteSize() > self.most_bytes:
                await self._send(batch)
                batch, size = [], 0
            batch.append((event, span))
            size += span.ByteSize()
            if number % _STRIDE == 0:
                await trio.lowlevel.checkpoint()
        if batch:
            await self._send(batch)

    async def _send(self, batch: list[_Pair]) -> None:
        answer = await self._post(batch)
        if isinstance(answer, Taken):
            pass
        elif not answer.is_of_the_bytes:
            raise answer.error(self.place)
        elif len(batch) > 1:
            middle = len(batch) // 2
            await self._send_halves(batch[:middle], batch[middle:])
        elif not self._has_taken:
            raise _NothingTakenError(f"{self.place} has refused everything yet: {answer}", pause=30.0)
        else:
            await self.bury([batch[0][0]], f"the collector refuses it: {answer}")
        self.done = max(self.done, batch[-1][0].sequence)
        self._ahead = {sequence for sequence in self._ahead if sequence > self.done}

    async def _send_halves(self, first: list[_Pair], second: list[_Pair]) -> None:
        """Both, in order; but if all of the first is refused, the second tells whether everything is."""
        try:
            await self._send(first)
        except _NothingTakenError:
            if not isinstance(await self._post(second), Taken):
                raise
            self._ahead.update(event.sequence for event, _ in second)
        else:
            await self._send(second)
            return
        await self._send(first)

    async def _post(self, batch: list[_Pair]) -> Taken | Refused:
        spans = resource_spans((span for _, span in batch), self.resource)
        body = ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString()
        try:
            answer = await self.poster.post(self.place, body)
        except NoAnswerError:
            if len(batch) > 1:
                self.most_bytes = max(len(body) // 2, _LEAST_BYTES)
            raise
        if isinstance(answer, Taken):
            self.most_bytes = min(2 * self.most_bytes, _BATCH_BYTES)
            await self._note_answer([event for event, _ in batch], answer)
        return answer

    async def _note_answer(self, events: list[Event], answer: Taken) -> None:
        """It may not have taken all, and is by the protocol not to be sent them again."""
        why = answer.why or "it gave no reason"
        if answer.rejected >= len(events):
            # One that took none of them may take nothing at all.
            await self.bury(events, f"the collector refuses it: {why}")
            return
        self._has_taken = True
        self.note_taken(events, len(events) - answer.rejected)
        if answer.rejected:
            numbers = f"#{events[0].sequence} to #{events[-1].sequence}"
            which = f"{answer.rejected} of {len(events)} spans ({numbers})"
            self.rejected = f"the collector did not take {which}: {why}"
            log.error("the collector did not take all spans", which=which, why=why)


def resource_of(attributes: dict[str, str], instance: str | None = None) -> Resource:
    """Who we are; with the id of the log, which tells the totals of several apart."""
    own = {} if instance is None else {"service.instance.id": instance}
    return Resource(attributes=key_values({**own, **attributes}))
