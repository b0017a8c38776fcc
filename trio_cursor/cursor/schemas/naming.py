"""Whether a database names a session or a folder: the last two ways to find an announced workspace. Pure.

Three keys of `ItemTable` are looked up, one by one and only up to a size. What was announced is never part of
a query: it is looked for in the values, after the file was closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final

import attrs

from trio_cursor.cursor.folders import (
    comparable,
    fs_path,
    is_windows_path,
    parse_uri,
    wsl_folder,
)
from trio_cursor.cursor.schemas import ROWID, Catalog, Query, Scan
from trio_cursor.cursor.schemas.sql import size_of
from trio_cursor.cursor.schemas.values import (
    ID_BYTES,
    ROW_LIMIT,
    BadValueError,
    canonical_id,
    clean_text,
    parse_json,
    usable_id,
)
from trio_cursor.observations import Json

SESSIONS_KEY: Final = "composer.composerData"
#: Where a path is looked for. Secrets lie in the same table: no other key is ever read.
PATH_KEYS: Final = ("aiService.generations", "aiService.prompts", SESSIONS_KEY)
#: A shorter id would be found anywhere.
SHORTEST_ID: Final = 8
_MOST_IDS: Final = 32
#: A larger value is not read: a lock on a foreign database is not held that long for a guess.
VALUE_LIMIT: Final = ROW_LIMIT
_COLUMNS = frozenset({"key", "value"})
#: A longer path is no folder's on most systems, and to look for it takes its time.
LONGEST_SEARCHED: Final = 1024
_LEAST_NAMES = 2
_ANCHOR = re.compile("[0-9A-Za-z]{3,}")
_SEPARATOR = r"(?:[\\/]|%5[cC]|%2[fF])"
#: A path goes on with any of these, so what ends before one is another one's beginning.
_GOES_ON = r"(?![\w+@~$^-]|\.+\w|%(?!5[cC]|2[fF]))"
#: ... and one that begins after any of these is another one's end.
_GOES_BEFORE = r"(?<![\w.~+%$/\\-])"


@attrs.frozen
class Sought:
    """What is looked for."""

    #: In the form in which ids are compared.
    session_ids: frozenset[str] = frozenset()
    #: Of the path; None: it is not looked for.
    pattern: re.Pattern[str] | None = None
    #: Letters and digits that everything has in it that the pattern matches, in lower case.
    anchor: str = ""

    def keys(self) -> tuple[str, ...]:
        """Keys that can hold it."""
        if self.pattern is not None:
            return (SESSIONS_KEY, *(key for key in PATH_KEYS if key != SESSIONS_KEY))
        return (SESSIONS_KEY,) if self.session_ids else ()


@attrs.frozen
class Named:
    """What one look at a database has found."""

    has_session: bool = False
    has_path: bool = False
    #: Bytes of the values that were read.
    size: int = 0
    #: Keys that the lock budget left for another look.
    rest: tuple[str, ...] = ()
    #: Why something could not be looked at, in words; None: all of it was.
    problem: str | None = None


def usable_ids(session_ids: Iterable[str]) -> frozenset[str]:
    """Ids that are worth looking for, the last ones of very many, in the form in which they are compared."""
    ids = [usable_id(one) for one in session_ids]
    return frozenset([canonical_id(one) for one in ids if one and len(one) >= SHORTEST_ID][-_MOST_IDS:])


def why_not_searched(path: str) -> str | None:
    """Why a path is not looked for in texts, in words; None: it can be."""
    if len(path) > LONGEST_SEARCHED:
        return f"the announced path is longer than {LONGEST_SEARCHED:,} characters"
    # Of a root nothing else is left.
    name = _name(path) or path[:1]
    if not (name.startswith("/") or is_windows_path(name)):
        return "the announced path is not absolute"
    names = _names(name)
    if ".." in names or "." in names or "\0" in name:
        return "the announced path is not one that a folder has"
    if len(names) < _LEAST_NAMES:
        return "the announced path is too short to be looked for"
    return None


def path_sought(path: str, others: Iterable[str] = ()) -> Sought:
    """Look for a path of which `why_not_searched` has nothing to say.

    `others` are paths of other folders: where a text goes on such that one of those stands there, as
    `/a/My Project` for `/a/My`, it is not this one.
    """
    name = _name(path)
    windows = is_windows_path(name)
    uri = parse_uri(path) if "://" in path else None
    forms = [_pattern(name, uri.authority if uri else "")]
    if (wsl := wsl_folder(path)) is not None:
        distribution, inside = wsl
        forms.append(f"vscode-remote://{_spelled(f'wsl+{distribution}')}{_parts(inside)}")
        forms.append(_pattern(rf"\\wsl.localhost\{distribution}{inside}"))
        forms.append(_pattern(rf"\\wsl$\{distribution}{inside}"))
    start = comparable(name, windows=windows).rstrip("/")
    rests = [
        other[len(start) :]
        for other in (comparable(other, windows=windows) for other in others)
        if other.startswith(start)
    ]
    longer = {re.escape(rest.split("/")[0]) for rest in rests if rest and rest[0] not in "/\\"}
    unless = f"(?!{'|'.join(sorted(longer))})" if longer else ""
    pattern = re.compile(f"(?:{'|'.join(forms)}){_GOES_ON}{unless}", re.IGNORECASE if windows else 0)
    return Sought(pattern=pattern, anchor=_anchor(_names(name)[-1]))


def _name(path: str) -> str:
    """A folder's path without the separator at its end, also of one that is given as a URI."""
    path = clean_text(path)
    if "://" in path:
        path = fs_path(path) if parse_uri(path).scheme.lower() == "file" else parse_uri(path).path
    return comparable(path, windows=False).rstrip("/\\")


