"""What was measured of all generations up to one of them: totals that are stored with the cursor.

They are sent as totals (cumulative temporality), never as what has come since: it does no harm to send them
twice, and whoever starts again from an older cursor comes to the same totals: nothing is ever counted twice.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import attrs
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from trio_cursor.logs import get_logger
from trio_cursor.outputs import gen_ai
from trio_cursor.outputs.gen_ai import METRICS, Attributes, Metric
from trio_cursor.outputs.otlp_spans import SCOPE, key_values
from trio_cursor.records import Event

log = get_logger(__name__)

#: Of one metric. So many models nobody uses, and all of it is stored with each cursor; what comes then is
#: counted together, as OpenTelemetry's own counters do it.
MOST_SERIES: Final = 100
_OVERFLOW: Final[Attributes] = {"otel.metric.overflow": True}
_CUMULATIVE: Final = pb.AGGREGATION_TEMPORALITY_CUMULATIVE


@attrs.define
class _Series:
    """Of one metric with one set of attributes; tokens, or milliseconds."""

    attributes: Attributes
    count: int
    total: int
    #: One more than there are bounds; none for a sum.
    buckets: list[int]


@attrs.define(eq=False)
class Totals:
    """The totals, and since when they are kept (milliseconds)."""

    since_ms: int
    #: By metric, then by attributes as text.
    _series: dict[str, dict[str, _Series]] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self._series)

    def copied(self) -> Totals:
        """The same, to be counted on."""
        return Totals.parsed(str(self), self.since_ms)

    def count(self, events: Iterable[Event]) -> None:
        """Count what was measured of generations."""
        for event in events:
            for metric, attributes, value in gen_ai.measured(event):
                self._add(metric, attributes, value)

    def _add(self, metric: Metric, attributes: Attributes, value: int) -> None:
        series = self._series.setdefault(metric.name, {})
        key = json.dumps(attributes)
        if key not in series and len(series) >= MOST_SERIES - 1:
            attributes, key = _OVERFLOW, json.dumps(_OVERFLOW)
        bounds = metric.buckets
        one = series.setdefault(
            key, _Series(dict(attributes), 0, 0, [0] * (len(bounds) + 1) if bounds else [])
        )
        one.count += 1
        one.total += value
        if bounds:
            one.buckets[bisect_left(bounds, _in_unit(metric, value))] += 1

    def __str__(self) -> str:
        series = {
            name: [attrs.astuple(one) for one in found.values()] for name, found in self._series.items()
        }
        return json.dumps({"since": self.since_ms, "series": series}, separators=(",", ":"))

    @classmethod
    def parsed(cls, text: str, now_ms: int) -> Totals:
        """The reverse. Of nothing, or of what cannot be read: none, since now."""
        if not text:
            return cls(now_ms)
        try:
            return cls._of(json.loads(text))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            log.warning(
                "what was counted for OpenTelemetry cannot be read; it begins anew", stored=text[:200]
            )
            return cls(now_ms)

    @classmethod
    def _of(cls, found: Any) -> Totals:
        totals = cls(int(found["since"]))
        for name, stored in found["series"].items():
            if (metric := METRICS.get(name)) is None:
                continue  # of another release
            series = totals._series[name] = {}
            for attributes, count, total, buckets in stored:
                if len(buckets) != (len(metric.buckets) + 1 if metric.buckets else 0):
                    raise ValueError("other buckets")
                numbers = [int(number) for number in buckets]
                series[json.dumps(attributes)] = _Series(dict(attributes), int(count), int(total), numbers)
        return totals

    def sent(self, names: Collection[str], resource: Resource, now_ms: int) -> pb.ResourceMetrics:
        """The metrics of these names, as they are sent at a time (milliseconds)."""
        # Of any type: by their hints the messages take no such dictionary.
        times: Any = {
            "start_time_unix_nano": self.since_ms * 1_000_000,
            # A clock that was put back must not make an end before the start.
            "time_unix_nano": max(now_ms, self.since_ms) * 1_000_000,
        }
        metrics = [
            _metric(METRICS[name], series.values(), times)
            for name, series in self._series.items()
            if name in names
        ]
        return pb.ResourceMetrics(
            resource=resource, scope_metrics=[pb.ScopeMetrics(scope=SCOPE, metrics=metrics)]
        )


def _metric(metric: Metric, series: Iterable[_Series], times: Any) -> pb.Metric:
    if metric.buckets:
        points = list(_histogram_points(metric, series, times))
        histogram = pb.Histogram(data_points=points, aggregation_temporality=_CUMULATIVE)
        return pb.Metric(
            name=metric.name, unit=metric.unit, description=metric.description, histogram=histogram
        )
    numbers = [
        pb.NumberDataPoint(attributes=key_values(one.attributes), as_int=one.total, **times) for one in series
    ]
    total = pb.Sum(data_points=numbers, aggregation_temporality=_CUMULATIVE, is_monotonic=True)
    return pb.Metric(name=metric.name, unit=metric.unit, description=metric.description, sum=total)


def _histogram_points(
    metric: Metric, series: Iterable[_Series], times: Any
) -> Iterator[pb.HistogramDataPoint]:
    for one in series:
        yield pb.HistogramDataPoint(
            attributes=key_values(one.attributes),
            count=one.count,
            sum=_in_unit(metric, one.total),
            bucket_counts=one.buckets,
            explicit_bounds=metric.buckets,
            **times,
        )


def _in_unit(metric: Metric, value: int) -> float:
    """Milliseconds are kept whole, so that sums are exact, and sent as seconds."""
    return value / 1000 if metric.unit == "s" else float(value)
