"""The two formats of the page, and which of them somebody gets."""

from __future__ import annotations

import pytest
from http_client import World

from trio_cursor.meters import Histogram
from trio_cursor.metrics import Family, Metric
from trio_cursor.web.exposition import render

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def family(name, kind, *samples, labels=()):
    return Family(Metric(name, kind, "What it is.", lambda _: (), labels), samples)


def histogram(*values):
    found = Histogram((0.5, 1.0))
    for value in values:
        found.observe(value)
    return found


FAMILIES = (
    family("x_info", "info", (("1.0",), 1), labels=("version",)),
    family("x_total", "counter", (("a",), 3), (("b",), 0), labels=("what",)),
    family("x_bytes", "gauge", ((), True)),
    family("x_seconds", "histogram", ((), histogram(0.25, 0.75, 7))),
    family("x_absent", "gauge"),
)
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PREFERS_TEXT = (
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5, Application/OpenMetrics-Text; Q=0.4; version=1.0.0"
)
AS_TEXT = """\
# HELP x_info What it is.
# TYPE x_info gauge
x_info{version="1.0"} 1.0
# HELP x_total What it is.
# TYPE x_total counter
x_total{what="a"} 3.0
x_total{what="b"} 0.0
# HELP x_bytes What it is.
# TYPE x_bytes gauge
x_bytes 1.0
# HELP x_seconds What it is.
# TYPE x_seconds histogram
x_seconds_bucket{le="0.5"} 1.0
x_seconds_bucket{le="1.0"} 2.0
x_seconds_bucket{le="+Inf"} 3.0
x_seconds_count 3.0
x_seconds_sum 8.0
# HELP x_absent What it is.
# TYPE x_absent gauge
"""
AS_OPENMETRICS = """\
# HELP x What it is.
# TYPE x info
x_info{version="1.0"} 1.0
# HELP x_bytes What it is.
# TYPE x_bytes gauge
# UNIT x_bytes bytes
x_bytes 1.0
# EOF
"""


def test_plain_text():
    assert render(FAMILIES, "") == (AS_TEXT.encode(), TEXT)


def test_openmetrics():
    page, kind = render((FAMILIES[0], FAMILIES[2]), "application/openmetrics-text")
    assert (page.decode(), kind) == (AS_OPENMETRICS, OPENMETRICS)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("text/html, */*;q=0.8", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        (PROMETHEUS_2, OPENMETRICS),
        (PREFERS_TEXT, TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;version=x;q=nan, ;;,=;q", TEXT),
        ("application/openmetrics-text;q=\u00b2", TEXT),
        ("application/openmetrics-text;q=-1", TEXT),
        ("application/openmetrics-text;q=.", TEXT),
        ("application/openmetrics-text;q=" + "9" * 5000, OPENMETRICS),
    ],
)
def test_the_header_accept_chooses(accept, kind):
    assert render((), accept)[1] == kind


async def test_it_is_served(nursery):
    world = World(families=FAMILIES)
    await world.serve(nursery)
    async with world.client() as client:
        answer = await client.ask("GET", "/metrics")
        assert (answer.status, answer.headers["content-type"], answer.body) == (200, TEXT, AS_TEXT.encode())
        head = await client.ask("HEAD", "/metrics", accept="application/openmetrics-text")
        assert (head.status, head.headers["content-type"]) == (200, OPENMETRICS)
        assert (await client.ask("POST", "/metrics")).status == 405


async def test_a_token_is_asked_for(nursery):
    world, token = World(families=FAMILIES), "0123456789abcdef-token"
    await world.serve(nursery, token=token)
    async with world.client() as client:
        assert (await client.ask("GET", "/metrics")).status == 401
        assert (await client.ask("GET", "/metrics", Authorization=f"Bearer {token}")).status == 200
