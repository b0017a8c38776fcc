"""Which files lie on a remote file system, where locks and shared memory do not reach their owner."""

from __future__ import annotations

import os
import re
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Final

#: Types as Linux and macOS name them. What is not here counts as local.
_NETWORK: Final = frozenset(
    {
        *("9p", "afs", "ceph", "cifs", "coda", "davfs", "drvfs", "glusterfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"),
        *("afpfs", "ftp", "macfuse", "osxfuse", "webdav"),
        *("fuse.cephfs", "fuse.davfs2", "fuse.glusterfs", "fuse.rclone", "fuse.sshfs", "fuse.vmhgfs-fuse"),
    }
)
#: Of these the kernel says at once what is written to them, since nobody writes to them but through it.
_LOCAL: Final = frozenset(
    {
        *("bcachefs", "btrfs", "ecryptfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "ntfs3"),
        *("overlay", "ramfs", "reiserfs", "tmpfs", "vfat", "xfs", "zfs"),
    }
)
#: `\\?\C:\`, as long paths begin on Windows, is no share; `\\?\UNC\server` is one.
_SHARE: Final = re.compile(r"[\\/]{2}(?:\?[\\/]UNC[\\/]|(?![?.][\\/]))", re.IGNORECASE)
#: Of macOS's `struct statfs` (64-bit inodes): its size, and where in it the type of the file system is.
_STATFS_BYTES: Final = 2168
_STATFS_TYPE: Final = slice(72, 88)
#: As mountinfo writes characters that would break its columns.
_ESCAPES: Final = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def network_filesystem(path: str, platform: str = sys.platform) -> str | None:
    """Type of the file system under `path` if it is a remote one; None: local, or nobody can tell.

    On Windows `path` must be a real one: of a drive that stands for a share that begins with the share.
    """
    if platform == "win32":
        return "a network share" if _SHARE.match(path) else None
    # Mounts come and go: what was found is believed for a minute.
    found = _filesystem_of_directory(str(Path(path).parent), platform, int(time.monotonic() // 60))
    return found if found in _NETWORK else None


def tells_of_changes(directory: str, platform: str = sys.platform) -> bool:
    """Whether the kernel hears of every write in a directory (Linux's inotify): not of what others write."""
    found = _filesystem_of_directory(str(Path(directory).absolute()), platform, int(time.monotonic() // 60))
    return found in _LOCAL


@lru_cache(maxsize=4096)
def _filesystem_of_directory(directory: str, platform: str, _minute: int) -> str | None:
    if platform == "darwin":
        return type_in_statfs(_statfs(directory))
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


def type_in_statfs(structure: bytes) -> str | None:
    """Type of a file system, as macOS's `statfs` has filled its structure."""
    return structure[_STATFS_TYPE].partition(b"\0")[0].decode("ascii", "replace") or None


def _statfs(directory: str) -> bytes:
    """What macOS says of the file system that holds a directory; nothing if it says nothing."""
    # Nobody elsewhere has use for it, and it is no light import.
    import ctypes  # noqa: PLC0415

    found = ctypes.create_string_buffer(2 * _STATFS_BYTES)
    try:
        library = ctypes.CDLL(None)
        # The plain name is that of an older structure on Intel, and of this one on everything since.
        ask = getattr(library, "statfs$INODE64", None) or library.statfs
        return b"" if ask(os.fsencode(directory), found) else found.raw
    except (OSError, AttributeError):
        return b""
