"""Texts in CSV: programs for tables take some for formulas, and terminals for commands."""

from __future__ import annotations

from typing import Final

from trio_cursor.cli.output import printable

#: With one of these a formula begins, in one program for tables or another.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - meant


def harmless_cell(text: str) -> str:
    """A name, with controls as their codes, and with `'` before what would be taken for a formula."""
    return guarded(printable(text))


def guarded(text: str) -> str:
    """The text as it is, with `'` before what would be taken for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULAS) else text
