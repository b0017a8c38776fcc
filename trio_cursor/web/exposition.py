"""Metrics as Prometheus reads them: plain text, or OpenMetrics where that is asked for.

This module needs prometheus-client, which takes a while to import: only a first scrape does that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.utils import floatToGoString

from trio_cursor.meters import Histogram
from trio_cursor.metrics import Family

_TEXT: Final = "text/plain"
_OPENMETRICS: Final = "application/openmetrics-text"


def render(families: Sequence[Family], accept: str) -> tuple[bytes, str]:
    """The page and its content type, as the header `Accept` would have it; plain text if it says nothing."""
    # Of its own: what an embedding program registers for itself is neither seen nor touched.
    registry = CollectorRegistry()
    registry.register(_Collector(families))
    if _quality(accept, _OPENMETRICS) > 0 and _quality(accept, _OPENMETRICS) >= _quality(accept, _TEXT):
        return generate_openmetrics(registry), f"{_OPENMETRICS}; version=1.0.0; charset=utf-8"
    return generate_text(registry), f"{_TEXT}; version=0.0.4; charset=utf-8"


class _Collector:
    """What was read at one moment, for the library."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def describe(self) -> list[Metric]:
        """Nothing: nobody else is in the registry whose names could be the same."""
        return []

    def collect(self) -> Iterator[Metric]:
        return map(_translated, self._families)


def _translated(family: Family) -> Metric:
    metric = family.metric
    name, meaning, labels = metric.name, metric.meaning, metric.labels
    if metric.kind == "info":
        info = InfoMetricFamily(name.removesuffix("_info"), meaning)
        for values, _ in family.samples:
            info.add_metric((), dict(zip(labels, values, strict=True)))
        return info
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(name, meaning, labels=labels, unit=_unit(name))
        for values, found in family.samples:
            assert isinstance(found, Histogram)  # noqa: S101 - declared as one
            histogram.add_metric(values, _buckets(found), found.total)
        return histogram
    name = name.removesuffix("_total")
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    plain = make(name, meaning, labels=labels, unit=_unit(name))
    for values, figure in family.samples:
        assert not isinstance(figure, Histogram)  # noqa: S101 - declared as none
        plain.add_metric(values, figure)
    return plain


def _unit(name: str) -> str:
    return next((unit for unit in ("seconds", "bytes") if name.endswith(f"_{unit}")), "")


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    names = [floatToGoString(bound) for bound in (*histogram.bounds, float("inf"))]
    return list(zip(names, map(float, accumulate(histogram.counts)), strict=True))


def _quality(accept: str, kind: str) -> float:
    """How much a kind is wanted by a header that names it: 0 to 1; 0 if it does not, or makes no sense."""
    found = 0.0
    for part in accept.split(","):
        name, *parameters = (word.strip().lower() for word in part.split(";"))
        if name != kind:
            continue
        said = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        is_number = said.replace(".", "", 1).isdigit() and said.isascii()
        found = max(found, float(said) if is_number else 0.0)
    return found
