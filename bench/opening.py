"""Every state that an owner may leave a database in: what we read of it, and what we do to its directory.

The table of the safety rules on the package as it is: each state is made by a process of its own and read by
another, under strace; the directory is hashed before and after; then the owner goes on, or its heir opens it.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import owner as helper
from test_opening_matrix import COMMITTED, EXPECTED
from traced import changes, doings, strace

HELPER = [sys.executable, str(Path(helper.__file__))]


class Child:
    """Another process, which answers each line with a line."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hear(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, words: object) -> Any:
        assert self.process.stdin
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()
        return self.hear()

    def close(self) -> None:
        self.process.communicate()


def row(state: str, library: str, place: Path) -> tuple[str, bool]:
    """One cell of the table, and whether it is as it must be."""
    directory = place / state.replace(" ", "-")
    private, trace = place / "private", place / f"{directory.name}.trace"
    directory.mkdir(parents=True)
    private.mkdir(exist_ok=True)
    living = Child([*HELPER, "own", state, str(directory)])
    living.hear()
    hasher = Child([*HELPER, "hash"])
    reader = Child([*strace(trace), *HELPER, "read", library, str(directory), str(private)])
    reader.hear()
    before = hasher.ask(directory)
    outcome, page = reader.ask(directory / "state.vscdb")
    is_untouched = hasher.ask(directory) == before
    reader.close()
    hasher.close()
    count = living.ask("go on") if state not in helper.DEAD else None
    living.close()
    heir = Child([*HELPER, "after", str(directory / "state.vscdb")])
    verdict, rows = heir.hear()
    heir.close()
    expected_name, way, mode, expected_count = EXPECTED[state]
    done = doings(trace, directory)
    is_right = (
        is_untouched
        and outcome == expected_name
        and page == (None if way is None else [way, mode, COMMITTED])
        and (verdict, rows) == ("ok", expected_count)
        and count in (None, expected_count)
        and not changes(done)
    )
    answer = f"all {len(COMMITTED)} rows, {page[0]}" if page else f"refused: {outcome}"
    touched = "untouched" if is_untouched else "CHANGED"
    said = ", ".join(f"{number} x {word}" for word, number in sorted(done.items())) or "nothing opened"
    return f"{state:18} {library:10} {answer:32} {touched:10} {said}", is_right


def main() -> None:
    """Print the table; exit 1 if anything is not as it must be."""
    libraries = ["sqlite3", *(["pysqlite3"] if importlib.util.find_spec("pysqlite3") else [])]
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for library in libraries:
            for state in helper.STATES:
                text, is_right = row(state, library, Path(name) / library)
                print(text if is_right else f"{text}  <-- WRONG", flush=True)
                wrong += not is_right
    print(f"{len(libraries) * len(helper.STATES)} cells, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
