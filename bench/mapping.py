"""Finding announced workspaces: at a glance among thousands, and by searching hundreds of databases."""

import argparse
import gc
import hashlib
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

from trio_cursor.cursor.guest import FileStat, Guest, Signature
from trio_cursor.cursor.listing import Listing
from trio_cursor.cursor.mapping import Mapped, Mapper
from trio_cursor.cursor.schemas.known import readable_columns
from trio_cursor.cursor.workspace_json import read_workspace_json
from trio_cursor.records import Workspace
from trio_cursor.scanner import Scanner
from trio_cursor.watched import Watched

NOW_MS = 1_800_000_000_000


class Listed:
    """What a scanner has listed, without the files."""

    def __init__(self, workspaces):
        self.listings = {"/u": Listing("/u", tuple(workspaces))}
        stat = FileStat(1, 1, 4096, 1)
        self.watched = {item.database: Watched(item, Signature(stat, None)) for item in workspaces}


def listed(number, uri):
    """So many workspaces, as the listing makes them."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "workspace.json"
        for index in range(number):
            file.write_text(json.dumps({"folder": uri.format(index)}))
            folder = read_workspace_json(str(file))
            id_ = hashlib.md5(str(index).encode()).hexdigest()
            yield Workspace(
                f"/u/workspaceStorage/{id_}/state.vscdb", "/u", id_, folder.path, folder.uri, folder.hash
            )


def glances(number, uri):
    """Print what quick() takes."""
    workspaces = list(listed(number, uri))
    scanner = Listed(workspaces)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mapper = Mapper(scanner, None)
    began = time.perf_counter()
    mapper.quick("0" * 16, "/home/nobody/p", NOW_MS)
    first = time.perf_counter() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    took = []
    for item in workspaces:
        began = time.perf_counter()
        outcome = mapper.quick(item.hash, item.path, NOW_MS)
        took.append(time.perf_counter() - began)
        assert isinstance(outcome, Mapped)
    unknown = [hashlib.sha256(str(index).encode()).hexdigest()[:16] for index in range(10_000)]
    began = time.perf_counter()
    for hash_ in unknown:
        mapper.quick(hash_, f"/home/nobody/{hash_}", NOW_MS)
    of_unknown = time.perf_counter() - began
    scanner.listings = {"/u": Listing("/u", (*workspaces[1:], *listed(1, "file:///home/new/p{}")))}
    began = time.perf_counter()
    mapper.quick("0" * 16, "/home/nobody/p", NOW_MS)
    changed = time.perf_counter() - began
    print(
        f"quick(), {number:,} workspaces, {uri}: first {first * 1e3:.0f} ms, +{grown / 1024:.0f} MB;"
        f" found p50 {statistics.median(took) * 1e6:.0f} us, max {max(took) * 1e6:.0f} us;"
        f" 10,000 unknown hashes {of_unknown * 1e3:.0f} ms ({of_unknown * 100:.0f} us each);"
        f" after the listing changed {changed * 1e3:.1f} ms"
    )


BUILD = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=" + sys.argv[2]).fetchall()
connection.execute("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
text = "about /home/else/where " * 25
ring = [{"unixMs": i, "generationUUID": "x", "textDescription": text} for i in range(100)]
prompts = [{"text": "look at /home/else/where/x.py, please " * 8, "commandType": 4} for i in range(300)]
list_ = {"allComposers": [{"composerId": f"{i:032x}", "name": "x" * 200} for i in range(300)]}
rows = (("aiService.generations", ring), ("aiService.prompts", prompts), ("composer.composerData", list_))
for key, value in rows:
    connection.execute("INSERT INTO ItemTable VALUES (?, ?)", (key, json.dumps(value)))
connection.execute("INSERT INTO ItemTable VALUES ('history.entries', ?)", ("x" * 700_000,))
connection.close()
"""


def build(user, number, mode):
    """So many workspaces without a folder, each a copy of the first; tells the bytes of one."""
    for index in range(number):
        folder = user / "workspaceStorage" / f"{index:032x}"
        folder.mkdir(parents=True)
        if index:
            shutil.copy(user / "workspaceStorage" / ("0" * 32) / "state.vscdb", folder)
        else:
            subprocess.run([sys.executable, "-c", BUILD, str(folder / "state.vscdb"), mode], check=True)
    return (folder / "state.vscdb").stat().st_size


async def searches(number, mode):
    """Print what a search takes in which nothing is found."""
    with tempfile.TemporaryDirectory() as name:
        user = Path(name) / "User"
        size = build(user, number, mode)
        scanner = Scanner((str(user),), lambda _: True)
        await scanner.sweep(0.25)
        await trio.sleep(1)
        scanner.hurry()
        await scanner.sweep(0.25)
        guest = Guest(
            roots=[str(user)],
            tables=readable_columns(),
            deadline_seconds=1.5,
            max_concurrent=10,
            private_dir=str(Path(name) / "private"),
        )
        mapper = Mapper(scanner, guest)
        took, words = [], ""
        for _ in range(2):
            began = time.perf_counter()
            outcome = await mapper.search("f" * 16, "/home/nobody/where", ["unknown-session"])
            took.append(time.perf_counter() - began)
            words = outcome.why["path_in_keys"]
        print(
            f"search(), {number} databases of {size / 1e6:.1f} MB ({mode}): {took[0] * 1e3:.0f} ms,"
            f" again {took[1] * 1e3:.0f} ms: {words}"
        )


def main():
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspaces", type=int, default=5000)
    parser.add_argument("--databases", type=int, default=200)
    arguments = parser.parse_args()
    glances(arguments.workspaces, "file:///home/demo/projects/p{}")
    glances(arguments.workspaces, "file:///c%3A/Users/Demo/Projects/p{}")
    for mode in ("delete", "wal"):
        trio.run(searches, arguments.databases, mode)


if __name__ == "__main__":
    main()
