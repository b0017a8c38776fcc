"""Which event a server cannot take, found by what becomes of the calls; and how much it is sent at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from trio_cursor.redis_batches import BATCH_BYTES, StreamEntry
from trio_cursor.redis_trouble import StreamError, Trouble

#: A server may close the connection at what it takes for too large, which it may from so many bytes on.
_SUSPICIOUS_BYTES: Final = 1 << 20
#: A bad line does so too. An event that breaks it whenever it is sent, so often and for so long, and nothing
#: else does, cannot be sent.
_MOST_ATTEMPTS: Final = 20
_LEAST_MS: Final = 3_600_000


@attrs.define(eq=False)
class Suspicion:
    """Of one output. An event that is suspected is sent by itself."""

    now_ms: Callable[[], int]
    #: So much is sent at once: less over a line so slow that the answer did not come in time.
    most_bytes: int = BATCH_BYTES
    #: Of the suspect; None: there is none.
    event_id: str | None = None
    _attempts: int = 0
    _since_ms: int = 0
    #: The server has said that it is too large.
    _is_certain: bool = False

    def failed(self, batch: Sequence[StreamEntry], error: StreamError) -> None:
        """A batch did not arrive, or nobody knows whether it did."""
        if error.trouble is Trouble.STALLED:
            self.most_bytes = max(sum(entry.size for entry in batch) // 2, 1)
        if not (error.is_broken or error.is_too_large):
            return
        largest = max(batch, key=lambda entry: entry.size)
        if not error.is_too_large and largest.size < _SUSPICIOUS_BYTES:
            return
        if self.event_id != largest.event_id:
            self.event_id, self._attempts, self._since_ms = largest.event_id, 0, self.now_ms()
        if len(batch) == 1:
            self._attempts += 1
            self._is_certain = error.is_too_large

    def passed(self, batch: Sequence[StreamEntry]) -> None:
        """A batch has arrived."""
        self.most_bytes = min(2 * self.most_bytes, BATCH_BYTES)
        if self.event_id in {entry.event_id for entry in batch}:
            self._clear()

    def why_never(self, batch: Sequence[StreamEntry]) -> str | None:
        """Why what is to be sent can never be sent; None: it can, as far as is known."""
        if len(batch) != 1 or batch[0].event_id != self.event_id:
            return None
        size = batch[0].size
        if self._is_certain:
            self._clear()
            return f"the server takes no values as large: it has {size} bytes (proto-max-bulk-len)"
        if self._attempts >= _MOST_ATTEMPTS and self.now_ms() - self._since_ms >= _LEAST_MS:
            self._clear()
            return f"the connection breaks whenever its {size} bytes are sent"
        return None

    def _clear(self) -> None:
        self.event_id, self._attempts, self._is_certain = None, 0, False
