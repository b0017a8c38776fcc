"""A stream read for ever, from where the last run ended, whatever happens to its server.

A server forgets: it is restarted without its last seconds, emptied, trimmed, or another one answers in its
place. XREAD tells of none of it, so what the server says about the stream is compared with what was read,
at each new connection, and between reads as often as asking costs next to nothing.
"""

from __future__ import annotations

import math
import random
from contextlib import aclosing
from typing import Final, NoReturn, Protocol

import attrs
import trio

from trio_cursor.logs import get_logger
from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_nodes import KnownNodes
from trio_cursor.redis_pages import BEGINNING, FIRST_ENTRIES, next_count
from trio_cursor.redis_streams import Entry, StreamInfo, StreamReader, id_numbers, thread_limiter
from trio_cursor.redis_trouble import RETRY_SECONDS, WAITING, StreamError
from trio_cursor.states import SourceState

log = get_logger(__name__)

#: Asking what the server has costs its first and its last entry; it takes no more than this part of the time.
_CHECK_PART: Final = 20
_QUICK_SECONDS: Final = 0.05
#: How long one read waits for an entry.
BLOCK_MS: Final = 1000
#: A position alone, without anything that was taken, is stored at most this often.
MARK_SECONDS: Final = 5.0
#: How long nothing may come until the server is asked what it has.
CHECK_SECONDS: Final = 2.0
#: After a batch, so that what trickles in is read in few batches.
GATHER_SECONDS: Final = 0.01


class Taker(Protocol):
    """What is done with the entries of one stream."""

    async def take(self, reader: StreamReader, entries: list[Entry], *, is_live: bool) -> bool:
        """Take entries, in their order; they come again if it raises.

        Args:
            reader: By which they were read: for what is to be written to the same server.
            entries: At least one.
            is_live: They came while we waited for them.

        Returns:
            Whether the last one's id is stored as the position, with what was taken.

        """

    async def store(self, position: str) -> None:
        """Store a position by itself."""

    async def begin_again(self) -> None:
        """Entries may have been missed, and what is left is read again: store the stream's beginning."""

    def caught_up(self) -> None:
        """All that was in the stream at the start was taken; and so with each connection."""

    def lost(self, *, is_away: bool) -> None:
        """It cannot be read for now; `is_away`: since the server is not there, which may soon be over."""


async def listen_to_stream(
    address: RedisAddress, stream: str, *, after: str | None, taker: Taker, state: SourceState
) -> NoReturn:
    """Give the taker every entry, in order. Never returns unless cancelled.

    Args:
        address: Where the server is.
        stream: The stream's key.
        after: The position that was stored; None: there is none, and the stream is read from its beginning.
        taker: What is done with the entries.
        state: What is said of it.

    """
    listening = _Listening(
        server=str(address),
        position=BEGINNING if after is None else after,
        stored=after,
        taker=taker,
        state=state,
    )
    limiter, known = thread_limiter(), KnownNodes(address.hosts)
    while True:
        is_away = False
        reader = StreamReader(address, stream, limiter=limiter, block_ms=BLOCK_MS, known=known)
        try:
            async with aclosing(reader):
                await listening.listen(reader)
        except StreamError as error:
            is_away = error.trouble in WAITING
            pause = max(error.pause, listening.next_pause)
            listening.note("waiting" if is_away else "error", f"{address}: {error}")
        except Exception as error:  # the border of a source
            pause = RETRY_SECONDS[1]  # the same entry may do it again
            listening.has_stumbled = True
            if listening.note("error", f"{type(error).__name__} in trio_cursor; please report it"):
                log.exception("the reading of a stream failed and starts again", source=state.name)
        listening.next_pause = min(2 * listening.next_pause, RETRY_SECONDS[1])
        taker.lost(is_away=is_away)
        await trio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter


