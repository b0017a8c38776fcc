"""What is wrong at this moment, in words, out of what every part of the running service has written down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trio_cursor import alarms
from trio_cursor.alarms import Fact
from trio_cursor.records import FILES, Workspace
from trio_cursor.states import Losses, OutputState, SourceState, WorkspaceState

#: An output that is as far behind is worth an alarm: by events, or by the age of the oldest of them.
_FAR_BEHIND_EVENTS = 10_000
_FAR_BEHIND_MS = 60_000
#: So long a loss is told of, whether it was mended or not.
_HOUR_MS = 3_600_000
_MINUTE = 60.0
#: A look at Cursor's files is due every second, every half minute at most: so late, none comes.
_LATE_SECONDS = 120.0
#: The first pass of a thousand databases takes seconds, of one of many gigabytes minutes.
_FIRST_PASS_SECONDS = 1800.0


def workspace_fact(state: WorkspaceState, workspace: Workspace, *, is_quarantined: bool) -> Fact:
    """What is wrong with a database that is in trouble; `workspace` as it is known now."""
    kind = alarms.SCHEMA if state.status == "unknown_schema" else alarms.DATABASE
    return Fact(
        alarms.QUARANTINE if is_quarantined else kind,
        workspace.database,
        f"{workspace.name}: {state.status}: {state.last_error}",
        workspace.hash,
        workspace.path,
    )


def output_facts(state: OutputState, lag: int, now_ms: int) -> Iterator[Fact]:
    """What is wrong with an output, whether it takes events or not."""
    if state.state == "error":
        yield Fact(alarms.OUTPUT, state.name, f"output {state.name}: {state.last_error}")
    for kind, subject, words in _of_output(state, lag, now_ms):
        yield Fact(kind, f"{state.name} {subject}", f"output {state.name}: {words}")


def output_alarms(state: OutputState, lag: int, now_ms: int) -> tuple[str, ...]:
    """What somebody should look at of an output though it takes events, in words."""
    return tuple(words for _, _, words in _of_output(state, lag, now_ms))


def _of_output(state: OutputState, lag: int, now_ms: int) -> Iterator[tuple[str, str, str]]:
    """Kind, what tells it from others of that kind, and words."""
    for subject, words in state.alarms.items():
        yield alarms.CARE, subject, words
    age_ms = 0 if state.oldest_ms is None or not lag else now_ms - state.oldest_ms
    if age_ms >= _FAR_BEHIND_MS:
        words = f"{lag} events behind, the oldest of them captured {age_ms // 60_000} min ago"
        yield alarms.BEHIND, "", words
    elif lag >= _FAR_BEHIND_EVENTS:
        yield alarms.BEHIND, "", f"{lag} events behind"
    if _is_recent(state.rolled_back_at, now_ms):
        words = "it had lost what it had taken (a restart or a failover?); it was sent again"
        yield alarms.ROLLBACK, "", words
    if _is_recent(state.dead_at, now_ms):
        words = f"{_events(state.dead)} can never be sent: `doctor` says which, and why"
        yield alarms.DEAD, "", words


def source_facts(sources: Sequence[SourceState], foreign: Sequence[SourceState]) -> Iterator[Fact]:
    """Sources of sessions, and other producers, that are not heard."""
    for item in sources:
        if _is_in_trouble(item):
            yield Fact(alarms.SOURCE, item.name, f"session source {item.name}: {item.last_error}")
    for item in foreign:
        # A server that is away is the output's alarm.
        if item.state == "error":
            words = f"what others send to {item.name} is not known and may be there twice: {item.last_error}"
            yield Fact(alarms.FOREIGN, item.name, words)


def pass_facts(late: float, run_for: float, *, is_over: bool, progress: tuple[int, int]) -> Iterator[Fact]:
    """That Cursor's files are not looked at: a look is `late` seconds late, or the first pass has no end.

    `run_for`: seconds since the start; `is_over`: whether the first pass is, and `progress` how far it came.
    """
    if late >= _LATE_SECONDS:
        yield Fact(
            alarms.LOOK, "sweep", f"Cursor's files have not been looked at for {late // _MINUTE:.0f} min"
        )
    elif not is_over and run_for >= _FIRST_PASS_SECONDS:
        looked, total = progress
        words = f"the first pass has not ended in {run_for // _MINUTE:.0f} min: {looked} of {total} databases"
        yield Fact(alarms.LOOK, "first", words)


def gap_facts(gaps: int, last_ms: int | None, now_ms: int) -> Iterator[Fact]:
    """That generations were missed a while ago."""
    if _is_recent(last_ms, now_ms):
        times = "once" if gaps == 1 else f"{gaps:,} times"
        yield Fact(
            alarms.GAP,
            "",
            f"generations were missed {times} since the start: Cursor's list had rolled on before it was"
            " read; `events --gaps` has them",
        )


def loss_facts(losses: Losses, now_ms: int) -> Iterator[Fact]:
    """That events were deleted a while ago that an output had still to take."""
    if _is_recent(losses.at, now_ms):
        yield Fact(
            alarms.LOST,
            "",
            f"the size limit deleted {_events(losses.events)} since the start before every output had taken"
            f" {'it' if losses.events == 1 else 'them'}: lost for whoever had not",
        )


def _is_recent(at_ms: int | None, now_ms: int) -> bool:
    return at_ms is not None and now_ms - at_ms < _HOUR_MS


def _events(number: int) -> str:
    return "1 event" if number == 1 else f"{number:,} events"


def _is_in_trouble(source: SourceState) -> bool:
    """Whether nothing is heard from it; that there is no directory of session files (yet) is no trouble."""
    is_refused = source.state == "waiting" and source.errors > 0 and source.name != FILES
    return source.state == "error" or is_refused
