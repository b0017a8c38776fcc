"""Every era of Cursor's storage, as files on disk, against what must be reported of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cursor_files
import pytest
import running
from eras import ERAS
from eras.expected import differences
from eras.machine import CANARY, Machine

pytestmark = pytest.mark.usefixtures("unmeasured")

ALL = "one machine through all of them"


@pytest.fixture(params=[*ERAS, ALL])
def era(request, user_dir):
    """What must be reported of the directory that it has made."""
    machine = Machine()
    chosen = list(ERAS.values()) if request.param == ALL else [ERAS[request.param]]
    expected = [item for module in chosen for item in module.build(machine)]
    machine.write(user_dir)
    return expected


def test_an_era_is_reported_field_by_field_and_left_as_it_was(era, user_dir, tmp_path):
    before = cursor_files.tree(user_dir)
    said = running.run_once(user_dir, tmp_path / "state")
    assert cursor_files.tree(user_dir) == before
    for path in (tmp_path / "state").rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes(), f"a secret is in {path.name}"
    found = differences(era, running.logged_events(tmp_path / "state"))
    assert not found, "\n".join(["", *found, said])


def test_a_second_run_has_nothing_to_add_to_any_era(user_dir, tmp_path):
    machine = Machine()
    for module in ERAS.values():
        module.build(machine)
    machine.write(user_dir)
    running.run_once(user_dir, tmp_path / "state")
    first = running.logged_events(tmp_path / "state")
    running.run_once(user_dir, tmp_path / "state")
    assert first
    assert running.logged_events(tmp_path / "state") == first


COUNT = """
import json, sqlite3, sys
answer = {}
for path in sys.argv[1:]:
    connection = sqlite3.connect(path)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    with open(path, "rb") as file:
        counts["is_wal"] = file.read(20)[18] == 2
    connection.close()
    answer[path] = counts
json.dump(answer, sys.stdout)
"""


def counted(user: Path) -> dict[str, dict[str, int]]:
    """Rows of each table of each database, by another process; by the path below `User`."""
    paths = sorted(user.glob("*Storage/state.vscdb")) + sorted(user.glob("*Storage/*/state.vscdb"))
    command = [sys.executable, "-c", COUNT, *map(str, paths)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {str(Path(path).relative_to(user)): counts for path, counts in answer.items()}


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("2024", {"ItemTable"}),
        ("0.44-0.48", {"ItemTable", "cursorDiskKV"}),
        ("3.0", {"ItemTable", "cursorDiskKV"}),
        ("3.9-3.12", {"ItemTable", "cursorDiskKV", "composerHeaders"}),
        (ALL, {"ItemTable", "cursorDiskKV", "composerHeaders"}),
    ],
)
def test_the_files_are_what_cursor_would_have_left(name, layout, user_dir):
    machine = Machine()
    for module in ERAS.values() if name == ALL else [ERAS[name]]:
        module.build(machine)
    machine.write(user_dir)
    databases = counted(user_dir)
    of_all = databases.pop("globalStorage/state.vscdb")
    assert of_all.pop("is_wal") == (machine.journal == "wal")
    assert of_all.keys() == layout
    # A key is unique, but for NULL; rows that replaced one another are fewer.
    assert of_all["ItemTable"] == len({key for key, _ in machine.items}) + (None in machine.rings)
    assert of_all.get("cursorDiskKV", 0) == len({key for key, _ in machine.disk})
    assert of_all.get("composerHeaders", 0) == len(machine.headers)
    assert {path.parent.name for path in map(Path, databases)} == {home.id for home in machine.homes}
    for home, items in machine.homes.items():
        counts = databases[f"workspaceStorage/{home.id}/state.vscdb"]
        assert counts["is_wal"] == (home.journal == "wal")
        assert counts["ItemTable"] == len(items) + 1 + (home in machine.rings)
    assert list(user_dir.rglob("*-wal")) == []
