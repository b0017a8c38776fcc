"""One look at the directory of session files. Blocks, so it is for a thread.

Whoever writes the files is not trusted: nothing but small regular files with the right names is opened, no
link is followed, and nothing is ever written. The directory itself may be a link.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from typing import Final

import attrs

from trio_cursor.cursor.opening import is_settled
from trio_cursor.cursor.schemas.values import BadValueError, milliseconds, parse_json
from trio_cursor.observations import JsonObject
from trio_cursor.records import FILES
from trio_cursor.sessions.announcements import Announcement, announcement

FILE_LIMIT: Final = 64 * 1024
MOST_FILES: Final = 10_000
#: A file that is written in place is half of one for a moment; it is counted after so many looks.
PATIENT_LOOKS: Final = 3
NOT_A_FILE: Final = "it is not a regular file"
_TOO_LARGE: Final = f"it is larger than {FILE_LIMIT} bytes"
_NAME = re.compile(r"([0-9a-fA-F]{16,64})\.json")
#: Each where it exists. A pipe that took a file's place must not keep us waiting for who writes into it.
_FLAG_NAMES = ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
_FLAGS = os.O_RDONLY
for _name in _FLAG_NAMES:
    _FLAGS |= getattr(os, _name, 0)


@attrs.frozen
class File:
    """A session file as it was at a look."""

    stamp: tuple[int, ...]
    #: What is written from then on bears another stamp.
    is_settled: bool = attrs.field(eq=False)
    written_ms: int
    #: The session that it names, and when that was last updated, by its own word.
    start: Announcement | None = None
    updated_ms: int | None = None
    #: Why it names none; and whether that is because nobody knows what it says, whether that may pass, and
    #: for how many looks it has been so.
    problem: str | None = None
    is_unclear: bool = False
    is_passing: bool = False
    looks: int = 1

    @property
    def is_known(self) -> bool:
        """It need not be read again, unless it changes."""
        return self.is_settled and not (self.is_passing and self.looks < PATIENT_LOOKS)


@attrs.define(eq=False)
class Look:
    """One look at the directory, in a thread that may come to hang."""

    directory: str
    before: Mapping[str, File]
    now_ns: int
    #: By hash, in lower case.
    files: dict[str, File] = attrs.field(factory=dict)
    has_more: bool = False
    is_link: bool = False
    is_left_behind: bool = False

    def run(self) -> None:
        """Blocks. Raises `OSError` if the directory cannot be listed."""
        self.is_link = os.path.islink(self.directory)  # noqa: PTH114 - blocks like all of this
        for hash_, name in self._names().items():
            if self.is_left_behind:
                return
            file = self._file(hash_, os.path.join(self.directory, name))  # noqa: PTH118
            if file is not None:
                self.files[hash_] = file

    def _names(self) -> dict[str, str]:
        known: dict[str, str] = {}
        fresh: dict[str, str] = {}
        with os.scandir(self.directory) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match is None or self.is_left_behind:
                    continue
                hash_ = match[1].lower()
                names = known if hash_ in self.before else fresh
                # Of two that differ in case alone, always the same.
                if hash_ in names:
                    names[hash_] = max(names[hash_], entry.name)
                elif len(names) < MOST_FILES:
                    names[hash_] = entry.name
                else:
                    self.has_more = True
        room = MOST_FILES - len(known)
        self.has_more |= len(fresh) > room
        return known | dict(list(fresh.items())[:room])

    def _file(self, hash_: str, path: str) -> File | None:
        before = self.before.get(hash_)
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return None
        stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
        if before is not None and before.stamp == stamp and before.is_known:
            return before
        # Before it is read: what is written meanwhile is read at the next look.
        settled = is_settled(found.st_mtime_ns, self.now_ns)
        file = File(stamp, settled, found.st_mtime_ns // 1_000_000)
        if not stat.S_ISREG(found.st_mode):
            return attrs.evolve(file, problem=NOT_A_FILE)
        try:
            content = _read(path)
            says = parse_json(content, limit=FILE_LIMIT) if len(content) <= FILE_LIMIT else None
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = f"it cannot be read ({errno.errorcode.get(error.errno or 0, error.errno)})"
        except BadValueError:
            problem = "it is not JSON"
        else:
            if isinstance(says, dict):
                return _understood(file, hash_, says)
            problem = _TOO_LARGE if len(content) > FILE_LIMIT else "it is not a JSON object"
            return attrs.evolve(file, problem=problem, is_unclear=True)
        looks = before.looks + 1 if before is not None and before.is_passing else 1
        return attrs.evolve(file, problem=problem, is_unclear=True, is_passing=True, looks=looks)


def _understood(file: File, hash_: str, says: JsonObject) -> File:
    inside = says.get("CURSOR_WORKSPACE_HASH") or hash_
    if not isinstance(inside, str) or inside.lower() != hash_:
        return attrs.evolve(file, problem="CURSOR_WORKSPACE_HASH is not that of its name")
    payload = {"session_id": says.get("CURSOR_SESSION_ID"), "workspace_path": says.get("workspace_path")}
    start = announcement(
        "session_start", payload, {"workspace_hash": hash_}, source=FILES, heard_ms=file.written_ms
    )
    if not isinstance(start, Announcement):
        return attrs.evolve(file, problem=start)
    return attrs.evolve(file, start=start, updated_ms=milliseconds(says.get("updated_at")))


def _read(path: str) -> bytes:
    """All of a small file, or one byte more than it may have."""
    descriptor = os.open(path, _FLAGS)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        # It may have been replaced since it was looked at.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, NOT_A_FILE)
        content = b""
        while len(content) <= FILE_LIMIT and (more := file.read(FILE_LIMIT + 1 - len(content))):
            content += more
        return content
