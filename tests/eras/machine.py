"""One user's Cursor, collected row by row and then written: real files, by a child process, closed again."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import attrs
import cursor_files

#: Stands in everything that no event may hold.
CANARY = "era-canary-that-never-leaves"

_DISK_KV = "CREATE TABLE cursorDiskKV (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
_HEADERS = (
    """CREATE TABLE composerHeaders (composerId TEXT PRIMARY KEY, workspaceId TEXT, createdAt INTEGER,
        lastUpdatedAt INTEGER, isArchived INTEGER, isSubagent INTEGER, recency INTEGER, checkpointAt INTEGER,
        value TEXT)""",
    "CREATE INDEX idx_composerHeaders_0 ON composerHeaders (workspaceId, isSubagent, isArchived, recency)",
    "CREATE INDEX idx_composerHeaders_1 ON composerHeaders (recency, composerId)",
)
#: In the same table as the ring of windows without a folder.
_SECRETS = {
    "cursorAuth/accessToken": f"{CANARY}.access",
    "cursorAuth/refreshToken": f"{CANARY}.refresh",
    "cursorAuth/cachedEmail": f"{CANARY}@example.invalid",
    'secret://{"extensionId":"example.publisher","key":"token"}': f"{CANARY}.extension",
    "aiCodeTrackingLines": [{"hash": "1f2e", "metadata": {"source": "composer", "note": CANARY}}],
    "src.vs.platform.reactivestorage.browser.reactiveStorageServiceImpl.persistentStorage.applicationUser": {
        "aiSettings": {"modelOverrideEnabled": [], "openAIKey": CANARY}
    },
}


def uid(name: str) -> str:
    """The same id for the same name, always."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"eras/{name}"))


def at(moment: str) -> int:
    """Milliseconds since the epoch of `2025-10-03 14:05:07.250`, UTC."""
    return round(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000)


