"""The follower: reads the event log behind its cursor and hands the events to one output."""

from __future__ import annotations

import random
from typing import Protocol

import trio

from trio_cursor.errors import StateError
from trio_cursor.eventlog import EventLog
from trio_cursor.logs import get_logger
from trio_cursor.records import Event
from trio_cursor.status import OutputState

log = get_logger(__name__)

_BATCH_EVENTS = 500
_RETRY_FIRST_SECONDS, _RETRY_MOST_SECONDS = 0.1, 5.0


class OutputError(Exception):
    """The output cannot take events now; the follower tries again later."""


class OutputClosedError(Exception):
    """The output will never take events again (nobody reads the pipe any more)."""


class Output(Protocol):
    """A place where events go. Another one is a file in this folder."""

    @property
    def name(self) -> str:
        """Its name in `status`, and of its cursor; a cursor is kept only for a durable place."""

    @property
    def is_durable(self) -> bool:
        """Whether what it has taken is still there after a restart."""

    async def resume(self, detail: str) -> None:
        """Take up from what the last `write` returned ("" if there was none). Raises `OutputError`."""

    async def write(self, events: list[Event]) -> str:
        """Take the events; returns what to store with the cursor.

        Raises `OutputError`, and `OutputClosedError` if it is of no use to try again.
        """


async def follow(output: Output, events: EventLog, state: OutputState) -> None:
    """Hand every event to the output, in order, from its cursor on, until cancelled or closed."""
    state.is_durable = output.is_durable
    pause = _RETRY_FIRST_SECONDS
    resumed = False
    while True:
        try:
            if not resumed:
                await _resume(output, events, state)
                resumed = True
            await _hand_over(output, events, state)
            pause = _RETRY_FIRST_SECONDS
        except OutputClosedError as error:
            state.state, state.last_error = "closed", str(error)
            log.info("output closed", output=output.name, why=str(error))
            return
        except (OutputError, StateError) as error:
            resumed = False
            _note(state, str(error))
        except Exception as error:  # the border of an output
            resumed = False
            log.exception("an output failed and starts again", output=output.name)
            _note(state, f"{type(error).__name__} in trio_cursor; please report it")
        else:
            continue
        await trio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        pause = min(pause * 2, _RETRY_MOST_SECONDS)


def _note(state: OutputState, why: str) -> None:
    state.errors += 1
    if state.state != "error" or state.last_error != why:
        log.warning("output does not take events; they wait in the event log", output=state.name, why=why)
    state.state, state.last_error = "error", why


async def _resume(output: Output, events: EventLog, state: OutputState) -> None:
    if not output.is_durable:
        return
    state.sequence, detail = await events.cursor(output.name)
    await output.resume(detail)


async def _hand_over(output: Output, events: EventLog, state: OutputState) -> None:
    newest = events.last_sequence  # before reading: what is appended meanwhile must not count as read
    batch = await events.read(state.sequence, limit=_BATCH_EVENTS)
    if batch:
        detail = await output.write(batch)
        if output.is_durable:
            await events.save_cursor(output.name, batch[-1].sequence, detail)
        state.sequence = batch[-1].sequence
    else:
        state.sequence = max(state.sequence, newest)
    if state.state == "error":
        log.info("output takes events again", output=output.name)
    state.state, state.last_error = "connected", None
    # No checkpoint between the comparison and the wait: an append cannot slip through.
    while state.sequence >= events.last_sequence:
        await events.appended.wait()
