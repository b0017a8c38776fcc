"""Wake-ups of the sink: something that it waits for may have come."""

from __future__ import annotations

from contextlib import suppress

import trio

from trio_cursor.freshness import Freshness
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
