"""Fields of parsed JSON objects: what is usable of a value that may be anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from trio_cursor.cursor.schemas.values import clean_text
from trio_cursor.observations import JsonObject

_T = TypeVar("_T")

_MODEL_LIMIT = 200
#: Cursor's Auto: no model has this name.
_AUTO = "default"
#: Above any path that a system takes.
FOLDER_LIMIT = 8192
_CONVERSATION_ID_LIMIT = 500
#: What stands under a key of `source` is a number, an id or a word; a longer text is something else.
_SOURCE_LIMIT = 1000


def first(values: Iterable[_T | None]) -> _T | None:
    """The first value that is known."""
    for value in values:
        if value is not None:
            return value
    return None


def inner(value: JsonObject, key: str) -> JsonObject:
    """The object under a key; an empty one if there is none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def short_text(value: Any, limit: int) -> str | None:
    """A text that is neither empty nor longer than something of its kind can be; else None."""
    return clean_text(value) if isinstance(value, str) and 0 < len(value) <= limit else None


def usable_conversation_id(value: Any) -> str | None:
    """The id of a conversation, which need not be a UUID: those of agents may hold a line break."""
    return short_text(value, _CONVERSATION_ID_LIMIT)


def model_of(name: Any) -> str | None:
    """The name of a model, if it is one."""
    found = short_text(name, _MODEL_LIMIT)
    return None if found == _AUTO else found


def folder_of(uri: Any) -> str | None:
    """The folder in a URI, which VS Code stores in parts: its path, or the whole URI of a remote one."""
    if not isinstance(uri, dict):
        return short_text(uri, FOLDER_LIMIT)
    # The path of a remote folder might as well be one of this machine.
    is_local = uri.get("scheme") in (None, "file")
    keys = ("fsPath", "external", "path") if is_local else ("external", "fsPath", "path")
    return first(short_text(uri.get(key), FOLDER_LIMIT) for key in keys)


def known_keys(value: JsonObject, keys: tuple[str, ...]) -> JsonObject:
    """The allow-listed part of a source value: what a future Cursor stores beside it stays there.

    What stands under the keys is taken whole, texts and objects too: of sources that are to be reported as
    they are. Of others `known_part` takes less.
    """
    return {key: value[key] for key in keys if key in value}


def known_part(
    value: JsonObject, keys: tuple[str, ...], inner_keys: Mapping[str, tuple[str, ...]]
) -> JsonObject:
    """The allow-listed part of a source value, of which nothing is taken but numbers and short texts.

    Unlike `known_keys` it cannot be surprised by what a future Cursor stores under a known key.
    """
    part = _plain(value, keys)
    for key, below in inner_keys.items():
        if known := _plain(inner(value, key), below):
            part[key] = known
    return part


def _plain(value: JsonObject, keys: tuple[str, ...]) -> JsonObject:
    part: JsonObject = {}
    for key in keys:
        found = value.get(key)
        if isinstance(found, str) and len(found) <= _SOURCE_LIMIT:
            part[key] = clean_text(found)
        elif isinstance(found, int | float) or (found is None and key in value):
            part[key] = found
    return part
