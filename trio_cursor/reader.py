"""Consumers read events here: a stream, or its shards, in a consumer group, each generation once."""

from __future__ import annotations

import os
import secrets
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal

import attrs
import trio

from trio_cursor.config.output_sections import RedisConfig
from trio_cursor.deliveries import Delivery, Desk
from trio_cursor.errors import ConfigError
from trio_cursor.feeds import Feed
from trio_cursor.reader_health import STATES, Health
from trio_cursor.reader_rules import Rules, refuse_nonsense
from trio_cursor.redis_address import RedisAddress, address_of
from trio_cursor.redis_groups import GroupConnection
from trio_cursor.redis_keys import keys_of
from trio_cursor.redis_steps import Member
from trio_cursor.redis_trouble import StreamError

#: The longest that one read waits for an entry.
_BLOCK_MS: Final = 1000
#: At the end, for handing back what was not dealt with; nobody waits longer for a server that is away.
_FAREWELL_SECONDS: Final = 0.2


@attrs.frozen
class ReaderStatus:
    """How a reader is."""

    #: `connected`; `connecting`, as long as nothing is known; `waiting` for a server that is away; `error`:
    #: somebody must change something. Of several streams the worst.
    state: str
    last_error: str | None
    #: Handed to the consumer.
    delivered: int
    acked: int
    #: Entries of a generation that this group has dealt with, or is dealing with.
    duplicates: int
    #: Entries that were moved to the dead letters here.
    rejected: int
    #: Entries that are no `database_trace`.
    passed_over: int
    #: Entries that were gone from the stream before anybody had acknowledged them.
    trimmed: int
    #: Fetched and not settled yet.
    held: int


class EventReader(trio.abc.ReceiveChannel[Delivery]):
    """Deliveries, as an async iterator. Several tasks may receive from one reader."""

    def __init__(
        self, consumer: str, receives: trio.MemoryReceiveChannel[Delivery], feeds: Sequence[Feed]
    ) -> None:
        #: The name that the server knows this one by.
        self.consumer = consumer
        self._receives = receives
        #: For the next who receives: whoever wanted them was cancelled.
        self._kept: deque[Delivery] = deque()
        self._feeds = feeds

    async def receive(self) -> Delivery:
        """The next one; waits for as long as it takes. Raises `trio.ClosedResourceError`."""
        while True:
            delivery = self._kept.popleft() if self._kept else await self._receives.receive()
            try:
                if await delivery.hand_out():
                    return delivery
            except trio.Cancelled:
                self._kept.append(delivery)
                raise

    async def aclose(self) -> None:
        """Receive no more; what was delivered can be settled until the end of `open_reader`."""
        await self._receives.aclose()

    def status(self) -> ReaderStatus:
        """How it is at the moment."""
        desks = [feed.desk for feed in self._feeds]
        counts = sum((desk.counts for desk in desks), Counter[str]())
        healths = (*(feed.health for feed in self._feeds), *(desk.health for desk in desks))
        worst = min(healths, key=lambda health: STATES.index(health.state))
        return ReaderStatus(
            state=worst.state,
            last_error=worst.last_error,
            delivered=counts["delivered"],
            acked=counts["acked"],
            duplicates=counts["duplicates"],
            rejected=counts["rejected"],
            passed_over=counts["passed_over"],
            trimmed=counts["trimmed"],
            held=sum(len(desk.held) for desk in desks),
        )


@asynccontextmanager
async def open_reader(
    redis: str | RedisConfig,
    *,
    group: str,
    consumer: str | None = None,
    stream: str | None = None,
    shards: int | None = None,
    start: Literal["0", "$"] = "0",
    prefetch: int = 10,
    claim_after_seconds: float = 60.0,
    max_attempts: int = 5,
    marker_seconds: int = 2 * 24 * 3600,
) -> AsyncIterator[EventReader]:
    """Read events as a member of a consumer group, which is made if it is not there.

    Connects and reconnects by itself: a server that is away is a state in `status()`, never an exception.
    An exception of the body ends the reader and is raised as it is.

    Args:
        redis: A URL, or the section `[redis]` of a configuration.
        group: All readers of a group share the events; every group gets each of them.
        consumer: A name of this reader alone. One that is the same after a restart gets at once what it
            had before; by default it is a new one each time, and others get it after `claim_after_seconds`.
        stream: The stream's key; by default the configuration's, else `telemetry:events`.
        shards: Into how many streams the producers split it; by default as configured, else 1.
        start: Where a group begins that has to be made: `0`, with all that is on the stream, or `$`, with
            what comes from now on.
        prefetch: So many entries are fetched at once, of each shard.
        claim_after_seconds: What a consumer has and was not heard of for so long is given to another.
        max_attempts: An entry that was delivered so often and never acknowledged goes to the dead letters.
        marker_seconds: How long the server remembers that the group has dealt with a generation.

    Raises:
        ConfigError: The arguments cannot be used; at the start, never later.

    """
    config = _config_of(redis)
    rules = Rules(start, prefetch, claim_after_seconds, max_attempts, marker_seconds)
    count = config.shards if shards is None else shards
    refuse_nonsense(group, consumer, stream, count, rules)
    address = address_of(config)
    name = consumer or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    sends, receives = trio.open_memory_channel[Delivery](0)
    feeds = [
        _feed(address, Member(keys, group, name), rules, sends)
        for keys in keys_of(config.stream if stream is None else stream, count)
    ]
    reader = EventReader(name, receives, feeds)
    own: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            for feed in feeds:
                nursery.start_soon(feed.run)
                nursery.start_soon(feed.desk.keep)
            try:
                yield reader
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as several:
        # Whoever writes `async with` knows of no nursery: what the body raised comes out as it was.
        errors = [one for one in several.exceptions if not isinstance(one, trio.Cancelled)]
        if len(errors) != 1:
            raise
        (own,) = errors
    finally:
        receives.close()
        await _say_farewell(feeds)
    if own is not None:
        raise own


def _config_of(redis: object) -> RedisConfig:
    if isinstance(redis, RedisConfig):
        return redis
    if not isinstance(redis, str):
        raise ConfigError(("redis must be a URL, or the section [redis] of a configuration",))
    try:
        return RedisConfig(url=redis)
    except ValueError as error:
        raise ConfigError((f"redis.{error}",)) from None


def _feed(
    address: RedisAddress, member: Member, rules: Rules, sends: trio.MemorySendChannel[Delivery]
) -> Feed:
    server = str(address)
    desk = Desk(
        GroupConnection(address, member, block_ms=0),
        # It is made when there is something to say; until then nothing is wrong.
        Health(f"acknowledging on {member.stream}", server, state="connected"),
        rules,
    )
    return Feed(
        member,
        rules,
        GroupConnection(address, member, block_ms=_BLOCK_MS),
        Health(f"reading {member.stream}", server),
        desk,
        sends,
    )


async def _say_farewell(feeds: list[Feed]) -> None:
    """Hand back what was not settled, so that nobody has to wait for it, and close all connections."""
    with trio.move_on_after(_FAREWELL_SECONDS, shield=True):
        async with trio.open_nursery() as nursery:
            for feed in feeds:
                if feed.health.state == "connected":
                    nursery.start_soon(_hand_back, feed)
    for feed in feeds:
        feed.connection.close()
        feed.desk.connection.close()


async def _hand_back(feed: Feed) -> None:
    try:
        await feed.desk.hand_back()
    except StreamError:
        return  # others will take it over when it was not heard of for long enough
