"""Wake-ups of the sink, since something that it waits for may have come, and by it of whoever reads."""

from __future__ import annotations

from contextlib import suppress

import trio

from trio_cursor.demand import Demand
from trio_cursor.freshness import Freshness
from trio_cursor.records import ReadingChange, ToBeRead, Workspace
from trio_cursor.sessions.beginning import Beginning
from trio_cursor.sink import Message, Renewed, Sink


def renew(sink: Sink, sends: trio.MemorySendChannel[Message]) -> None:
    """Wake the sink if anything in it waits for what was just read."""
    if sink.waits():
        # Where the channel is full, the sink will look anyway.
        with suppress(trio.WouldBlock):
            sends.send_nowait(Renewed())


def readmit(sink: Sink, freshness: Freshness, sends: trio.MemorySendChannel[Message]) -> None:
    """Sessions have changed: what is held may be somebody's now, and other databases count."""
    sink.assembler.readmit()
    freshness.renew()
    with suppress(trio.WouldBlock):
        sends.send_nowait(Renewed())


async def ask_for(
    demand: Demand,
    beginning: Beginning,
    changes: trio.MemorySendChannel[ReadingChange],
    workspace: Workspace,
) -> None:
    """Something is wanted of a database that nobody reads: have it read, if that is to be."""
    if beginning.has_begun and demand.wants(workspace):
        await changes.send(ToBeRead(workspace))
