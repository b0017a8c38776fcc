"""What came of each look at a database: its status in words, what others may rely on, when to look again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from trio_cursor.config import DatabaseMonitorConfig
from trio_cursor.cursor.guest import (
    Busy,
    Empty,
    NeedsRecovery,
    Page,
    Signature,
    TimedOut,
    Unchanged,
    Unreadable,
)
from trio_cursor.cursor.schemas.known import Reading
from trio_cursor.freshness import Freshness
from trio_cursor.ladder import SecondLooks
from trio_cursor.logs import get_logger
from trio_cursor.records import Page as SchemaPage
from trio_cursor.states import WorkspaceState
from trio_cursor.watched import Watched

log = get_logger(__name__)

Failure: TypeAlias = Unchanged | Busy | NeedsRecovery | Empty | Unreadable | TimedOut

_BACKOFF_MOST_SECONDS = 600.0


def backoff(first: float, failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, with jitter."""
    doubled = first * 2.0 ** min(failures - 1, 20)
    return min(doubled, _BACKOFF_MOST_SECONDS) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter


@attrs.define(eq=False)
class Pace:
    """How often to look, and how patient to be. Live: whoever rests asks for it anew at each look."""

    #: Seconds.
    poll_every: float
    probe_every: float
    max_retries: int
    #: Seconds before the first further try.
    retry_backoff: float

    @classmethod
    def of(cls, monitor: DatabaseMonitorConfig) -> Pace:
        """The one that is configured."""
        return cls(
            poll_every=monitor.poll_interval_seconds,
            probe_every=monitor.probe_interval_seconds,
            max_retries=monitor.max_retries,
            retry_backoff=monitor.retry_backoff_seconds,
        )

    def follow(self, monitor: DatabaseMonitorConfig) -> None:
        """Take the one that is configured now."""
        now = Pace.of(monitor)
        self.poll_every, self.probe_every = now.poll_every, now.probe_every
        self.max_retries, self.retry_backoff = now.max_retries, now.retry_backoff


@attrs.frozen
class Rest:
    """What follows a look: how long to leave the database alone."""

    seconds: float
    #: A change ends the rest.
    until_changed: bool = True
    #: All that there is was read; if not, the next look is needed even if nobody works there.
    is_done: bool = True


