"""The one SQLite library of this process.

Two copies of SQLite in one process break each other's POSIX locks on the same file, so the choice
is made once, at import, and everything that opens a database takes `sqlite3` from here.
"""

from __future__ import annotations

import os
import sqlite3 as stdlib
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import sqlite3

    LIBRARY = "sqlite3"
else:
    try:
        import pysqlite3 as sqlite3

        LIBRARY = "pysqlite3"
    except ImportError:
        sqlite3 = stdlib
        LIBRARY = "sqlite3"

#: The version of SQLite itself, for instance ``(3, 51, 1)``.
VERSION: tuple[int, ...] = sqlite3.sqlite_version_info

#: ``octet_length()`` tells a value's size without reading it; older versions have only ``length()``.
HAS_OCTET_LENGTH = VERSION >= (3, 43)

__all__ = ["HAS_OCTET_LENGTH", "LIBRARY", "VERSION", "file_uri", "sqlite3"]


def file_uri(path: str, platform: str = sys.platform) -> str:
    r"""The URI of an absolute path, as SQLite reads it: what means something there is encoded.

    Not `Path.as_uri`: that of a share is `file://server/share`, and SQLite wants to hear of no host.
    """
    if platform != "win32":
        return f"file://{quote(os.fsencode(path))}"
    # A drive needs a third slash before it, a share (\\server\share) its own two after an empty host.
    slashed = path.replace("\\", "/")
    return "file://" + quote(slashed if slashed.startswith("/") else f"/{slashed}", safe="/:")
