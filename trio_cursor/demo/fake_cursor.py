"""The living fake Cursor: windows that open, write and close, for as long as it is let.

One thread, one loop: it is another program than the service, and simpler than what it stands for. Windows
share that thread, so a guest that blocks one of them delays all; in Cursor each database has its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import attrs

from trio_cursor.demo import ui_state
from trio_cursor.demo.canaries import CANARIES
from trio_cursor.demo.conversations import Conversations
from trio_cursor.demo.old_conversations import remember
from trio_cursor.demo.ring import RingItem, new_item
from trio_cursor.demo.schedule import Schedule
from trio_cursor.demo.storage import BUSY_OPEN_WAIT_SECONDS, StorageBusyError
from trio_cursor.demo.tree import history

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_cursor.demo.database import Database
    from trio_cursor.demo.tree import Plan, Tree
    from trio_cursor.demo.window import Window

#: Each open window writes UI state about twice a second, all together at most 40 times.
_FIDGET_SECONDS: Final = 0.5
_FIDGETS_PER_SECOND: Final = 40
_HEARTBEAT_SECONDS: Final = 1.0
#: VS Code asks everybody for their state once a minute.
_SAVE_STATE_SECONDS: Final = 60.0
#: How long a window is gone, at most.
_CLOSED_SECONDS: Final = 5.0
#: Further behind than this (stopped by a signal, a slow disk) what was missed is not made up for.
_CATCH_UP_SECONDS: Final = 1.0
#: The longest sleep, so that a signal is answered at once.
_NAP_SECONDS: Final = 0.05

#: The same id in the rings of two workspaces, each with its own time: two windows, or a copied workspace.
_COPIED: Final = 0.03
_COPIED_WITHIN_MS: Final = 5_000
#: Of what is asked in a window without a folder, how much goes to the ring of the global database.
_TO_GLOBAL_RING: Final = 0.5


class FakeCursor:
    """Owns the global database and the windows. `build`, then `run`, then `close`."""

    def __init__(self, tree: Tree, plan: Plan) -> None:
        #: How many generations this run has made, the history not counted.
        self.made = 0
        self._tree = tree
        self._plan = plan
        self._application = tree.application
        self._windows = tree.windows
        self._opening: set[str] = set()
        self._contents = tree.random("contents")
        self._chances = tree.random("chances")
        self._schedule = Schedule()
        share = plan.conversations
        self._conversations = Conversations(self._application, share, self._after) if share else None
        self._next_generation = 0.0
        self._stopping = False

    def stop(self) -> None:
        """Have `run` return soon; for signal handlers and actions."""
        self._stopping = True

    def every(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something else done again and again while `run` runs."""

        def act() -> None:
            action()
            self._after(seconds, act)

        self._after(seconds, act)

    def build(self) -> None:
        """Create what is missing, write the history, open what is to be open at the beginning."""
        _open_patiently(self._application.open)
        ui_state.opened(self._application.storage)
        ui_state.application_opened(self._application.storage)
        for key, value in CANARIES.items():
            self._application.storage.set(key, value)
        self._remember_old_conversations()
        past = self._past()
        for position, window in enumerate(self._tree.windows_by_urgency()):
            stays_open = position < self._plan.open_windows
            if not stays_open and window.database.storage.path.exists():
                continue
            _open_patiently(window.open)
            for item in past.get(window.place.id, ()):
                self._ask(window, item)
            window.save_state()
            if stays_open:
                window.database.flush()
            else:
                window.close()
        self._application.flush()

    def run(self) -> None:
        """Live until told to stop, or until the plan is fulfilled."""
        self._next_generation = time.monotonic()
        for action in (self._generate, self._fidget, self._heartbeat):
            self._after(0.0, action)
        self.every(_SAVE_STATE_SECONDS, self._save_state)
        if self._plan.window_seconds:
            self._after(self._until_next_close(), self._close_one)
        if self._plan.seconds is not None:
            self._after(self._plan.seconds, self.stop)
        while not self._stopping:
            now = time.monotonic()
            self._schedule.run_due(now)
            time.sleep(max(0.0, min(_NAP_SECONDS, self._flush(now) - time.monotonic())))

    def close(self) -> None:
        """Close the windows, then the application; each leaves its backup. What still runs is aborted."""
        if self._conversations is not None:
            self._conversations.abort()
        for window in self._open_windows():
            window.close()
        if self._application.storage.is_open:
            self._application.close()

    def _flush(self, now: float) -> float:
        """Write what is due; give the time when something will be."""
        next_due = self._schedule.next_due
        databases: list[Database] = [window.database for window in self._open_windows()]
        for database in (*databases, self._application):
            flush_due = database.storage.flush_due
            if flush_due is not None and flush_due <= now:
                database.flush()
            elif flush_due is not None:
                next_due = min(next_due, flush_due)
        return next_due

    def _past(self) -> dict[str, list[RingItem]]:
        """The history, by the window in which it happened."""
        past: dict[str, list[RingItem]] = {}
        if not self._tree.has_history:
            for item in history(self._plan.history, self._contents, _now_ms()):
                past.setdefault(self._chances.choice(self._windows).place.id, []).append(item)
        return past

    def _remember_old_conversations(self) -> None:
        if self._plan.bubbles and not self._tree.has_history:
            conversations = self._conversations or Conversations(self._application, 0.0, self._after)
            places = [window.place for window in self._windows]
            remember(conversations, self._plan.bubbles, self._tree.random("old conversations"), places)

    def _generate(self) -> None:
        if self._plan.generations is not None and self.made >= self._plan.generations:
            if not self._plan.stay:
                if self._conversations is not None:
                    self._conversations.finish()
                self.stop()
            return
        windows = self._open_windows()
        if not self._plan.rate or not windows:
            self._after(_NAP_SECONDS, self._generate)
            return
        window = self._chances.choice(windows)
        item = new_item(self._contents, _now_ms())
        self._ask(window, item)
        self._maybe_copy(window, item)
        self.made += 1
        self._next_generation = max(self._next_generation, time.monotonic() - _CATCH_UP_SECONDS)
        self._next_generation += self._chances.uniform(0.5, 1.5) / self._plan.rate
        # What is overdue still lets the loop pass once, so that flushes keep their time.
        self._schedule.at(max(self._next_generation, time.monotonic()), self._generate)

    def _ask(self, window: Window, item: RingItem) -> None:
        if window.place.is_folderless and self._chances.random() < _TO_GLOBAL_RING:
            self._answer(item, None)
            self._application.add(item)
        elif window.has_tables:
            window.ask(item)
        else:
            window.ask(item, self._answer(item, window))

    def _answer(self, item: RingItem, window: Window | None) -> str | None:
        return None if self._conversations is None else self._conversations.begin(item, window)

    def _maybe_copy(self, window: Window, item: RingItem) -> None:
        others = [other for other in self._open_windows() if other is not window and not other.has_tables]
        if others and not window.has_tables and self._chances.random() < _COPIED:
            apart = self._chances.randint(-_COPIED_WITHIN_MS, -1)
            self._chances.choice(others).ask(attrs.evolve(item, unix_ms=item.unix_ms + apart))

    def _fidget(self) -> None:
        windows = self._open_windows()
        if windows:
            self._chances.choice(windows).fidget()
        every = max(_FIDGET_SECONDS / max(1, len(windows)), 1 / _FIDGETS_PER_SECOND)
        self._after(self._chances.uniform(0.5, 1.5) * every, self._fidget)

    def _heartbeat(self) -> None:
        ui_state.heartbeat(self._application.storage)
        self._after(_HEARTBEAT_SECONDS, self._heartbeat)

    def _save_state(self) -> None:
        for window in self._open_windows():
            window.save_state()

    def _close_one(self) -> None:
        """A window closes, and a while later another opens, or the same again (a reload)."""
        windows = self._open_windows()
        if windows:
            leaving = self._chances.choice(windows)
            if self._conversations is not None:
                self._conversations.abort(leaving)
            leaving.close()
            closed = [window for window in self._windows if not window.is_open]
            successor = self._chances.choice(
                [window for window in closed if window.place.id not in self._opening]
            )
            self._opening.add(successor.place.id)
            gone = self._chances.uniform(0.2, 1.0) * min(_CLOSED_SECONDS, self._plan.window_seconds)
            self._after(gone, lambda: self._open(successor))
        self._after(self._until_next_close(), self._close_one)

    def _open(self, window: Window, *, last_try: bool = False) -> None:
        try:
            window.open(last_try=last_try)
        except StorageBusyError:
            self._after(BUSY_OPEN_WAIT_SECONDS, lambda: self._open(window, last_try=True))
        else:
            self._opening.remove(window.place.id)

    def _until_next_close(self) -> float:
        at_a_time = min(self._plan.open_windows, self._plan.workspaces)
        return self._chances.uniform(0.5, 1.5) * self._plan.window_seconds / at_a_time

    def _open_windows(self) -> list[Window]:
        return [window for window in self._windows if window.is_open]

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._schedule.at(time.monotonic() + seconds, action)


def _open_patiently(open_: Callable[..., None]) -> None:
    """Open at the start of the application, when nothing else is there that could go on meanwhile."""
    try:
        open_()
    except StorageBusyError:
        time.sleep(BUSY_OPEN_WAIT_SECONDS)
        open_(last_try=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
