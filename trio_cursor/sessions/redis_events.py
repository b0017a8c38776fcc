"""Sessions that are announced on a Redis stream, read for ever from where the last run ended.

A server forgets: it is restarted without its last seconds, emptied, trimmed, or another one answers in its
place. XREAD tells of none of it, so what the server says about the stream is compared with what was read,
at each new connection and between any two reads that somebody could have trimmed between.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, NoReturn

import attrs
import trio

from trio_cursor.logs import get_logger
from trio_cursor.records import REDIS, StreamMark
from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_nodes import KnownNodes
from trio_cursor.redis_streams import Entry, StreamInfo, StreamReader, id_numbers, thread_limiter
from trio_cursor.redis_trouble import StreamError, Trouble
from trio_cursor.sessions.announcements import Announcement, Desk, stream_announcement
from trio_cursor.status import SourceState

log = get_logger(__name__)

_BEGINNING: Final = "0-0"
#: A batch is so many entries, fewer if they are large, and few as long as nothing is known of them.
BATCH_ENTRIES: Final = 100
_FIRST_ENTRIES: Final = 8
_BATCH_BYTES: Final = 2_000_000
#: Asking what the server has costs its largest entries; it takes no more than this part of the time.
_CHECK_PART: Final = 20
_QUICK_SECONDS: Final = 0.05
#: How long one read waits for an entry.
BLOCK_MS: Final = 1000
#: A mark alone, without an announcement, is stored at most this often.
MARK_SECONDS: Final = 5.0
#: How long nothing may come until the server is asked what it has.
CHECK_SECONDS: Final = 2.0
#: After a batch, so that what trickles in is read in few batches.
GATHER_SECONDS: Final = 0.01
#: The longest pause and a connect in vain fit into the 6 s that a fault may be felt after its end.
RETRY_SECONDS: Final = (0.1, 4.5)
#: Somebody must change something; trying means a line in the server's log each time.
DENIED_SECONDS: Final = 30.0
#: So many entries are looked at between two moments for the other tasks.
_STRIDE: Final = 10
_WAITING: Final = frozenset({Trouble.AWAY, Trouble.STALLED})


async def listen_to_redis(
    address: RedisAddress,
    stream: str,
    *,
    after: str | None,
    desk: Desk,
    state: SourceState,
    caught_up: Callable[[], None],
    now_ms: Callable[[], int],
) -> NoReturn:
    """Hand in every session that the stream announces, in order. Never returns unless cancelled.

    Args:
        address: Where the server is.
        stream: The stream's key.
        after: Id of the last mark that was stored under `mark_name`; None: there is none, and the stream is
            read from its beginning.
        desk: Where announcements are handed in, with the mark that they reach up to.
        state: What is said of this source.
        caught_up: Called once: when all that was in the stream at the start has been handed in, or when
            the server cannot be reached for now.
        now_ms: The wall clock.

    """
    listener = _Listener(
        server=str(address),
        stream=stream,
        name=mark_name(address, stream),
        position=_BEGINNING if after is None else after,
        stored=after,
        desk=desk,
        state=state,
        caught_up=caught_up,
        now_ms=now_ms,
    )
    limiter, known = thread_limiter(), KnownNodes(address.hosts)
    while True:
        reader = StreamReader(address, stream, limiter=limiter, block_ms=BLOCK_MS, known=known)
        try:
            async with aclosing(reader):
                await listener.listen(reader)
        except StreamError as error:
            pause = DENIED_SECONDS if error.trouble is Trouble.DENIED else listener.next_pause
            listener.note("waiting" if error.trouble in _WAITING else "error", f"{address}: {error}")
        except Exception as error:  # the border of a source
            pause = RETRY_SECONDS[1]  # the same entry may do it again
            listener.has_stumbled = True
            if listener.note("error", f"{type(error).__name__} in trio_cursor; please report it"):
                log.exception("a source of sessions failed and starts again", source=state.name)
        listener.next_pause = min(2 * listener.next_pause, RETRY_SECONDS[1])
        listener.say_caught_up()
        await trio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter


def _next_count(entries: list[Entry]) -> int:
    """How many entries to ask for, if those to come are as large."""
    size = sum(len(name) + len(value) for _, fields in entries for name, value in fields.items())
    return max(1, min(BATCH_ENTRIES, _BATCH_BYTES * len(entries) // max(size, 1)))


def mark_name(address: RedisAddress, stream: str) -> str:
    """What the position in a stream of a server is stored under."""
    return f"{address} {stream}"


@attrs.define(eq=False)
class _Listener:
    """What is known of the stream, from connection to connection."""

    server: str
    stream: str
    #: Of the mark.
    name: str
    #: Id of the last entry that was handed in or passed over.
    position: str
    desk: Desk
    state: SourceState
    caught_up: Callable[[], None]
    now_ms: Callable[[], int]
    #: The position that the desk has stored; None: none yet.
    stored: str | None
    next_pause: float = RETRY_SECONDS[0]
    stored_at: float = attrs.field(factory=trio.current_time)
    #: Where the stream ended at the start; None: not known yet, or it was reached.
    target: str | None = None
    is_caught_up: bool = False
    #: Over a mistake of ours, which may come again with the same entries: all is well not once they are read,
    #: but once they are handed in.
    has_stumbled: bool = False
    #: How many entries are asked for at once.
    count: int = _FIRST_ENTRIES
    #: Nothing was left to be read when we began to wait.
    is_at_end: bool = False
    #: How many entries the stream had ever had at our position, if the server counts them.
    added: int | None = None
    #: The newest entry known to have been deleted.
    deleted: str | None = None

    async def listen(self, reader: StreamReader) -> NoReturn:
        """Read for ever over one connection. Raises `StreamError` when it is of no use any more."""
        check_at = -math.inf
        while True:
            began = trio.current_time()
            if began >= check_at:
                await self._check(await reader.info())
                took = trio.current_time() - began
                check_at = began + max(CHECK_SECONDS, took * _CHECK_PART)
            count = self.count
            # If it comes to nothing, so much was too much.
            self.count = max(1, count // 4)
            entries = await reader.read(self.position, count)
            self.count = count
            if not self.has_stumbled:
                self._note_well()
            if entries:
                self.count = _next_count(entries)
                await self._hand_in(entries)
                # While it was handed in, more may have come and gone.
                if took < _QUICK_SECONDS:
                    check_at = -math.inf
                if len(entries) < count:
                    await trio.sleep(GATHER_SECONDS)
            elif self.target is not None:
                self.say_caught_up()  # what was there beyond our position has been deleted
            await self._store_mark()
            self.has_stumbled = False

    def note(self, word: str, why: str) -> bool:
        """Write down that it does not work, and say so if it is news. Returns whether it is."""
        self.state.errors += 1
        is_news = (self.state.state, self.state.last_error) != (word, why)
        if is_news:
            log.warning(
                "the stream of sessions cannot be read; it is tried again", source=self.state.name, why=why
            )
        self.state.state, self.state.last_error = word, why
        return is_news

    def say_caught_up(self) -> None:
        """Say it, unless it has been said."""
        self.target = None
        if not self.is_caught_up:
            self.is_caught_up = True
            self.caught_up()

    def _note_well(self) -> None:
        self.next_pause = RETRY_SECONDS[0]
        if self.state.state != "connected":
            log.info("the stream of sessions is read", source=self.state.name, server=self.server)
        self.state.state, self.state.last_error = "connected", None

    async def _hand_in(self, entries: list[Entry]) -> None:
        heard = []
        # What comes while we wait for it is heard now, whatever the server's clock says.
        is_live, self.is_at_end = self.is_at_end, False
        now_ms = self.now_ms()
        for number, (id_, fields) in enumerate(entries):
            if number % _STRIDE == _STRIDE - 1:
                await trio.lowlevel.checkpoint()
            added_ms = id_numbers(id_)[0]
            heard_ms = now_ms if is_live else min(added_ms, now_ms)
            found = stream_announcement(fields, source=REDIS, heard_ms=heard_ms)
            if isinstance(found, Announcement):
                heard.append(found if found.said_ms is not None else attrs.evolve(found, said_ms=added_ms))
            elif found is not None and self.state.skip(found):
                log.warning("an entry of the stream is passed over", stream=self.stream, id=id_, why=found)
        position = entries[-1][0]
        if heard:
            await self.desk.announce(heard, StreamMark(self.name, position))
            self.state.taken += len(heard)
            self._stored(position)
        self.position = position
        if self.added is not None:
            self.added += len(entries)
        if self.target is not None and id_numbers(position) >= id_numbers(self.target):
            self.say_caught_up()

    async def _store_mark(self) -> None:
        """Remember now and then what was passed over, too."""
        if self.position != self.stored and trio.current_time() >= self.stored_at + MARK_SECONDS:
            await self.desk.announce((), StreamMark(self.name, self.position))
            self._stored(self.position)

    def _stored(self, position: str) -> None:
        self.stored, self.stored_at = position, trio.current_time()

    async def _check(self, info: StreamInfo | None) -> None:
        """Compare what the server has with what was read; what may have been missed is read again."""
        last = info.last_generated_id if info else _BEGINNING
        if not self.is_caught_up and self.target is None:
            self.target = last
        if what := self._what_was_missed(info):
            await self._begin_again(what)
        self.is_at_end = self.position == last
        if self.is_at_end:
            self.added = info.entries_added if info else 0
            self.say_caught_up()

    def _what_was_missed(self, info: StreamInfo | None) -> str | None:
        """Why announcements may have been missed, in words; None: none were."""
        here = id_numbers(self.position)
        if here == (0, 0):
            # What was gone before we came was never ours.
            self.deleted = info.max_deleted_id if info else None
            return None
        if info is None:
            return "the stream is gone"
        if id_numbers(info.last_generated_id) < here:
            return "the stream is a new one, or an older state of it"
        if info.entries_added is not None and self.added is not None and info.entries_added < self.added:
            return "the stream was emptied and filled again"
        has_more = info.last_generated_id != self.position
        if not has_more and None not in (info.entries_added, self.added) and info.entries_added != self.added:
            return "entries were deleted before they were read"
        if has_more and (info.first_id is None or id_numbers(info.first_id) > here):
            # All that is left comes after us. If that is as much as was added since, nothing is missing.
            if self.added is not None and info.entries_added == self.added + info.length:
                return None
            return "the stream was trimmed beyond what was read"
        deleted = info.max_deleted_id
        if deleted is not None and deleted != self.deleted and id_numbers(deleted) > here:
            self.deleted = deleted
            return "entries were deleted before they were read"
        return None

    async def _begin_again(self, why: str) -> None:
        """Read all that is left; what is announced twice counts once."""
        log.warning(
            "announcements of sessions may have been missed; what is left of the stream is read again",
            source=self.state.name,
            server=self.server,
            why=why,
            after=self.position,
        )
        await self.desk.doubt(REDIS)
        await self.desk.announce((), StreamMark(self.name, _BEGINNING))
        self.position, self.added = _BEGINNING, None
        self._stored(_BEGINNING)
