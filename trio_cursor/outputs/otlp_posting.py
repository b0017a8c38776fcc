"""One request to a collector, and what its answer means."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Final

import attrs
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from trio_cursor.endpoint import Place
from trio_cursor.outputs.follower import OutputError
from trio_cursor.outputs.otlp_address import Collector
from trio_cursor.posting import LATER, OK, Answer, PostError, post, shown

#: For all of it: connecting, sending, and the answer.
SECONDS = 10.0
#: Tried again no sooner where a person must change something.
_MENDING_SECONDS: Final = 30.0
_PROTOBUF: Final = "application/x-protobuf"
#: It can do nothing with these bytes, now or later.
_REFUSALS: Final = (400, 413, 422)
#: It has waited for what we sent, or somebody behind it has for its answer.
_LATE: Final = (408, 504)
#: What Go (and so the collector), nginx and Apache say, with 400, to whom they want to be encrypted.
_WANTS_TLS: Final = (b"HTTP request to an HTTPS server", b"sent to HTTPS port", b"to an SSL-enabled server")


class NoAnswerError(OutputError):
    """There was no answer, or none in time: of less at once there may be one."""


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
class Poster:
    """Who sends to a collector."""

    collector: Collector
    #: The wall clock, for a server that names a moment.
    now_ms: Callable[[], int]

    async def post(self, place: Place, body: bytes) -> Taken | Refused:
        """Send one request. Raises `OutputError` if it is to come again, or who knows what became of it."""
        headers = [("Content-Type", _PROTOBUF)]
        if self.collector.is_gzipped:
            body = gzip.compress(body, 6)
            headers.append(("Content-Encoding", "gzip"))
        try:
            answer = await post(place, body, headers=headers, tls=self.collector.tls, seconds=SECONDS)
        except PostError as error:
            raise NoAnswerError(str(error)) from error
        return self._judged(place, answer)

    def _judged(self, place: Place, answer: Answer) -> Taken | Refused:
        if answer.status in OK:
            return _taken(place, answer)
        if not place.is_encrypted and any(words in answer.body for words in _WANTS_TLS):
            # It is not for the bytes: there is nothing to be sent in halves.
            raise OutputError(f"{place} encrypts: https:// instead of http://?", pause=_MENDING_SECONDS)
        refused = Refused(answer.status, _sentence(answer))
        if answer.status in LATER:
            kind = NoAnswerError if answer.status in _LATE else OutputError
            raise kind(f"{place}: {refused}", pause=answer.pause(self.now_ms()))
        return refused


def _taken(place: Place, answer: Answer) -> Taken:
    """What a collector says when it has it. Whoever says something else may be no collector at all."""
    if answer.body and "html" in answer.kind:
        raise OutputError(
            f"{place} answers with a page for people: is it a collector?", pause=_MENDING_SECONDS
        )
    # What cannot be read is no reason to send all of it again.
    is_readable = not (answer.is_cut or answer.is_encoded)
    if not answer.body or not is_readable or not (answer.kind or _PROTOBUF).startswith(_PROTOBUF):
        return Taken()
    try:
        partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    except DecodeError as error:
        raise OutputError(f"{place} says that it took it, in words that no collector has") from error
    return Taken(max(partial.rejected_spans, 0), shown(partial.error_message))


def _sentence(answer: Answer) -> str:
    """Where it sends us instead; or why, in its words, if they are what the protocol has or plain text."""
    if target := answer.target:
        return f"to {target}"
    if answer.is_encoded or not answer.kind.startswith(_PROTOBUF):
        return answer.sentence()
    try:
        # A `google.rpc.Status` has its message in the same field.
        return shown(ExportTracePartialSuccess.FromString(answer.body).error_message)
    except DecodeError:
        return ""
