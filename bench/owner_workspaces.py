"""Workspaces for owners to commit to, one of each journal mode."""

import subprocess
import sys
from pathlib import Path

MODES = ("delete", "wal")
_MAKE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=" + sys.argv[2])
connection.execute("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
connection.execute('CREATE TABLE "aiService.generations"'
                   ' (uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER)')
connection.close()
"""


def build(user: Path, mode: str) -> Path:
    """A workspace with an empty ring and table; its database."""
    folder = user / "workspaceStorage" / f"{MODES.index(mode):032x}"
    folder.mkdir(parents=True)
    (folder / "workspace.json").write_text(f'{{"folder": "file:///home/demo/{mode}"}}')
    path = folder / "state.vscdb"
    # A process of its own, as the owner has: POSIX locks belong to a process.
    subprocess.run([sys.executable, "-c", _MAKE, str(path), mode], check=True)
    return path
