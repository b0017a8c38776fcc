"""The follower: reads the event log behind its cursor and hands the events to one output."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import NoReturn, Protocol

import trio

from trio_cursor.errors import StateError
from trio_cursor.eventlog import EventLog
from trio_cursor.logs import get_logger
from trio_cursor.records import Event
from trio_cursor.states import OutputState

log = get_logger(__name__)

_BATCH_EVENTS = 500
_RETRY_FIRST_SECONDS, _RETRY_MOST_SECONDS = 0.1, 5.0


class OutputError(Exception):
    """The output cannot take events now; the follower tries again later, after `pause` seconds at least."""

    def __init__(self, text: str, *, pause: float = 0.0) -> None:
        super().__init__(text)
        self.pause = pause


class OutputMovedError(Exception):
    """The output has less or more than was thought: it is resumed at once."""


class OutputClosedError(Exception):
    """The output will never take events again (nobody reads the pipe any more)."""


class Output(Protocol):
    """A place where events go. Another one is a file in this folder."""

    #: In `status`, and of its cursor; a cursor is kept only for a durable place.
    name: str
    #: What it has taken is still there after a restart.
    is_durable: bool
    #: After how long without a new event `idle` is called; infinite: never.
    idle_seconds: float

    async def resume(self, sequence: int, detail: str) -> int:
        """Take up from the cursor and what the last `write` returned ("" if there was none).

        Returns the sequence behind which it wants the events. Raises `OutputError`.
        """

    async def write(self, events: list[Event]) -> str:
        """Take the events; returns what to store with the cursor.

        Raises `OutputError`, `OutputMovedError`, and `OutputClosedError` if it is of no use to try again.
        """

    async def idle(self) -> None:
        """See to what was given; nothing has come for a while. Raises as `write`."""

    def close(self) -> None:
        """Let go of what is open, without a wait for anybody."""


async def follow(output: Output, events: EventLog, state: OutputState) -> None:
    """Hand every event to the output, in order, from its cursor on, until cancelled or closed."""
    state.is_durable = output.is_durable
    try:
        await _follow(output, events, state)
    except OutputClosedError as error:
        state.state, state.last_error = "closed", str(error)
        log.info("output closed", output=output.name, why=str(error))
    finally:
        output.close()


async def _follow(output: Output, events: EventLog, state: OutputState) -> NoReturn:
    pause = _RETRY_FIRST_SECONDS
    resumed = has_moved = False
    while True:
        least = 0.0
        try:
            if not resumed:
                await _resume(output, events, state)
                resumed = True
            await _hand_over(output, events, state)
            pause, has_moved = _RETRY_FIRST_SECONDS, False
        except OutputMovedError:
            # Once is no trouble; again before anything was taken is somebody else at the same time.
            resumed, was_moved, has_moved = False, has_moved, True
            if not was_moved:
                continue
            _note(state, "it has less or more than was thought, again and again")
        except OutputClosedError:
            raise
        except (OutputError, StateError) as error:
            resumed = False
            least = getattr(error, "pause", 0.0)
            _note(state, str(error))
        except Exception as error:  # the border of an output
            resumed = False
            if _note(state, f"{type(error).__name__} in trio_cursor; please report it"):
                log.exception("an output failed and starts again", output=output.name)
        else:
            continue
        await _note_waiting(events, state)
        await trio.sleep(max(least, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - jitter
        pause = min(pause * 2, _RETRY_MOST_SECONDS)


def _note(state: OutputState, why: str) -> bool:
    """Write down that it does not work, and say so if it is news. Returns whether it is."""
    state.errors += 1
    is_news = state.state != "error" or _head(state.last_error or "") != _head(why)
    if is_news:
        log.warning("output does not take events; they wait in the event log", output=state.name, why=why)
    state.state, state.last_error = "error", why
    return is_news


def _head(why: str) -> str:
    """Without a server's own words, in which each answer may have another number."""
    return why.partition(" (")[0]


async def _note_waiting(events: EventLog, state: OutputState) -> None:
    """Write down since when events wait for it: whoever cannot even begin has not read them."""
    with suppress(Exception):  # the border of an output; a log in trouble tells of it itself
        waiting = await events.read(state.sequence, limit=1)
        state.oldest_ms = waiting[0].metadata.get("captured_at") if waiting else None


async def _resume(output: Output, events: EventLog, state: OutputState) -> None:
    if not output.is_durable:
        return
    sequence, detail = await events.cursor(output.name)
    state.sequence = await output.resume(sequence, detail)


async def _hand_over(output: Output, events: EventLog, state: OutputState) -> None:
    newest = events.last_sequence  # before reading: what is appended meanwhile must not count as read
    batch = await events.read(state.sequence, limit=_BATCH_EVENTS)
    if batch:
        state.oldest_ms = batch[0].metadata.get("captured_at")
        detail = await output.write(batch)
        if output.is_durable:
            await events.save_cursor(output.name, batch[-1].sequence, detail)
        state.sequence = batch[-1].sequence
        if not state.meter.is_kept_by_output:
            state.meter.took(batch)
    else:
        state.sequence = max(state.sequence, newest)
    if state.state == "error":
        log.info("output takes events again", output=output.name)
    state.state, state.last_error = "connected", None
    # No checkpoint between the comparison and the wait: an append cannot slip through.
    while state.sequence >= events.last_sequence:
        state.oldest_ms = None
        with trio.move_on_after(output.idle_seconds) as waiting:
            await events.appended.wait()
        if waiting.cancelled_caught:
            await output.idle()