def iso(milliseconds: int) -> str:
    """As `Date.toISOString` writes it."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03}Z"


@attrs.frozen
class Home:
    """A directory of `workspaceStorage`: what `workspace.json` says, and what events must say of it."""

    id: str
    uri: str | None = None
    path: str | None = None
    journal: str = "delete"
    #: Under which key of `workspace.json` the URI stands.
    kind: str = "folder"

    @property
    def hash(self) -> str | None:
        if self.path is None:
            return None
        named = self.uri if self.uri and self.uri.startswith("vscode-remote:") else self.path
        return hashlib.sha256(named.encode()).hexdigest()[:16]


def folder(name: str, path: str, *, journal: str = "delete") -> Home:
    """A local folder on Linux."""
    return Home(hashlib.md5(f"eras/{name}".encode()).hexdigest(), f"file://{path}", path, journal)


@attrs.frozen
class Blob:
    """Stored as a BLOB, whatever the table usually holds."""

    content: bytes


@attrs.frozen
class Broken:
    """Stored as TEXT, though it may not be UTF-8."""

    content: bytes


def _insert(table: str, key: str | None, value: object) -> tuple[str, tuple[object, ...]]:
    match value:
        case Blob(content):
            return f"INSERT INTO {table} VALUES (?, X'{content.hex()}')", (key,)
        case Broken(content):
            return f"INSERT INTO {table} VALUES (?, CAST(X'{content.hex()}' AS TEXT))", (key,)
        case None | str():
            return f"INSERT INTO {table} VALUES (?, ?)", (key, value)
        case _:
            return f"INSERT INTO {table} VALUES (?, ?)", (key, json.dumps(value, ensure_ascii=False))


@attrs.define
class Machine:
    """What will lie in one `User` directory."""

    #: Of the global database.
    journal: str = "delete"
    now: int = attrs.field(factory=lambda: int(time.time() * 1000))
    #: Rows of the global ItemTable, of cursorDiskKV, of composerHeaders (`value` last).
    items: list[tuple[str, object]] = attrs.field(factory=lambda: list(_SECRETS.items()))
    disk: list[tuple[str | None, object]] = attrs.field(factory=list)
    headers: list[tuple[object, ...]] = attrs.field(factory=list)
    #: Rows of the ItemTable of each workspace.
    homes: dict[Home, list[tuple[str, object]]] = attrs.field(factory=dict)
    #: Entries of each ring; None: that of windows without a folder.
    rings: dict[Home | None, list[object]] = attrs.field(factory=dict)
    #: What else lies about, by its path below `User`.
    files: dict[str, str] = attrs.field(factory=dict)
    #: Rings that lie in databases that are not in use, by their path below `User`.
    leftovers: dict[str, list[object]] = attrs.field(factory=dict)
    #: Columns that later builds have appended to composerHeaders.
    more_columns: tuple[str, ...] = ()

    def workspace(self, home: Home, **items: object) -> None:
        """Add a directory of `workspaceStorage`; in the names of items a `__` is a dot."""
        rows = [(key.replace("__", "."), value) for key, value in items.items()]
        self.homes.setdefault(home, []).extend(rows)

    def ring(self, home: Home | None, *entries: object) -> None:
        """Append to the ring of a workspace, or of the windows without a folder."""
        if home is not None:
            self.homes.setdefault(home, [])
        self.rings.setdefault(home, []).extend(entries)

    def write(self, user: Path) -> None:
        """Write it all; afterwards nobody has any of the files open."""
        for home, rows in self.homes.items():
            directory = user / "workspaceStorage" / home.id
            directory.mkdir()
            if home.uri is not None:
                (directory / "workspace.json").write_text(json.dumps({home.kind: home.uri}))
            items = [*rows, *self._ring_row(home), ("history.entries", [{"editor": {"note": CANARY}}])]
            _write_database(directory / "state.vscdb", home.journal, _tables([("ItemTable", items)]))
        tables = [("ItemTable", [*self.items, *self._ring_row(None)])]
        if self.disk:
            tables.append(("cursorDiskKV", self.disk))
        database = user / "globalStorage" / "state.vscdb"
        _write_database(database, self.journal, [*_tables(tables), *self._headers_table()])
        if self.journal == "wal":
            database.with_name("state.vscdb.options.json").write_text('{"useWAL": true}')
        for name, ring in self.leftovers.items():
            cursor_files.write_ring(user / name, ring)
        for name, text in self.files.items():
            (user / name).parent.mkdir(parents=True, exist_ok=True)
            (user / name).write_text(text)

    def _ring_row(self, home: Home | None) -> list[tuple[str, object]]:
        return [(cursor_files.RING_KEY, self.rings[home])] if home in self.rings else []

    def _headers_table(self) -> list[tuple[str, tuple[object, ...]]]:
        if not self.headers:
            return []
        more = [f"ALTER TABLE composerHeaders ADD COLUMN {name} TEXT" for name in self.more_columns]
        made = [(statement, ()) for statement in (*_HEADERS, *more)]
        names = "composerId, workspaceId, createdAt, lastUpdatedAt, isArchived, isSubagent, recency"
        into = f"INSERT INTO composerHeaders ({names}, checkpointAt, value) VALUES (?,?,?,?,?,?,?,?,?)"
        return [*made, *((into, row) for row in self.headers)]


def _tables(tables: list[tuple[str, list]]) -> list[tuple[str, tuple[object, ...]]]:
    statements = []
    for name, rows in tables:
        statements.append((cursor_files.ITEM_TABLE if name == "ItemTable" else _DISK_KV, ()))
        statements += [_insert(name, *row) for row in rows]
    return statements


def _write_database(path: Path, journal: str, statements: list[tuple[str, tuple[object, ...]]]) -> None:
    before = [(f"PRAGMA journal_mode={journal}", ()), ("PRAGMA user_version=1", ()), ("BEGIN", ())]
    cursor_files.execute(path, *before, *statements, ("COMMIT", ()))
