"""Sessions that are announced by files: `<directory>/<workspace hash>.json`, one session in each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NoReturn

import attrs
import trio

from trio_cursor.logs import get_logger
from trio_cursor.records import FILES, Session
from trio_cursor.sessions.announcements import Announcement, Desk
from trio_cursor.sessions.file_look import MOST_FILES, NOT_A_FILE, PATIENT_LOOKS, File, Look
from trio_cursor.states import SourceState
from trio_cursor.threads import run_or_leave

log = get_logger(__name__)

#: A file that is replaced is not there for a moment; it is gone after so many looks.
GONE_LOOKS: Final = 2
_BATCH = 100
_HANGS_AFTER_SECONDS = 5.0
#: Looking takes but a part of the time: the next look comes after so many times what the last one took.
_PAUSE_FACTOR, _MOST_PAUSE_SECONDS = 10, 30.0
#: Where there is no directory, most machines, it is looked for so much less often.
_ABSENT_FACTOR = 5
_TOO_MANY: Final = f"there are more than {MOST_FILES} session files"


async def watch_session_files(
    directory: str | Path,
    desk: Desk,
    state: SourceState,
    *,
    now_ms: Callable[[], int],
    caught_up: Callable[[], None],
    inactive_ms: int = 12 * 3_600_000,
    known: Iterable[Session] = (),
    every: float = 1.0,
    hangs_after: float = _HANGS_AFTER_SECONDS,
) -> NoReturn:
    """Announce what session files say, for ever.

    A file starts the session that it names. The session ends when the file is gone, or is about another
    session, or about none, or was last updated `inactive_ms` ago by its own word. That goes for sessions
    that a file has named in this run, and for those that are stored as told by a file first: a session that
    only others have announced is not ended by a file that is not there. A file has room for one session, so
    one whose place was taken has nobody left to end it: it ends then, rather than after hours of silence.
    What cannot be read, or is no JSON, ends nothing.

    A session was last alive at `updated_at`, if that is a time that is not still to come, else when the
    file was written; neither is later than now, so that an old file looks as old after a restart. Only what
    was ended by us in this run and is there again starts now.

    Args:
        directory: Where the files appear. It need not be there.
        desk: Where announcements are handed in.
        state: What is said of this source. `waiting`: there is no such directory.
        now_ms: The wall clock.
        caught_up: Called after the first look, whatever came of it, or after the one that finds out whether
            files of an earlier run are gone; may be called again.
        inactive_ms: An `updated_at` that is as old ends the session.
        known: Open sessions of an earlier run; those of other sources are passed over.
        every: Seconds between two looks.
        hangs_after: A look that takes as many seconds hangs; the next one begins when it has come back.

    """
    watch = _Watch(os.fspath(directory), desk, state, now_ms, caught_up, inactive_ms, hangs_after)
    watch.take_up(known)
    has_caught_up = False
    while True:
        took = await watch.look()
        if not has_caught_up and not watch.is_in_doubt():
            caught_up()
            has_caught_up = True
        pause = every * _ABSENT_FACTOR if state.state == "waiting" else every
        await trio.sleep(max(pause, min(took * _PAUSE_FACTOR, _MOST_PAUSE_SECONDS)))


@attrs.define(eq=False)
class _Watch:
    """What is known of the directory, from look to look."""

    directory: str
    desk: Desk
    state: SourceState
    now_ms: Callable[[], int]
    caught_up: Callable[[], None]
    inactive_ms: int
    hangs_after: float
    #: By hash.
    files: dict[str, File] = attrs.field(factory=dict)
    #: By hash: sessions that are open by the word of a file.
    claims: dict[str, frozenset[str]] = attrs.field(factory=dict)
    #: By hash: for how many looks a file has been away.
    away: dict[str, int] = attrs.field(factory=dict)
    #: Hash and session: what was ended by us.
    ended: set[tuple[str, str]] = attrs.field(factory=set)
    has_looked: bool = False
    #: Over a mistake of ours, which may come again with the same files: all is well not once they are looked
    #: at, but once what they say is handed in.
    has_stumbled: bool = False
    has_more: bool = False
    #: One thread, and an own one, so that nobody waits for a directory that hangs but us.
    limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1))

    def take_up(self, known: Iterable[Session]) -> None:
        """Sessions that a file has started in an earlier run."""
        for session in known:
            if session.source == FILES and session.ended_at is None and (hash_ := session.workspace_hash):
                self.claims[hash_] = self._claimed(hash_) | {session.session_id}

    def is_in_doubt(self) -> bool:
        """Whether a file is away of which the next look tells whether it is gone."""
        return any(looks < GONE_LOOKS for looks in self.away.values())

    def note(self, word: str, why: str | None = None) -> bool:
        """Write down how it is, and say so if it is news. Returns whether it is."""
        self.state.errors += word == "error"
        is_news = (self.state.state, self.state.last_error) != (word, why)
        if is_news:
            about = {"source": self.state.name, "directory": self.directory}
            if word == "error":
                log.warning("session files cannot be looked at; it is tried again", **about, why=why)
            elif word == "connected":
                log.info("session files are watched", **about)
        self.state.state, self.state.last_error = word, why
        return is_news

    async def look(self) -> float:
        """Look once, and announce what has changed. Returns how many seconds the look took."""
        try:
            return await self._look()
        except Exception as error:  # the border of a source
            self.has_stumbled = True
            if self.note("error", f"{type(error).__name__} in trio_cursor; please report it"):
                log.exception("a source of sessions failed and starts again", source=self.state.name)
            return 0

    async def _look(self) -> float:
        now, began = self.now_ms(), trio.current_time()
        word, why = "connected", None
        look = Look(self.directory, self.files, now * 1_000_000)
        try:
            if not await self._run(look):
                return 0
        except FileNotFoundError:
            look.files.clear()
            word, why = "waiting", "no such directory (yet)"
        except OSError as error:
            self.note("error", error.strerror or type(error).__name__)
            return 0
        else:
            self._say_if_special(look)
        took = trio.current_time() - began
        if not self.has_stumbled:
            self.note(word, why)
        await self._take(look.files, now)
        if self.has_stumbled:
            self.has_stumbled = False
            self.note(word, why)
        return took

    async def _run(self, look: Look) -> bool:
        """Whether it came to an end in time; else that has come now."""

        def leave() -> None:
            look.is_left_behind = True

        with trio.move_on_after(self.hangs_after) as scope:
            await run_or_leave(look.run, limiter=self.limiter, leave=leave)
        if not scope.cancelled_caught:
            return True
        self.note("error", "it does not answer")
        self.caught_up()
        # Its thread has the only place until it ends.
        async with self.limiter:
            return False

    def _say_if_special(self, look: Look) -> None:
        if look.is_link and not self.has_looked:
            log.info("the directory of session files is a symbolic link", directory=self.directory)
        if look.has_more and not self.has_more and self.state.skip(_TOO_MANY):
            log.warning("some session files are passed over", directory=self.directory, why=_TOO_MANY)
        self.has_more = look.has_more

    async def _take(self, files: dict[str, File], now: int) -> None:
        """Announce what the files say otherwise than at the last look."""
        heard: list[Announcement] = []
        claims: dict[str, frozenset[str]] = {}
        self.away = {hash_: looks for hash_, looks in self.away.items() if hash_ in self.claims}
        for hash_ in dict.fromkeys((*files, *self.claims)):
            claimed, file, before = self._claimed(hash_), files.get(hash_), self.files.get(hash_)
            is_news = file is not before and file != before
            if file is not None and is_news:
                self._count(hash_, file)
            named = self._named(hash_, file, now)
            if file is not None and file.start is not None and named and (is_news or named != claimed):
                heard.append(attrs.evolve(file.start, heard_ms=self._heard_ms(file, now)))
            heard += (Announcement(False, id_, hash_, FILES, now) for id_ in sorted(claimed - named))
            if named:
                claims[hash_] = named
        for first in range(0, len(heard), _BATCH):
            batch = heard[first : first + _BATCH]
            await self.desk.announce(batch)
            self.state.taken += len(batch)
        if len(self.ended) > MOST_FILES:
            self.ended.clear()
        for one in heard:
            (self.ended.discard if one.is_start else self.ended.add)((one.workspace_hash, one.session_id))
        self.files, self.claims, self.has_looked = files, claims, True

    def _claimed(self, hash_: str) -> frozenset[str]:
        return self.claims.get(hash_, frozenset())

    def _named(self, hash_: str, file: File | None, now: int) -> frozenset[str]:
        """The sessions that are open by the word of a file, as it is now."""
        if file is None or file.problem == NOT_A_FILE:
            self.away[hash_] = self.away.get(hash_, 0) + 1
            return frozenset() if self.away[hash_] >= GONE_LOOKS else self._claimed(hash_)
        self.away.pop(hash_, None)
        if file.is_unclear:
            return self._claimed(hash_)
        if file.start is None or self._is_over(file, now):
            return frozenset()
        return frozenset({file.start.session_id})

    def _is_over(self, file: File, now: int) -> bool:
        return file.updated_ms is not None and file.updated_ms + self.inactive_ms <= now

    def _heard_ms(self, file: File, now: int) -> int:
        """When the session of a file was last alive."""
        if file.start is not None and (file.start.workspace_hash, file.start.session_id) in self.ended:
            return now
        if file.updated_ms is not None and file.updated_ms <= now:
            return file.updated_ms
        return min(file.written_ms, now)

    def _count(self, hash_: str, file: File) -> None:
        is_settled = not file.is_passing or file.looks == PATIENT_LOOKS
        if file.problem is not None and is_settled and self.state.skip(file.problem):
            log.warning("a session file is passed over", file=f"{hash_}.json", why=file.problem)
