"""Who takes alarms over HTTP, and behaves as it is told."""

from __future__ import annotations

import json
import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs


@attrs.define(eq=False)
class Hook:
    """What has come, and what the next requests are answered with."""

    port: int = 0
    #: Every request: path, headers and what was posted, also those that were not taken.
    requests: list = attrs.field(factory=list)
    #: Statuses, each with headers; None: no answer until the end. When it is empty: 204.
    script: deque = attrs.field(factory=deque)
    ended: threading.Event = attrs.field(factory=threading.Event)

    @property
    def posted(self):
        return [json.loads(body) for _, _, body in self.requests]

    @contextmanager
    def listening(self, tls=None):
        """Listen, on the same port each time."""
        self.ended.clear()
        server = _Server(("127.0.0.1", self.port), _handler(self))
        self.port = server.server_address[1]
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


def _handler(hook):
    class Handler(BaseHTTPRequestHandler):
        #: Seconds for whoever says nothing: at the end a test waits for its server, and its clients with it.
        timeout = 3

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.requests.append((self.path, dict(self.headers), body))
            answer = hook.script.popleft() if hook.script else (204, {})
            if answer is None:
                hook.ended.wait(30)
                return
            status, headers = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self):
            hook.requests.append((self.path, dict(self.headers), b"null"))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """To nobody."""

    return Handler
