"""First sync of the last day, and of all there is, on a global database of about a gigabyte.

What is read is counted (bytes through read calls, from /proc), not timed. The database is built once, by the
demo, into a directory of the temporary directory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def build(place: Path, bubbles: int) -> Path:
    """A tree whose global database has about so many bubbles (some 9 KB each); its `User` directory."""
    demo = [sys.executable, "-m", "trio_cursor", "demo", str(place), "--rate", "0", "--seconds", "1"]
    if not (place / "ledger.jsonl").exists():
        subprocess.run([*demo, "--history", "200", "--bubbles", str(bubbles), "-q"], check=True)
    return next(place.rglob("globalStorage")).parent


def run(user: Path, state: Path, since: str) -> dict[str, float]:
    """One `run --once`: seconds, bytes that went through read calls, peak memory, generations."""
    command = [sys.executable, "-m", "trio_cursor", "run", "--once", "--http", "off", "-q", "--since", since]
    began = time.perf_counter()
    child = subprocess.Popen([*command, "--cursor-dir", str(user), "--state-dir", str(state)])
    counted: dict[str, float] = {}
    while child.poll() is None:
        try:
            lines = Path(f"/proc/{child.pid}/io").read_text().splitlines()
            status = Path(f"/proc/{child.pid}/status").read_text()
        except OSError:
            break
        counted["read_mb"] = int(dict(line.split(": ") for line in lines)["rchar"]) / 1e6
        if "VmHWM" in status:
            counted["peak_mb"] = int(status.split("VmHWM:")[1].split()[0]) / 1e3
        time.sleep(0.01)
    child.wait()
    counted["seconds"] = time.perf_counter() - began
    words = [sys.executable, "-m", "trio_cursor", "events", "--json", "--state-dir", str(state)]
    counted["generations"] = len(subprocess.run(words, capture_output=True, check=True).stdout.splitlines())
    return counted


def main() -> None:
    """Print a line for each window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bubbles", type=int, default=110_000)
    bubbles = parser.parse_args().bubbles
    cache = Path(tempfile.gettempdir()) / f"trio_cursor_bench_{os.getuid()}_{bubbles}"
    user = build(cache, bubbles)
    size = (user / "globalStorage" / "state.vscdb").stat().st_size / 1e6
    print(f"global database: {size:,.0f} MB")
    for since in ("0s", "24h", "all"):
        with tempfile.TemporaryDirectory() as state:
            found = run(user, Path(state) / "state", since)
        print(json.dumps({"since": since, **{name: round(value, 2) for name, value in found.items()}}))


if __name__ == "__main__":
    main()
