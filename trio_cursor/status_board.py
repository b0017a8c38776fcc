"""The board: puts together what every part of the running service has written down."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
import trio

from trio_cursor.alarm_facts import (
    gap_facts,
    loss_facts,
    output_alarms,
    output_facts,
    pass_facts,
    source_facts,
    workspace_fact,
)
from trio_cursor.alarms import HANG, LOG, RULES, Alarms, Fact
from trio_cursor.cursor.guest import QUARANTINED
from trio_cursor.eventlog import EventLog
from trio_cursor.first_pass import FirstPass
from trio_cursor.os_events import OsEventsStatus
from trio_cursor.records import Session, Workspace, path_of
from trio_cursor.scanner import Scanner
from trio_cursor.sessions.placing import Placing
from trio_cursor.sessions.registry import Registry
from trio_cursor.settings import Settings
from trio_cursor.sink import Sink
from trio_cursor.states import Losses, OutputState, SourceState, WorkspaceState
from trio_cursor.status import (
    MOST_UNMAPPED,
    TROUBLED,
    OutputStatus,
    PrivacyStatus,
    Progress,
    ServerStatus,
    SourceStatus,
    Status,
    UnmappedStatus,
    WebhookStatus,
    WorkspaceStatus,
    session_object,
)
from trio_cursor.version import __version__


@attrs.define(eq=False)
class Board:
    """What `Handle.status()` and the status file show."""

    started_at: int
    now_ms: Callable[[], int]
    settings: Settings
    events: EventLog
    sink: Sink
    registry: Registry
    scanner: Scanner
    first_pass: FirstPass
    states: dict[str, WorkspaceState]
    outputs: Sequence[OutputState]
    placing: Placing
    privacy: PrivacyStatus
    os_events: Callable[[], OsEventsStatus]
    sources: list[SourceState] = attrs.field(factory=list)
    foreign: Sequence[SourceState] = ()
    #: None: the HTTP server is switched off.
    http: Callable[[], ServerStatus | None] = lambda: None
    #: None: there is no webhook.
    webhook: Callable[[], WebhookStatus | None] = lambda: None
    losses: Losses = attrs.field(factory=Losses)
    #: What of that is told, after how long.
    alarms: Alarms = attrs.field(factory=Alarms)
    #: When the run began, on Trio's clock.
    _began: float = attrs.field(factory=trio.current_time, init=False)
    #: By database: what was said of workspaces that nobody reads, nearly all, and what of it may change so.
    _resting: dict[str, tuple[tuple[object, ...], WorkspaceStatus]] = attrs.field(factory=dict, init=False)

    def status(self, is_over: bool = False) -> Status:  # noqa: FBT001, FBT002 - the handle's one question
        """How the service is, at this moment."""
        sessions: dict[str, list[Session]] = {}
        for session in self.registry.sessions():
            if session.database is not None:
                sessions.setdefault(session.database, []).append(session)
        counts, facts = self.sink.counts, tuple(self.facts())
        if len(self._resting) > len(self.states):  # some have vanished
            self._resting = {name: said for name, said in self._resting.items() if name in self.states}
        return Status(
            state="stopped" if is_over else "running" if self.settings.is_enabled() else "disabled",
            version=__version__,
            pid=os.getpid(),
            started_at=self.started_at,
            taken_at=self.now_ms(),
            first_pass_done=self.first_pass.over.is_set(),
            progress=self.first_pass.progress(),
            last_sequence=self.events.last_sequence,
            generations=counts.generations,
            gaps=counts.gaps,
            duplicates=counts.duplicates,
            pending=len(self.sink.assembler),
            excluded=counts.excluded,
            nameless=counts.nameless,
            searched=tuple(self.scanner.listings) or tuple(self.scanner.dirs),
            workspaces=tuple(
                self._workspace(state, sessions.get(database, [])) for database, state in self.states.items()
            ),
            outputs=tuple(map(self._output, self.outputs)),
            alarms=tuple(fact.words for fact in facts),
            episodes=self.alarms.episodes(facts),
            state_dir=str(self.events.directory.absolute()),
            log_error=self.events.trouble,
            sources=tuple(map(_source, self.sources)),
            foreign=tuple(map(_source, self.foreign)),
            unmapped=tuple(map(self._unmapped, self.registry.unplaced_hashes()[:MOST_UNMAPPED])),
            refused=self.registry.refused,
            held=self.sink.assembler.held(),
            unattributed=counts.unattributed,
            lost=self.losses.events,
            http=self.http(),
            webhook=self.webhook(),
            privacy=self.privacy,
            os_events=self.os_events(),
        )

    def progress(self) -> Progress:
        """What a program may ask for many times a second: no look at the workspaces."""
        looked, total = self.first_pass.progress()
        counts = self.sink.counts
        return Progress(
            first_pass_done=self.first_pass.over.is_set(),
            looked=looked,
            total=total,
            last_sequence=self.events.last_sequence,
            generations=counts.generations,
            gaps=counts.gaps,
            pending=len(self.sink.assembler),
            outputs=tuple(self._output(state) for state in self.outputs),
            log_error=self.events.trouble,
            late_seconds=max(0.0, trio.current_time() - self.scanner.expected_at),
        )

    def unready(self) -> list[str]:
        """What keeps the service from its work, in words; empty: it is ready."""
        why = [self.events.trouble] if self.events.trouble else []
        if not self.first_pass.over.is_set():
            looked, total = self.first_pass.progress()
            why.append(f"the first pass is not over: {looked} of {total} databases were looked at")
        why += [f"output {item.name}: {item.last_error}" for item in self.outputs if item.state == "error"]
        # What is allowed for a while, and lasts.
        lasting = (fact for fact in self.facts() if self.alarms.is_raised(fact))
        why += [fact.words for fact in lasting if RULES[fact.kind].stops_work and fact.words not in why]
        return why

    def _workspace(self, state: WorkspaceState, sessions: list[Session]) -> WorkspaceStatus:
        workspace, watched = self._place(state), self.scanner.watched.get(state.workspace.database)
        # Somebody may have read it in between.
        checked = (state.last_check, state.last_activity, state.status, state.errors, state.last_error)
        key = (workspace, sessions, checked, self.sink.counts.by_database.get(workspace.database, 0))
        known = self._resting.get(workspace.database)
        is_resting = watched is not None and not watched.active and state.looked
        if is_resting and known is not None and known[0] == key:
            return known[1]
        said = self._say(state, workspace, sessions)
        if is_resting:
            self._resting[workspace.database] = key, said
        else:
            self._resting.pop(workspace.database, None)
        return said

    def _say(self, state: WorkspaceState, workspace: Workspace, sessions: list[Session]) -> WorkspaceStatus:
        return WorkspaceStatus(
            database=workspace.database,
            workspace_id=workspace.id,
            workspace_hash=workspace.hash,
            workspace_path=workspace.path,
            status=state.status,
            schema="+".join(state.schemas) or None,
            sessions=tuple(map(session_object, sessions)),
            last_check=state.last_check,
            last_activity=state.last_activity,
            generations=self.sink.counts.by_database.get(workspace.database, 0),
            position=dict(state.position),
            entries=dict(state.entries),
            skipped=_merged(state.skipped.values()),
            errors=state.errors,
            last_error=state.last_error,
            note=state.note or workspace.problem,
            journal_mode=state.journal_mode,
            size=state.size,
        )

    def _unmapped(self, workspace_hash: str) -> UnmappedStatus:
        sessions = self.registry.unplaced_of(workspace_hash)
        why = self.placing.why(workspace_hash)
        return UnmappedStatus(workspace_hash, path_of(sessions), tuple(map(session_object, sessions)), why)

    def _place(self, state: WorkspaceState) -> Workspace:
        """As it is known now: its `workspace.json` may have been written late."""
        watched = self.scanner.watched.get(state.workspace.database)
        return watched.workspace if watched else state.workspace

    def _output(self, state: OutputState) -> OutputStatus:
        lag = self._lag(state)
        return OutputStatus(
            state.name,
            state.state,
            state.sequence,
            lag,
            state.errors,
            state.last_error,
            already_there=state.already_there,
            dead=state.dead,
            rollbacks=state.rollbacks,
            alarms=output_alarms(state, lag, self.now_ms()),
        )

    def _lag(self, state: OutputState) -> int:
        return max(0, self.events.last_sequence - state.sequence)

    def facts(self) -> Iterator[Fact]:
        """What is wrong at this moment."""
        if self.events.trouble:
            yield Fact(LOG, "", self.events.trouble)
        for state in self.states.values():
            if state.status in TROUBLED:
                is_quarantined = state.last_error == QUARANTINED
                yield workspace_fact(state, self._place(state), is_quarantined=is_quarantined)
        now = self.now_ms()
        for output in self.outputs:
            yield from output_facts(output, self._lag(output), now)
        yield from source_facts(self.sources, self.foreign)
        for path in self.scanner.hanging():
            yield Fact(HANG, path, f"{path} does not answer")
        if self.settings.is_enabled():
            at, first = trio.current_time(), self.first_pass
            late, is_over = at - self.scanner.expected_at, first.over.is_set()
            yield from pass_facts(late, at - self._began, is_over=is_over, progress=first.progress())
        yield from gap_facts(self.sink.counts.gaps, self.sink.counts.gap_at, now)
        yield from loss_facts(self.losses, now)


def _source(state: SourceState) -> SourceStatus:
    skipped = dict(state.skipped)
    return SourceStatus(state.name, state.state, state.taken, skipped, state.errors, state.last_error)


def _merged(counters: Iterable[Counter[str]]) -> dict[str, int]:
    """Counts of all schemas; of a thousand workspaces nearly all have none."""
    merged: dict[str, int] = {}
    for counter in counters:
        for reason, count in counter.items():
            merged[reason] = merged.get(reason, 0) + count
    return merged
