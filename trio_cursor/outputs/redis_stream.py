"""A Redis stream as an output: each event once, whatever happens to us or to the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs
import trio

from trio_cursor.eventlog import EventLog
from trio_cursor.events import EVENT_TYPE
from trio_cursor.logs import get_logger
from trio_cursor.outputs.follower import OutputError, OutputMovedError
from trio_cursor.outputs.foreign import ForeignEntries
from trio_cursor.outputs.stream_care import StreamCare
from trio_cursor.outputs.suspicion import Suspicion
from trio_cursor.records import Event
from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_append import Mark, MovedMarkError, StreamAppender
from trio_cursor.redis_batches import batches
from trio_cursor.redis_keys import StreamKeys, shard_of
from trio_cursor.redis_nodes import KnownNodes
from trio_cursor.redis_streams import thread_limiter
from trio_cursor.redis_tending import Bounds
from trio_cursor.redis_trouble import StreamError
from trio_cursor.states import OutputState

log = get_logger(__name__)

#: A rollback shows even if nothing is sent.
IDLE_SECONDS: Final = 30.0
#: What others have sent is waited for as long as it is read; if that is in trouble, for so long.
OTHERS_SECONDS: Final = 30.0


@attrs.frozen(kw_only=True)
class StreamOptions:
    """How a stream is to be written and kept."""

    shards: int
    marker_seconds: int
    bounds: Bounds


class RedisStream:
    """An output: one stream, or one shard of it.

    Besides the cursor it keeps the mark that the server should have. What the server has instead tells what
    has happened; where the two logs have gone different ways, we become another producer, and the markers of
    the events, which the server keeps for `marker_seconds`, see to it that none comes twice.
    """

    is_durable = True
    idle_seconds = IDLE_SECONDS

    def __init__(
        self,
        address: RedisAddress,
        keys: StreamKeys,
        number: int,
        options: StreamOptions,
        *,
        events: EventLog,
        state: OutputState,
        now_ms: Callable[[], int],
        others: ForeignEntries | None = None,
    ) -> None:
        self.name = state.name
        self._address, self._keys, self._number, self._options = address, keys, number, options
        self._log, self._state, self._now_ms = events, state, now_ms
        # Gap records and events of other shards are none of its own.
        state.meter.is_kept_by_output = True
        #: Who reads what others have put on the stream, so that it is not sent again; None: nobody does.
        self._others = others
        self._limiter, self._known_nodes = thread_limiter(), KnownNodes(address.hosts)
        self._appender: StreamAppender | None = None
        self._producer_id = ""
        #: What the server has, as far as we know, and which event of ours that was when we came.
        self._mark, self._found = "", 0
        #: What was waited for in vain, which is done once.
        self._given_up: trio.Event | None = None
        self._care = StreamCare(keys.stream, options.bounds, state)
        self._suspicion = Suspicion(now_ms)

    async def resume(self, sequence: int, detail: str) -> int:
        with self._translated():
            return await self._resume(sequence, _Kept.parsed(detail))

    async def write(self, events: list[Event]) -> str:
        await self._after_others()
        mine = [one for one in events if self._is_mine(one)]
        with self._translated():
            await self._send(mine)
            await self._care.tend(self._connected)
        return str(_Kept(self._mark, self._producer_id))

    async def idle(self) -> None:
        with self._translated():
            if await self._connected.mark() != self._mark:
                raise OutputMovedError
            await self._care.tend(self._connected)

    def close(self) -> None:
        appender, self._appender = self._appender, None
        if appender is not None:
            appender.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except StreamError as error:
            raise OutputError(f"{self._address}: {error}", pause=error.pause) from None

    @property
    def _connected(self) -> StreamAppender:
        if self._appender is None:
            raise OutputMovedError  # it was left by a cancelled `resume`
        return self._appender

    async def _resume(self, sequence: int, kept: _Kept) -> int:
        self.close()
        self._state.dead = await self._log.count_dead(self.name)
        self._producer_id = await self._log.producer_id()
        self._appender = self._made()
        self._mark, self._found = await self._connected.mark(), 0
        if self._mark == "":
            return await self._begin(sequence, kept)
        if self._mark == kept.mark:
            return sequence
        mark = Mark.parsed(self._mark)
        if mark is None or await self._log.event_id_at(mark.sequence) != mark.event_id:
            return await self._be_another(sequence)
        known = Mark.parsed(kept.mark)
        if known is not None and mark.sequence < known.sequence:
            self._note_rollback(known, mark.sequence)
            return mark.sequence
        # It has taken what nobody could tell us of any more. Or a copy of this log was at work: then the
        # events before the mark may be others, and their markers tell which of ours are there.
        self._found = mark.sequence
        return min(mark.sequence, max(sequence, await self._recent()))

    def _made(self) -> StreamAppender:
        return StreamAppender(
            self._address,
            self._keys,
            self._producer_id,
            marker_seconds=self._options.marker_seconds,
            limiter=self._limiter,
            known=self._known_nodes,
        )

    async def _begin(self, sequence: int, kept: _Kept) -> int:
        """The server knows nothing of us: it is new to us, or was emptied, or nothing was for it yet."""
        if kept.mark == "":
            return sequence
        # It gets what was captured within the life of the markers, and what it was still to get.
        begin = min(sequence, await self._recent())
        known = Mark.parsed(kept.mark)
        if known is not None and kept.producer_id == self._producer_id:
            self._note_rollback(known, begin)
        return begin

    async def _be_another(self, sequence: int) -> int:
        """The server's mark is of an event that is not in our log: this log is an older state of itself."""
        log.error(
            "the server knows events of ours that the event log has not: the log is an older one, or a copy;"
            " what was captured of late is sent again unless it is there",
            output=self.name,
        )
        self._producer_id = await self._log.renew_producer_id()
        self.close()
        self._appender, self._mark = self._made(), ""
        return min(sequence, await self._recent())

    async def _recent(self) -> int:
        """The sequence behind which the server would know by its markers what it has."""
        return await self._log.sequence_before(self._now_ms() - self._options.marker_seconds * 1000)

    def _note_rollback(self, known: Mark, begin: int) -> None:
        self._state.rollbacks += 1
        self._state.rolled_back_at = self._now_ms()
        log.error(
            "the server has lost events that it had taken; they are sent again",
            output=self.name,
            had=known.sequence,
            after=begin,
        )

    async def _after_others(self) -> None:
        """Wait until it is known what others have put there, as long as somebody finds out."""
        others = self._others
        while others is not None and not (others.settled.is_set() or others.settled is self._given_up):
            self._state.state, self._state.last_error = "waiting", "what others have sent is read first"
            with trio.move_on_after(OTHERS_SECONDS) as waiting:
                await others.settled.wait()
            if waiting.cancelled_caught and others.state.state != "connected":
                log.warning("it cannot be read what others have sent: some may come twice", output=self.name)
                self._given_up = others.settled

    def _is_mine(self, event: Event) -> bool:
        return event.event_type == EVENT_TYPE and shard_of(event, self._options.shards) == self._number

    async def _send(self, events: list[Event]) -> None:
        if not events:
            return
        entries, suspicion = await self._connected.entries_of(events), self._suspicion
        by_id = {event.event_id: event for event in events}
        for batch in batches(entries, most_bytes=suspicion.most_bytes, alone=suspicion.event_id):
            if why := suspicion.why_never(batch):
                await self._bury(by_id[batch[0].event_id], why)
                continue
            try:
                added = await self._connected.append(batch, self._mark)
            except MovedMarkError:
                raise OutputMovedError from None
            except StreamError as error:
                suspicion.failed(batch, error)
                raise
            suspicion.passed(batch)
            self._mark = str(Mark.of(batch[-1]))
            self._state.meter.took([by_id[one.event_id] for one in batch], added)
            if batch[0].sequence > self._found:
                self._state.already_there += len(batch) - added

    async def _bury(self, event: Event, reason: str) -> None:
        log.error("an event can never be sent", output=self.name, event_id=event.event_id, why=reason)
        self._state.dead_at = self._now_ms()
        self._state.meter.dead += await self._log.bury(self.name, event, reason, self._state.dead_at)
        self._state.dead = await self._log.count_dead(self.name)


@attrs.frozen
class _Kept:
    """What is stored with the cursor."""

    #: That the server should have; empty: nothing was sent yet.
    mark: str
    #: Whose it is.
    producer_id: str

    def __str__(self) -> str:
        return json.dumps(attrs.asdict(self))

    @classmethod
    def parsed(cls, text: str) -> _Kept:
        """The reverse. What cannot be read is a mark that nobody knows: then the server tells."""
        try:
            found = json.loads(text)
            return cls(str(found["mark"]), str(found.get("producer_id", "")))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            log.warning("what was stored of an output cannot be read; the server is asked", stored=text[:200])
            return cls("unknown", "")


#: What is stored for an output that was sent nothing yet.
NOTHING_SENT: Final = str(_Kept("", ""))
