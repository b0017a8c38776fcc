"""What the event log tells `top`: how many generations, whose, and the newest ones."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs

from trio_cursor.errors import StateError
from trio_cursor.eventlog import FILE_NAME, Filter, last_sequence, open_for_reading, read_events
from trio_cursor.events import EVENT_TYPE
from trio_cursor.records import Event
from trio_cursor.sqlite_library import sqlite3

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
#: Of the last generations; no terminal shows more.
_KEPT_EVENTS: Final = 200
#: Texts of so many bytes are read to have them.
_MOST_BYTES: Final = 20_000_000
#: Of a text only the beginning is shown.
_KEPT_CHARACTERS: Final = 1000
_TEXTS: Final = ("prompt_text", "response_text")
#: Without texts. Of a long history only the last hour, by the index of captures; later by sequence.
_FIRST: Final = (
    "SELECT captured_at, workspace_id, count(*) FROM events"
    " WHERE +seq > :after AND captured_at > :since AND type = :type GROUP BY captured_at, workspace_id"
)
_ON: Final = (
    "SELECT captured_at, workspace_id, count(*) FROM events"
    " WHERE seq > :after AND +captured_at > :since AND type = :type GROUP BY +captured_at, workspace_id"
)


@attrs.define(eq=False)
class Rates:
    """How many generations each workspace had, in slots of a second and of a minute, for the last hour."""

    _seconds: dict[int, Counter[str | None]] = attrs.field(factory=dict, init=False)
    _minutes: dict[int, Counter[str | None]] = attrs.field(factory=dict, init=False)

    def add(self, captured_ms: int, workspace_id: str | None, number: int = 1) -> None:
        """So many were reported then."""
        self._seconds.setdefault(captured_ms // 1000, Counter())[workspace_id] += number
        self._minutes.setdefault(captured_ms // _MINUTE_MS, Counter())[workspace_id] += number

    def forget(self, now_ms: int) -> None:
        """Drop what is older than an hour."""
        for slots, oldest in (
            (self._seconds, (now_ms - _MINUTE_MS) // 1000),
            (self._minutes, (now_ms - _HOUR_MS) // _MINUTE_MS),
        ):
            for slot in [slot for slot in slots if slot <= oldest]:
                del slots[slot]

    def minute(self) -> Counter[str | None]:
        """Of the last sixty seconds, by workspace, after `forget`."""
        return sum(self._seconds.values(), Counter())

    def hour(self) -> Counter[str | None]:
        """Of the last sixty minutes, by workspace, after `forget`."""
        return sum(self._minutes.values(), Counter())

    def by_minute(self, now_ms: int) -> list[int]:
        """Sixty numbers, the newest last."""
        newest = now_ms // _MINUTE_MS
        none: Counter[str | None] = Counter()
        return [self._minutes.get(slot, none).total() for slot in range(newest - 59, newest + 1)]


@attrs.define(eq=False)
class LogLook:
    """The event log, read on as it grows; there may be none, or another one later."""

    directory: Path
    now_ms: Callable[[], int]
    rates: Rates = attrs.field(factory=Rates, init=False)
    #: The newest generations, the last one last, with the beginnings of their texts.
    newest: deque[Event] = attrs.field(factory=lambda: deque(maxlen=_KEPT_EVENTS), init=False)
    #: Why nothing can be read; None: it can.
    trouble: str | None = attrs.field(default=None, init=False)
    _connection: Any = attrs.field(default=None, init=False)
    _file: tuple[int, int] | None = attrs.field(default=None, init=False)
    _version: int | None = attrs.field(default=None, init=False)
    _after: int = attrs.field(default=0, init=False)

    def look(self) -> bool:
        """Read what was added; whether there was anything."""
        if self._connection is None:
            return False
        try:
            # Changes with every commit of the service, and costs no reading.
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return False
            self._read_on()
            self._version = version
        except sqlite3.Error as error:
            self._lose(f"the event log cannot be read: {error}")
        return True

    def check(self) -> bool:
        """See whether the log is still the same file, or there is one now; whether anything has changed."""
        file = self._which()
        if self._connection is not None and file == self._file:
            return False
        before = self.trouble
        self._lose(f"no event log in {self.directory} yet")
        if file is None:
            return self.trouble != before
        try:
            self._connection = open_for_reading(self.directory)
        except StateError as error:
            self.trouble = str(error)
        if self._connection is None:
            return self.trouble != before
        self.trouble, self._file = None, file
        self.look()
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _which(self) -> tuple[int, int] | None:
        try:
            found = (self.directory / FILE_NAME).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _lose(self, why: str) -> None:
        """Begin anew; what was in a log that is gone is gone."""
        with suppress(sqlite3.Error):
            self.close()
        self.rates, self.trouble, self._version, self._after = Rates(), why, None, 0
        self.newest.clear()

    def _read_on(self) -> None:
        # One moment for all three questions.
        self._connection.execute("BEGIN")
        try:
            upto = last_sequence(self._connection)
            if upto < self._after:  # restored from an older copy, in place
                self.rates, self._after = Rates(), 0
                self.newest.clear()
            rows = self._connection.execute(
                _ON if self._after else _FIRST,
                {"after": self._after, "since": self.now_ms() - _HOUR_MS, "type": EVENT_TYPE},
            )
            for captured_ms, workspace_id, number in rows:
                self.rates.add(int(captured_ms), workspace_id, int(number))
            found = read_events(
                self._connection,
                Filter(),
                after=self._after,
                limit=_KEPT_EVENTS,
                max_bytes=_MOST_BYTES,
                newest=True,
                unreadable=_pass_over,
            )
        finally:
            self._connection.execute("ROLLBACK")
        self.newest.extend(map(_beginnings, found))
        self._after = upto


def _pass_over(_sequence: int) -> None:
    """A row that is no event: `events` names it, and here is no room for that."""


def _beginnings(event: Event) -> Event:
    """The event with what a line shows: two hundred of a megabyte each would be kept otherwise."""
    payload = {name: value for name, value in event.payload.items() if name != "full_generation_data"}
    for name in _TEXTS:
        if isinstance(text := payload.get(name), str):
            payload[name] = text[:_KEPT_CHARACTERS]
    return attrs.evolve(event, payload=payload)
