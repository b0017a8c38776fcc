"""How somebody else's database is opened without a trace: five ways, chosen by what lies in its directory.

None of SQLite's own ways is right for every state of a directory: `mode=ro` writes `-shm` and may create
a `-wal`, `immutable=1` reads stale or uncommitted rows of a live file. So the directory is looked at
first, and the way is chosen by a table (`choose_way`). Everything here blocks: it runs in a worker thread.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from trio_cursor.cursor.outcomes import (
    Busy,
    Empty,
    FileStat,
    NeedsRecovery,
    Refused,
    RefusedForNow,
    Signature,
    Unreadable,
)
from trio_cursor.os_files import own_uid
from trio_cursor.sqlite_library import file_uri

if TYPE_CHECKING:
    from collections.abc import Callable

#: The only name that is ever opened.
FILE_NAME: Final = "state.vscdb"

Way: TypeAlias = Literal["ro", "ro+readonly_shm", "immutable", "private copy"]

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
#: In the header's bytes 18 and 19, the versions of the format for writers and for readers.
_WAL: Final = 2
_LOG_HEADER_BYTES: Final = 32
_LOG_MAGIC: Final = 0x377F0682
_PAGE_SIZES: Final = tuple(1 << power for power in range(9, 17))
#: SQLite's smallest page: what is shorter holds nothing yet.
_SMALLEST: Final = 512
#: A file may change twice within one tick of the clock that stamps it (10 ms on the slowest kernels).
_TICK_NS: Final = 20_000_000
#: FAT counts in steps of two seconds, HFS+ and old NFS in whole ones.
_WHOLE_SECONDS_NS: Final = 2_100_000_000
# O_NOFOLLOW and O_NONBLOCK: what was a regular file a moment ago may be a link or a FIFO now.
# Windows has neither, but wants to be told that bytes are bytes.
_READ_ONLY: Final = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)


@attrs.frozen
class Surroundings:
    """What decides how a database is opened."""

    header: bytes
    wal_size: int | None
    has_shm: bool
    journal_size: int | None
    log_header: bytes
    #: Bytes of the database and its log.
    size: int
    #: Type of the file system if it is not a local one.
    network: str | None = None

    @property
    def in_wal_mode(self) -> bool:
        return _WAL in self.header[18:20]

    @property
    def change_counter(self) -> int:
        return int.from_bytes(self.header[24:28])

    @property
    def has_broken_log(self) -> bool:
        """The log does not begin like one.

        Beside a `-shm` without a living owner such a log lets a reader sleep inside SQLite for ten
        seconds, where nothing can interrupt it.
        """
        magic, page_size = (int.from_bytes(self.log_header[at : at + 4]) for at in (0, 8))
        sound = magic & ~1 == _LOG_MAGIC and page_size in _PAGE_SIZES
        return len(self.log_header) >= _LOG_HEADER_BYTES and not sound

    @property
    def has_journal(self) -> bool:
        """A transaction is under way, or was when its owner died."""
        return bool(self.journal_size)


def signature_of(path: str) -> Signature:
    """Two stats, about 2 us.

    Raises:
        OSError: For anything but absence (permissions, a dead mount, an unreadable directory).

    """
    return _signature(_lstat(path), _lstat(path + "-wal"))


def _signature(database: os.stat_result | None, wal: os.stat_result | None) -> Signature:
    stamps = [found.st_mtime_ns for found in (database, wal) if found]
    return Signature(
        FileStat.of(database) if database else None,
        FileStat.of(wal) if wal else None,
        settled=is_settled(max(stamps, default=0), time.time_ns()),
    )


def is_settled(stamp_ns: int, now_ns: int) -> bool:
    """Whether what is written from now on must bear another stamp; one in the future is settled."""
    tick = _WHOLE_SECONDS_NS if stamp_ns % 1_000_000_000 == 0 else _TICK_NS
    return not 0 <= now_ns - stamp_ns < tick


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def look_at(path: str, roots: tuple[str, ...], platform: str) -> tuple[str, Signature]:
    """Real path and signature of a database that may be opened, without opening it.

    Raises:
        Refused: It is empty, or it is not a file that we may read.
        OSError: The file system has a say.

    """
    database, wal = _lstat(path), _lstat(path + "-wal")
    if database is None:
        raise Refused(Empty("there is no such file"))
    if not stat.S_ISREG(database.st_mode):
        raise Refused(Unreadable("it is no regular file"))
    if platform != "win32" and database.st_uid != own_uid():
        raise Refused(Unreadable("it belongs to another user"))
    real = os.path.realpath(path)
    if Path(real).name != FILE_NAME:
        raise Refused(Unreadable(f"its name is not {FILE_NAME}"))
    if not any(_is_inside(real, os.path.realpath(root)) for root in roots):
        raise Refused(Unreadable("it lies outside the directories that were configured"))
    if database.st_size < _SMALLEST:
        raise Refused(Empty(f"it is no SQLite database yet ({database.st_size} bytes)"))
    return real, _signature(database, wal)


def _is_inside(path: str, root: str) -> bool:
    return Path(path).is_relative_to(root)


def survey(path: str, signature: Signature, filesystem: Callable[[], str | None]) -> Surroundings:
    """Look around a database that this process has claimed and has not open.

    Raises:
        Refused: It is no SQLite database, or something lies beside it that is none of SQLite's.
        OSError: The file system has a say.

    """
    sizes: dict[str, int | None] = {}
    for suffix in ("-wal", "-shm", "-journal"):
        found = _lstat(path + suffix)
        # SQLite would follow a link here, and open whatever it leads to for writing.
        if found and not stat.S_ISREG(found.st_mode):
            raise Refused(Unreadable(f"its {suffix} is no regular file"))
        sizes[suffix] = found.st_size if found else None
    header = read_header(path, signature.database)
    if not header.startswith(_MAGIC):
        raise Refused(Unreadable("it is no SQLite database"))
    seen = Surroundings(
        header=header,
        wal_size=sizes["-wal"],
        has_shm=sizes["-shm"] is not None,
        journal_size=sizes["-journal"],
        log_header=read_header(f"{path}-wal", signature.wal) if signature.wal else b"",
        size=sum(file.size for file in (signature.database, signature.wal) if file),
    )
    # Only logs need shared memory, so only for them it matters where the file lies.
    return attrs.evolve(seen, network=filesystem()) if seen.in_wal_mode or seen.wal_size is not None else seen


def read_header(path: str, file: FileStat | None) -> bytes:
    """Read the first bytes of a claimed database or its log, through a descriptor that is closed again."""
    descriptor = open_claimed(path, file)
    try:
        return os.read(descriptor, _HEADER_BYTES)
    finally:
        os.close(descriptor)


def open_claimed(path: str, file: FileStat | None) -> int:
    """Open for reading, if it still is the file that was looked at; the caller closes."""
    descriptor = os.open(path, _READ_ONLY)
    now = FileStat.of(os.fstat(descriptor))
    if file is None or (now.device, now.inode) != (file.device, file.inode):
        # Closing it drops no lock of ours: this file has just appeared, and no job has claimed it yet.
        os.close(descriptor)
        raise RefusedForNow(Busy("it was replaced while we looked"))
    return descriptor


def verify_unchanged(path: str, header: bytes, signature: Signature) -> None:
    """Make sure that nobody wrote since the signature was taken; the file is claimed and not open.

    Raises:
        RefusedForNow: Somebody did, so whatever was read counts for nothing.
        OSError: The file system has a say.

    """
    now = attrs.evolve(signature_of(path), settled=signature.settled)
    if now != signature or read_header(path, signature.database) != header:
        raise RefusedForNow(Busy("it changed while it was read"))


def choose_way(seen: Surroundings, platform: str, cap: int) -> Way:
    """One of the ways in, by the table that was measured (14 states of a directory, none of them touched).

    Raises:
        Refused: No way is safe.

    """
    if not seen.in_wal_mode and seen.wal_size is None:
        return "ro"
    if seen.network:
        if seen.size > cap:
            raise Refused(
                Unreadable(
                    f"a log on {seen.network}, and too large to copy:"
                    " run the service on the machine that holds the file"
                )
            )
    elif seen.wal_size is not None and seen.has_shm and not seen.has_broken_log:
        # Windows knows no `readonly_shm`: there `-shm`, which is shared memory, may be written.
        return "ro" if platform == "win32" else "ro+readonly_shm"
    elif seen.in_wal_mode and not seen.wal_size:
        # Nobody has it open, and opening it in any other way would create files.
        return "immutable"
    if seen.has_journal and not seen.in_wal_mode:
        raise RefusedForNow(Busy("a transaction is under way"))
    if seen.size > cap:
        raise Refused(NeedsRecovery("a log without an index, and too large to copy: it waits for its owner"))
    return "private copy"


def uri_of(path: str, way: Way, platform: str = sys.platform) -> str:
    """Build the URI that opens it."""
    flags = {
        "ro": "mode=ro",
        "ro+readonly_shm": "mode=ro&readonly_shm=1",
        "immutable": "mode=ro&immutable=1",
        # The copy is ours: SQLite may rebuild the index and roll back in it as it likes.
        "private copy": "mode=rw",
    }
    return f"{file_uri(path, platform)}?{flags[way]}"
