"""What a client may ask of the HTTP server."""

from __future__ import annotations

import attrs


@attrs.frozen
class Limits:
    """Bounds for each client, and for all of them. Times in seconds."""

    #: At once. One more takes the place of the one that was idle longest.
    connections: int = 100
    #: From the connection, or from the last answer, until all headers of a request are there.
    idle_seconds: float = 15.0
    #: From then on until all of its body is.
    body_seconds: float = 10.0
    #: For taking an answer.
    write_seconds: float = 10.0
    #: For hearing an answer that was given before the request was read.
    linger_seconds: float = 1.0
    #: For an announcement to be stored; longer, and the client is told to send it again.
    store_seconds: float = 5.0
    header_bytes: int = 16 * 1024
    #: Readers of the stream of events at once, so that others still find a connection.
    streams: int = 32
    #: For which such a stream lasts, before its reader has to come again.
    stream_seconds: float = 600.0
    #: Of silence, until a sign of life is sent on it.
    heartbeat_seconds: float = 15.0
