"""The Assembler: observations in, finished generations out. Pure; time is an argument."""

from trio_cursor.assembly.assembler import Assembler
from trio_cursor.assembly.attribution import Directory
from trio_cursor.assembly.intake import Told
from trio_cursor.assembly.pending import (
    Pending,
    PendingEntry,
    PendingTurn,
    alias_of,
    from_text,
    key_of,
    to_text,
)
from trio_cursor.assembly.steps import Change
from trio_cursor.assembly.waits import Freshness

__all__ = [
    "Assembler",
    "Change",
    "Directory",
    "Freshness",
    "Pending",
    "PendingEntry",
    "PendingTurn",
    "Told",
    "alias_of",
    "from_text",
    "key_of",
    "to_text",
]
