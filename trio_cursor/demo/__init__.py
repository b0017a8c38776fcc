"""A living fake Cursor: real files, written as Cursor writes them, and a ledger to count against.

For people without Cursor (`run --demo`), for tests (kill it, stop it, block it) and for benchmarks. It is the
owner of its files, so it opens them as no guest may, and always in a process of its own: `FakeCursorProcess`.

A module for each subject: `places` (which windows, which directory names), `storage` (VS Code's storage
service), `ring`, `tables` and `ui_state` (what stands in a database), `canaries` (what nobody may read),
`database` (a storage and the ledger about it), `window`, `tree`, `fake_cursor` (the loop), `ledger`, `home`
(the directory's marker), `command`.

And for conversations in the global database: `eras` (what which version wrote), `bubbles`, `conversation` and
`rows` (documents and where they go), `turn_plan` and `streaming` (one turn), `conversations` (all that run),
`old_conversations` (a year of them), `noise`, `turns` (the ledger's half about them), `honest_reader` (what a
killed turn has become).
"""

from trio_cursor.demo.canaries import CANARIES, CANARY
from trio_cursor.demo.ledger import Entry, Incident, Ledger, read_ledger
from trio_cursor.demo.process import FakeCursorError, FakeCursorProcess
from trio_cursor.demo.turns import Turn

__all__ = [
    "CANARIES",
    "CANARY",
    "Entry",
    "FakeCursorError",
    "FakeCursorProcess",
    "Incident",
    "Ledger",
    "Turn",
    "read_ledger",
]
