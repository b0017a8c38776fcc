"""A Cursor that has one database open, in a process of its own, and does to it what it is told.

As a program: `living_owner.py PATH MODE` executes each line of stdin, JSON of [sql, parameters], and answers
with the rows, or with the words of the error.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import cursor_files


class LivingOwner:
    """The process; it is killed at the end of the block if it still lives."""

    def __init__(self, path: Path, mode: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(path), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=cursor_files.unmeasured(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Any:
        """The rows; what it may not do is our fault, since only the service is there besides."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([sql, parameters]), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        assert not isinstance(answer, str), answer
        return answer

    def set_ring(self, items: object) -> None:
        value = items if isinstance(items, str) else json.dumps(items)
        self.execute(cursor_files.SET_ITEM, (cursor_files.RING_KEY, value))

    def close(self) -> None:
        """As a window is closed: the last one takes the log with it."""
        self._process.communicate()

    def kill(self) -> None:
        """As it crashes: nothing is tidied up."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    path, mode = sys.argv[1:]
    connection = sqlite3.connect(path, isolation_level=None, timeout=1)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute(cursor_files.ITEM_TABLE)
    for line in sys.stdin:
        sql, parameters = json.loads(line)
        answer: object
        try:
            answer = connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)
    connection.close()


if __name__ == "__main__":
    main()
