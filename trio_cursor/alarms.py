"""Alarms: what is wrong for long is told once, and once more when it is over. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import attrs

#: What may be wrong.
LOG: Final = "log"
LOOK: Final = "no_pass"
SCHEMA: Final = "unknown_schema"
DATABASE: Final = "database"
QUARANTINE: Final = "quarantine"
OUTPUT: Final = "output"
BEHIND: Final = "behind"
ROLLBACK: Final = "rollback"
DEAD: Final = "dead_events"
CARE: Final = "output_care"
SOURCE: Final = "source"
FOREIGN: Final = "others"
HANG: Final = "hang"
GAP: Final = "gap"
LOST: Final = "lost"

#: Of as many that begin or end at the same moment each is told by itself; of more, in one.
MOST_BY_THEMSELVES: Final = 5
#: As many of more are told in words.
_MOST_IN_WORDS: Final = 3

RAISED: Final = "raised"
CLEARED: Final = "cleared"


@attrs.frozen
class Rule:
    """When one kind is told of."""

    #: What it is, without a name of anything.
    meaning: str
    #: Seconds that it lasts before it is raised, and that it is gone before it is cleared.
    raise_after: float
    clear_after: float
    #: As long as it is so, the service cannot do its work.
    stops_work: bool = False


#: Where 0 stands, the condition says itself how long it lasts: a loss is told of for an hour.
RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        LOG: Rule("the event log cannot be written or read", 10, 60, stops_work=True),
        LOOK: Rule("Cursor's files are not looked at", 10, 60, stops_work=True),
        SCHEMA: Rule("a database has a layout that is not known", 60, 60),
        DATABASE: Rule("a database cannot be read", 300, 120),
        QUARANTINE: Rule("a database is left alone because its reads do not end", 0, 60),
        OUTPUT: Rule("an output takes no events", 30, 60, stops_work=True),
        BEHIND: Rule("an output is far behind", 60, 60, stops_work=True),
        ROLLBACK: Rule("an output had lost what it had taken; it was sent again", 0, 0),
        DEAD: Rule("an output can never take some of the events", 0, 0),
        CARE: Rule("an output takes events, and needs a look", 60, 60),
        SOURCE: Rule("a source of sessions is not heard", 60, 60),
        FOREIGN: Rule("what other producers send is not known", 60, 60),
        HANG: Rule("a path does not answer", 10, 60),
        GAP: Rule("generations were missed: Cursor's list had rolled on", 0, 0),
        LOST: Rule("events were deleted before an output had taken them", 0, 0),
    }
)

_Key: TypeAlias = tuple[str, str]


@attrs.frozen
class Fact:
    """Something that is wrong at this moment."""

    #: One of `RULES`.
    kind: str
    #: What it is wrong with: two facts of the same kind and subject are the same.
    subject: str
    words: str
    #: Where it is about a workspace.
    workspace_hash: str | None = None
    workspace_path: str | None = None


@attrs.frozen
class Episode:
    """An alarm that was raised and is not cleared yet."""

    kind: str
    #: When it was first seen, milliseconds since the epoch.
    since: int
    words: str
    #: It is so at this moment; else it has been gone for too short a time to be over.
    is_present: bool
    #: Counted from 1 in each run.
    number: int
    workspace_hash: str | None = None
    workspace_path: str | None = None


@attrs.frozen
class Notice:
    """What is to be told: an episode has begun or ended, or many of one kind have at the same moment."""

    state: Literal["raised", "cleared"]
    episodes: tuple[Episode, ...]

    @property
    def kind(self) -> str:
        """The same of all."""
        return self.episodes[0].kind

    @property
    def since(self) -> int:
        """When the first of them was first seen, milliseconds since the epoch."""
        return min(episode.since for episode in self.episodes)

    @property
    def words(self) -> str:
        """All of it, or some of it and how many more there are."""
        said, more = self.episodes, 0
        if len(said) > MOST_BY_THEMSELVES:
            said, more = said[:_MOST_IN_WORDS], len(said) - _MOST_IN_WORDS
        words = "; ".join(episode.words for episode in said)
        return f"{words}; and {more:,} more" if more else words


@attrs.define(eq=False)
class _Condition:
    """What was seen to be wrong, and for how long."""

    fact: Fact
    since: int
    #: Seconds that it was seen, less those that it was not: what flaps is raised if it is there mostly.
    lasted: float = 0.0
    #: When it was first seen to be gone; None: it is there.
    gone_at: float | None = None
    #: 0: not raised yet.
    number: int = 0


@attrs.define(eq=False)
class Alarms:
    """What is wrong, in episodes: one that flaps is one."""

    rules: Mapping[str, Rule] = RULES
    _conditions: dict[_Key, _Condition] = attrs.field(factory=dict, init=False)
    #: When it was looked last.
    _at: float = attrs.field(default=0.0, init=False)
    _numbered: int = attrs.field(default=0, init=False)

    def step(self, facts: Iterable[Fact], now: float, now_ms: int) -> list[Notice]:
        """Take what is wrong at this moment; returns what is to be told of it.

        `now` is in seconds on a clock that never goes back, `now_ms` that of the wall.
        """
        passed, self._at = max(0.0, now - self._at), now
        here = {(fact.kind, fact.subject): fact for fact in facts}
        raised = [self._raise(key) for key, fact in here.items() if self._is_due(key, fact, passed, now_ms)]
        gone = [key for key in self._conditions if key not in here]
        cleared = [self._end(key) for key in gone if self._is_over(key, passed, now)]
        return [*_notices(RAISED, raised), *_notices(CLEARED, filter(None, cleared))]

    def is_raised(self, fact: Fact) -> bool:
        """Whether what is wrong has been told of."""
        condition = self._conditions.get((fact.kind, fact.subject))
        return condition is not None and condition.number > 0

    def episodes(self, facts: Iterable[Fact] = ()) -> tuple[Episode, ...]:
        """Those that were raised and not cleared, in their order; in the words that these facts have."""
        words = {(fact.kind, fact.subject): fact.words for fact in facts}
        raised = [(key, condition) for key, condition in self._conditions.items() if condition.number]
        raised.sort(key=lambda pair: pair[1].number)
        return tuple(_episode(condition, words.get(key)) for key, condition in raised)

    def _is_due(self, key: _Key, fact: Fact, passed: float, now_ms: int) -> bool:
        """Whether a condition that is there is to be raised now."""
        condition = self._conditions.get(key)
        if condition is None:
            condition = self._conditions[key] = _Condition(fact, now_ms)
        elif condition.gone_at is None:
            condition.lasted += passed
        condition.fact, condition.gone_at = fact, None
        return not condition.number and condition.lasted >= self.rules[fact.kind].raise_after

    def _is_over(self, key: _Key, passed: float, now: float) -> bool:
        """Whether one that is gone is to be forgotten now."""
        condition = self._conditions[key]
        if condition.gone_at is None:
            # Not sooner: nobody has looked, and it may have been there until a moment ago.
            condition.gone_at = now
        if condition.number:
            return now - condition.gone_at >= self.rules[condition.fact.kind].clear_after
        condition.lasted -= passed
        return condition.lasted <= 0

    def _raise(self, key: _Key) -> Episode:
        self._numbered += 1
        self._conditions[key].number = self._numbered
        return _episode(self._conditions[key])

    def _end(self, key: _Key) -> Episode | None:
        """Forget it; returns the episode if it was one."""
        condition = self._conditions.pop(key)
        return _episode(condition) if condition.number else None


def _episode(condition: _Condition, words: str | None = None) -> Episode:
    fact = condition.fact
    return Episode(
        kind=fact.kind,
        since=condition.since,
        words=words or fact.words,
        is_present=condition.gone_at is None,
        number=condition.number,
        workspace_hash=fact.workspace_hash,
        workspace_path=fact.workspace_path,
    )


def _notices(state: Literal["raised", "cleared"], episodes: Iterable[Episode]) -> Iterator[Notice]:
    """One for each; of many of a kind one: a new version of Cursor changes every database at once."""
    by_kind: dict[str, list[Episode]] = {}
    for episode in episodes:
        by_kind.setdefault(episode.kind, []).append(episode)
    for found in by_kind.values():
        yield from (Notice(state, group) for group in _grouped(found))


def _grouped(episodes: Sequence[Episode]) -> list[tuple[Episode, ...]]:
    if len(episodes) > MOST_BY_THEMSELVES:
        return [tuple(episodes)]
    return [(episode,) for episode in episodes]
