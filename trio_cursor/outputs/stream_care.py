"""Looking after a stream that is written: it is trimmed now and then, and what could harm it is said."""

from __future__ import annotations

import math
from typing import Final

import attrs
import trio

from trio_cursor.logs import get_logger
from trio_cursor.redis_append import StreamAppender
from trio_cursor.redis_tending import Bounds, Trimmed, evicting, trim
from trio_cursor.states import OutputState

log = get_logger(__name__)

TEND_SECONDS: Final = 60.0


@attrs.define(eq=False)
class StreamCare:
    """Of one stream, or one shard of it."""

    stream: str
    bounds: Bounds
    #: Where alarms are written down.
    state: OutputState
    _tended_at: float = attrs.field(default=-math.inf, init=False)
    #: Somebody else sees to it then.
    _may_trim: bool = attrs.field(default=True, init=False)

    async def tend(self, appender: StreamAppender) -> None:
        """Do what is due. Raises `StreamError`."""
        if trio.current_time() < self._tended_at + TEND_SECONDS:
            return
        policy = await appender.in_thread(lambda: evicting(appender.ask))
        self._alarm(
            "eviction",
            policy and f"its maxmemory-policy is {policy}, which may drop the stream; set noeviction",
        )
        if self._may_trim:
            self._note(await appender.in_thread(lambda: trim(appender.ask, self.stream, self.bounds)))
        self._tended_at = trio.current_time()

    def _note(self, trimmed: Trimmed) -> None:
        if trimmed.is_forbidden:
            self._may_trim = False
            log.info("the stream is not trimmed: the user's rules do not allow it", output=self.state.name)
        if trimmed.removed:
            log.info("stream trimmed", output=self.state.name, removed=trimmed.removed, length=trimmed.length)
        self._alarm(
            "trimming",
            trimmed.holder
            and f"the stream has {trimmed.length} entries, more than max_length: the consumer group"
            f" {trimmed.holder!r} has not acknowledged the oldest of them",
        )

    def _alarm(self, kind: str, words: str | None) -> None:
        if not words:
            self.state.alarms.pop(kind, None)
            return
        if kind not in self.state.alarms:
            log.warning("output needs a look", output=self.state.name, why=words)
        self.state.alarms[kind] = words