@attrs.define(eq=False)
class Condition:
    """How it stands with one database."""

    watched: Watched
    state: WorkspaceState
    pace: Pace
    freshness: Freshness
    looked: Callable[[], None]
    second_looks: SecondLooks = attrs.field(factory=SecondLooks, init=False)
    #: There was a complete read, since this was made.
    has_caught_up: bool = attrs.field(default=False, init=False)
    #: Looks in a row that ended in a deadline or an error, and looks in a row that ended before a lock.
    failures: int = attrs.field(default=0, init=False)
    lockouts: int = attrs.field(default=0, init=False)
    #: Looks in a row that ended before everything was read, though nothing was in the way.
    given_up: int = attrs.field(default=0, init=False)
    #: The last look may have come before what it was to find: nothing says when that is there.
    is_to_be_repeated: bool = attrs.field(default=False, init=False)
    #: What the last complete read had to say: status and, if it was not well, why.
    _verdict: tuple[str, str | None] = attrs.field(default=("connected", None), init=False)

    @property
    def is_readable(self) -> bool:
        """Whether the last look could read."""
        return not (self.failures or self.lockouts or self.watched.nothing)

    def first_look_is_over(self) -> None:
        """Nobody has to wait for this database any more."""
        if not self.state.looked:
            self.state.looked = True
            self.looked()

    def caught_up(self, outcome: Page[Reading], pages: Mapping[str, SchemaPage], began: float) -> Rest:
        """Everything that is there was read and is in the log; the last look began at that moment."""
        state, watched = self.state, self.watched
        self.has_caught_up = True
        state.schemas = tuple(pages)
        state.journal_mode = outcome.journal_mode
        watched.has_log = outcome.journal_mode == "wal"
        state.entries = {name: page.entries for name, page in pages.items() if page.entries is not None}
        file = outcome.signature.database
        state.size = file.size if file else None
        problems = [page.problem for page in pages.values() if page.problem]
        if outcome.result.unknown:
            self._verdict = ("unknown_schema", "; ".join((*outcome.result.unknown, *problems)))
        elif problems:
            self._verdict = ("error", "; ".join(problems))
        else:
            self._verdict = ("synced", None)
        if self._verdict[1] is not None:
            state.failed(watched.workspace.hash)
        self.given_up = self.given_up + 1 if any(page.is_given_up for page in pages.values()) else 0
        if 0 < self.given_up <= self.pace.max_retries:
            # Nobody may rely on it yet. What stays like this is broken, and nobody waits for it.
            self._turn(*self._verdict)
            self._is_blocked()
            return Rest(self.pace.retry_backoff, is_done=False)
        found = any(page.observations or page.gaps for page in pages.values())
        return self._read(outcome.signature, began, found=found)

    def unchanged(self, outcome: Unchanged, began: float) -> Rest:
        """Nothing had to be read: what was in the way of the looks in between is gone."""
        return self._read(outcome.signature, began, found=False)

    def _read(self, signature: Signature, began: float, *, found: bool) -> Rest:
        self.failures = self.lockouts = 0
        self._turn(*self._verdict)
        watched = self.watched
        again = self.second_looks.after(
            began, logged_at=watched.logged_at, found=found, every=self.pace.probe_every
        )
        self.is_to_be_repeated = again is not None
        if again is not None and again.is_early:
            signature = attrs.evolve(signature, settled=False)
        watched.read, watched.read_at = signature, began
        watched.nothing, watched.is_blocked = None, False
        self.first_look_is_over()
        self.freshness.renew(self.watched.workspace.database)
        if again is not None:
            return Rest(again.seconds, is_done=False)
        # Until the file changes, or could change without a trace: within one tick of its clock.
        if signature.settled:
            return Rest(self.pace.poll_every)
        return Rest(self.pace.probe_every, is_done=False)

    def without_page(self, outcome: Failure) -> Rest:
        """Nothing could be read."""
        pace = self.pace
        match outcome:
            case Busy():
                self.lockouts += 1
                if self.lockouts > pace.max_retries:
                    self._is_blocked()
                self._turn("locked", outcome.why)
                return Rest(pace.probe_every, until_changed=False, is_done=False)
            case TimedOut():
                self._fail()
                if self.failures >= pace.max_retries:
                    self._turn("timeout", outcome.why)
                    self.is_nothing()
                # Whatever changes meanwhile: a place that does not answer is not asked more often.
                pause = backoff(pace.retry_backoff, self.failures)
                return Rest(pause, until_changed=False, is_done=False)
            case Empty():
                self.failures = self.lockouts = 0
                self._turn("connected", None)
                self.state.note = outcome.why
                self.is_nothing()
                return Rest(pace.poll_every)
            case NeedsRecovery():
                self._fail()
                self._turn("error", outcome.why)
                self._is_blocked()
                return Rest(pace.poll_every, is_done=False)
            case Unreadable():
                self._fail()
                self._turn("error", outcome.why)
                self.is_nothing()
                # A change says that somebody has mended it, at once; the full check finds what leaves no
                # trace, such as permissions.
                return Rest(pace.poll_every, is_done=False)
            case Unchanged():  # only of a first look, which says whether it is
                raise AssertionError(outcome)

    def is_nothing(self) -> None:
        """There is nothing that others would have to wait for, as long as the file stays as it is."""
        self.watched.nothing, self.watched.is_blocked = self.watched.signature, False
        self.first_look_is_over()
        self.freshness.renew(self.watched.workspace.database)

    def _is_blocked(self) -> None:
        self.watched.is_blocked = True
        self.first_look_is_over()
        self.freshness.renew(self.watched.workspace.database)

    def _fail(self) -> None:
        self.failures += 1
        self.state.failed(self.watched.workspace.hash)

    def _turn(self, status: str, why: str | None) -> None:
        """One log line for each change of state."""
        state = self.state
        state.note = None
        if (state.status, state.last_error) == (status, why):
            return
        say = log.warning if why else log.debug
        if state.last_error and not why:
            say = log.info
        say(
            f"database {status}",
            workspace=self.watched.workspace.name,
            database=self.watched.workspace.database,
            **({"why": why} if why else {}),
        )
        state.status, state.last_error = status, why
