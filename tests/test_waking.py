"""Whoever reads is told when something is wanted of a database that nobody reads, if that is to be read."""

from __future__ import annotations

import fakes
import pytest
import trio

from trio_cursor.demand import Demand
from trio_cursor.records import ToBeRead
from trio_cursor.sessions.beginning import Beginning
from trio_cursor.sessions.registry import Registry
from trio_cursor.waking import ask_for

PLACE, OTHER = fakes.workspace("w1"), fakes.workspace("w2")


@pytest.mark.parametrize("has_begun", [True, False])
async def test_what_is_wanted_is_read_where_somebody_works_and_not_before_that_is_known(has_begun):
    scanner = fakes.FakeScanner()
    assembler, _ = fakes.make_assembler(scanner)
    registry = Registry(inactive_ms=10**9, max_active=10)
    registry.sign_of_life(PLACE, fakes.now_ms())
    demand = Demand(registry, assembler, scanner, fakes.now_ms)
    sends, changes = trio.open_memory_channel(2)
    for workspace in (PLACE, OTHER):
        await ask_for(demand, Beginning(has_begun=has_begun), sends, workspace)
    sends.close()
    assert [change async for change in changes] == ([ToBeRead(PLACE)] if has_begun else [])
