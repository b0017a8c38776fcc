"""OpenTelemetry as an output: each generation a span, and the metrics of a client of generative AI."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import trio
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from trio_cursor.endpoint import Place
from trio_cursor.eventlog import EventLog
from trio_cursor.events import EVENT_TYPE
from trio_cursor.logs import get_logger
from trio_cursor.outputs.follower import OutputError
from trio_cursor.outputs.otlp_address import Collector
from trio_cursor.outputs.otlp_posting import Poster, Taken
from trio_cursor.outputs.otlp_sending import SpanSender, resource_of
from trio_cursor.outputs.otlp_totals import Totals
from trio_cursor.records import Event
from trio_cursor.states import OutputState

log = get_logger(__name__)

#: Of the output, whichever the collector: what one has taken another one need not get.
NAME: Final = "otlp"
#: Totals that nobody repeats are forgotten by whoever draws them.
IDLE_SECONDS: Final = 60.0
#: Metrics that cannot come now hold up no span: they are tried again no sooner.
_METRICS_PAUSE_SECONDS: Final = 30.0
#: So long it is told that the collector has not taken all.
_REJECTED_SECONDS: Final = 3600.0
#: So many are counted before the other tasks have their moment.
_STRIDE: Final = 50


class OtlpOutput:
    """An output: one collector.

    A span has the same ids each time that it is sent, which is twice only if we die between its arrival and
    the cursor. The totals are stored with the cursor, so that nothing is counted twice.
    """

    name = NAME
    is_durable = True
    idle_seconds = IDLE_SECONDS

    def __init__(
        self,
        collector: Collector,
        *,
        with_texts: bool,
        instance: str,
        events: EventLog,
        state: OutputState,
        now_ms: Callable[[], int],
    ) -> None:
        self._collector, self._log, self._state, self._now_ms = collector, events, state, now_ms
        self._poster = Poster(collector, now_ms)
        self._resource = resource_of(collector.resource, instance)
        # Gap records are never sent, and what is laid aside is not taken.
        state.meter.is_kept_by_output = True
        self._sender: SpanSender | None = None
        if collector.traces is not None:
            self._sender = SpanSender(
                self._poster,
                collector.traces,
                self._resource,
                with_texts=with_texts,
                bury=self._bury,
                note_taken=state.meter.took,
            )
        self._totals = Totals(now_ms())
        #: By Trio's clock: when it did not take all spans last, and before when no metrics are sent.
        self._rejected_at = self._metrics_from = -math.inf

    async def resume(self, sequence: int, detail: str) -> int:
        self._state.dead = await self._log.count_dead(self.name)
        self._totals = Totals.parsed(detail, self._now_ms())
        if self._sender is not None:
            await self._sender.look()
        else:
            await self._send_totals(self._totals)
        return sequence

    async def write(self, events: list[Event]) -> str:
        generations = [event for event in events if event.event_type == EVENT_TYPE]
        totals = await self._counted(generations)
        if self._sender is not None:
            await self._send_spans(self._sender, generations)
        await self._send_totals(totals)
        self._totals = totals
        if self._sender is None and generations:
            self._state.meter.took(generations)
        return str(totals)

    async def idle(self) -> None:
        self._look_back()
        await self._send_totals(self._totals)

    def close(self) -> None:
        """Nothing is open between two calls."""

    async def _counted(self, events: list[Event]) -> Totals:
        """The totals with these; ours stay as they are until all of it has arrived."""
        totals = self._totals.copied()
        for first in range(0, len(events), _STRIDE):
            totals.count(events[first : first + _STRIDE])
            await trio.lowlevel.checkpoint()
        return totals

    async def _send_spans(self, sender: SpanSender, events: list[Event]) -> None:
        try:
            await sender.send(events)
        finally:
            if sender.rejected:
                self._alarm("rejected", sender.rejected)
                self._rejected_at, sender.rejected = trio.current_time(), None
        self._look_back()

    def _look_back(self) -> None:
        """What was rejected is never sent again, so that nothing else would end its alarm."""
        if trio.current_time() - self._rejected_at >= _REJECTED_SECONDS:
            self._alarm("rejected", None)

    async def _send_totals(self, totals: Totals) -> None:
        """Send all of them. Metrics that are not taken hold up no spans: later totals say as much."""
        place = self._collector.metrics
        if place is None or not totals or trio.current_time() < self._metrics_from:
            return
        try:
            await self._post_totals(place, totals)
        except OutputError as error:
            if self._sender is None:
                raise
            self._alarm("metrics", f"metrics do not arrive: {error}")
            self._metrics_from = trio.current_time() + max(error.pause, _METRICS_PAUSE_SECONDS)

    async def _post_totals(self, place: Place, totals: Totals) -> None:
        sent = totals.sent(self._collector.metric_names, self._resource, self._now_ms())
        answer = await self._poster.post(
            place, ExportMetricsServiceRequest(resource_metrics=[sent]).SerializeToString()
        )
        if isinstance(answer, Taken):
            why = answer.rejected and f"{answer.rejected} of its points: {answer.why or 'it gave no reason'}"
        elif self._sender is None:
            # Nothing else is wanted there, so that it is of no use like this.
            raise answer.error(place)
        else:
            why = f"{answer}; OTEL_METRICS_EXPORTER=none sends none"
        self._alarm("metrics", f"{place} does not take the metrics: {why}" if why else None)

    def _alarm(self, kind: str, words: str | None) -> None:
        if not words:
            self._state.alarms.pop(kind, None)
            return
        if kind not in self._state.alarms:
            log.warning("output needs a look", output=self.name, why=words)
        self._state.alarms[kind] = words

    async def _bury(self, events: Sequence[Event], reason: str) -> None:
        if len(events) == 1:
            log.error("an event can never be sent", output=self.name, event_id=events[0].event_id, why=reason)
        else:
            which = f"#{events[0].sequence} to #{events[-1].sequence}"
            log.error(
                "events can never be sent", output=self.name, events=len(events), which=which, why=reason
            )
        self._state.dead_at = self._now_ms()
        self._state.meter.dead += await self._log.bury_all(self.name, events, reason, self._now_ms())
        self._state.dead = await self._log.count_dead(self.name)