def _names(path: str) -> list[str]:
    parts = re.split(r"[\\/]", path) if is_windows_path(path) else path.split("/")
    return [part for part in parts if part and not re.fullmatch("[A-Za-z]:", part)]


def _parts(path: str) -> str:
    return "".join(f"/{_spelled(part)}" for part in path.split("/") if part)


def _spelled(name: str) -> str:
    """A name as it stands in a text, or escaped as in a URI."""
    return "".join(
        letter if letter.isascii() and letter.isalnum() else f"(?:{re.escape(letter)}|{_percent(letter)})"
        for letter in name
    )


def _percent(letter: str) -> str:
    digits = "".join(f"%{byte:02X}" for byte in letter.encode())
    return re.sub("[A-F]", lambda found: f"[{found[0]}{found[0].lower()}]", digits)


def _pattern(path: str, authority: str = "") -> str:
    if not is_windows_path(path):
        # Of a remote folder too, whose machine a path alone does not tell.
        machine = _spelled(authority) if authority else r"[^/\s\"'<>]*"
        return rf"{_GOES_BEFORE}(?:file://|vscode-remote://{machine})?{_parts(path)}"
    # Slashes of either kind, doubled where a text holds JSON in turn.
    names = f"{_SEPARATOR}{{1,4}}".join(map(_spelled, _names(path)))
    if path.startswith("\\\\"):
        return f"{_GOES_BEFORE}(?:file:)?{_SEPARATOR}{{2,8}}{names}"
    return rf"(?<!\w){path[0]}{_spelled(':')}{_SEPARATOR}{{1,4}}{names}"


def _anchor(text: str) -> str:
    """Letters and digits that are the same in every spelling; empty if there are too few."""
    return max(_ANCHOR.findall(text), key=len, default="").lower()


def scan_names(catalog: Catalog, sought: Sought, keys: tuple[str, ...], room: int) -> Scan[Named]:
    """Look at these keys, reading no more than `room` bytes of values."""
    table = catalog.tables.get("ItemTable")
    if table is None or table.misfit(_COLUMNS):
        return partial(Named, problem="no ItemTable that can be read" if table else None)
    size = size_of("value", catalog)
    found: list[tuple[str, Any]] = []
    taken, problem = 0, None
    for number, key in enumerate(keys):
        answer = yield Query(
            f"SELECT {size}, CASE WHEN {size} <= ? THEN value END FROM ItemTable"  # noqa: S608 - our own names
            f" WHERE key = ? ORDER BY {ROWID} DESC LIMIT 1",
            (min(VALUE_LIMIT, room - taken), key),
            can_wait=True,
        )
        if answer.stopped == "budget" and not answer.rows:
            if number == 0:
                problem = "no answer within the lock budget"
            rest = keys[number + 1 :] if number == 0 else keys[number:]
            return partial(_named, sought, found, taken, rest, problem)
        if answer.stopped == "too big" or (answer.rows and (answer.rows[0][0] or 0) > VALUE_LIMIT):
            problem = f"{key} is larger than {VALUE_LIMIT >> 20} MiB"
        elif answer.rows and (stored := answer.rows[0][0]) is not None:
            if stored > room - taken:
                return partial(_named, sought, found, taken, (), "more bytes than a search may read")
            taken += stored
            found.append((key, answer.rows[0][1]))
    return partial(_named, sought, found, taken, (), problem)


def _named(
    sought: Sought, found: list[tuple[str, Any]], size: int, rest: tuple[str, ...], problem: str | None
) -> Named:
    has_session = has_path = False
    for key, stored in found:
        try:
            session, path = _look(sought, stored, is_list=key == SESSIONS_KEY)
        except BadValueError as error:
            problem = f"{key} cannot be read: {error}"
        else:
            has_session, has_path = has_session or session, has_path or path
    return Named(has_session, has_path, size, rest, problem)


def _look(sought: Sought, stored: Any, *, is_list: bool) -> tuple[bool, bool]:
    """Whether a value names a session, and whether the path."""
    ids = sought.session_ids if is_list else frozenset()
    lowered = stored.lower() if isinstance(stored, bytes) else b""
    # Nearly always there is nothing, and to find that out costs less than to parse.
    ids = frozenset(one for one in ids if _anchor(one).encode() in lowered)
    pattern = sought.pattern if sought.anchor.encode() in lowered else None
    if not ids and pattern is None:
        return (False, False)
    has_session = has_path = False
    for text in _texts(parse_json(stored, limit=VALUE_LIMIT)):
        has_session = has_session or (len(text) <= ID_BYTES and canonical_id(text) in ids)
        has_path = has_path or (pattern is not None and _is_in(pattern, sought.anchor, text))
    return (has_session, has_path)


def _is_in(pattern: re.Pattern[str], anchor: str, text: str) -> bool:
    if anchor not in text.lower():
        return False
    return pattern.search(comparable(text, windows=False)) is not None


def _texts(value: Json) -> Iterator[str]:
    """Every string in a parsed value, names too."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            yield from item
            waiting += item.values()
