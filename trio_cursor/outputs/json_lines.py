"""JSON lines: one event a line, appended to a file, or written to standard output."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
import sys
from collections.abc import Iterator
from hashlib import blake2b
from io import BufferedRandom, FileIO
from pathlib import Path
from typing import TextIO

import trio

from trio_cursor.cursor.grounds import cursor_directory_of
from trio_cursor.events import to_json
from trio_cursor.os_files import is_broken_pipe
from trio_cursor.outputs.follower import OutputClosedError, OutputError
from trio_cursor.records import Event

#: How each of our lines begins.
_START = b'{"version":'
#: How a database begins.
_DATABASE = b"SQLite format 3\0"
_DATABASE_NAMES = tuple(
    f"{name}{companion}" for name in (".sqlite3", ".vscdb") for companion in ("", "-wal", "-shm", "-journal")
)
#: Bytes before the end by which a file is known again.
_ENDING_BYTES = 256
#: A longer line is somebody else's, and may have no end at all. Ours stay far below, unless
#: `max_text_bytes` was raised to its utmost; then such an event is there twice after a kill.
_LONGEST_LINE = 64 << 20


class JsonLinesFile:
    """Appends to a file. Each event once, even if we are killed between the write and the cursor.

    The cursor keeps the size of the file and a digest of its last bytes. What stands behind them was
    written by a run that died before it could say so: its whole lines count as delivered, a torn last one
    is cut off. A file that was rotated away is made anew; of one without those bytes all lines are looked at.

    Such lines may come from an event log that was deleted or restored since, and their events in any order.
    So each counts until its event comes, and until all have come the cursor stays before them.
    """

    is_durable = True
    idle_seconds = math.inf

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.name = f"json_lines:{self.path}"
        #: Events that are in the file although the cursor does not say so.
        self._delivered: set[str] = set()
        #: What the cursor says.
        self._detail = ""
        # Own thread, like the log's: a host that uses all of Trio's must not stop the output.
        self._limiter = trio.CapacityLimiter(1)

    async def resume(self, sequence: int, detail: str) -> int:
        await trio.to_thread.run_sync(self._resume, detail, limiter=self._limiter)
        return sequence

    async def idle(self) -> None:
        """There is nothing to see to."""

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _resume(self, detail: str) -> None:
        self._delivered, self._detail = set(), detail
        with self._translated():
            try:
                self._refuse_wrong_file()
                file = self.path.open("r+b")
            except FileNotFoundError:
                return
            with file:
                self._read_from(file, _known_part(file, detail))

    def _read_from(self, file: BufferedRandom, start: int) -> None:
        whole = file.seek(start)
        while line := file.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                whole += len(line)
                while not line.endswith(b"\n") and (line := file.readline(_LONGEST_LINE)):
                    whole += len(line)
                continue
            if not line.endswith(b"\n"):
                if line.startswith(_START[: len(line)]):
                    file.truncate(whole)
                return  # somebody else's text stays, and `_append` ends its line
            whole += len(line)
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):  # somebody else's line
                self._delivered.add(json.loads(line)["event_id"])

    async def write(self, events: list[Event]) -> str:
        return await trio.to_thread.run_sync(self._write, events, limiter=self._limiter)

    def _write(self, events: list[Event]) -> str:
        lines = [to_json(event) for event in events if event.event_id not in self._delivered]
        with self._translated():
            self._refuse_wrong_file()
            # Not `Path.open`, which takes no opener: prompts are for nobody else to read.
            with open(self.path, "a+b", buffering=0, opener=_open_private) as file:
                _append(file, "".join(f"{line}\n" for line in lines).encode())
                detail = _detail(file)
        self._delivered.difference_update(event.event_id for event in events)
        if not self._delivered:
            self._detail = detail
        return self._detail

    def _refuse_wrong_file(self) -> None:
        if (why := why_not_appended(self.path)) is not None:
            raise OutputError(f"{self.path} {why}")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written ({error.strerror})") from error


def why_not_appended(path: Path) -> str | None:
    """Why lines must not be appended to a file, in words that follow its name; None: they may. Blocks.

    Raises `OSError` if it cannot be looked at.
    """
    if (cursors := cursor_directory_of(path)) is not None:
        return f"lies in {cursors}, which is Cursor's: nothing is ever written there; name another file"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # It would hang us when it is opened, and nothing that was written to it can be found again.
            return "is not a regular file; for a pipe write to - instead"
        if not _is_database(path):
            return None
    except FileNotFoundError:
        return None
    return "is a database; name another file"


def _is_database(path: Path) -> bool:
    # By its name first: whoever opens and closes a file drops all POSIX locks that this process has on it,
    # and our own log may be the one that was named.
    if path.resolve().name.endswith(_DATABASE_NAMES):
        return True
    with path.open("rb", buffering=0) as file:
        return file.read(len(_DATABASE)) == _DATABASE


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _detail(file: FileIO) -> str:
    size = file.seek(0, os.SEEK_END)
    return json.dumps({"size": size, "ending": _ending(file, size)})


def _ending(file: BufferedRandom | FileIO, size: int) -> str:
    start = file.seek(max(0, size - _ENDING_BYTES))
    return blake2b(file.read(size - start), digest_size=8).hexdigest()


def _known_part(file: BufferedRandom, detail: str) -> int:
    """Size of the part of the file that the cursor knows; 0 if the file is another one now.

    Not its inode: the next file may get the same number.
    """
    try:
        known = json.loads(detail or "{}")
        size, ending = int(known.get("size", 0)), known.get("ending")
    except (ValueError, OverflowError, TypeError, AttributeError, RecursionError):
        return 0
    is_known = file.seek(0, os.SEEK_END) >= size > 0 and _ending(file, size) == ending
    return size if is_known else 0


def _append(file: FileIO, data: bytes) -> None:
    """Add whole lines, all or none."""
    start = size = file.seek(0, os.SEEK_END)
    if data and start:
        file.seek(start - 1)
        if file.read(1) != b"\n":
            data = b"\n" + data
    try:
        while data:
            written = file.write(data)
            size, data = size + written, data[written:]
        os.fsync(file.fileno())
    except OSError:
        # A disk that filled up leaves half a line. If somebody else has written behind it, it stays.
        if os.fstat(file.fileno()).st_size == size:
            file.truncate(start)
        raise


class JsonLinesStream:
    """Writes to standard output what comes from now on; nothing is remembered of it."""

    is_durable = False
    idle_seconds = math.inf
    name = "json_lines:-"

    def __init__(self, stream: TextIO | None) -> None:
        """`stream`: as Python says, None if the descriptor was closed when we were started."""
        self._stream = stream
        #: Up to this sequence events were turned into bytes, of which these are not written yet.
        self._taken = 0
        self._unwritten = b""
        # Own thread, as for a file; whoever was abandoned in it keeps it, and nobody comes after.
        self._limiter = trio.CapacityLimiter(1)

    async def resume(self, sequence: int, detail: str) -> int:  # noqa: ARG002 - there is nothing to take up
        return sequence

    async def idle(self) -> None:
        """There is nothing to see to."""

    def close(self) -> None:
        """Nothing is open between two calls."""

    async def write(self, events: list[Event]) -> str:
        await trio.to_thread.run_sync(self._write, events, abandon_on_cancel=True, limiter=self._limiter)
        return ""

    def _write(self, events: list[Event]) -> None:
        # After an error the same events come again, but half of them may be out already.
        fresh = [event for event in events if event.sequence > self._taken]
        self._unwritten += "".join(f"{to_json(event)}\n" for event in fresh).encode()
        self._taken = max([self._taken, *(event.sequence for event in fresh)])
        stream = self._stream
        if stream is None or stream.closed:
            raise OutputClosedError("standard output is closed")
        try:
            stream.flush()
            # Past Python's buffer, which does not tell how much it got rid of before an error.
            unbuffered = getattr(stream.buffer, "raw", stream.buffer)
            while self._unwritten:
                written = unbuffered.write(self._unwritten)
                if written is None:
                    raise OutputError("nobody reads standard output at the moment")
                self._unwritten = self._unwritten[written:]
        except OSError as error:
            if is_broken_pipe(error) or error.errno == errno.EBADF:
                raise OutputClosedError("nobody reads standard output any more") from None
            raise OutputError(f"standard output cannot be written ({error.strerror})") from error


def open_json_lines(path: str) -> JsonLinesFile | JsonLinesStream:
    """The output for `--json-lines`: a file, or `-` for standard output."""
    return JsonLinesStream(sys.stdout) if path == "-" else JsonLinesFile(Path(path))
