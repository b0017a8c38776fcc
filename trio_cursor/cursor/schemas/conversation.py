"""A conversation as far as it was read: its document, its bubbles, its turns, and where it belongs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Final

import attrs

from trio_cursor.cursor.schemas.asking import FoldersOf, Found, Head, Present, Row, Value
from trio_cursor.cursor.schemas.bubbles import TOO_LARGE, UNREADABLE, Bubble, parse_bubble
from trio_cursor.cursor.schemas.documents import Document, Header
from trio_cursor.cursor.schemas.exchange import Talk
from trio_cursor.cursor.schemas.turns import Rows, Sight, Span, inline_rows, spans
from trio_cursor.cursor.schemas.values import ROW_LIMIT, canonical_id
from trio_cursor.observations import Place, Rule, Turn, TurnContent, TurnGone, Wanted

BUBBLE: Final = "bubbleId:"
#: Ids of conversations that are agents which a tool call started.
_AGENT: Final = "task-"
#: Bubbles in the middle of a turn that are asked for at once while its id is looked for.
_MIDDLE: Final = 10
#: A question of which nothing is there says nothing; so many before and after a turn are looked at.
_QUESTIONS: Final = 3
_MOST_SUB_AGENTS: Final = 500


@attrs.define(eq=False)
class Conversation:
    """A document and what was read of its rows so far."""

    document: Document
    rowid: int
    schema: str
    head: Head = attrs.field(factory=Head)
    spans: list[Span] = attrs.field(init=False)
    #: By the ids of their turns.
    span_of: dict[str, Span] = attrs.field(init=False)
    present: dict[str, tuple[int, int | None]] = attrs.field(factory=dict, init=False)
    bubbles: dict[str, Bubble] = attrs.field(factory=dict, init=False)
    #: Named by the context of its prompts; None: nobody asked.
    context_folders: tuple[str, ...] | None = attrs.field(default=None, init=False)
    #: Why a bubble is not known although it is there, in words.
    problems: dict[str, str] = attrs.field(factory=dict, init=False)
    #: Bubbles of which it is known whether they are there, those whose values were asked for, and those of
    #: which only a part was kept.
    _asked: set[str] = attrs.field(factory=set, init=False)
    _read: set[str] = attrs.field(factory=set, init=False)
    _without_content: set[str] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self.spans = spans(self.document)
        self.span_of = {span.id: span for span in self.spans}
        if self.document.inline is not None:
            rows = inline_rows(self.document, self.rowid)
            self.present, self.bubbles = dict(rows.present), dict(rows.bubbles)

    @property
    def id(self) -> str:
        return self.document.conversation_id

    @property
    def size(self) -> int:
        """Bytes of the bubbles that were read."""
        return sum(self.present[id_][1] or 0 for id_ in self.bubbles if id_ in self.present)

    def turn(self, span: Span) -> Turn | None:
        return self._sight(span).turn()

    def content(self, span: Span) -> TurnContent | None:
        return self._sight(span).content()

    def answer(self, wanted: Wanted) -> Turn | TurnContent | TurnGone:
        """What is wanted of a turn, once all that it takes was read."""
        span = self.span_of.get(wanted.id.bubble_id)
        read = self.content if wanted.with_content else self.turn
        return (span and read(span)) or TurnGone(wanted.id)

    def _sight(self, span: Span) -> Sight:
        return Sight(
            self.document,
            self.spans,
            span,
            Rows(self.present, self.bubbles, self._asked),
            schema=self.schema,
            document_rowid=self.rowid,
            is_sub_agent=self.head.is_sub_agent or self.id.startswith(_AGENT),
            earlier_ids=self._earlier_ids(span),
            checkpoint_ms=self.head.checkpoint_ms,
        )

    def _earlier_ids(self, span: Span) -> frozenset[str]:
        """Of the turns before it, as far as they were read; nothing where nobody will ask."""
        if not self._may_bear_latest_id(span):
            return frozenset()
        return frozenset(
            canonical_id(bubble.request_id)
            for earlier in islice(self.spans, span.index)
            for header in earlier.headers
            if (bubble := self.bubbles.get(header.bubble_id)) and bubble.request_id
        )

    def _may_bear_latest_id(self, span: Span) -> bool:
        return self.document.latest_id is not None and span.index == len(self.spans) - 1

    def _is_followed(self, span: Span) -> bool:
        return any(later.id in self.present for later in self._later(span, _QUESTIONS))

    def places(self) -> list[Place]:
        """What was read says this about where it belongs."""
        document, places = self.document, []
        if self.head.workspace_id:
            places.append(Place(self.id, Rule.HEADERS_TABLE, self.head.workspace_id))
        if document.workspace_id or document.folder:
            places.append(Place(self.id, Rule.IDENTIFIER, document.workspace_id, document.folder))
        places += [Place(self.id, Rule.CONTEXT, folder=folder) for folder in self.context_folders or ()]
        folders = (folder for bubble in self.bubbles.values() for folder in bubble.folders)
        places += [Place(self.id, Rule.BUBBLE, folder=folder) for folder in dict.fromkeys(folders)]
        agents = (id_ for id_ in document.sub_agents[:_MOST_SUB_AGENTS] if id_ != self.id)
        return places + [Place(id_, Rule.PARENT, parent_id=self.id) for id_ in agents]

    @property
    def _is_placed(self) -> bool:
        document = self.document
        return bool(self.head.workspace_id or document.workspace_id or document.folder)

    def ask_bubbles(
        self, whole: Iterable[str], standing: Iterable[str] = (), *, with_content: bool = False
    ) -> Talk[None]:
        """Read these bubbles, and find out which of the others are there.

        The context of the prompts comes along, where nothing better is known of the place.
        """
        if self.document.inline is not None:
            whole = standing = ()
        # Of long conversations this is asked for each of many turns: nothing here may go through all of it.
        values = dict.fromkeys(id_ for id_ in whole if not self._is_known(id_, with_content=with_content))
        others = (id_ for id_ in dict.fromkeys(standing) if id_ not in self._asked and id_ not in values)
        keys = {self._key(id_): id_ for id_ in others}
        listing = (Present(tuple(keys)),) if keys else ()
        context = () if self._is_placed or self.context_folders is not None else (FoldersOf(self.id),)
        parse = partial(parse_bubble, is_light=not with_content)
        asks = (*listing, *(Value(self._key(id_), ROW_LIMIT, parse) for id_ in values), *context)
        if not asks:
            return
        answers = yield asks
        if context:
            self.context_folders = answers.pop() or ()
        found, *rows = answers if listing else (Found({}, ()), *answers)
        self._asked.update(values, keys.values())
        self._read.update(values)
        if with_content:
            self._without_content.difference_update(values)
        else:
            self._without_content.update(values)
        for id_, row in zip(values, rows, strict=True):
            self._take(id_, row)
        while True:
            self.present |= {keys[key]: row for key, row in found.rows.items()}
            if not found.rest:
                return
            (found,) = yield (Present(found.rest),)

    def _is_known(self, bubble_id: str, *, with_content: bool) -> bool:
        if bubble_id in self._asked and bubble_id not in self.present:
            return True  # that it is not there
        return bubble_id in self._read and not (with_content and bubble_id in self._without_content)

    def _key(self, bubble_id: str) -> str:
        return f"{BUBBLE}{self.id}:{bubble_id}"

    def _take(self, bubble_id: str, row: Row | None) -> None:
        if row is None:
            self.present.pop(bubble_id, None)
            self.bubbles.pop(bubble_id, None)
            return
        self.present[bubble_id] = (row.rowid, row.size)
        self.bubbles[bubble_id] = row.value or (TOO_LARGE if row.is_too_large else UNREADABLE)
        if row.problem:
            self.problems[bubble_id] = (
                "bubble too large to read" if row.is_too_large else "bubble that is no JSON object"
            )

    def ask_spans(self, wanted: Sequence[Span], *, with_content: bool = False) -> Talk[None]:
        """Read what `turn` needs to know of these spans, or `content`."""
        whole: list[str] = []
        standing: list[str] = []
        for span in wanted:
            ids = [header.bubble_id for header in span.headers]
            whole += ids if with_content else (ids[0], ids[-1])
            standing += [*ids, *(later.id for later in self._later(span, _QUESTIONS))]
            if span.index <= _QUESTIONS:  # it may be the first of which anything is there
                standing += [h.bubble_id for earlier in self.spans[: span.index] for h in earlier.headers]
        yield from self.ask_bubbles(whole, standing, with_content=with_content)
        # Where no later question is there, any of what follows may say that the turn is not the last one.
        ends = [span for span in wanted if not self._is_followed(span)]
        yield from self.ask_bubbles(
            (), (header.bubble_id for span in ends for later in self._later(span) for header in later.headers)
        )
        for span in wanted:
            yield from self._ask_ids(span)

    def _later(self, span: Span, most: int | None = None) -> list[Span]:
        first = span.index + 1
        return self.spans[first : None if most is None else first + most]

    def _ask_ids(self, span: Span) -> Talk[None]:
        """Read on until it is certain what the turn is called."""
        if self._has_id(span.headers[:1]) and not (span.index and self._may_bear_latest_id(span)):
            return  # as nearly always
        turn = self.turn(span)
        if turn is None:
            return
        if turn.is_settled and not self._has_id(span.headers[:1]):
            yield from self._ask_until_named(span)
            turn = self.turn(span) or turn
        if span.index and not turn.is_named_by_bubble and self._may_bear_latest_id(span):
            # The turn before it may bear the conversation's latest id.
            before = self.spans[span.index - 1]
            yield from self.ask_bubbles((before.headers[0].bubble_id, before.headers[-1].bubble_id))
            if not self._has_id(before.headers):
                yield from self._ask_until_named(before)

    def _ask_until_named(self, span: Span) -> Talk[None]:
        """Read a turn's bubbles in their order until one bears a request id: the first one counts."""
        for start in range(0, len(span.headers), _MIDDLE):
            some = span.headers[start : start + _MIDDLE]
            yield from self.ask_bubbles(header.bubble_id for header in some)
            if self._has_id(some):
                return

    def _has_id(self, headers: Iterable[Header]) -> bool:
        bubbles = (self.bubbles.get(header.bubble_id) for header in headers)
        return any(bubble is not None and bubble.request_id for bubble in bubbles)
