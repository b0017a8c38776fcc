"""The sweep over many idle workspaces, against os.stat; and the CPU of the service while nothing happens."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

from trio_cursor.scanner import Scanner

PROBE_SECONDS = 0.25


def build(user: Path, number: int) -> None:
    """So many workspaces with an empty ring, each made as a copy of the first, and a global database."""
    storage = user / "workspaceStorage"
    (user / "globalStorage").mkdir(parents=True)
    for index in range(number):
        folder = storage / f"{index:032x}"
        folder.mkdir(parents=True)
        (folder / "workspace.json").write_text(f'{{"folder": "file:///home/demo/p{index}"}}')
        if index:
            shutil.copy(storage / ("0" * 32) / "state.vscdb", folder / "state.vscdb")
        else:
            script = (
                "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]);"
                "c.execute('CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)');"
                "c.execute(\"INSERT INTO ItemTable VALUES ('aiService.generations','[]')\"); c.commit()"
            )
            subprocess.run([sys.executable, "-c", script, str(folder / "state.vscdb")], check=True)
            shutil.copy(folder / "state.vscdb", user / "globalStorage" / "state.vscdb")


async def sweeps(user: Path, rounds: int) -> list[float]:
    """Seconds of each whole sweep, the first one left out."""
    scanner = Scanner((str(user),), lambda _: True)
    took = []
    for _ in range(rounds + 1):
        scanner.hurry()  # a whole sweep each time
        began = time.perf_counter()
        await scanner.sweep(PROBE_SECONDS)
        took.append(time.perf_counter() - began)
    return took[1:]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspaces", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        user = Path(name) / "User"
        build(user, arguments.workspaces)
        paths = [str(path) for path in user.glob("workspaceStorage/*/state.vscdb")]
        floors = []
        for _ in range(20):
            began = time.perf_counter()
            for path in paths:
                os.stat(path)  # noqa: PTH116 - the floor itself
            floors.append(time.perf_counter() - began)
        floor = statistics.median(floors)
        sweep = statistics.median(trio.run(sweeps, user, 20))
        command = [sys.executable, "-m", "trio_cursor", "run", "-q", "--http", "off"]
        process = subprocess.Popen(
            [*command, "--cursor-dir", str(user), "--state-dir", str(Path(name) / "state")],
            stdout=subprocess.DEVNULL,
        )
        time.sleep(4 + arguments.workspaces / 100)  # its first pass
        before = cpu_of(process.pid)
        time.sleep(arguments.seconds)
        used = cpu_of(process.pid) - before
        rss = rss_of(process.pid)
        process.terminate()
        process.wait()
    print(
        f"os.stat x {len(paths)}: {floor * 1e3:.2f} ms;"
        f" one whole sweep: {sweep * 1e3:.2f} ms = {sweep / floor:.1f} x"
    )
    print(f"idle service: {used / arguments.seconds:.2%} of a core, {rss:.0f} MB")


def cpu_of(pid: int) -> float:
    """Seconds of CPU so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_of(pid: int) -> float:
    """Resident megabytes (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
