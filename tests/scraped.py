"""A page of metrics, read by prometheus-client's own parsers."""

from __future__ import annotations

import trio
from deadlines import until
from http_client import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"


class Scrape:
    """One answer."""

    def __init__(self, answer):
        assert answer.status == 200
        self.kind, self.text = answer.headers["content-type"], answer.body.decode()
        parse = parse_openmetrics if self.kind.startswith("application/openmetrics-text") else parse_text
        self.families = list(parse(self.text))
        self.samples = [sample for family in self.families for sample in family.samples]

    def value(self, name, **labels):
        """The one figure with this name and these labels."""
        [found] = [item.value for item in self.samples if (item.name, item.labels) == (name, labels)]
        return found

    def by(self, name, label):
        """Figures by a label, without those that are 0."""
        return {item.labels[label]: item.value for item in self.samples if item.name == name and item.value}

    def counters(self):
        """All figures that must never go down."""
        names = ("_total", "_bucket", "_count", "_sum")
        return {
            (item.name, *sorted(item.labels.items())): item.value
            for item in self.samples
            if item.name.endswith(names)
        }


async def scrape(handle, accept=None):
    """Ask a service of this process, once it listens."""
    await until(lambda: handle.status().http.state == "listening")
    host, _, port = handle.status().http.address.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        return Scrape(await Client(stream).ask("GET", "/metrics", accept=accept))
