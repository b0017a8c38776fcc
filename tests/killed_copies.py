"""A command that is killed while it has a private copy of a database of Cursor's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cursor_files

#: The real command, up to the moment at which its first copy is complete.
_PROGRAM = """
import sys, time
from trio_cursor.cli import main
from trio_cursor.cursor import private_copies

def stay(*_):
    print("copied", flush=True)
    time.sleep(600)

private_copies.verify_unchanged = stay
main(sys.argv[1:])
"""


def make_what_is_copied(user_dir: Path) -> None:
    """A workspace whose database can be read in no other way: a log lies beside it that is not its own."""
    database = cursor_files.make_workspace(user_dir, "w1", [cursor_files.ring_item()])
    database.with_name("state.vscdb-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(range(256)) * 20)
    for path in database.parent.iterdir():
        os.utime(path, ns=(cursor_files.LONG_AGO_NS, cursor_files.LONG_AGO_NS))


def start_and_kill(command: str, user_dir: Path, state_dir: Path) -> None:
    """Start it, and kill it when it has a copy."""
    words = [command, "--cursor-dir", str(user_dir), "--state-dir", str(state_dir)]
    program = [sys.executable, "-c", _PROGRAM, *words]
    # Whoever is killed says nothing of what it has executed.
    with subprocess.Popen(program, stdout=subprocess.PIPE, env=cursor_files.unmeasured()) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    assert said == b"copied\n"


def copies_in(state_dir: Path) -> list[Path]:
    return sorted(state_dir.rglob("state.vscdb*"))
