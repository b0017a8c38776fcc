"""Parallel running: what we and other producers have reported, side by side. Pure.

What we have is asked of the event log, what others have is read from the stream, whose entries come a page at
a time. Only ids are kept of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal
from uuid import UUID

import attrs

from trio_cursor.observations import Json, JsonObject
from trio_cursor.privacy import FULL, mode_of
from trio_cursor.records import Event
from trio_cursor.wire import BadEntryError, from_fields, is_ours, is_trace, moment_ms

#: Of the payload, what every producer of the specification's events has.
FIELDS: Final = (
    *("model", "tokens_used", "prompt_tokens", "completion_tokens", "response_text", "prompt_text"),
    *("prompt_id", "request_parameters", "generation_timestamp", "prompt_timestamp"),
)
#: Of these, what a privacy mode veils; a model only if it is no name, and is then unknown.
TEXTS: Final = frozenset({"prompt_text", "response_text", "request_parameters"})
#: What some write for "not known", besides null.
_UNKNOWN: Final[tuple[Json, ...]] = (None, "", 0, "unknown", {}, [])
#: Some keep whole seconds only.
_SAME_MS: Final = 1000

#: The id of an entry, and its fields.
StreamEntry = tuple[str, Mapping[bytes, bytes]]


@attrs.frozen
class Difference:
    """One generation that only one side has, or that they tell differently."""

    kind: Literal["only_ours", "only_theirs", "differs"]
    #: Ours, unless only they have it.
    event: Event
    #: Who the others are; None: it is only ours.
    producer: str | None = None
    #: By name, what we say and what they say.
    fields: dict[str, tuple[Json, Json]] = attrs.field(factory=dict)


@attrs.define
class Tally:
    """How many generations."""

    ours: int = 0
    theirs: int = 0
    both: int = 0
    same: int = 0
    differing: int = 0
    only_ours: int = 0
    only_theirs: int = 0
    #: We know of them and have not reported them yet.
    in_flight: int = 0
    #: Only ours, and so old that the stream may have lost theirs.
    not_judged: int = 0
    #: Entries of a generation that the same producer had sent before.
    repeated: int = 0
    #: Of both, whose texts were not compared, since one of them is of a privacy mode that veils them.
    texts_not_compared: int = 0
    #: How often each field differs.
    fields: Counter[str] = attrs.field(factory=Counter)
    #: What others have sent, by producer.
    producers: Counter[str] = attrs.field(factory=Counter)
    #: Their entries that are no events, by reason.
    unusable: Counter[str] = attrs.field(factory=Counter)

    @property
    def is_same(self) -> bool:
        return not (self.differing or self.only_ours or self.only_theirs)


@attrs.define(eq=False)
class Comparison:
    """Takes all pages of the stream, then all of our events."""

    #: Where the window begins; None: it has no beginning.
    since_ms: int | None
    #: Our events by their event ids.
    called: Callable[[Iterable[str]], Mapping[str, Event]]
    #: Event ids of what we have observed and not reported yet.
    pending: frozenset[str]
    tell: Callable[[Difference], None]
    tally: Tally = attrs.field(factory=Tally)
    #: What was added to the stream before may have been trimmed.
    covered_from_ms: int = 0
    _seen: set[bytes] = attrs.field(factory=set, init=False)
    _sent: set[tuple[str, bytes]] = attrs.field(factory=set, init=False)

    def take_theirs(self, entries: Iterable[StreamEntry]) -> None:
        """Compare a page of the stream with our events."""
        found: list[Event] = []
        for id_, fields in entries:
            if not is_trace(fields):
                continue
            try:
                event = from_fields(fields)
            except BadEntryError as error:
                self.tally.unusable[str(error)] += 1
                continue
            if not is_ours(fields, event):
                added_ms = int(id_.partition("-")[0])
                found.append(event if event.timestamp else attrs.evolve(event, timestamp=added_ms))
        ours = self.called({event.event_id for event in found}) if found else {}
        for event in found:
            self._take(event, ours.get(event.event_id))

    def _take(self, theirs: Event, ours: Event | None) -> None:
        name, id_ = producer(theirs), UUID(theirs.event_id).bytes
        self._seen.add(id_)
        if not (self._is_inside(theirs) or (ours is not None and self._is_inside(ours))):
            return
        if (name, id_) in self._sent:
            self.tally.repeated += 1
            return
        self._sent.add((name, id_))
        self.tally.producers[name] += 1
        self.tally.theirs += 1
        if ours is None and theirs.event_id in self.pending:
            self.tally.in_flight += 1
        elif ours is None:
            self.tally.only_theirs += 1
            self.tell(Difference("only_theirs", theirs, name))
        else:
            self._compare(ours, theirs, name)

    def _compare(self, ours: Event, theirs: Event, name: str) -> None:
        self.tally.both += 1
        self.tally.texts_not_compared += _is_veiled(ours, theirs)
        if fields := differing(ours, theirs):
            self.tally.differing += 1
            self.tally.fields.update(fields.keys())
            self.tell(Difference("differs", ours, name, fields))
        else:
            self.tally.same += 1

    def take_ours(self, event: Event) -> None:
        """Look whether anybody else has it; after all of theirs were taken."""
        if not self._is_inside(event):
            return
        self.tally.ours += 1
        if UUID(event.event_id).bytes in self._seen:
            return
        if max(event.timestamp, moment_ms(event.metadata.get("captured_at")) or 0) < self.covered_from_ms:
            self.tally.not_judged += 1
            return
        self.tally.only_ours += 1
        self.tell(Difference("only_ours", event))

    def _is_inside(self, event: Event) -> bool:
        return self.since_ms is None or event.timestamp >= self.since_ms


def producer(event: Event) -> str:
    """Who has sent an event, as far as it says so."""
    source = event.metadata.get("source")
    return source[:60] if isinstance(source, str) and source else "unknown"


def differing(ours: Event, theirs: Event) -> dict[str, tuple[Json, Json]]:
    """The fields of the payload in which both differ. What is not known is the same however it is written.

    What the privacy mode of either one has veiled is no difference.
    """
    found: dict[str, tuple[Json, Json]] = {}
    is_veiled = _is_veiled(ours, theirs)
    for name in FIELDS:
        pair = _known(name, ours.payload.get(name)), _known(name, theirs.payload.get(name))
        if is_veiled and (name in TEXTS or (name == "model" and None in pair)):
            continue
        if pair[0] != pair[1] and not _is_same(name, pair, ours.payload, theirs.payload):
            found[name] = pair
    return found


def _is_veiled(*events: Event) -> bool:
    return any(mode_of(event) != FULL for event in events)


def _known(name: str, value: Json) -> Json:
    if name.endswith("_timestamp"):
        return moment_ms(value)
    # A boolean is equal to a number, and is none.
    return None if not isinstance(value, bool) and value in _UNKNOWN else value


def _is_same(name: str, pair: tuple[Json, Json], ours: JsonObject, theirs: JsonObject) -> bool:
    match pair:
        case int(one), int(other) if name.endswith("_timestamp"):
            return abs(one - other) < _SAME_MS
        case str(one), str(other):
            # Who has cut a text says so.
            is_cut = _is_cut(ours, name) and other.startswith(one)
            return is_cut or (_is_cut(theirs, name) and one.startswith(other))
    return False


def _is_cut(payload: JsonObject, name: str) -> bool:
    names = payload.get("truncated")
    return isinstance(names, list) and name in names
