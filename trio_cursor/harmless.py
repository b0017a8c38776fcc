"""Text that only shows, wherever it came from: on a terminal, in a drawing, on a page."""

from __future__ import annotations

import re
import unicodedata

_SHOWN = {"\n": "⏎", "\r": "", "\t": " "}
#: Format characters that languages and emoji need between their letters, and that move nothing there.
JOINERS = "\u200c\u200d"


def printable(text: str, *, multiline: bool = False) -> str:
    """Text that only shows: controls, escape sequences and bidirectional marks stand as their codes."""
    if text.isprintable():
        return text

    def shown(match: re.Match[str]) -> str:
        char = match[0]
        if char in _SHOWN:
            return char if multiline and char in "\n\t" else _SHOWN[char]
        joins = (
            char in JOINERS and unicodedata.category(text[match.end() : match.end() + 1] or " ")[0] in "LMS"
        )
        if joins or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            return char
        return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"  # noqa: PLR2004

    return re.sub(r"[^ -~]", shown, text)
