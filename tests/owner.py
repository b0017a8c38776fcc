"""The other processes in the tests of the door, as child processes: POSIX locks belong to a process.

    owner.py own STATE DIRECTORY        owns a database and brings it into a named state
    owner.py after DATABASE             opens it as its next owner would
    owner.py hash                       for each directory on stdin, what lies in it
    owner.py read LIBRARY ROOT PRIVATE  for each database on stdin, what the guest gets

What they say is JSON, a line each.
"""

# The library has to be chosen before anything of ours is imported.
# ruff: noqa: PLC0415

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import sys
from pathlib import Path

CHECKPOINTED = 40
COMMITTED = 65
#: The states in which the owner has died, by its own hand or ours.
DEAD = {"DELETE closed", "DELETE hot", "DELETE zero", "DELETE strayw"} | {
    "WAL closed",
    "WAL crash",
    "WAL noshm",
    "WAL torn",
}
STATES = sorted(
    DEAD
    | {"DELETE idle", "DELETE wtx", "DELETE spill", "DELETE exclusive", "WAL idle", "WAL opened", "WAL wtx"}
)


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def insert(connection: sqlite3.Connection, numbers: range) -> None:
    rows = [(f"k{number:04}", "x" * 3000) for number in numbers]
    connection.executemany("INSERT INTO ItemTable VALUES (?, ?)", rows)


def create(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
    insert(connection, range(CHECKPOINTED))
    if mode == "WAL":
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    insert(connection, range(CHECKPOINTED, COMMITTED))
    return connection


def begin_and_spill(connection: sqlite3.Connection) -> None:
    """Leave a transaction open whose pages did not fit into the cache."""
    connection.execute("PRAGMA cache_size=5")
    connection.execute("BEGIN")
    insert(connection, range(COMMITTED, COMMITTED + 60))


def own(state: str, directory: Path) -> None:  # noqa: C901 - a table of states
    path = directory / "state.vscdb"
    mode, what = state.split()
    if what == "zero":
        path.touch()
        (directory / "state.vscdb-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(1016))
        return
    connection = create(path, mode)
    match what:
        case "wtx":
            connection.execute("BEGIN IMMEDIATE")
            insert(connection, range(COMMITTED, COMMITTED + 1))
        case "exclusive":
            connection.execute("BEGIN EXCLUSIVE")
        case "spill":
            begin_and_spill(connection)
        case "hot" | "torn":
            begin_and_spill(connection)
            die()
        case "crash":
            die()
        case "noshm":
            (directory / "state.vscdb-shm").unlink()
            die()
        case "closed":
            connection.close()
            return
        case "strayw":
            connection.close()
            (directory / "state.vscdb-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(range(256)) * 20)
            return
        case "opened":
            connection.close()
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("SELECT count(*) FROM ItemTable").fetchall()
    say("ready")
    for _ in sys.stdin:  # each line is an order to go on with life
        if connection.in_transaction:
            connection.execute("COMMIT")
        insert(connection, range(9000, 9001))
        say(connection.execute("SELECT count(*) FROM ItemTable").fetchone()[0])
    connection.close()


def after(path: Path) -> None:
    connection = sqlite3.connect(path)
    (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    count = connection.execute("SELECT count(*) FROM ItemTable").fetchone()[0] if tables else None
    connection.close()
    say([verdict, count])


def contents(directory: Path) -> dict[str, list[object]]:
    found = {}
    for file in sorted(directory.iterdir()):
        seen = file.lstat()
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        found[file.name] = [seen.st_size, seen.st_mtime_ns, seen.st_ino, seen.st_mode, digest]
    found["."] = [directory.stat().st_mtime_ns]
    return found


def read(library: str, root: str, private: str) -> None:
    if library == "sqlite3":
        sys.modules["pysqlite3"] = None  # Python's own way to make an import fail
    import trio

    from trio_cursor import sqlite_library
    from trio_cursor.cursor.guest import Guest, Page, TimedOut
    from trio_cursor.cursor.schemas import Query

    assert library == sqlite_library.LIBRARY

    def keys(_catalog):
        rows = yield Query("SELECT key FROM ItemTable ORDER BY key")
        return lambda: (rows.stopped, [key.decode() for (key,) in rows.rows])

    async def answer(path: str) -> None:
        # No state is one that does not answer, or that has too much to be read at once; but a machine under
        # load may not get to it in time.
        for seconds in (0.3, *[10] * 20):
            guest = Guest(
                roots=[root],
                tables={"ItemTable": frozenset({"key", "value"})},
                deadline_seconds=seconds,
                max_concurrent=2,
                private_dir=private,
            )
            outcome = await guest.read(path, keys)
            is_whole = not isinstance(outcome, Page) or outcome.result[0] is None
            if is_whole and not isinstance(outcome, TimedOut):
                break
        page = [outcome.way, outcome.journal_mode, outcome.result[1]] if isinstance(outcome, Page) else None
        say([type(outcome).__name__, page])

    say("ready")
    for line in sys.stdin:
        trio.run(answer, line.rstrip("\n"))


def main() -> None:
    match sys.argv[1:]:
        case ["own", state, directory]:
            own(state, Path(directory))
        case ["after", path]:
            after(Path(path))
        case ["hash"]:
            for line in sys.stdin:
                say(contents(Path(line.rstrip("\n"))))
        case ["read", library, root, private]:
            read(library, root, private)


if __name__ == "__main__":
    main()
