"""Which host a platform has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trio_cursor.errors import HostError
from trio_cursor.hosts.host import Host
from trio_cursor.hosts.launchd import launchd
from trio_cursor.hosts.systemd import systemd
from trio_cursor.hosts.windows_task import windows_task


def host_of(
    platform: str, words: Sequence[str], *, environ: Mapping[str, str], home: str, uid: int | None
) -> Host:
    """The host of a platform (as `sys.platform`), for a command line whose first word is an absolute path.

    Raises `HostError` for a platform without one, and for words that its files cannot hold.
    """
    for word in words:
        _refuse_what_no_file_holds(word)
    match platform:
        case "linux":
            return systemd(words, environ, home, uid or 0)
        case "darwin":
            _refuse_controls(words, home)
            return launchd(words, home, uid or 0)
        case "win32":
            _refuse_controls(words, home)
            return windows_task(words, environ, home)
        case _:
            raise HostError(
                f"no service is known on {platform}: have whatever starts services there run `run`"
            )


def _refuse_what_no_file_holds(word: str) -> None:
    if "\0" in word or any(0xD800 <= ord(char) < 0xE000 for char in word):  # noqa: PLR2004 - surrogates
        raise HostError(f"{word!r} cannot stand in a file of text; use a path without such bytes")


def _refuse_controls(words: Sequence[str], home: str) -> None:
    """XML has no way to write them, except that white space would be changed."""
    for word in (*words, home):
        if any(ord(char) < 0x20 or ord(char) in (0x7F, 0xFFFE, 0xFFFF) for char in word):  # noqa: PLR2004 - as XML 1.0 has it
            raise HostError(f"{word!r} cannot stand in XML; use a path without control characters")
