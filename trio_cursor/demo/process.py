"""The fake Cursor as a child process, which it must always be: POSIX locks are dropped within a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trio_cursor.demo.ledger import LEDGER_NAME, Ledger, read_ledger
from trio_cursor.errors import TrioCursorError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

#: A big tree of `--bubbles` takes its time.
_READY_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 30.0

# ^C in the terminal is for the one who started us; on Windows ^Break, the polite end, wants such a group too.
if sys.platform == "win32":
    _POLITELY: Final = signal.CTRL_BREAK_EVENT
    _PROCESS_GROUP: Final = None
    _CREATION_FLAGS: Final = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _POLITELY: Final = signal.SIGTERM
    _PROCESS_GROUP: Final = 0
    _CREATION_FLAGS: Final = 0


class FakeCursorError(TrioCursorError):
    """The child did not come up, or does not go; its own words are in the text."""


class FakeCursorProcess:
    """A context manager around a running demo: entered when the tree is ready, left when the child has gone.

    `options` are those of the command line: `FakeCursorProcess(path, "--rate", "100")`. Leaving the block
    stops the child in good order unless it has ended before. A new one on the same directory goes on with it.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self._options = options
        self._child: subprocess.Popen[bytes] | None = None
        self._words = b""
        self._words_file: Path | None = None
        self._cursor_dir: Path | None = None

    @property
    def cursor_dir(self) -> Path:
        """The `User` directory."""
        if self._cursor_dir is None:
            raise FakeCursorError("the fake Cursor has not been started")
        return self._cursor_dir

    @property
    def pid(self) -> int:
        return self._running.pid

    def ledger(self) -> Ledger:
        """What has been written up to now; also after the end."""
        return read_ledger(self.directory / LEDGER_NAME)

    def stop(self) -> int:
        """Close it as a person would, wait until it is done; its exit code."""
        if self._running.poll() is None:
            self.resume()
            self._running.send_signal(_POLITELY)
        try:
            return self.wait(_STOP_SECONDS)
        except FakeCursorError:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as a crash would: `-wal`, `-shm` or a hot journal stay where they are."""
        self._running.kill()
        self.wait(_STOP_SECONDS)

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Wait until it ends by itself; its exit code."""
        try:
            code = self._running.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise FakeCursorError(f"the fake Cursor still lives after {timeout_seconds} s") from error
        if self._running.stdout is not None:
            self._running.stdout.close()
        return code

    def words(self) -> str:
        """What it has said on stderr."""
        words = self._words if self._words_file is None else self._words_file.read_bytes()
        return words.decode(errors="replace")

    if sys.platform == "win32":

        def resume(self) -> None:
            """There is no pause to come back from on Windows."""

    else:

        def pause(self) -> None:
            """Stop it in the middle of whatever it does, locks in hand."""
            self._running.send_signal(signal.SIGSTOP)

        def resume(self) -> None:
            """Go on after `pause`."""
            self._running.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "trio_cursor.demo", str(self.directory), "--json"]
        # A file and no pipe, which would fill up when nobody reads it. Beside the directory: whoever is
        # killed leaves that as well, and nothing of us lies about elsewhere.
        beside = self.directory.absolute()
        with tempfile.NamedTemporaryFile(
            prefix=f"{beside.name}-words-", dir=beside.parent, delete=False
        ) as words:
            self._words_file = Path(words.name)
            self._child = subprocess.Popen(
                [*command, "--parent", str(os.getpid()), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=words,
                process_group=_PROCESS_GROUP,
                creationflags=_CREATION_FLAGS,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            self._keep_words()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            self._keep_words()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise FakeCursorError("the fake Cursor has not been started")
        return self._child

    def _keep_words(self) -> None:
        if self._words_file is not None:
            self._words = self._words_file.read_bytes()
            self._words_file.unlink()
            self._words_file = None

    def _wait_until_ready(self) -> None:
        child = self._running
        if child.stdout is None:
            raise FakeCursorError("the fake Cursor has no stdout")
        # A child that hangs is killed, which ends the line that is waited for.
        too_late = threading.Timer(_READY_SECONDS, child.kill)
        # Not one to keep the whole program for minutes, if a signal comes before it can be called off.
        too_late.daemon = True
        try:
            too_late.start()
            line = child.stdout.readline()
        finally:
            too_late.cancel()
        if not line.endswith(b"\n"):
            child.wait()
            raise FakeCursorError(f"the fake Cursor did not come up: {self.words().strip()}")
        self._cursor_dir = Path(json.loads(line)["cursor_dir"])
