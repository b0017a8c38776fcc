"""The first pass: when everything that was there at the start has been looked at once."""

from __future__ import annotations

from collections import Counter

import attrs
import trio
from trio_util import RepeatedEvent

from trio_cursor.passes import ProfileRead
from trio_cursor.records import Workspace
from trio_cursor.scanner import Scanner
from trio_cursor.sink import Message


@attrs.define(eq=False)
class FirstPass:
    """Tells the sink when a profile's rings were all read, and everybody when the pass is over.

    Profiles that appear later are told of as well: what was observed in them would wait for it.
    """

    scanner: Scanner
    over: trio.Event = attrs.field(factory=trio.Event)
    #: Profile of each database that was not looked at yet, and how many each profile has. Counted, since
    #: ten thousand databases report one by one.
    _due: dict[str, str] = attrs.field(factory=dict)
    _due_in: Counter[str] = attrs.field(factory=Counter)
    _expected: int = 0
    _is_swept: bool = False
    _news: RepeatedEvent = attrs.field(factory=RepeatedEvent)
    _changes: int = 0

    def expect(self, workspace: Workspace) -> None:
        """A workspace was found that will be looked at."""
        if workspace.database not in self._due:
            self._due[workspace.database] = workspace.profile
            self._due_in[workspace.profile] += 1
            self._expected += 1

    def looked(self, workspace: Workspace) -> None:
        """A workspace was read, or could not be, or has vanished."""
        profile = self._due.pop(workspace.database, None)
        if profile is not None:
            self._due_in[profile] -= 1
            if not self._due_in[profile]:
                self._tell()

    def swept(self) -> None:
        """The first sweep is over: what is there is known."""
        self._is_swept = True
        self._tell()

    def progress(self) -> tuple[int, int]:
        """How many of how many workspaces were looked at."""
        return self._expected - len(self._due), self._expected

    async def announce(self, sends: trio.abc.SendChannel[Message]) -> None:
        """Tell the sink of each profile as it is done, for ever."""
        told: set[str] = set()
        while True:
            changes = self._changes
            if self._is_swept:
                for profile in [name for name in self.scanner.listings if not self._due_in[name]]:
                    if profile not in told:
                        told.add(profile)
                        message = ProfileRead(profile)
                        await sends.send(message)
                        await message.done.wait()
                if told.issuperset(self.scanner.listings):
                    self.over.set()
            if self._changes == changes:
                await self._news.wait()

    def _tell(self) -> None:
        self._changes += 1
        self._news.set()
