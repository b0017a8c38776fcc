"""Global databases of any size, written as Cursor writes: bubbles, then the document that names them.

Old conversations fill the file up, those of the last 24 hours lie on top, and are the same in every size. One
workspace is beside it, which all of them belong to.
"""

from __future__ import annotations

import json
import random
import sqlite3
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from kept import kept

WORKSPACE = "b" * 32
KV = "CREATE TABLE cursorDiskKV (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
ITEMS = "CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
DAY_MS = 86_400_000
#: Rows of a conversation: a document, and this many questions with one answer each.
TURNS = 12
ROWS_EACH = 1 + 2 * TURNS
RECENT = 40
USER, ASSISTANT = 1, 2

#: A row of `cursorDiskKV`.
Row = tuple[str, str]


def ids(seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    while True:
        yield str(uuid.UUID(int=chance.getrandbits(128), version=4))


def conversation(names: Iterator[str], at_ms: int, row_bytes: int, turns: int = TURNS) -> list[Row]:
    """The rows of a finished one, in the order of writing."""
    id_, headers, rows = next(names), [], []
    padding = "An answer of the usual length, in plain words. " * (1 + row_bytes // 47)
    for number in range(turns):
        request = next(names)
        for kind in (USER, ASSISTANT):
            bubble = next(names)
            headers.append({"bubbleId": bubble, "type": kind})
            document = {"_v": 3, "type": kind, "bubbleId": bubble, "isAgentic": True}
            document |= {"requestId": request if kind == USER else "", "text": f"{number} {padding}"}
            document |= {"createdAt": stamp(at_ms + number * 1000), "tokenCount": {"inputTokens": 0}}
            rows.append((f"bubbleId:{id_}:{bubble}", fitted(document, row_bytes)))
    fields = {"composerId": id_, "createdAt": at_ms, "lastUpdatedAt": at_ms + turns * 1000, "_v": 10}
    fields |= {"status": "completed", "fullConversationHeadersOnly": headers}
    fields |= {"workspaceIdentifier": {"id": WORKSPACE}}
    return [*rows, (f"composerData:{id_}", json.dumps(fields))]


def fitted(document: dict[str, object], row_bytes: int) -> str:
    """As JSON of so many bytes: its text is cut."""
    too_long = len(json.dumps(document)) - row_bytes
    text = str(document["text"])
    return json.dumps({**document, "text": text[: len(text) - too_long] if too_long > 0 else text})


def stamp(at_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at_ms // 1000))


def fill(directory: Path, rows: int, row_bytes: int) -> None:
    """A `User` directory with a global database of about so many old rows; WAL, cleanly closed."""
    workspace = directory / "User" / "workspaceStorage" / WORKSPACE
    workspace.mkdir(parents=True)
    (workspace / "workspace.json").write_text('{"folder": "file:///home/demo/big"}')
    for path, tables in ((workspace, [ITEMS]), (directory / "User" / "globalStorage", [ITEMS, KV])):
        path.mkdir(exist_ok=True)
        connection = sqlite3.connect(path / "state.vscdb", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        for table in tables:
            connection.execute(table)
        if KV in tables:
            old = int(time.time() * 1000) - 30 * DAY_MS
            names = ids(rows)
            for _ in range(max(1, rows // ROWS_EACH // 20)):
                connection.execute("BEGIN")
                for _ in range(20):
                    some = conversation(names, old, row_bytes)
                    connection.executemany("INSERT INTO cursorDiskKV VALUES (?, ?)", some)
                connection.execute("COMMIT")
        connection.close()


def big(rows: int, row_bytes: int) -> Path:
    """The database, kept from run to run; whoever writes to it writes at the top."""
    name = f"global-{rows}-{row_bytes}"
    return (
        kept(name, partial(fill, rows=rows, row_bytes=row_bytes)) / "User" / "globalStorage" / "state.vscdb"
    )


def recent(path: Path, row_bytes: int, conversations: int = RECENT) -> list[str]:
    """Have the last 24 hours on top, written just now; the keys of their rows.

    They replace those of an earlier run: the same ids, so that the file does not grow.
    """
    names, now = ids(7), int(time.time() * 1000)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN")
    keys = []
    for number in range(conversations):
        some = conversation(names, now - (conversations - number) * 60_000, row_bytes)
        connection.executemany("INSERT INTO cursorDiskKV VALUES (?, ?)", some)
        keys += [key for key, _ in some]
    connection.execute("COMMIT")
    connection.close()
    return keys
