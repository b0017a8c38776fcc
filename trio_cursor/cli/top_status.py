"""What a service says of itself, for `top`: looked at often, read when it has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs

from trio_cursor.errors import StateError
from trio_cursor.observations import JsonObject
from trio_cursor.state_dir import is_held
from trio_cursor.status_file import FILE_NAME, STALE_MS

#: Of a thousand workspaces a service writes every ten seconds, and then it takes a moment.
_SILENT_MS: Final = STALE_MS + 5_000


@attrs.define(eq=False)
class StatusLook:
    """The status file of a service, read when it has changed."""

    directory: Path
    now_ms: Callable[[], int]
    #: What the service says of itself; None: none runs, or it has not said anything that can be read.
    status: JsonObject | None = attrs.field(default=None, init=False)
    is_running: bool = attrs.field(default=False, init=False)
    #: It cannot be told whether one runs.
    trouble: str | None = attrs.field(default=None, init=False)
    #: When it last said anything.
    said_at: int = attrs.field(default=0, init=False)
    _seen: tuple[int, ...] = attrs.field(default=(), init=False)
    _text: bytes = attrs.field(default=b"", init=False)

    def look(self) -> bool:
        """See what it says now; whether that is anything new."""
        before = self.is_running, self.trouble, self.is_silent()
        try:
            self.is_running, self.trouble = is_held(self.directory), None
        except StateError as error:
            self.is_running, self.trouble = False, str(error)
        is_new = self._read() if self.is_running else self._forget()
        return is_new or (self.is_running, self.trouble, self.is_silent()) != before

    def is_silent(self) -> bool:
        """Whether it runs and has not said anything for long."""
        return self.is_running and self.status is not None and self.silent_ms() > _SILENT_MS

    def silent_ms(self) -> int:
        """How long it has not said anything."""
        return self.now_ms() - self.said_at

    def _forget(self) -> bool:
        was_there = self.status is not None
        self.status, self._seen, self._text = None, (), b""
        return was_there

    def _read(self) -> bool:
        path = self.directory / FILE_NAME
        try:
            found = path.stat()
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if seen == self._seen:
                return False
            self.said_at = found.st_mtime_ns // 1_000_000
            text = path.read_bytes()
        except OSError:  # it is being replaced, or not written yet
            return False
        self._seen = seen
        # It is touched every few seconds, and of a thousand workspaces it has half a megabyte.
        if text == self._text:
            return False
        try:
            status: Any = json.loads(text)
        except ValueError:
            status = None
        self.status, self._text = status if isinstance(status, dict) else None, text
        return True
