"""Databases as Cursor writes them, and what lies in its directories; both by a child process.

The process that runs the service must not open a watched file by itself, not even to hash it: closing it
would drop the locks that the service holds. So this file is also the child's program:

    cursor_files.py sql PATH     executes the statements on stdin, a JSON list of [sql, parameters]
    cursor_files.py tree DIR     says what lies in a directory, as JSON
    cursor_files.py copy A B     writes the content of one file into another, which stays the same file
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path

RING_KEY = "aiService.generations"
ITEM_TABLE = "CREATE TABLE IF NOT EXISTS ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
SET_ITEM = "INSERT INTO ItemTable VALUES (?, ?)"
#: Long past, so that no clock of a file system is still in the same tick.
LONG_AGO_NS = 1_700_000_000_000_000_000
NOON_MS = 1_763_700_000_000


def unmeasured() -> dict[str, str]:
    """The environment of a helper that runs nothing of the package: to load coverage takes it far longer."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def new_id() -> str:
    return str(uuid.uuid4())


def ring_item(number: int = 0, **fields: object) -> dict[str, object]:
    """An item of the ring, as Cursor writes it."""
    item = {"unixMs": NOON_MS + number, "generationUUID": new_id(), "type": "composer"}
    return {**item, "textDescription": f"question {number}"} | fields


def execute(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Execute in another process; with the commit of the last statement the database is closed."""
    command = [sys.executable, __file__, "sql", str(path)]
    subprocess.run(command, input=json.dumps(statements).encode(), check=True, env=unmeasured())


def write_ring(path: Path, items: object, *, mode: str = "delete") -> None:
    """Make a database with a ring, or give it another one; `items` that are text go in as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    value = items if isinstance(items, str) or items is None else json.dumps(items)
    pragma = f"PRAGMA journal_mode={mode}"
    execute(path, (pragma, ()), (ITEM_TABLE, ()), (SET_ITEM, (RING_KEY, value)))


def copy_over(source: Path, target: Path) -> None:
    """Write the content of a file into another one, whose inode stays."""
    command = [sys.executable, __file__, "copy", str(source), str(target)]
    subprocess.run(command, check=True, env=unmeasured())


def make_user_dir(directory: Path) -> Path:
    """A `User` directory without a database in it."""
    user = directory / "User"
    (user / "workspaceStorage").mkdir(parents=True)
    (user / "globalStorage").mkdir()
    return user


def make_workspace(user: Path, name: str, items: object = None, *, folder: str | None = None) -> Path:
    """A directory of `workspaceStorage`, with a ring unless `items` is None; the path of its database."""
    home = user / "workspaceStorage" / name
    home.mkdir(parents=True)
    (home / "workspace.json").write_text(json.dumps({"folder": folder or f"file:///home/demo/{name}"}))
    database = home / "state.vscdb"
    if items is not None:
        write_ring(database, items)
    return database


def tree(directory: Path) -> dict[str, list[object]]:
    """Every file and directory below one: size, times, inode, mode, content. A `-shm` is shared memory."""
    command = [sys.executable, __file__, "tree", str(directory)]
    answer = subprocess.run(command, check=True, capture_output=True, env=unmeasured())
    found: dict[str, list[object]] = json.loads(answer.stdout)
    return found


def _tree(directory: Path) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for path in sorted(directory.rglob("*")):
        seen = path.lstat()
        name = str(path.relative_to(directory))
        if path.name.endswith("-shm"):
            found[name] = [seen.st_size, seen.st_ino, seen.st_mode]
            continue
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[name] = [seen.st_size, seen.st_mtime_ns, seen.st_ino, seen.st_mode, content]
    return found


def main() -> None:
    match sys.argv[1:]:
        case ["sql", path]:
            connection = sqlite3.connect(path, isolation_level=None)
            for sql, parameters in json.load(sys.stdin):
                connection.execute(sql, parameters)
            connection.close()
        case ["copy", source, target]:
            shutil.copyfile(source, target)
        case ["tree", directory]:
            json.dump(_tree(Path(directory)), sys.stdout)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # nothing to tidy up: quicker
