"""A client of HTTP/1.1 that can misbehave: bytes over a socket, and what came back; and the world behind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio
from deadlines import until

from trio_cursor.states import SourceState
from trio_cursor.status import disabled
from trio_cursor.web.journal import Journal
from trio_cursor.web.limits import Limits
from trio_cursor.web.server import ServerState, serve_web

_PATIENCE_SECONDS = 30
HASH = "0123456789abcdef"


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, stream):
        self.stream = stream
        self._rest = b""

    async def send(self, data):
        await self.stream.send_all(data)

    async def ask(self, method, path, body=None, **headers):
        """Send one request (`content_type="..."` becomes a header), return its answer."""
        await self.send(request(method, path, body, **headers))
        return await self.answer(has_body=method != "HEAD")

    async def post(self, content, **headers):
        """POST /events, of an object or of bytes as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return await self.ask("POST", "/events", body, **{"content_type": "application/json", **headers})

    async def answer(self, *, has_body=True):
        """The next answer; None: the server has closed the connection."""
        head = await self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0)) if has_body else 0
        while len(self._rest) < size:
            assert await self._more()
        body, self._rest = self._rest[:size], self._rest[size:]
        return Answer(int(first.split()[1]), headers, body)

    async def is_closed(self):
        """Wait until the server closes the connection; False if it sends something instead."""
        return not self._rest and not await self._more()

    async def _until(self, end):
        while end not in self._rest:
            if not await self._more():
                return None
        head, self._rest = self._rest.split(end, 1)
        return head

    async def _more(self):
        try:
            data = await self.stream.receive_some()
        except trio.BrokenResourceError:
            return False
        self._rest += data
        return bool(data)


def request(method, path, body=None, **headers):
    fields = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body is not None and "Transfer-Encoding" not in fields:
        fields.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items() if v is not None)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def start(session_id="s1", *, event_type="session_start", hash_=HASH, **changes):
    """What an extension posts; `changes` replace parts of `event`."""
    event = {
        "event_type": event_type,
        "hook_type": "SessionStart",
        "timestamp": "2026-11-01T10:00:00.000Z",
        "payload": {"workspace_path": "/home/demo/w1"},
        "metadata": {"workspace_hash": hash_},
        **changes,
    }
    return {"event": event, "platform": "cursor", "session_id": session_id}


def descriptors():
    """All that this process has open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


class FakeDesk:
    """Records what it is handed; stores nothing while `gate` is closed."""

    def __init__(self):
        self.heard, self.calls = [], 0
        self.gate = trio.Event()
        self.gate.set()
        #: Raised by the next calls.
        self.failures = []

    async def announce(self, heard, mark=None):
        assert mark is None
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        await trio.lowlevel.checkpoint()
        await self.gate.wait()
        self.heard += heard

    async def doubt(self, source):
        raise AssertionError(source)

    @property
    def ids(self):
        return [item.session_id for item in self.heard]


@attrs.define(eq=False)
class World:
    """A running server, and what stands behind it."""

    desk: FakeDesk = attrs.field(factory=FakeDesk)
    source: SourceState = attrs.field(factory=lambda: SourceState("http"))
    state: ServerState = attrs.field(factory=lambda: ServerState("127.0.0.1:0"))
    status: object = attrs.field(factory=disabled)
    why: list[str] = attrs.field(factory=list)
    #: Without one there is no page.
    journal: Journal | None = None
    families: tuple = ()
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    async def serve(self, nursery, listen="127.0.0.1:0", token=None, **limits):
        """Start it."""
        self.state.address = listen
        await nursery.start(
            partial(
                serve_web,
                listen,
                token,
                self.state,
                intake=(self.desk, self.source),
                journal=self.journal,
                status=self._status,
                readiness=lambda: self.why,
                now_ms=self.now_ms,
                metrics=lambda: self.families,
                limits=Limits(**limits),
            )
        )

    def _status(self):
        if isinstance(self.status, Exception):
            raise self.status
        return self.status

    @property
    def port(self):
        return int(self.state.address.rpartition(":")[2])

    @property
    def url(self):
        return f"http://{self.state.address}"

    @asynccontextmanager
    async def client(self, host="127.0.0.1"):
        """A connection, closed at the end; whatever is done with it takes less than the patience."""
        with trio.fail_after(_PATIENCE_SECONDS):
            async with await trio.open_tcp_stream(host, self.port) as stream:
                yield Client(stream)

    async def until(self, is_so):
        """Wait for something that only shows in the state."""
        await until(lambda: is_so(self), _PATIENCE_SECONDS)
