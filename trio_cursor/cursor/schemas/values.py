"""Hostile values made harmless: JSON, texts, times, ids and counts as Cursor's files really hold them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from trio_cursor.observations import Json

#: Sizes above which a value is not parsed at all (bytes).
RING_LIMIT = 32 * 1024 * 1024
ROW_LIMIT = 8 * 1024 * 1024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_ID_LIMIT = 200
#: The longest id takes this many bytes, whatever its script.
ID_BYTES = 4 * _ID_LIMIT
#: A time in any of its forms is shorter.
TIME_BYTES = 64
#: Nothing that Cursor writes is nested a tenth as deep. Well below Python's recursion limit, which counts
#: from wherever one stands: what could be parsed in one place might else not be written in another.
_NESTING_LIMIT = 200
#: Above this not every reader of JSON takes a whole number exactly, and it counts nothing any more.
_COUNT_LIMIT = 2**53
#: Unicode's category Cc, all of it.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SECONDS_FROM, _MILLISECONDS_FROM, _MILLISECONDS_BELOW = 10**8, 10**11, 10**14


class BadValueError(ValueError):
    """A value that cannot be used; the text says why, without quoting it."""


def clean_text(text: str) -> str:
    """Replace lone surrogates, which no encoder takes, by U+FFFD."""
    # Python knows of each text whether it is ASCII; of most there is nothing to look for.
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def text_of(value: Any) -> str | None:
    """A TEXT or BLOB as text (bytes that are not UTF-8 become U+FFFD); None for everything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return clean_text(value) if isinstance(value, str) else None


def _refuse_constant(name: str) -> Json:
    raise BadValueError(f"it holds {name}, which is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise BadValueError("it holds a number beyond all bounds")
    return number


def _clean(value: Json) -> Json:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean(item) for key, item in value.items()}
    return value


def _refuse_depth(value: Json) -> None:
    level = [value]
    for _ in range(_NESTING_LIMIT):
        level = [
            item
            for container in level
            if isinstance(container, list | dict)
            for item in (container.values() if isinstance(container, dict) else container)
        ]
    if any(isinstance(item, list | dict) for item in level):
        raise BadValueError("it is nested too deeply")


#: Made once: `json.loads` makes one for each value, where anything is other than by default.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def parse_json(value: Any, *, limit: int) -> Json:
    """Parse a stored value strictly.

    Raises `BadValueError` for NULL, for numbers of SQLite, for what is not JSON, for NaN and infinities,
    for nesting beyond reason, for digits beyond Python's limit, and above `limit` bytes.
    """
    if value is None:
        raise BadValueError("it is NULL")
    if not isinstance(value, bytes):
        raise BadValueError(f"it is a number ({type(value).__name__}), not JSON text")
    if len(value) > limit:
        raise BadValueError(f"it has {len(value)} bytes, more than {limit}")
    try:
        try:
            parsed = msgspec.json.decode(value)
        except (ValueError, RecursionError):  # it takes nothing else than the slow way, but less
            parsed = _parsed_slowly(value)
        # With fewer brackets than that there is no need to look.
        if value.count(b"[") + value.count(b"{") > _NESTING_LIMIT:
            _refuse_depth(parsed)
    except BadValueError:
        raise
    except json.JSONDecodeError as error:
        raise BadValueError(f"it is not JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise BadValueError("it is nested too deeply") from None
    except ValueError:
        raise BadValueError("it holds a number with too many digits") from None
    return parsed


def _parsed_slowly(value: bytes) -> Json:
    text = value.decode("utf-8", "replace").removeprefix("\ufeff")
    parsed = _DECODER.decode(text)
    # An escape is the only way for a surrogate to come through UTF-8; looking for it is cheaper.
    return _clean(parsed) if "\\u" in text else parsed


def usable_id(value: Any) -> str | None:
    """An id as it may be reported: not empty, at most 200 characters, no control characters; else None."""
    text = text_of(value)
    if not text or len(text) > _ID_LIMIT or _CONTROL.search(text):
        return None
    return text


@lru_cache(maxsize=1024)
def is_uuid(text: str) -> bool:
    """Whether the id is a UUID in its usual form, which names a generation everywhere."""
    return _UUID.fullmatch(text) is not None


def canonical_id(id_: str) -> str:
    """The form in which ids are compared: a UUID in lower case, any other as it is."""
    return id_.lower() if is_uuid(id_) else id_


def milliseconds(value: Any) -> int | None:
    """A time as Cursor and others write it, in milliseconds since the epoch; None if it is none.

    Numbers and strings of digits: 10^11 to 10^14 are milliseconds, 10^8 to 10^11 seconds. Everything
    else must be ISO 8601, UTC where no zone is named.
    """
    if type(value) is int and _MILLISECONDS_FROM <= value < _MILLISECONDS_BELOW:
        return value  # nearly always
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.isdigit()):
            return _iso(text)
        if len(text) > len(str(_MILLISECONDS_BELOW)):
            return None
        value = int(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if _MILLISECONDS_FROM <= value < _MILLISECONDS_BELOW:
        return int(value)
    if _SECONDS_FROM <= value < _MILLISECONDS_FROM:
        return int(value * 1000)
    return None


def _iso(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None


def count(value: Any) -> int | None:
    """A count that was given: a whole number from 0 to 2^53; anything else, a boolean too, is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _COUNT_LIMIT:
        return None
    return int(value) if value == value // 1 else None


def digest(text: str) -> str:
    """Short fingerprint of an id, to recognise it in a position without storing all of it."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
