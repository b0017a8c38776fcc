"""The intake: what is posted becomes announcements, and these are handed to the desk one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import trio

from trio_cursor.cursor.schemas.values import BadValueError, parse_json
from trio_cursor.logs import get_logger
from trio_cursor.observations import JsonObject
from trio_cursor.records import HTTP
from trio_cursor.sessions.announcements import Announcement, Desk, announcement
from trio_cursor.states import SourceState

log = get_logger(__name__)

BODY_LIMIT = 1024 * 1024
#: Items of one batch; an extension sends some tens.
BATCH_LIMIT = 1_000
#: Brackets of all of it. A megabyte of nothing else takes a fifth of a second to go through.
_CONTAINERS_LIMIT = 50 * BATCH_LIMIT
_WAITING_POSTS = 100


class UnusableError(Exception):
    """What was posted cannot be used."""

    def __init__(self, reason: str, *, detail: str = "", index: int | None = None) -> None:
        super().__init__(detail or reason)
        #: One of a few, to be counted under.
        self.reason = reason
        #: Which item of a batch.
        self.index = index


@attrs.frozen
class Posted:
    """What a body says."""

    heard: tuple[Announcement, ...]
    #: Well-formed, but about something else.
    ignored: int


def read_body(body: bytes, heard_ms: int) -> Posted:
    """Announcements of one event or of a list of them, in its order.

    Raises `UnusableError` if any of it cannot be used: a batch is taken as a whole or not at all, so that
    whoever mends it can send all of it again.
    """
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnusableError(
            "the body is not UTF-8", detail=f"the body is not UTF-8: {error.reason}"
        ) from None
    if body.count(b"[") + body.count(b"{") > _CONTAINERS_LIMIT:
        raise UnusableError(f"the body has more than {_CONTAINERS_LIMIT:,} brackets")
    try:
        parsed = parse_json(body, limit=BODY_LIMIT)
    except BadValueError as error:
        raise UnusableError("the body is not JSON", detail=f"the body cannot be used: {error}") from None
    if not isinstance(parsed, list):
        found = _read_item(parsed, heard_ms)
        return Posted((), 1) if found is None else Posted((found,), 0)
    if len(parsed) > BATCH_LIMIT:
        raise UnusableError(f"a batch has more than {BATCH_LIMIT:,} items")
    heard = []
    for index, item in enumerate(parsed):
        try:
            found = _read_item(item, heard_ms)
        except UnusableError as error:
            raise UnusableError(error.reason, index=index) from None
        if found is not None:
            heard.append(found)
    return Posted(tuple(heard), len(parsed) - len(heard))


def _read_item(item: Any, heard_ms: int) -> Announcement | None:
    """None: it announces nothing, or is another program's."""
    if not isinstance(item, dict):
        raise UnusableError("it is not an object")
    event = item.get("event")
    if not isinstance(event, dict):
        raise UnusableError("event is not an object")
    event_type = event.get("event_type")
    if not isinstance(event_type, str) or not event_type:
        raise UnusableError("event.event_type is not a text")
    platform = item.get("platform")
    if platform is not None and not isinstance(platform, str):
        raise UnusableError("platform is not a text")
    payload, metadata = _object(event, "payload"), _object(event, "metadata")
    if platform is not None and platform.lower() != "cursor":
        return None
    found = announcement(
        event_type,
        payload,
        metadata,
        source=HTTP,
        heard_ms=heard_ms,
        session_id=event.get("session_id") or item.get("session_id"),
        said=event.get("timestamp"),
    )
    if isinstance(found, str):
        raise UnusableError(found)
    return found


def _object(event: JsonObject, name: str) -> JsonObject:
    value = event.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnusableError(f"event.{name} is not an object")
    return value


@attrs.define(eq=False)
class _Waiting:
    """A post whose announcements are to be stored."""

    heard: Sequence[Announcement]
    stored: trio.Event = attrs.field(factory=trio.Event)
    is_given_up: bool = False


@attrs.define(eq=False)
class Intake:
    """Between the posts, of which there are many at once, and the desk, which is asked in their order.

    Posts that come while the desk is at work are handed in together, in one transaction.
    """

    desk: Desk
    source: SourceState
    #: Seconds for which a post waits for being stored.
    patience: float
    _sends: trio.MemorySendChannel[_Waiting] = attrs.field(init=False)
    _posts: trio.MemoryReceiveChannel[_Waiting] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._sends, self._posts = trio.open_memory_channel[_Waiting](_WAITING_POSTS)

    async def run(self) -> None:
        """Hand in what is posted, for ever."""
        async for first in self._posts:
            posts = [first]
            # A bound for the transaction, not for a batch: the last one taken may go beyond it.
            while sum(len(post.heard) for post in posts) < BATCH_LIMIT:
                try:
                    posts.append(self._posts.receive_nowait())
                except trio.WouldBlock:
                    break
            await self._hand_in([post for post in posts if not post.is_given_up])

    async def _hand_in(self, posts: list[_Waiting]) -> None:
        heard = [item for post in posts for item in post.heard]
        if not heard:
            return
        await self.desk.announce(heard)
        self.source.taken += len(heard)
        for post in posts:
            post.stored.set()

    async def take(self, heard: Sequence[Announcement]) -> bool:
        """Whether they are stored. False: not within patience.

        What the desk already had in hand by then is stored later, all the same; to announce it again is
        harmless, since a session is opened and ended once. What it had not is forgotten.
        """
        if not heard:
            return True
        post = _Waiting(heard)
        with trio.move_on_after(self.patience):
            await self._sends.send(post)
            await post.stored.wait()
        post.is_given_up = not post.stored.is_set()
        return post.stored.is_set()

    def refused(self, reason: str) -> None:
        """Count something that cannot be used, and log the first of its kind."""
        if self.source.skip(reason):
            log.warning("what was posted to /events cannot be used", why=reason)