@attrs.define(eq=False)
class _Listening:
    """What is known of the stream, from connection to connection."""

    server: str
    #: Id of the last entry that was taken.
    position: str
    #: The position that the taker has stored; None: none yet.
    stored: str | None
    taker: Taker
    state: SourceState
    next_pause: float = RETRY_SECONDS[0]
    stored_at: float = attrs.field(factory=trio.current_time)
    #: Where the stream ended at the start; None: not known yet, or it was reached.
    target: str | None = None
    is_caught_up: bool = False
    #: Over a mistake of ours, which may come again with the same entries: all is well not once they are read,
    #: but once they are taken.
    has_stumbled: bool = False
    #: How many entries are asked for at once.
    count: int = FIRST_ENTRIES
    #: Nothing was left to be read when we began to wait.
    is_at_end: bool = False
    #: How many entries the stream had ever had at our position, if the server counts them.
    added: int | None = None
    #: The newest entry known to have been deleted.
    deleted: str | None = None

    async def listen(self, reader: StreamReader) -> NoReturn:
        """Read for ever over one connection. Raises `StreamError` when it is of no use any more."""
        self._begin()
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
                self.count = next_count(entries)
                await self._hand_in(reader, entries)
                # While it was handed in, more may have come and gone.
                if took < _QUICK_SECONDS:
                    check_at = -math.inf
                if len(entries) < count:
                    await trio.sleep(GATHER_SECONDS)
            elif self.target is not None:
                self._say_caught_up()  # what was there beyond our position has been deleted
            if self.position != self.stored and trio.current_time() >= self.stored_at + MARK_SECONDS:
                await self.taker.store(self.position)
                self._stored()
            self.has_stumbled = False

    def _begin(self) -> None:
        """Nobody knows what has come while there was no connection."""
        self.target, self.is_caught_up = None, False

    def note(self, word: str, why: str) -> bool:
        """Write down that it does not work, and say so if it is news. Returns whether it is."""
        self.state.errors += 1
        is_news = (self.state.state, self.state.last_error) != (word, why)
        if is_news:
            log.warning("a stream cannot be read; it is tried again", source=self.state.name, why=why)
        self.state.state, self.state.last_error = word, why
        return is_news

    def _note_well(self) -> None:
        self.next_pause = RETRY_SECONDS[0]
        if self.state.state != "connected":
            log.info("a stream is read", source=self.state.name, server=self.server)
        self.state.state, self.state.last_error = "connected", None

    def _say_caught_up(self) -> None:
        """Say it, unless it has been said."""
        self.target = None
        if not self.is_caught_up:
            self.is_caught_up = True
            self.taker.caught_up()

    async def _hand_in(self, reader: StreamReader, entries: list[Entry]) -> None:
        is_live, self.is_at_end = self.is_at_end, False
        is_stored = await self.taker.take(reader, entries, is_live=is_live)
        self.position = entries[-1][0]
        if is_stored:
            self._stored()
        if self.added is not None:
            self.added += len(entries)
        if self.target is not None and id_numbers(self.position) >= id_numbers(self.target):
            self._say_caught_up()

    def _stored(self) -> None:
        self.stored, self.stored_at = self.position, trio.current_time()

    async def _check(self, info: StreamInfo | None) -> None:
        """Compare what the server has with what was read; what may have been missed is read again."""
        last = info.last_generated_id if info else BEGINNING
        if not self.is_caught_up and self.target is None:
            self.target = last
        if what := self._what_was_missed(info):
            await self._begin_again(what)
        self.is_at_end = self.position == last
        if self.is_at_end:
            self.added = info.entries_added if info else 0
            self._say_caught_up()

    def _what_was_missed(self, info: StreamInfo | None) -> str | None:
        """Why entries may have been missed, in words; None: none were."""
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
        """Read all that is left; what is taken twice counts once."""
        log.warning(
            "entries of a stream may have been missed; what is left of it is read again",
            source=self.state.name,
            server=self.server,
            why=why,
            after=self.position,
        )
        await self.taker.begin_again()
        self.position, self.added = BEGINNING, None
        self._stored()
