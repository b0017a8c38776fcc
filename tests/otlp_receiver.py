"""A collector of OpenTelemetry over HTTP: decodes what it is sent, and behaves as it is told."""

from __future__ import annotations

import gzip
import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

import attrs
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PROTOBUF = "application/x-protobuf"


@attrs.frozen
class Answer:
    """What a request is answered with; one that is not taken is forgotten."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = PROTOBUF
    headers: dict = attrs.field(factory=dict)
    is_taken: bool = False
    #: Between any two bytes of the answer; 0: it comes at once.
    drip_seconds: float = 0.0


def partial(rejected, why="no"):
    """All well, but for so many."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected
    answer.partial_success.error_message = why
    return Answer(body=answer.SerializeToString())


@attrs.define(eq=False)
class Receiver:
    """What has come, and what is to be done with what comes next."""

    port: int = 0
    #: Requests that were taken, as they came; without those that have nothing in them.
    traces: list = attrs.field(factory=list)
    metrics: list = attrs.field(factory=list)
    #: Paths, and headers of the last request.
    paths: list = attrs.field(factory=list)
    headers: dict = attrs.field(factory=dict)
    #: For the next requests that have spans, in order: an answer, or a function of the spans that gives one;
    #: None: all well.
    script: deque = attrs.field(factory=deque)
    #: The same for every request, of whatever kind and with nothing in it; None: all well.
    always: object = None
    #: The same for every request for metrics, and for every one without a span.
    of_metrics: object = None
    of_nothing: object = None
    #: What is larger is not read: whoever sends it is hung up on, after this answer; None: after none.
    most_bytes: float = float("inf")
    too_large: object = None
    is_encrypted: bool = False
    #: Set when the receiver ends: who hangs goes on.
    ended: threading.Event = attrs.field(factory=threading.Event)

    @property
    def url(self):
        return f"http{'s' if self.is_encrypted else ''}://127.0.0.1:{self.port}"

    @property
    def spans(self):
        return spans_of(self.traces)

    @property
    def event_ids(self):
        return [str(UUID(bytes=span.trace_id)) for span in self.spans]

    def points(self, name, index=-1):
        """Points of a metric in one of the requests."""
        return [
            point
            for resource in self.metrics[index].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in (metric.histogram if metric.HasField("histogram") else metric.sum).data_points
        ]

    def names(self):
        """Of the metrics in the last request."""
        return {
            metric.name
            for resource in self.metrics[-1].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def judged(self, path, body):
        """What a request is answered with, and what is said of it in the protocol."""
        if path.endswith("metrics"):
            request, kept = ExportMetricsServiceRequest.FromString(body), self.metrics
            items, answer = list(request.resource_metrics), self.of_metrics
            said = ExportMetricsServiceResponse()
        else:
            request, kept = ExportTraceServiceRequest.FromString(body), self.traces
            items, said = spans_of([request]), ExportTraceServiceResponse()
            answer = self.of_nothing if not items else self.script.popleft() if self.script else None
        answer = self.always or answer
        if callable(answer):
            answer = answer(items)
        if items and (answer is None or answer.is_taken):
            kept.append(request)
        return answer or Answer(), said.SerializeToString()

    def hang(self, *_):
        """Answer nobody."""
        self.ended.wait(30)
        return Answer(status=500)

    @contextmanager
    def listening(self, tls=None):
        """Listen, on the same port each time."""
        self.ended.clear()
        server = _Server(("127.0.0.1", self.port), type("Handler", (_Handler,), {"receiver": self}))
        self.port, self.is_encrypted = server.server_address[1], tls is not None
        if tls is not None:
            # Not in the thread that accepts: whoever says nothing would keep it for ever.
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            server.shutdown()
            thread.join()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        """Who hangs up early is the subject of the test."""


def spans_of(requests):
    """The spans in them, as they came."""
    return [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver
    timeout = 10

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        if length > self.receiver.most_bytes:
            self.close_connection = True
            if self.receiver.too_large is not None:
                self.answer(self.receiver.too_large, b"")
            return
        body = self.rfile.read(length)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.receiver.paths.append(self.path)
        self.receiver.headers = dict(self.headers)
        self.answer(*self.receiver.judged(self.path, body))

    def answer(self, answer, body):
        body = answer.body or body
        if answer.status == 0:
            self.wfile.write(answer.body)
            self.close_connection = True
            return
        self.send_response(answer.status)
        if answer.content_type:
            self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if answer.drip_seconds:
            self.drip(body, answer.drip_seconds)
        else:
            self.wfile.write(body)

    def drip(self, body, seconds):
        for byte in body:
            self.wfile.write(bytes((byte,)))
            if self.receiver.ended.wait(seconds):
                return

    def log_message(self, *_):
        """Not on stderr."""


@contextmanager
def receiving():
    """A receiver that listens."""
    with Receiver().listening() as receiver:
        yield receiver


def values(attributes):
    """Attributes as a dictionary."""
    found = {}
    for one in attributes:
        kind = one.value.WhichOneof("value")
        value = getattr(one.value, kind)
        found[one.key] = [item.string_value for item in value.values] if kind == "array_value" else value
    return found
