"""Whose a generation is, and whether it is wanted: by the directory, by a session, by its window."""

from __future__ import annotations

import attrs

from trio_cursor.assembly.attribution import Directory, no_rings
from trio_cursor.assembly.book import Book
from trio_cursor.assembly.generations import Parts
from trio_cursor.assembly.groups import Group
from trio_cursor.assembly.pending import PendingTurn, Row
from trio_cursor.assembly.steps import Admission
from trio_cursor.cursor.schemas.values import is_uuid
from trio_cursor.records import Workspace


@attrs.frozen(eq=False)
class Ownership:
    """Decides by what is known now, and changes nothing."""

    book: Book
    directory: Directory
    #: None: everything is somebody's.
    admission: Admission | None

    def workspace_of(self, group: Group, item: PendingTurn | None, row: Row | None) -> Workspace:
        """Whose generation it is: the row's, the ring's that holds the id, the conversation's."""
        if row is not None and row.workspace.id is not None:
            return row.workspace
        if group.entry is not None and group.entry.workspace.id is not None:
            return group.entry.workspace
        if item is not None:
            conversation_id, home = item.turn.id.conversation_id, item.workspace
            # An id that is no UUID must not get another key by what is only in hand.
            id_ = item.turn.generation_id
            ringed = self.book.ringed if id_ is None or is_uuid(id_) else no_rings
            return self.book.places.workspace_of(home.profile, conversation_id, home, ringed)
        return (row or group.sole_entry).workspace

    def is_wanted(self, group: Group, item: PendingTurn | None, workspace: Workspace) -> bool:
        """Whether it is to be reported, belonging to that workspace, as the directory says."""
        # What stands in the global ring was asked in a window without a folder: nothing is unknown of it.
        if item is None or (group.entry is not None and group.entry.workspace.is_global):
            return self.directory.is_wanted(workspace)
        home, conversation_id = item.workspace, item.turn.id.conversation_id
        return self.book.places.is_wanted(home.profile, conversation_id, workspace)

    def is_admitted(self, workspace: Workspace, time_ms: int | None, now_ms: int) -> bool:
        """Whether a generation that started then is anybody's."""
        return self.admission is None or self.admission.admits(workspace, time_ms, now_ms)

    def unclaimed(
        self, group: Group, item: PendingTurn | None, now_ms: int
    ) -> tuple[Workspace, float] | None:
        """Of what is nobody's its workspace, and until when it waits for somebody; None: it is somebody's."""
        row = group.row
        workspace = self.workspace_of(group, item, row)
        time_ms = Parts(group.entry, item.turn if item else None, None, row).timestamp()[0]
        if self.admission is None or self.admission.admits(workspace, time_ms, now_ms):
            return None
        return workspace, self.admission.hold_until(time_ms, group.seen_ms)


def is_inside(group: Group, row: Row | None, time_ms: int | None) -> bool:
    """Whether it lies in the window: what has no time is inside any, and what is new needs none."""
    windows = [part.since_ms for part in group.parts]
    if row is not None:
        windows.append(row.since_ms)
    begins = [window for window in windows if window is not None]
    return len(begins) < len(windows) or time_ms is None or not begins or time_ms >= min(begins)
