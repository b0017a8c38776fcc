"""What becomes of observations before anything is decided: they are joined with what is pending."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from trio_cursor.assembly.attribution import BY_WORKSPACE
from trio_cursor.assembly.book import Book
from trio_cursor.assembly.pending import (
    LONG_PAST,
    PendingEntry,
    PendingTurn,
    Row,
    alias_of,
    key_of,
    turn_key,
)
from trio_cursor.assembly.recent import Recent
from trio_cursor.observations import (
    Observation,
    Place,
    RingEntry,
    TableRow,
    Turn,
    TurnContent,
    TurnGone,
)
from trio_cursor.records import Workspace

#: The times of a ring, a turn and a row differ by less. Which of them counts is known only when all are.
_SLACK_MS = 60_000


@attrs.frozen
class Told:
    """An observation, and what is to be known of its page."""

    observation: Observation
    #: It may have been there for long: a first sync, a replaced file.
    is_old: bool
    #: Where the window begins that counts for what is old; None: everything is inside.
    since_ms: int | None
    #: One of its keys was reported already: what is pending of it goes, and nothing else becomes of it.
    is_reported: bool = False

    @property
    def window_ms(self) -> int | None:
        """Where the window begins that it has to lie in; None: it need not."""
        return self.since_ms if self.is_old else None

    def is_outside(self, time: int | None) -> bool:
        """Whether it lies so far before the window that no other time can bring it inside."""
        return self.window_ms is not None and time is not None and time < self.window_ms - _SLACK_MS


@attrs.frozen
class Taken:
    """What a page brought besides what is pending now."""

    #: Of several with one key the first.
    rows: dict[str, Row] = attrs.field(factory=dict)
    #: Of turns that are pending.
    contents: list[TurnContent] = attrs.field(factory=list)
    #: Those that were not known.
    places: list[tuple[str, Place]] = attrs.field(factory=list)
    #: Keys of the contents as the log was asked for them, before the page was taken in.
    asked: set[str] = attrs.field(factory=set)
    #: Storage keys of turns that are pending no more, since nobody can name them.
    nameless: list[str] = attrs.field(factory=list)


@attrs.frozen
class Intake:
    """Puts observations into the book."""

    book: Book
    #: Turns that nobody could name, each as it stood then.
    _nameless: Recent = attrs.field(factory=Recent, init=False)

    def keys_of(self, workspace: Workspace, observation: Observation) -> tuple[str, ...]:
        """Keys of which one is known to the log if the observation was reported already."""
        match observation:
            case RingEntry() | TableRow():
                return (key_of(observation.generation_id, workspace),)
            case Turn() as turn:
                pass
            case TurnContent(turn):
                pass
            case TurnGone(id_):
                known = self.book.turn(turn_key(workspace.database, id_))
                if known is None:
                    return ()
                turn = known.turn
            case Place():
                return ()
        key = self.book.key_of_turn(workspace, turn)
        return (alias_of(turn.id),) if key is None else (key, alias_of(turn.id))

    def take(self, workspace: Workspace, told: Sequence[Told], now_ms: int) -> Taken:
        """Take in a page."""
        taken = Taken()
        for item in told:
            if isinstance(item.observation, TurnContent):
                taken.asked.update(self.keys_of(workspace, item.observation))
        for item in told:
            place = _placed(item.observation, workspace)
            if place is not None and self.book.learn(workspace.profile, place):
                taken.places.append((workspace.profile, place))
        for item in told:
            self._take_one(workspace, item, taken, now_ms)
        return taken

    def _take_one(self, workspace: Workspace, item: Told, taken: Taken, now_ms: int) -> None:
        match item.observation:
            case RingEntry() as entry if not item.is_reported:
                self._take_entry(workspace, entry, item, now_ms)
            case TableRow() as row if not (item.is_reported or item.is_outside(row.timestamp)):
                key = key_of(row.generation_id, workspace)
                taken.rows.setdefault(key, Row(workspace, row, item.window_ms))
            case Turn() as turn:
                self._take_turn(workspace, turn, item, taken, now_ms)
            case TurnContent(turn) as content:
                if self.book.turn(turn_key(workspace.database, turn.id)) is not None:
                    self._take_turn(workspace, turn, item, taken, now_ms, is_final=True)
                    taken.contents.append(content)
            case TurnGone(id_):
                self._take_gone(turn_key(workspace.database, id_), item, now_ms)

    def _take_entry(self, workspace: Workspace, entry: RingEntry, told: Told, now_ms: int) -> None:
        if told.is_outside(entry.unix_ms):
            return
        key = key_of(entry.generation_id, workspace)
        item = PendingEntry(key, workspace, entry, now_ms, told.is_old, told.window_ms)
        group = self.book.groups.get(key)
        known = group.entry if group else None
        if known is not None:
            if known.workspace.database == workspace.database:
                # The same ring once more: that it is seen again does not make it new.
                item = attrs.evolve(item, is_old=known.is_old, since_ms=known.since_ms)
            item = known.joined(item)
        if item != known:
            self.book.put_entry(item, now_ms)

    def _take_turn(
        self,
        workspace: Workspace,
        turn: Turn,
        told: Told,
        taken: Taken,
        now_ms: int,
        *,
        is_final: bool = False,
    ) -> None:
        """Take in a turn; `is_final`: with its content, and with the last name that it can get."""
        storage_key = turn_key(workspace.database, turn.id)
        known = self.book.turn(storage_key)
        is_nameless = turn.generation_id is None and (turn.is_settled or is_final)
        if not (told.is_reported or is_nameless):
            if known is None:
                self._take_first(workspace, turn, told, now_ms)
            else:
                self._take_again(known, workspace, turn, told, now_ms)
        elif known is not None:
            self.book.drop_turn(storage_key)
            if not told.is_reported:
                self._nameless.add(_as_it_stands(storage_key, turn))
                taken.nameless.append(storage_key)

    def _take_first(self, workspace: Workspace, turn: Turn, told: Told, now_ms: int) -> None:
        storage_key = turn_key(workspace.database, turn.id)
        if turn.generation_id is None and _as_it_stands(storage_key, turn) in self._nameless:
            return
        changed_ms = _changed_ms(turn, told, now_ms)
        if turn.is_settled:
            # Whatever touches a conversation tells of its last turns again: they are no newer for that.
            told = attrs.evolve(told, is_old=True)
        if not told.is_outside(turn.timestamp):
            self.book.put_turn(PendingTurn(workspace, turn, now_ms, changed_ms, told.window_ms), now_ms)

    def _take_again(
        self, known: PendingTurn, workspace: Workspace, turn: Turn, told: Told, now_ms: int
    ) -> None:
        changed_ms = _changed_ms(turn, told, now_ms)
        if known.turn.fingerprint == turn.fingerprint and not known.is_gone:
            changed_ms = known.changed_ms
            if turn.generation_id is None:
                # It got its name when its content was read, since no other would come any more.
                named = known.turn
                turn = attrs.evolve(
                    turn, generation_id=named.generation_id, is_named_by_bubble=named.is_named_by_bubble
                )
        if turn.outcome is None:
            # Its conversation has gone on since, and what it said is remembered here alone.
            turn = attrs.evolve(turn, outcome=known.turn.outcome)
        changed_ms = max(changed_ms, known.changed_ms)
        item = attrs.evolve(known, workspace=workspace, turn=turn, changed_ms=changed_ms, is_gone=False)
        if item != known or self.book.is_moved(known.key):
            self.book.put_turn(item, now_ms)

    def _take_gone(self, storage_key: str, told: Told, now_ms: int) -> None:
        known = self.book.turn(storage_key)
        if known is None:
            return
        if told.is_reported or known.turn.generation_id is None:
            self.book.drop_turn(storage_key)
        elif not known.is_gone:
            self.book.put_turn(attrs.evolve(known, is_gone=True), now_ms)


def _as_it_stands(storage_key: str, turn: Turn) -> str:
    return f"{turn.fingerprint} {storage_key}"


def _changed_ms(turn: Turn, told: Told, now_ms: int) -> int:
    """Since when a turn has stood as it does, which of what is old only its own times tell."""
    if not told.is_old:
        return now_ms
    newest_ms = turn.newest_ms
    return newest_ms if newest_ms is not None and newest_ms <= now_ms else LONG_PAST


def _placed(observation: Observation, workspace: Workspace) -> Place | None:
    """A fact about a place; one that a workspace has about a conversation of its own names that workspace."""
    if not isinstance(observation, Place) or observation.rule not in BY_WORKSPACE:
        return observation if isinstance(observation, Place) else None
    # Of windows without a folder the global database says only that they exist.
    return None if workspace.id is None else attrs.evolve(observation, workspace_id=workspace.id)
