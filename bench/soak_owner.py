"""An owner that opens, commits and closes all the time, and the service beside it, by strace if asked for.

In each journal mode one database, opened as VS Code's storage service does. After each close it is looked
whether something stays that the owner alone would not have left, and whether a plain copy of the file, which
is what Cursor's `.backup` is, has everything. In the end every generation must be in the log once.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import running
from owner_workspaces import MODES, build
from traced import changes, doings, strace, traced_pid

OWNER = """
import json, os, random, sqlite3, sys, time, uuid
mode, path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
end, counts, ids = time.monotonic() + seconds, {}, []
def count(what): counts[what] = counts.get(what, 0) + 1
while time.monotonic() < end:
    connection = sqlite3.connect(path, isolation_level=None, timeout=1)
    count("opened")
    try:
        connection.execute("PRAGMA user_version=1")
        connection.execute("CREATE TABLE IF NOT EXISTS ItemTable (key TEXT UNIQUE, value BLOB)")
    except sqlite3.OperationalError:
        count("failed opens")
    for _ in range(random.randint(1, 3)):
        id_ = str(uuid.uuid4())
        value = json.dumps({"model": "m", "responseText": "x" * 2000})
        row = (id_, time.time_ns(), value, time.time_ns() // 10**6)
        try:
            connection.execute('INSERT INTO "aiService.generations" VALUES (?, ?, ?, ?)', row)
            ids.append(id_)
            count("commits")
        except sqlite3.OperationalError:
            count("failed commits")
        time.sleep(random.uniform(0, 0.02))
    connection.close()
    for name in os.listdir(os.path.dirname(path)):
        if name not in ("state.vscdb", "workspace.json"):
            count("left behind: " + name.replace("state.vscdb", ""))
    # The backup that Cursor would make now: the file alone, whatever lies beside it.
    copy = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    newest = 'SELECT count(*) FROM "aiService.generations" WHERE uuid=?'
    if ids and copy.execute(newest, ids[-1:]).fetchone() != (1,):
        count("copies that lack the newest row")
    copy.close()
    time.sleep(random.uniform(0, 0.05))
print(json.dumps([counts, ids]))
"""


def main() -> None:
    """Print what happened; exit 1 if anything did that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--strace", action="store_true", help="also list what the service does to the files")
    arguments = parser.parse_args()
    is_bad = False
    with tempfile.TemporaryDirectory() as name:
        place, user = Path(name), Path(name) / "User"
        paths = [build(user, mode) for mode in MODES]
        tracing = strace(place / "trace") if arguments.strace else []
        service = subprocess.Popen(
            [*tracing, *running.command(user, place / "state")], stdout=subprocess.DEVNULL
        )
        time.sleep(3)
        owners = [
            subprocess.Popen(
                [sys.executable, "-c", OWNER, mode, str(path), str(arguments.seconds)], stdout=subprocess.PIPE
            )
            for mode, path in zip(MODES, paths, strict=True)
        ]
        committed: list[str] = []
        for mode, owner in zip(MODES, owners, strict=True):
            counts, ids = json.loads(owner.communicate()[0])
            committed += ids
            print(f"{mode:7}", ", ".join(f"{number:,} {what}" for what, number in sorted(counts.items())))
            is_bad |= any(not what.startswith(("opened", "commits")) for what in counts)
        time.sleep(3)
        os.kill(traced_pid(service.pid) if arguments.strace else service.pid, signal.SIGTERM)
        service.wait()
        reported = running.reported(place / "state")
        lost = len(set(committed) - reported.keys())
        alien = len(reported.keys() - set(committed))
        doubled = sum(number > 1 for number in reported.values())
        print(f"generations {len(committed):,}: lost {lost}, doubled {doubled}, never committed {alien}")
        is_bad |= bool(lost or doubled or alien)
        if arguments.strace:
            done: Counter[str] = doings(place / "trace", user)
            print("the service below Cursor's directory:")
            for word, number in done.most_common():
                print(f"{number:9,}  {word}")
            is_bad |= bool(changes(done))
            print("changes:", changes(done) or "none")
    sys.exit(1 if is_bad else 0)


if __name__ == "__main__":
    main()
