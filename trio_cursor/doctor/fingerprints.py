"""What lies in directories, and what is in single files: a program of its own, in a child process.

An open and close in the process that reads Cursor's databases would drop the locks that SQLite holds for it
there (POSIX). So this is run by its path; it imports nothing of ours, and says what it finds as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from typing import Any

#: A larger file is read in slices: its beginning, its end, and as many in between.
WHOLE_BYTES = 64 << 20
_SLICE = 256 << 10
_SLICES = 64
_CHUNK = 1 << 20
_MOST_ENTRIES = 20_000
_COMPANIONS = ("", "-wal", "-shm", "-journal")
# Not all platforms have them; what was a plain file a moment ago may be a link or a FIFO now.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)


def fingerprints(
    directories: list[str], databases: list[str], platform: str = sys.platform
) -> dict[str, list[Any]]:
    """By path: kind, size, time of change, device, inode, and of what we read the digest of its content.

    `directories`: each itself and what is in it, one level deep. `databases`: with what belongs to them. Of
    what SQLite shares with Cursor in memory nothing is said on Windows, where it may be written.
    """
    read = {f"{path}{suffix}" for path in databases for suffix in _COMPANIONS}
    read |= {os.path.join(os.path.dirname(path), "workspace.json") for path in databases}  # noqa: PTH118, PTH120 - text
    found: dict[str, list[Any]] = {}
    for directory in directories:
        try:
            found[directory] = _mark(os.lstat(directory))
            with os.scandir(directory) as entries:
                for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False):
                    # Not `entry.stat`: on Windows that is as the directory has it, late and without inodes.
                    seen = os.lstat(entry.path)
                    if platform == "win32" and entry.name.endswith("-shm"):
                        found[entry.path] = ["shared memory"]
                        continue
                    # What is inside of others' directories is no matter of ours.
                    found.setdefault(entry.path, ["directory"] if stat.S_ISDIR(seen.st_mode) else _mark(seen))
                    if entry.path in read and stat.S_ISREG(seen.st_mode):
                        found[entry.path] += _digest(entry.path, seen.st_size)
        except OSError as error:
            found[directory] = ["error", error.errno]
    return found


def _mark(seen: os.stat_result) -> list[Any]:
    kind = "directory" if stat.S_ISDIR(seen.st_mode) else "file"
    return [kind, seen.st_size, seen.st_mtime_ns, seen.st_dev, seen.st_ino]


def _digest(path: str, size: int) -> list[Any]:
    try:
        return _read(path, size)
    except OSError as error:  # of reading too: on Windows what is locked cannot be read
        return ["error", error.errno]


def _read(path: str, size: int) -> list[Any]:
    with os.fdopen(os.open(path, _FLAGS), "rb", buffering=0) as file:
        digest = hashlib.sha256()
        if size <= WHOLE_BYTES:
            while piece := file.read(_CHUNK):
                digest.update(piece)
            return ["whole", digest.hexdigest()]
        for number in range(_SLICES + 1):
            file.seek((size - _SLICE) * number // _SLICES)
            digest.update(file.read(_SLICE))
        return ["slices", digest.hexdigest()]


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(fingerprints(asked["directories"], asked["databases"]), sys.stdout)
