"""Every state of a database that its owner may leave us with: read it right or not at all, and touch nothing.

A reader for each library and kind of directory, in processes of their own; owner and hasher are others.
On a read-only mount only where this system lets a test make one (`unshare`); elsewhere those are not run.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import cursor_files
import owner
import pytest

HELPER = str(Path(owner.__file__))
LIBRARIES = ["sqlite3", *(["pysqlite3"] if importlib.util.find_spec("pysqlite3") else [])]
READ_ONLY_MOUNT = (
    *("unshare", "--mount", "--map-root-user", "sh", "-c"),
    'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"',
)
COMMITTED = [f"k{number:04}" for number in range(owner.COMMITTED)]
#: Name of the outcome, way and journal mode of a page; what the next owner must find.
EXPECTED = {
    "DELETE idle": ("Page", "ro", "delete", 66),
    "DELETE wtx": ("Page", "ro", "delete", 67),
    "DELETE exclusive": ("Busy", None, None, 66),
    "DELETE spill": ("Busy", None, None, 126),
    "DELETE closed": ("Page", "ro", "delete", 65),
    "DELETE hot": ("NeedsRecovery", None, None, 65),
    "DELETE zero": ("Empty", None, None, None),
    "DELETE strayw": ("Page", "private copy", "delete", 65),
    "WAL idle": ("Page", "ro+readonly_shm", "wal", 66),
    "WAL opened": ("Page", "ro+readonly_shm", "wal", 66),
    "WAL wtx": ("Page", "ro+readonly_shm", "wal", 67),
    "WAL closed": ("Page", "immutable", "wal", 65),
    "WAL crash": ("Page", "ro+readonly_shm", "wal", 65),
    "WAL noshm": ("Page", "private copy", "wal", 65),
    "WAL torn": ("Page", "ro+readonly_shm", "wal", 65),
}


def mounts_read_only(directory: Path) -> bool:
    if sys.platform != "linux" or not shutil.which("unshare"):
        return False
    probe = ["sh", "-c", 'test -w "$0" || echo read-only', str(directory)]
    said = subprocess.run([*READ_ONLY_MOUNT, str(directory), *probe], capture_output=True, check=False).stdout
    return said == b"read-only\n"


KINDS = ["writable", *(["read-only mount"] if mounts_read_only(Path(__file__).parent) else [])]


class Child:
    """A helper that answers each line with a line."""

    def __init__(self, *command: str) -> None:
        # Of ours is what reads; the others would load coverage for nothing.
        environ = None if "read" in command else cursor_files.unmeasured()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
        )

    def hear(self) -> object:
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, line: object) -> object:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.hear()

    def close(self) -> int:
        self.process.communicate()
        return self.process.returncode


@contextmanager
def child(*arguments: object, prefix: tuple[str, ...] = ()):
    helper = Child(*prefix, sys.executable, HELPER, *map(str, arguments))
    try:
        yield helper
    finally:
        helper.close()


@pytest.fixture(scope="module")
def hasher():
    with child("hash") as helper:
        yield helper


@pytest.fixture(
    scope="module", params=[(library, kind) for kind in KINDS for library in LIBRARIES], ids="-".join
)
def place(request, tmp_path_factory):
    """A directory for databases, and a reader that sees it."""
    library, kind = request.param
    base = tmp_path_factory.mktemp("place")
    root, private = base / "root", base / "private"
    root.mkdir()
    prefix = (*READ_ONLY_MOUNT, str(root)) if kind == "read-only mount" else ()
    with child("read", library, root, private, prefix=prefix) as reader:
        assert reader.hear() == "ready"
        yield root, private, reader


@pytest.mark.parametrize("state", owner.STATES)
def test_every_state_is_read_right_or_refused_and_nothing_is_touched(state, place, hasher):
    root, private, reader = place
    directory = root / state.replace(" ", "-")
    directory.mkdir()
    name, way, mode, count = EXPECTED[state]
    with child("own", state, directory) as living:
        if state in owner.DEAD:
            assert living.hear() is None
            assert living.close() in (0, -signal.SIGKILL)
        else:
            assert living.hear() == "ready"
        before = hasher.ask(directory)

        outcome, page = reader.ask(directory / "state.vscdb")

        assert hasher.ask(directory) == before
        assert outcome == name
        assert page == (None if way is None else [way, mode, COMMITTED])
        if state not in owner.DEAD:
            assert living.ask("go on") == count
    assert [copy.name for copy in private.glob("*")] == []
    with child("after", directory / "state.vscdb") as heir:
        assert heir.hear() == ["ok", count]


def test_the_table_names_every_state():
    assert sorted(EXPECTED) == owner.STATES
