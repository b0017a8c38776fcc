"""From Cursor's commit to `tail --json`, in a home of 200 workspaces with a global database of a gigabyte.

A living fake Cursor, the service and `tail`, each a process of its own. Counted from the commit that settled
a turn; what no conversation knows waits on purpose, and is not counted.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import running
from homes import is_up
from live import quantile

from trio_cursor.demo.process import FakeCursorProcess


def main() -> None:
    """Print the figures; exit 1 if a generation is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=200)
    parser.add_argument("--workspaces", type=int, default=200)
    parser.add_argument("--open", type=int, default=20)
    parser.add_argument("--rate", type=float, default=4.0)
    parser.add_argument("--bubbles", type=int, default=0, help="300,000 are a gigabyte")
    parser.add_argument("--place", help="where to build; an existing tree goes on")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(arguments.place or name)
        options = ["--workspaces", str(arguments.workspaces), "--open", str(arguments.open)]
        options += ["--rate", str(arguments.rate), "--bubbles", str(arguments.bubbles)]
        options += ["--window-seconds", "0", "--generations", "1000000"]
        began = time.time_ns() // 10**6
        with FakeCursorProcess(place / "cursor", *options) as cursor:
            database = cursor.cursor_dir / "globalStorage" / "state.vscdb"
            size = database.stat().st_size
            state = Path(name) / "state"
            # A day, as it comes: not all of a gigabyte.
            command = running.command(cursor.cursor_dir, state, "--since", "24h")
            service = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            while not is_up(state, arguments.workspaces):
                time.sleep(0.5)
            words = ["-m", "trio_cursor", "tail", "--json", "--state-dir", str(state)]
            tail = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE)
            seen: dict[str, int] = {}

            def follow() -> None:
                assert tail.stdout
                for line in tail.stdout:
                    seen[json.loads(line)["payload"]["generation_id"]] = time.time_ns() // 10**6

            threading.Thread(target=follow, daemon=True).start()
            time.sleep(10)
            since = time.time_ns() // 10**6

            def settled() -> dict[str, int]:
                turns = cursor.ledger().turns.values()
                return {
                    turn.generation_id: turn.committed_ms
                    for turn in turns
                    if turn.commit_took_ms is not None and (turn.committed_ms or 0) > since
                }

            while len(settled()) < arguments.generations:
                time.sleep(0.5)
            cursor.stop()
            found, incidents = settled(), cursor.ledger().incidents
            time.sleep(3)
            service.terminate()
            tail.terminate()
            service.wait()
    latency = [float(seen[id_] - at) for id_, at in found.items() if id_ in seen]
    missing = [id_ for id_ in found if id_ not in seen]
    print(
        f"{arguments.workspaces} workspaces, {arguments.open} open, global database {size / 1e9:.2f} GB,"
        f" {(since - began) / 1000:.0f} s to build and sync"
    )
    print(
        f"{len(latency)} generations to `tail`: p50 {statistics.median(latency):.0f} ms,"
        f" p99 {quantile(latency, 0.99):.0f} ms, max {max(latency):.0f} ms; missing {len(missing)};"
        f" owner's incidents {len(incidents)}"
    )
    for incident in incidents:
        print(incident)
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
