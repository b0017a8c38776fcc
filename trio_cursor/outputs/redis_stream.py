"""A Redis stream as an output: each event once, whatever happens to us or to the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs
import trio

from trio_cursor.asked import marker_seconds
from trio_cursor.config import Config
from trio_cursor.eventlog import EventLog
from trio_cursor.events import EVENT_TYPE, weight
from trio_cursor.logs import get_logger
from trio_cursor.outputs.follower import OutputError, OutputMovedError
from trio_cursor.outputs.foreign import ForeignEntries
from trio_cursor.outputs.stream_care import StreamCare
from trio_cursor.records import Event
from trio_cursor.redis_address import RedisAddress, address_of
from trio_cursor.redis_append import Mark, MovedMarkError, StreamAppender
from trio_cursor.redis_keys import StreamKeys, keys_of, shard_of
from trio_cursor.redis_nodes import KnownNodes
from trio_cursor.redis_streams import thread_limiter
from trio_cursor.redis_tending import Bounds
from trio_cursor.redis_trouble import StreamError, Trouble
from trio_cursor.status import OutputState

log = get_logger(__name__)

#: One call: the server does nothing else meanwhile.
_BATCH_EVENTS: Final = 100
_BATCH_BYTES: Final = 1_000_000
#: A rollback shows even if nothing is sent.
IDLE_SECONDS: Final = 30.0
#: How long to wait at least, by trouble; a person must change something, or others must make room.
_PAUSES: Final = {
    Trouble.DENIED: 30.0,
    Trouble.WRONG_TYPE: 30.0,
    Trouble.REFUSED: 5.0,
    Trouble.FULL: 5.0,
}
#: A server may close the connection at what it takes for too large, which it may from so many bytes on...
_SUSPICIOUS_BYTES: Final = 1 << 20
#: ... and then it does so as often as it is tried.
_MOST_ATTEMPTS: Final = 3


@attrs.frozen(kw_only=True)
class StreamOptions:
    """How a stream is to be written and kept."""

    shards: int
    marker_seconds: int
    bounds: Bounds


@attrs.frozen
class _Suspect:
    """An event that may be why the connection broke; it is sent by itself."""

    event_id: str
    #: How often it was sent by itself, in vain.
    attempts: int


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
    ) -> None:
        self.name = state.name
        self._address, self._keys, self._number, self._options = address, keys, number, options
        self._log, self._state, self._now_ms = events, state, now_ms
        #: Before that nothing is sent, since somebody else may have sent it; None: at once.
        self.settled: trio.Event | None = None
        self._limiter, self._known_nodes = thread_limiter(), KnownNodes(address.hosts)
        self._appender: StreamAppender | None = None
        #: What the server has, as far as we know.
        self._mark: Mark | None = None
        self._care = StreamCare(keys.stream, options.bounds, state)
        self._suspect: _Suspect | None = None

    async def resume(self, sequence: int, detail: str) -> int:
        with self._translated():
            return await self._resume(sequence, detail)

    async def write(self, events: list[Event]) -> str:
        if self.settled is not None:
            await self.settled.wait()
        mine = [one for one in events if self._is_mine(one)]
        with self._translated():
            for batch in self._batches(mine):
                await self._append(batch)
            await self._care.tend(self._connected)
        return json.dumps({"mark": None if self._mark is None else str(self._mark)})

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
            raise OutputError(f"{self._address}: {error}", pause=_PAUSES.get(error.trouble, 0)) from None

    @property
    def _connected(self) -> StreamAppender:
        if self._appender is None:
            raise OutputMovedError  # it was left by a cancelled `resume`
        return self._appender

    async def _resume(self, sequence: int, detail: str) -> int:
        self.close()
        self._state.dead = await self._log.count_dead(self.name)
        known = _known(detail)
        self._appender = self._made(await self._log.producer_id())
        self._mark = await self._appender.mark()
        if self._mark is None:
            return await self._begin(sequence, detail)
        if self._mark == known:
            return sequence
        if await self._log.event_id_at(self._mark.sequence) != self._mark.event_id:
            return await self._be_another(sequence)
        if known is not None and self._mark.sequence < known.sequence:
            self._note_rollback(known, self._mark.sequence)
        # Else it has taken what nobody could tell us of any more.
        return self._mark.sequence

    def _made(self, producer_id: str) -> StreamAppender:
        return StreamAppender(
            self._address,
            self._keys,
            producer_id,
            marker_seconds=self._options.marker_seconds,
            limiter=self._limiter,
            known=self._known_nodes,
        )

    async def _begin(self, sequence: int, detail: str) -> int:
        """The server knows nothing of us: it is new to us, or was emptied, or nothing was for it yet."""
        known = _known(detail)
        if detail and known is None:
            return sequence
        recent = await self._recent()
        if known is not None:
            # It gets what was captured within the life of the markers, and what it was still to get.
            self._note_rollback(known, begin := min(sequence, recent))
            return begin
        if recent:
            log.info(
                "what was captured long ago is not sent to a new stream; `replay` does that",
                output=self.name,
                events=recent,
            )
        return recent

    async def _be_another(self, sequence: int) -> int:
        """The server has a mark of an event that is not in our log: this log is an older state of itself."""
        log.error(
            "the server knows events of ours that the event log has not: the log is an older one;"
            " what was captured of late is sent again unless it is there",
            output=self.name,
        )
        producer_id = await self._log.renew_producer_id()
        self.close()
        self._appender, self._mark = self._made(producer_id), None
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

    def _is_mine(self, event: Event) -> bool:
        if event.event_type != EVENT_TYPE:
            return False
        return self._options.shards == 1 or shard_of(event, self._options.shards) == self._number

    def _batches(self, events: list[Event]) -> Iterator[list[Event]]:
        """What is sent in one call; a suspect alone."""
        batch: list[Event] = []
        size = 0
        for event in events:
            bytes_ = weight(event.payload)
            is_suspect = self._suspect is not None and self._suspect.event_id == event.event_id
            if batch and (len(batch) == _BATCH_EVENTS or size + bytes_ > _BATCH_BYTES or is_suspect):
                yield batch
                batch, size = [], 0
            batch.append(event)
            size += bytes_
            if is_suspect:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    async def _append(self, batch: list[Event]) -> None:
        if len(batch) == 1 and self._suspect is not None and self._suspect.attempts >= _MOST_ATTEMPTS:
            size = weight(batch[0].payload)
            await self._bury(batch[0], f"the server breaks the connection when it gets its {size} bytes")
            return
        try:
            added = await self._connected.append(batch, self._mark)
        except MovedMarkError:
            raise OutputMovedError from None
        except StreamError as error:
            if error.is_broken:
                self._suspect_one_of(batch)
            raise
        self._mark, self._suspect = Mark.of(batch[-1]), None
        self._state.already_there += len(batch) - added

    def _suspect_one_of(self, batch: list[Event]) -> None:
        """The connection broke under a batch: the largest of it is sent by itself next."""
        largest = max(batch, key=lambda event: weight(event.payload))
        if weight(largest.payload) >= _SUSPICIOUS_BYTES:
            before = self._suspect.attempts if self._suspect is not None and len(batch) == 1 else -1
            self._suspect = _Suspect(largest.event_id, before + 1)

    async def _bury(self, event: Event, reason: str) -> None:
        log.error("an event can never be sent", output=self.name, event_id=event.event_id, why=reason)
        await self._log.bury(self.name, event, reason, self._now_ms())
        self._state.dead = await self._log.count_dead(self.name)
        self._suspect = None


def _known(detail: str) -> Mark | None:
    """The mark that was stored with the cursor; None: none was."""
    text = json.loads(detail)["mark"] if detail else None
    return None if text is None else Mark.parsed(text)


def open_redis_streams(
    config: Config, events: EventLog, now_ms: Callable[[], int], foreign: Iterable[ForeignEntries] = ()
) -> list[tuple[RedisStream, OutputState]]:
    """The outputs for `[redis]`: one for each shard. Raises `ConfigError`; connects to nothing yet.

    Each sends nothing before its stream's `foreign` entries are marked that are there already.
    """
    settled = {one.keys.stream: one.settled for one in foreign}
    redis, address = config.redis, address_of(config.redis)
    options = StreamOptions(
        shards=redis.shards,
        marker_seconds=marker_seconds(config),
        bounds=Bounds(redis.max_length, redis.trim_min_age_hours),
    )
    found = []
    for number, keys in enumerate(keys_of(redis.stream, redis.shards)):
        state = OutputState(f"redis_stream:{address} {keys.stream}")
        output = RedisStream(address, keys, number, options, events=events, state=state, now_ms=now_ms)
        output.settled = settled.get(keys.stream)
        found.append((output, state))
    return found
