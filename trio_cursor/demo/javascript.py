"""JSON as JavaScript's `JSON.stringify` writes it, which is what stands in every value of Cursor's."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_cursor.observations import Json

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def stringify(value: Json) -> str:
    r"""No spaces, no escapes for characters beyond ASCII, except a lone surrogate, which is `\udxxx`.

    (Well-formed JSON.stringify, ECMAScript 2019: a text cut in the middle of an emoji stays valid UTF-8.)
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
