"""One request to a collector, in Trio: nothing is kept open, and whoever is cancelled is gone at once."""

from __future__ import annotations

import gzip
import os
import random
import socket
import ssl
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

import attrs
import h11
import trio
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from trio_cursor.outputs.follower import OutputError
from trio_cursor.outputs.otlp_address import Collector, Place
from trio_cursor.version import __version__

#: For all of it: connecting, sending, and the answer.
SECONDS = 10.0
#: Of an answer, which says that all is well, or a sentence.
_MOST_BYTES: Final = 64 * 1024
_LONGEST_WORDS: Final = 200
#: Tried again no sooner where a person must change something.
_MENDING_SECONDS: Final = 30.0
#: However long a server wants us to wait.
_LONGEST_PAUSE: Final = 3600.0
_PROTOBUF: Final = "application/x-protobuf"
#: It can do nothing with these bytes, now or later.
_REFUSALS: Final = (400, 413, 422)
#: It may be able to do so later.
_LATER: Final = (408, 429, 500, 502, 503, 504)
_OK: Final = range(200, 300)


@attrs.frozen
class Taken:
    """The collector has it; of so many items it said that it did not take them, and why."""

    rejected: int = 0
    why: str = ""


@attrs.frozen
class Refused:
    """It will never take that: these bytes, or any of their kind."""

    status: int
    why: str

    @property
    def is_of_the_bytes(self) -> bool:
        """Other bytes might be taken."""
        return self.status in _REFUSALS

    def error(self, place: Place) -> OutputError:
        """As what a person has to mend."""
        return OutputError(f"{place}: {self}", pause=_MENDING_SECONDS)

    def __str__(self) -> str:
        return f"HTTP {self.status}{f' ({self.why})' if self.why else ''}"


@attrs.frozen
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@attrs.frozen
class Poster:
    """Who sends to a collector."""

    collector: Collector
    #: The wall clock, for a server that names a moment.
    now_ms: Callable[[], int]

    async def post(self, place: Place, body: bytes) -> Taken | Refused:
        """Send one request. Raises `OutputError` if it is to come again, or who knows what became of it."""
        try:
            with trio.fail_after(SECONDS):
                answer = await self._exchange(place, body)
        except trio.TooSlowError:
            raise OutputError(f"{place} does not answer within {SECONDS:g} s") from None
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise OutputError(f"{place}: {_why(error)}") from error
        except h11.RemoteProtocolError as error:
            raise OutputError(f"{place} does not answer as HTTP has it ({shown(str(error))})") from error
        return self._judged(place, answer)

    async def _exchange(self, place: Place, body: bytes) -> _Answer:
        stream: trio.abc.Stream = await trio.open_tcp_stream(place.host, place.port)
        if place.is_encrypted and self.collector.tls is not None:
            stream = trio.SSLStream(
                stream, self.collector.tls, server_hostname=place.host, https_compatible=True
            )
        try:
            return await _exchange(stream, _request(place, body, is_gzipped=self.collector.is_gzipped))
        finally:
            # No farewell: nobody has to wait for one.
            await trio.aclose_forcefully(stream)

    def _judged(self, place: Place, answer: _Answer) -> Taken | Refused:
        if answer.status in _OK:
            return _taken(place, answer)
        refused = Refused(answer.status, _sentence(answer))
        if answer.status in _LATER:
            raise OutputError(f"{place}: {refused}", pause=self._pause(answer.headers.get("retry-after", "")))
        return refused

    def _pause(self, text: str) -> float:
        """Seconds, by a number or a moment; 0 where it says nothing that makes sense."""
        if text.isascii() and text.isdigit():
            seconds = float(text[:10])
        else:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - self.now_ms() / 1000
            except (ValueError, OverflowError):
                return 0.0
        # Not everybody at the same moment.
        return min(max(seconds, 0.0), _LONGEST_PAUSE) * random.uniform(1.0, 1.2)  # noqa: S311 - jitter


def shown(text: str) -> str:
    """What somebody else has said, as one short line that does nothing to a terminal."""
    words = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(words.split())[:_LONGEST_WORDS]


def _request(place: Place, body: bytes, *, is_gzipped: bool) -> tuple[h11.Request, bytes]:
    host = f"[{place.host}]" if ":" in place.host else place.host
    headers = [
        ("Host", f"{host}:{place.port}"),
        ("User-Agent", f"trio-cursor/{__version__}"),
        ("Content-Type", _PROTOBUF),
        ("Connection", "close"),
        *place.headers,
    ]
    if is_gzipped:
        body = gzip.compress(body, 6)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Content-Length", str(len(body))))
    return h11.Request(method="POST", target=place.path, headers=headers), body


async def _exchange(stream: trio.abc.Stream, request: tuple[h11.Request, bytes]) -> _Answer:
    connection = h11.Connection(h11.CLIENT)
    head, body = request
    parts = [connection.send(head), connection.send(h11.Data(body)), connection.send(h11.EndOfMessage())]
    try:
        await stream.send_all(b"".join(part for part in parts if part))
    except trio.BrokenResourceError as error:
        # Who finds it too large may answer, and hang up before it has come: the answer tells more.
        connection.send_failed()
        try:
            return await _read(stream, connection)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            raise error from error.__cause__
    return await _read(stream, connection)


async def _read(stream: trio.abc.Stream, connection: h11.Connection) -> _Answer:
    head: h11.Response | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            received = bytes(await stream.receive_some())
            if not received and head is None and not connection.trailing_data[0]:
                break
            connection.receive_data(received)
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif not isinstance(event, h11.InformationalResponse):
            break
        if len(body) > _MOST_BYTES:
            break
    if head is None:
        raise trio.BrokenResourceError("the connection was closed without an answer")
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers}
    return _Answer(head.status_code, headers, body[:_MOST_BYTES])


def _taken(place: Place, answer: _Answer) -> Taken:
    """What a collector says when it has it. Whoever says something else may be no collector at all."""
    if not answer.body or not answer.headers.get("content-type", _PROTOBUF).startswith(_PROTOBUF):
        if answer.body and "html" in answer.headers["content-type"]:
            raise OutputError(
                f"{place} answers with a page for people: is it a collector?", pause=_MENDING_SECONDS
            )
        return Taken()
    try:
        partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    except DecodeError as error:
        raise OutputError(f"{place} says that it took it, in words that no collector has") from error
    return Taken(max(partial.rejected_spans, 0), shown(partial.error_message))


def _sentence(answer: _Answer) -> str:
    """Why, in the server's words, if they are what the protocol has or plain text."""
    kind = answer.headers.get("content-type", "")
    if kind.startswith(_PROTOBUF):
        try:
            # A `google.rpc.Status` has its message in the same field.
            return shown(ExportTracePartialSuccess.FromString(answer.body).error_message)
        except DecodeError:
            return ""
    return (
        shown(answer.body.decode("utf-8", "replace"))
        if kind.startswith(("text/plain", "application/json"))
        else ""
    )


def _why(error: BaseException) -> str:
    """In words, of the innermost that has some: a refused connection is wrapped twice."""
    inner = error.__cause__
    if isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    if isinstance(inner, OSError) and inner is not error:
        return _why(inner)
    if isinstance(error, OSError) and not isinstance(error, (ssl.SSLError, socket.gaierror)) and error.errno:
        return os.strerror(error.errno)  # Trio's own words name the address once more
    return shown(getattr(error, "strerror", None) or str(error) or type(error).__name__)
