"""The Assembler: observations in, finished generations out. Pure; time is an argument.

Ring entries and table rows are all that is read so far, and neither of them ever becomes more complete,
so a row goes out at once and a ring entry as soon as every ring of its profile was read in this run:
of an id that stands in several rings the earliest entry counts, whichever file was read first.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

import attrs

from trio_cursor.cursor.schemas.values import canonical_id, count, generation_id, is_uuid
from trio_cursor.records import Generation, Observation, RingEntry, TableRow, Workspace

_TYPE_WITH_FILE_NAME = "apply"
_AUTO_MODEL = "default"
_MODEL_LIMIT = 200
#: Generations that one step releases: what a first pass leaves pending would hold up everything else
#: while all of its events are built.
_STEP = 500


def key_of(id_: str, workspace: Workspace) -> str:
    """What makes a generation one: a UUID names it everywhere, any other id only within its scope."""
    return canonical_id(id_) if is_uuid(id_) else f"{workspace.scope}/{id_}"


@attrs.frozen
class Pending:
    """A ring entry that was observed and is not released yet."""

    key: str
    workspace: Workspace
    entry: RingEntry
    #: When it was first seen, milliseconds since the epoch.
    seen_ms: int

    @property
    def time(self) -> float:
        """What has no time comes last."""
        return float("inf") if self.entry.unix_ms is None else self.entry.unix_ms

    def order(self) -> tuple[float, str, str]:
        """Of several entries with one key the least counts: the earliest, then the smallest workspace."""
        return (self.time, self.workspace.id or "~", self.workspace.database)


@attrs.frozen
class Change:
    """What one step of the Assembler asks to be written, in one transaction."""

    released: tuple[Generation, ...] = ()
    #: To be stored, replacing what was pending under the same key.
    pending: tuple[Pending, ...] = ()
    #: Keys that are pending no more.
    settled: tuple[str, ...] = ()


@attrs.define
class Assembler:
    """Joins what it is told by generation id, and releases each generation once.

    It knows nothing of earlier runs but what `restore` gives back: what was released before must not
    be told again.
    """

    #: How long a ring entry waits at most for the other rings of its profile, from when this run knew it.
    wait_ms: int
    _pending: dict[str, Pending] = attrs.field(factory=dict, init=False)
    #: Profiles whose rings were all read once.
    _read: set[str] = attrs.field(factory=set, init=False)
    #: Heaps of keys, so that no message costs a look at all that is pending: by when each has waited long
    #: enough, and, of those that wait for nothing any more, by their time. Keys that are pending no more
    #: stay in them until they come up.
    _deadlines: list[tuple[int, str]] = attrs.field(factory=list, init=False)
    _due: list[tuple[float, str]] = attrs.field(factory=list, init=False)

    def restore(self, pending: Iterable[Pending], now_ms: int) -> None:
        """Take up what an earlier run had observed and not released, before anything else.

        It waits anew: in this run no ring was read yet that could know an earlier entry.
        """
        for item in pending:
            self._wait(item, now_ms)

    def observe(self, workspace: Workspace, observations: Iterable[Observation], now_ms: int) -> Change:
        """Take in what one page brought, and release what waits for nothing."""
        entries: dict[str, Pending] = {}
        rows: dict[str, TableRow] = {}
        for item in observations:
            key = key_of(item.generation_id, workspace)
            if isinstance(item, TableRow):
                rows.setdefault(key, item)
                continue
            told = Pending(key, workspace, item, now_ms)
            known = entries.get(key) or self._pending.get(key)
            if known is None or told.order() < known.order():
                entries[key] = told if known is None else attrs.evolve(told, seen_ms=known.seen_ms)
        released = []
        settled = []
        for key, row in rows.items():
            joined = entries.pop(key, None) or self._pending.get(key)
            released.append(_from_row(key, workspace, row, joined.entry if joined else None))
            if self._pending.pop(key, None):
                settled.append(key)
        if workspace.profile in self._read:
            settled += [key for key in entries if self._pending.pop(key, None)]
            released += [_from_ring(item) for item in entries.values()]
            return Change(tuple(released), (), tuple(settled))
        for entry in entries.values():
            self._wait(entry, entry.seen_ms)
        return Change(tuple(released), tuple(entries.values()), tuple(settled))

    def profile_read(self, profile: str) -> None:
        """Every ring of the profile that can be read was read: nothing has to wait for them any more."""
        self._read.add(profile)
        self._due += [
            (item.time, key) for key, item in self._pending.items() if item.workspace.profile == profile
        ]
        heapify(self._due)

    def release(self, now_ms: int) -> Change:
        """Release what has waited long enough, in the order of time, and no more than is good for one step.

        While `next_deadline_ms` is 0 there is more.
        """
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            _, key = heappop(self._deadlines)
            if item := self._pending.get(key):
                heappush(self._due, (item.time, key))
        ready: list[Pending] = []
        while self._due and len(ready) < _STEP:
            _, key = heappop(self._due)
            if item := self._pending.pop(key, None):
                ready.append(item)
        return Change(tuple(_from_ring(item) for item in ready), (), tuple(item.key for item in ready))

    def next_deadline_ms(self) -> int | None:
        """When `release` has something to do without being told more; None: never."""
        while self._due and self._due[0][1] not in self._pending:
            heappop(self._due)
        if self._due:
            return 0
        while self._deadlines and self._deadlines[0][1] not in self._pending:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _wait(self, item: Pending, since_ms: int) -> None:
        """An entry takes the place of a later one, which has waited since it was seen."""
        if item.key not in self._pending:
            heappush(self._deadlines, (since_ms + self.wait_ms, item.key))
        self._pending[item.key] = item


def _from_ring(item: Pending) -> Generation:
    entry = item.entry
    return Generation(
        key=item.key,
        generation_id=entry.generation_id,
        workspace=item.workspace,
        schema="ring",
        status="unknown",
        timestamp=entry.unix_ms,
        timestamp_source=None if entry.unix_ms is None else "ring",
        generation_type=entry.type,
        data_version=entry.rowid,
        prompt_text=_ring_prompt(entry),
        full_generation_data=entry.source,
    )


def _ring_prompt(entry: RingEntry | None) -> str | None:
    """The ring's text is a file name where a suggestion was applied."""
    return None if entry is None or entry.type == _TYPE_WITH_FILE_NAME else entry.text


