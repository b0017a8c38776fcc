"""What a consumer holds: a delivery, until it has said what became of it.

A delivery is ours for as long as somebody holds the object: its entries are kept from being taken over, and
another entry of the same generation waits with it. Whoever lets go of one without a word gives it back.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import islice
from typing import Final, NoReturn
from weakref import WeakValueDictionary

import attrs
import trio

from trio_cursor.cursor.schemas.values import clean_text
from trio_cursor.reader_health import Health
from trio_cursor.reader_rules import Rules
from trio_cursor.records import Event
from trio_cursor.redis_groups import GroupConnection

#: In that part of the time after which others may take them over, what is ours is kept, theirs looked for.
KEEP_PART: Final = 3
#: So many entries are named to the server at once.
PAGE: Final = 100
#: So many entries of one generation wait with the first; more are acknowledged unread.
MOST_TWINS: Final = 300
#: What the server said of a generation is believed for so long.
_FRESH_SECONDS: Final = 1.0
_LONGEST_REASON: Final = 1000


@attrs.define(eq=False)
class Delivery:
    """An event that was handed to this consumer, until `ack` or `reject`.

    Without either it is delivered again, to this or another consumer: when the reader was closed, when the
    process died, or some time after nobody has held this object any more.
    """

    event: Event
    #: The key of the stream that it was on.
    stream: str
    #: Of the entry.
    id: str
    #: How often it was delivered, with this time.
    attempts: int
    _desk: Desk = attrs.field(repr=False, alias="desk")
    #: The entry, and others of the same generation; fewer as they are settled.
    ids: dict[str, None] = attrs.field(repr=False, init=False)
    #: When the server was asked whether somebody else has dealt with the generation.
    asked_at: float = attrs.field(factory=trio.current_time, repr=False, init=False)
    #: The server knows of this attempt.
    is_counted: bool = attrs.field(default=True, repr=False, init=False)
    #: The consumer has it.
    is_handed_out: bool = attrs.field(default=False, repr=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.ids = {self.id: None}

    async def hand_out(self) -> bool:
        """Give it to the consumer; False: somebody else has dealt with it while it waited here."""
        if trio.current_time() - self.asked_at > _FRESH_SECONDS and await self._desk.is_done(self):
            return False
        if not self.is_counted:
            await self._desk.count(self)
        self.is_handed_out = True
        self._desk.counts["delivered"] += 1
        return True

    async def ack(self) -> None:
        """Say that it was dealt with: it is not delivered to this group again. Doing so twice is harmless.

        Waits for a server that is away.

        Raises:
            trio.ClosedResourceError: The reader was closed.

        """
        await self._desk.ack(self)

    async def reject(self, reason: str) -> None:
        """Say that it cannot be dealt with: it goes to the dead letters, with (the beginning of) the reason.

        Waits for a server that is away.

        Raises:
            trio.ClosedResourceError: The reader was closed.

        """
        await self._desk.reject(self, reason)


@attrs.define(eq=False)
class Desk:
    """What is held of one stream, and what is said of it, over a connection of its own."""

    connection: GroupConnection
    health: Health
    rules: Rules
    #: delivered, acked, rejected, duplicates, other (types), trimmed.
    counts: Counter[str] = attrs.field(factory=Counter)
    #: By event id; of each as long as somebody else holds it.
    held: WeakValueDictionary[str, Delivery] = attrs.field(factory=WeakValueDictionary)

    def has(self, id_: str) -> bool:
        """Whether an entry is held."""
        return any(id_ in delivery.ids for delivery in self.held.values())

    async def keep(self) -> NoReturn:
        """Keep others from taking over what is held here, until cancelled."""
        while True:
            await trio.sleep(self.rules.claim_after_seconds / KEEP_PART)
            ids = [id_ for delivery in list(self.held.values()) for id_ in delivery.ids]
            for first in range(0, len(ids), PAGE):
                await self.health.insist("keep", partial(self.connection.keep, ids[first : first + PAGE]))

    async def count(self, delivery: Delivery) -> None:
        """Tell the server of this attempt, now that there is one."""
        await self.health.insist(
            "count", partial(self.connection.count, delivery.id, delivery.attempts + self.rules.uncounted)
        )
        delivery.is_counted = True

    async def is_done(self, delivery: Delivery) -> bool:
        """Whether the group has dealt with it meanwhile; then its entries are acknowledged."""
        (is_done,) = await self.health.insist(
            "done", partial(self.connection.done, [delivery.event.event_id])
        )
        while is_done and (ids := tuple(delivery.ids)):
            await self.health.insist("skip", partial(self.connection.skip, ids))
            self.settled(delivery, ids)
            self.counts["duplicates"] += len(ids)
        return is_done

    async def ack(self, delivery: Delivery) -> None:
        """Settle it as done."""
        await trio.lowlevel.checkpoint()
        id_ = delivery.event.event_id
        if not delivery.ids:
            return
        while ids := tuple(islice(delivery.ids, PAGE)):
            await self.health.insist(
                "ack", partial(self.connection.ack, ids, id_, marker_seconds=self.rules.marker_seconds)
            )
            self.settled(delivery, ids)
            # The mark is there, and tells of others that come now: a flood of them must not hold us up.
            self._let_go(delivery)
        self.counts["acked"] += 1

    async def reject(self, delivery: Delivery, reason: str) -> None:
        """Settle it as dead."""
        await trio.lowlevel.checkpoint()
        reason = clean_text(reason)[:_LONGEST_REASON]
        while delivery.ids:
            id_ = next(iter(delivery.ids))
            attempts = delivery.attempts if id_ == delivery.id else 1
            is_moved = await self.health.insist(
                "reject", partial(self.connection.bury, id_, reason, attempts)
            )
            self.settled(delivery, (id_,))
            self.counts["rejected"] += is_moved

    async def hand_back(self) -> None:
        """Let others have at once what was not settled here. Raises `StreamError`."""
        tried = {id_ for one in list(self.held.values()) if one.is_handed_out for id_ in one.ids}
        untried = {one.id: one.attempts - 1 for one in list(self.held.values()) if not one.is_handed_out}
        by_attempts: dict[int, list[str]] = {}
        after: str | None = None
        # Asked of the server: what was fetched just now may never have come to us.
        while page := await self.connection.pending(idle_ms=None, after=after, most=PAGE):
            for entry in page:
                # Entries that are fetched count as tried once, before anybody has.
                is_untried = entry.attempts == 1 and entry.id not in tried
                attempts = untried.get(entry.id, 0 if is_untried else entry.attempts)
                by_attempts.setdefault(attempts, []).append(entry.id)
            after = page[-1].id
        for attempts, ids in by_attempts.items():
            for first in range(0, len(ids), PAGE):
                await self.connection.hand_back(ids[first : first + PAGE], attempts)

    def settled(self, delivery: Delivery, ids: tuple[str, ...]) -> None:
        """They are nobody's any more."""
        for id_ in ids:
            delivery.ids.pop(id_, None)
        if not delivery.ids:
            self._let_go(delivery)

    def _let_go(self, delivery: Delivery) -> None:
        event_id = delivery.event.event_id
        if self.held.get(event_id) is delivery:
            del self.held[event_id]
