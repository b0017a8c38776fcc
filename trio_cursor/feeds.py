"""One stream of a reader: what comes on it, and what is left lying on it, becomes deliveries."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection
from typing import Final, NoReturn

import attrs
import trio

from trio_cursor.deliveries import KEEP_PART, MOST_TWINS, PAGE, Delivery, Desk
from trio_cursor.logs import get_logger
from trio_cursor.reader_health import Health
from trio_cursor.reader_rules import Rules
from trio_cursor.records import Event
from trio_cursor.redis_groups import Found, Gone, GroupConnection, Pending
from trio_cursor.redis_steps import Member
from trio_cursor.redis_trouble import RETRY_SECONDS, StreamError

log = get_logger(__name__)

#: A consumer that had nothing for so long will not come again under its name.
_FORGET_MS: Final = 24 * 3_600_000


@attrs.define(eq=False)
class Feed:
    """Reads one stream over a connection of its own."""

    member: Member
    rules: Rules
    connection: GroupConnection
    health: Health
    desk: Desk
    sends: trio.MemorySendChannel[Delivery]
    #: Nobody has asked for them yet.
    ready: deque[Delivery] = attrs.field(factory=deque)
    #: The group was there.
    has_group: bool = False
    #: Up to here entries were read.
    position: str | None = None

    async def run(self) -> None:
        """Send deliveries until cancelled, or until nobody wants them any more."""
        while True:
            try:
                await self._read()
            except StreamError as error:
                await self.health.pause("read", error)
            except trio.BrokenResourceError:
                return
            except Exception as error:  # the border of a shard
                why = f"{type(error).__name__} in trio_cursor; please report it"
                if self.health.note("read", "error", why):
                    log.exception("reading a stream failed and starts again", stream=self.member.stream)
                await trio.sleep(RETRY_SECONDS[1])  # the same entry may do it again

    async def _read(self) -> NoReturn:
        """Over one connection. Raises `StreamError` when it is of no use any more."""
        await self._send()  # what was ready when the last one broke
        await self._take_all(None)  # what we had in an earlier life, or in an answer that did not arrive
        look_at = trio.current_time()
        while True:
            if trio.current_time() >= look_at:
                await self._take_over()
                seconds = self.rules.claim_after_seconds / KEEP_PART
                look_at = trio.current_time() + seconds * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            # The first one says at once how things are; afterwards we wait.
            within = look_at - trio.current_time() if self.health.state == "connected" else 0
            entries = await self.connection.read(self.rules.prefetch, within=within)
            if entries is None:
                await self._make_group()
                self.health.well("read")
                continue
            self.has_group = True
            if entries:
                self.position = entries[-1].id
                await self._offer(entries)
            else:
                self.health.well("read")

    async def _make_group(self) -> None:
        start = self.rules.start
        if start == "$" and self.position is not None:
            # Of an end that we have read up to, nothing between it and now is left out. A stream that does
            # not have it any more has nothing before it either, or is a new one whose ids may be any.
            start = self.position if await self.connection.has(self.position) else "0"
        is_new = await self.connection.make_group(start)
        if is_new and self.has_group:
            log.warning("the group was gone and is made again", stream=self.member.stream, start=start)
        elif is_new:
            log.info("the group is made", stream=self.member.stream, group=self.member.group, start=start)
        self.has_group = True

    async def _take_over(self) -> None:
        """What others have left lying."""
        await self.connection.forget_consumers(_FORGET_MS)
        await self._take_all(self.rules.claim_after_ms)

    async def _take_all(self, idle_ms: int | None) -> None:
        after: str | None = None
        while page := await self.connection.pending(idle_ms=idle_ms, after=after, most=PAGE):
            await self._take(page, idle_ms=idle_ms or 0)
            after = page[-1].id

    async def _take(self, page: list[Pending], *, idle_ms: int) -> None:
        for entry in page:
            if self.desk.has(entry.id):
                continue
            attempts = entry.attempts - self.rules.uncounted
            if attempts > self.rules.max_attempts:
                # Whoever wanted to move it to the dead letters has died of looking at it.
                await self._bury(entry.id, attempts)
                continue
            # One that nobody will try again is counted here: looking at it may be what kills.
            is_counted = attempts >= self.rules.max_attempts
            match await self.connection.take(entry, idle_ms=idle_ms, is_counted=is_counted):
                case Gone():
                    self.desk.counts["trimmed"] += 1
                    log.warning(
                        "an entry was trimmed before it was acknowledged",
                        stream=self.member.stream,
                        id=entry.id,
                    )
                case Found() as found:
                    await self._offer([found], is_counted=is_counted)

    async def _offer(self, entries: list[Found], *, is_counted: bool = True) -> None:
        """Hand out what is to be dealt with; the rest is settled."""
        fresh = deque[Delivery]()
        others: list[str] = []
        surplus: list[str] = []
        for entry in entries:
            match entry.content:
                case None:
                    others.append(entry.id)
                case str() as reason:
                    await self._bury(entry.id, self._attempts(entry), reason)
                case event if len(self._twins(event)) >= MOST_TWINS:
                    surplus.append(entry.id)
                case event:
                    self._file(entry, event, fresh, is_counted=is_counted)
        if others or surplus:
            await self.connection.skip([*others, *surplus])
            self.desk.counts["passed_over"] += len(others)
            self.desk.counts["duplicates"] += len(surplus)
        if fresh:
            await self._sort_out(fresh)
        self.health.well("read")
        await self._send()

    async def _sort_out(self, fresh: deque[Delivery]) -> None:
        # Asked when each is known to be nobody's here: a mark is set before its delivery is let go.
        marks = await self.connection.done([one.event.event_id for one in fresh])
        for is_done in marks:
            delivery = fresh.popleft()
            if is_done:
                ids = tuple(delivery.ids)
                await self.connection.skip(ids)
                self.desk.settled(delivery, ids)
                self.desk.counts["duplicates"] += len(ids)
            elif delivery.attempts > self.rules.max_attempts:
                for id_ in tuple(delivery.ids):
                    await self._bury(id_, delivery.attempts - 1)
                    self.desk.settled(delivery, (id_,))
            else:
                self.ready.append(delivery)

    async def _send(self) -> None:
        while self.ready:
            # It stays here until it is taken, so that it can be handed back at the end.
            await self.sends.send(self.ready[0])
            self.ready.popleft()

    def _file(self, entry: Found, event: Event, fresh: deque[Delivery], *, is_counted: bool) -> None:
        twin = self.desk.held.get(event.event_id)
        if twin is not None:
            twin.ids[entry.id] = None
            self.desk.counts["duplicates"] += 1
            return
        delivery = Delivery(event, self.member.stream, entry.id, self._attempts(entry), self.desk)
        delivery.is_counted = is_counted and not self.rules.uncounted
        self.desk.held[event.event_id] = delivery
        fresh.append(delivery)

    def _twins(self, event: Event) -> Collection[str]:
        """The entries of its generation that are held."""
        delivery = self.desk.held.get(event.event_id)
        return () if delivery is None else delivery.ids

    def _attempts(self, entry: Found) -> int:
        return max(entry.attempts - self.rules.uncounted, 1)

    async def _bury(self, id_: str, attempts: int, reason: str | None = None) -> None:
        reason = reason or f"delivered {attempts} times and never acknowledged"
        if await self.connection.bury(id_, reason, attempts):
            self.desk.counts["rejected"] += 1
            log.warning("an entry goes to the dead letters", stream=self.member.stream, id=id_, why=reason)
