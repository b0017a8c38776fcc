"""What a read needed is gone after it: a service runs for months."""

from __future__ import annotations

import gc
from functools import partial

import cursor_files
import trio
from deadlines import within

from trio_cursor.cursor.guest import Guest, Page
from trio_cursor.cursor.jobs import Job
from trio_cursor.cursor.reading import Transaction
from trio_cursor.cursor.schemas.known import readable_columns, scan_database


@within(30)
async def test_a_read_leaves_nothing_behind(user_dir, tmp_path):
    database = cursor_files.make_workspace(user_dir, "w1", [cursor_files.ring_item()])
    guest = Guest(
        roots=(str(user_dir),),
        tables=readable_columns(),
        deadline_seconds=5,
        max_concurrent=2,
        private_dir=str(tmp_path / "private"),
    )
    before = _alive()
    scan = partial(scan_database, positions={}, rescan=False, verify=False, since_ms=None)
    for _ in range(5):
        assert isinstance(await guest.read(str(database), scan), Page)
    await guest.aclose()
    await trio.lowlevel.checkpoint()
    # Other tests in this process may have left some behind on purpose.
    assert not _alive() - before


def _alive() -> set[int]:
    gc.collect()
    return {id(item) for item in gc.get_objects() if isinstance(item, Transaction | Job)}
