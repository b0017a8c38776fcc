"""One POST over HTTP/1.1, in Trio: nothing is kept open, and whoever is cancelled is gone at once.

No redirect is followed and no proxy asked: what is sent goes where it was configured to, or nowhere.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import attrs
import h11
import trio

from trio_cursor.config import redact_url
from trio_cursor.connecting import open_stream
from trio_cursor.endpoint import Place
from trio_cursor.version import __version__

#: Of an answer, which says that all is well, or a sentence.
_MOST_BYTES: Final = 64 * 1024
_LONGEST_WORDS: Final = 200
#: Over a line that is slower than this nothing large gets through in time.
_LEAST_BYTES_PER_SECOND: Final = 25_000
#: However long a server wants us to wait.
_LONGEST_PAUSE: Final = 3600.0
#: What OpenSSL calls an answer in the clear.
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
#: All is well.
OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
#: It may be able to take it later.
LATER: Final = (408, 429, 500, 502, 503, 504)


class PostError(Exception):
    """There was no answer; who knows what became of it. Its text names the place, without a secret."""


@attrs.frozen
class Answer:
    """What the server said. Names of headers in small letters."""

    status: int
    headers: dict[str, str]
    #: As much of it as anybody needs.
    body: bytes
    #: There was more of it.
    is_cut: bool = False

    @property
    def kind(self) -> str:
        """What the body is said to be, in small letters; empty: it is not said."""
        return self.headers.get("content-type", "").lower()

    @property
    def is_encoded(self) -> bool:
        """The body is packed in some way, though nobody has asked for that."""
        return self.headers.get("content-encoding", "identity").lower() not in ("", "identity")

    def pause(self, now_ms: int) -> float:
        """Seconds after which it wants to be asked again; 0 where it says nothing that makes sense."""
        text = self.headers.get("retry-after", "")
        if text.isascii() and text.isdigit():
            seconds = float(text[:10])
        else:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - now_ms / 1000
            except (ValueError, OverflowError):
                return 0.0
        # Not everybody at the same moment.
        return min(max(seconds, 0.0), _LONGEST_PAUSE) * random.uniform(1.0, 1.2)  # noqa: S311 - jitter

    def sentence(self) -> str:
        """Why, in the server's words, if they are plain text."""
        is_text = self.kind.startswith(("text/plain", "application/json")) and not self.is_encoded
        return shown(self.body.decode("utf-8", "replace")) if is_text else ""

    @property
    def target(self) -> str:
        """Where a redirect leads to, without its path; empty: it is none, or leads nowhere else."""
        try:
            parts = urlsplit(self.headers.get("location", "") if self.status in _REDIRECTS else "")
        except ValueError:
            return ""
        return shown(redact_url(f"{parts.scheme}://{parts.netloc}")) if parts.netloc else ""


async def post(
    place: Place,
    body: bytes,
    *,
    headers: Sequence[tuple[str, str]],
    tls: ssl.SSLContext | None,
    seconds: float,
) -> Answer:
    """Post it; the answer, whatever it says. Raises `PostError`.

    Args:
        place: Where.
        body: As it is sent.
        headers: What is said of it, besides those of the place.
        tls: For a place that is encrypted.
        seconds: For connecting, sending, and the answer; a large body has as much more as a slow line needs.

    """
    more = len(body) / _LEAST_BYTES_PER_SECOND
    try:
        with trio.fail_after(seconds + more):
            return await _post(place, _request(place, body, headers), tls)
    except trio.TooSlowError:
        late = f" (and {more:.0f} s for {len(body):,} bytes)" if more >= 1 else ""
        raise PostError(f"{place} does not answer within {seconds:g} s{late}") from None
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise PostError(f"{place}: {_why(error)}") from error
    except h11.RemoteProtocolError as error:
        raise PostError(f"{place} does not answer as HTTP has it ({shown(str(error))})") from error


def shown(text: str) -> str:
    """What somebody else has said, as one short line that does nothing to a terminal."""
    words = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(words.split())[:_LONGEST_WORDS]


async def _post(place: Place, request: tuple[h11.Request, bytes], tls: ssl.SSLContext | None) -> Answer:
    stream: trio.abc.Stream = await open_stream(place.host, place.port)
    if place.is_encrypted and tls is not None:
        stream = trio.SSLStream(stream, tls, server_hostname=place.host, https_compatible=True)
    try:
        return await _exchange(stream, request)
    finally:
        # No farewell: nobody has to wait for one.
        await trio.aclose_forcefully(stream)


def _request(place: Place, body: bytes, headers: Sequence[tuple[str, str]]) -> tuple[h11.Request, bytes]:
    host = f"[{place.host}]" if ":" in place.host else place.host
    lines = [
        ("Host", f"{host}:{place.port}"),
        ("User-Agent", f"trio-cursor/{__version__}"),
        ("Connection", "close"),
        ("Accept-Encoding", "identity"),
        *headers,
        *place.headers,
        ("Content-Length", str(len(body))),
    ]
    return h11.Request(method="POST", target=place.path, headers=lines), body


async def _exchange(stream: trio.abc.Stream, request: tuple[h11.Request, bytes]) -> Answer:
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


async def _read(stream: trio.abc.Stream, connection: h11.Connection) -> Answer:
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
    return Answer(head.status_code, headers, body[:_MOST_BYTES], is_cut=len(body) > _MOST_BYTES)


def _why(error: BaseException) -> str:
    """In words, of the innermost that has some: a refused connection is wrapped twice."""
    inner = error.__cause__
    if isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    if isinstance(inner, OSError) and inner is not error:
        return _why(inner)
    if isinstance(error, OSError) and not isinstance(error, (ssl.SSLError, socket.gaierror)) and error.errno:
        return os.strerror(error.errno)  # Trio's own words name the address once more
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return "what answers there does not encrypt: http:// instead of https://?"
    return shown(getattr(error, "strerror", None) or str(error) or type(error).__name__)
