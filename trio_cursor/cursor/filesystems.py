"""Which files lie on a remote file system, where locks and shared memory do not reach their owner."""

from __future__ import annotations

import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Final

#: Types as Linux names them. What is not here counts as local.
_NETWORK: Final = frozenset(
    {
        *("9p", "afs", "ceph", "cifs", "coda", "davfs", "drvfs", "glusterfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"),
        *("fuse.cephfs", "fuse.davfs2", "fuse.glusterfs", "fuse.rclone", "fuse.sshfs", "fuse.vmhgfs-fuse"),
    }
)
#: As mountinfo writes characters that would break its columns.
_ESCAPES: Final = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def network_filesystem(path: str, platform: str = sys.platform) -> str | None:
    """Type of the file system under `path` if it is a remote one; None: local, or nobody can tell.

    macOS has no cheap way to tell from Python; its SQLite falls back to proxy locks by itself.
    """
    if platform == "win32":
        return "a network share" if path.startswith(("\\\\", "//")) else None
    # Mounts come and go: what was found is believed for a minute.
    found = _filesystem_of_directory(str(Path(path).parent), int(time.monotonic() // 60))
    return found if found in _NETWORK else None


@lru_cache(maxsize=4096)
def _filesystem_of_directory(directory: str, _minute: int) -> str | None:
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except FileNotFoundError:  # not Linux
        return None
    return filesystem_of(directory, mounts)


def filesystem_of(path: str, mountinfo: str) -> str | None:
    """Type of the file system that holds an absolute path.

    That of the longest mount point above it; of equal ones the last, which hides the others.
    """
    best: tuple[int, str | None] = (0, None)
    for line in mountinfo.splitlines():
        mount, _, filesystem = line.partition(" - ")
        point = mount.split(" ")[4]
        for escaped, character in _ESCAPES:
            point = point.replace(escaped, character)
        if len(point) >= best[0] and f"{path}/".startswith(f"{point.rstrip('/')}/"):
            best = (len(point), filesystem.split(" ")[0])
    return best[1]