def _from_row(key: str, workspace: Workspace, row: TableRow, entry: RingEntry | None) -> Generation:
    value, prompt = row.value or {}, row.prompt
    prompt_tokens, completion_tokens, tokens_used = _tokens(value)
    ring_ms = entry.unix_ms if entry else None
    texts = (value.get("responseText"), value.get("text"))
    return Generation(
        key=key,
        generation_id=row.generation_id,
        workspace=workspace,
        schema=row.schema,
        status="completed",
        timestamp=ring_ms if ring_ms is not None else row.timestamp,
        timestamp_source="ring" if ring_ms is not None else "row" if row.timestamp is not None else None,
        generation_type=entry.type if entry else None,
        data_version=row.data_version,
        model=_model(value.get("model")),
        tokens_used=tokens_used,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        tokens_source=None if prompt_tokens is completion_tokens is tokens_used is None else "database",
        response_text=next((text for text in texts if isinstance(text, str)), None),
        prompt_text=_ring_prompt(entry) if prompt is None or prompt.text is None else prompt.text,
        prompt_id=generation_id(value.get("promptId")),
        request_parameters=value.get("requestParameters"),
        prompt_timestamp=prompt.timestamp if prompt else None,
        full_generation_data=row.value if row.value is not None else row.raw,
        truncated=(*row.left_out, "prompt_text") if prompt and prompt.is_too_large else row.left_out,
    )


def _model(value: object) -> str | None:
    if not isinstance(value, str) or len(value) > _MODEL_LIMIT or value in ("", _AUTO_MODEL):
        return None
    return value


def _tokens(value: dict[str, object]) -> tuple[int | None, int | None, int | None]:
    """Counts of prompt, completion and both. Zeroes that stand for "not given" are no counts."""
    prompt, completion = count(value.get("promptTokens")), count(value.get("completionTokens"))
    if not prompt and not completion:
        prompt = completion = None
    total = count(value.get("tokensUsed")) or None
    if total is None:
        total = completion if prompt is None or completion is None else prompt + completion
    return prompt, completion, total
