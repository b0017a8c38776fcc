"""The files of `conf/service`, filled in; and whether a file that is found is one of these, as written."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")
_DIGEST = re.compile(r"(trio-cursor service install`?, digest )([0-9a-f]{16})")


class Found(enum.Enum):
    """What stands where a file of ours belongs."""

    NOTHING = "not installed"
    #: As it would be written now.
    SAME = "as it would be written now"
    #: Whatever they are: they were given when it was written.
    OPTIONS = "as it would be written now, but for the options of the service"
    #: As it was written once, with other options or by another version.
    OTHER = "written by another version, or for another Python: install it again"
    EDITED = "changed by hand"
    FOREIGN = "not ours"


def template(name: str) -> str:
    """A file of `conf/service`: inside the installed package, else beside it, as in the repository."""
    inside = _PACKAGE / "conf" / "service" / name
    path = inside if inside.exists() else _PACKAGE.parent / "conf" / "service" / name
    return path.read_text(encoding="utf-8")


def filled(name: str, values: Mapping[str, str]) -> str:
    """The file with values in its places, and a digest of itself. Values are escaped already."""
    text = template(name)
    return _put(text, {**values, "DIGEST": _digest_of(_put(text, {**values, "DIGEST": ""}))})


def _put(text: str, values: Mapping[str, str]) -> str:
    # In one go: a value may look like a place.
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_any_end(name: str, values: Mapping[str, str]) -> re.Pattern[str]:
    """What such a file looks like whose values begin like these."""
    pieces = _PLACEHOLDER.split(template(name))
    # Text and names in turn.
    texts, names = pieces[::2], [*pieces[1::2], None]
    shown = (
        re.escape(text) + ("" if place is None else re.escape(values.get(place, "")) + ".*?")
        for text, place in zip(texts, names, strict=True)
    )
    return re.compile("".join(shown), re.DOTALL)


def compared(found: bytes | None, wanted: bytes, encoding: str, like: re.Pattern[str]) -> Found:
    """What a file is, by its content; None: there is none."""
    if found is None:
        return Found.NOTHING
    if found == wanted:
        return Found.SAME
    try:
        text = found.decode(encoding)
    except UnicodeDecodeError:
        return Found.FOREIGN
    if (mark := _DIGEST.search(text)) is None:
        return Found.FOREIGN
    without = text[: mark.start(2)] + text[mark.end(2) :]
    if _digest_of(without) != mark[2]:
        return Found.EDITED
    return Found.OPTIONS if like.fullmatch(text.removeprefix("\ufeff")) else Found.OTHER
