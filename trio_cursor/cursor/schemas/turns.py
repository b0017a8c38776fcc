"""Turns: a question and everything up to the next one, in the order of the headers.

A turn is looked at whenever it changes, by its question and its last bubble (`Sight.turn`), and when it is
due, by all of it (`Sight.content`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice

import attrs

from trio_cursor.cursor.schemas.bubbles import ASSISTANT, UNREADABLE, USER, Bubble
from trio_cursor.cursor.schemas.documents import Document, Header
from trio_cursor.cursor.schemas.fields import first
from trio_cursor.cursor.schemas.values import canonical_id, digest, usable_id
from trio_cursor.observations import Turn, TurnContent, TurnId

#: `status` of a conversation that is an outcome of its last turn.
_OUTCOMES = ("aborted", "error")


@attrs.frozen
class Span:
    """One turn as the headers name it."""

    index: int
    #: At least one.
    headers: tuple[Header, ...]

    @property
    def id(self) -> str:
        return self.headers[0].bubble_id

    @property
    def question(self) -> Header | None:
        return self.headers[0] if self.headers[0].type == USER else None


@attrs.frozen
class Rows:
    """What is known of a span's rows now, and of the questions after it."""

    #: Bubble id to rowid and size; what is absent or NULL is not in it.
    present: Mapping[str, tuple[int, int | None]]
    #: Those whose values were read.
    bubbles: Mapping[str, Bubble]
    #: Bubbles of which it is known whether they are there.
    asked: Collection[str] = frozenset()

    def is_absent(self, bubble_id: str) -> bool:
        """Whether it is known not to be there."""
        return bubble_id in self.asked and bubble_id not in self.present


def inline_rows(document: Document, document_rowid: int) -> Rows:
    """The rows of a conversation whose messages stand in its document: all there, all read."""
    inline = document.inline or {}
    return Rows(dict.fromkeys(inline, (document_rowid, None)), inline)


def spans(document: Document) -> list[Span]:
    """All turns of a conversation. What precedes the first question, a greeting perhaps, is none."""
    groups: list[list[Header]] = []
    for header in document.headers:
        if header.type == USER or not (groups or header.type == ASSISTANT):
            groups.append([])
        if groups:
            groups[-1].append(header)
    return [Span(index, tuple(group)) for index, group in enumerate(groups)]


@attrs.frozen
class _Message:
    """A header whose bubble is there, and the bubble if it was read."""

    header: Header
    bubble: Bubble

    @property
    def type(self) -> int | None:
        return self.header.type if self.bubble.type is None else self.bubble.type


@attrs.frozen
class Sight:
    """A turn among what surrounds it, as far as that was read."""

    document: Document
    all_spans: Sequence[Span]
    span: Span
    rows: Rows
    schema: str
    document_rowid: int | None
    is_sub_agent: bool
    #: Canonical request ids of the turns before it.
    earlier_ids: Collection[str]
    checkpoint_ms: int | None = None

    def turn(self) -> Turn | None:
        """How it stands now; None: nothing of it is there.

        `rows.bubbles` must hold its first and last bubble if they are present, and the ones between as far as
        they are needed to find a request id.
        """
        return self._turn(is_over=False) if self.messages else None

    def content(self) -> TurnContent | None:
        """Everything that is reported of it, as if it were released now; None: nothing of it is there.

        `rows.bubbles` must hold all its bubbles that are present. A turn that is not settled is released only
        when its waiting is over, when no request id will come any more: it has the user bubble's id then.
        """
        return self._content() if self.messages else None

    @cached_property
    def messages(self) -> tuple[_Message, ...]:
        """Those that are there, in the order of the headers."""
        read, present = self.rows.bubbles, self.rows.present
        return tuple(
            _Message(header, read.get(header.bubble_id, UNREADABLE))
            for header in self.span.headers
            if header.bubble_id in present
        )

    @cached_property
    def question(self) -> _Message | None:
        return next((message for message in self.messages if message.type == USER), None)

    @cached_property
    def answers(self) -> tuple[Bubble, ...]:
        return tuple(message.bubble for message in self.messages if message.type == ASSISTANT)

    @cached_property
    def bubbles(self) -> tuple[Bubble, ...]:
        return tuple(message.bubble for message in self.messages)

    @property
    def later(self) -> Iterable[Span]:
        return map(self.all_spans.__getitem__, range(self.span.index + 1, len(self.all_spans)))

    @cached_property
    def is_last(self) -> bool:
        """A later question of which nothing is there, neither bubble nor answer, is no turn."""
        return not any(h.bubble_id in self.rows.present for span in self.later for h in span.headers)

    @property
    def is_newest(self) -> bool:
        """What the document says of its status, and its latest id, belong to the last question that it names.

        Cursor names a question before it writes it: what was being generated then was not the turn before.
        """
        return self.span.index == len(self.all_spans) - 1

    @cached_property
    def is_first(self) -> bool:
        """An earlier question of which nothing is there, neither bubble nor answer, is no turn."""
        earlier = islice(self.all_spans, self.span.index)
        return all(self.rows.is_absent(header.bubble_id) for span in earlier for header in span.headers)

    @property
    def is_complete(self) -> bool:
        """Nobody is at it, and the last bubble that the headers name is there, and the assistant's."""
        last = self.messages[-1]
        is_there = last.header is self.span.headers[-1]
        is_generating = self.is_newest and self.document.is_generating
        return is_there and last.type == ASSISTANT and not is_generating

    @cached_property
    def is_settled(self) -> bool:
        if any(span.id in self.rows.present for span in self.later):
            return True
        if self.is_newest and self.document.status in _OUTCOMES:
            return True
        return self.is_complete and len(self.messages) == len(self.span.headers)

    def _turn(self, *, is_over: bool) -> Turn:
        timestamp, timestamp_source = self._timestamp()
        generation_id, is_named_by_bubble = self._name(is_over=is_over)
        return Turn(
            id=TurnId(self.document.conversation_id, self.span.id),
            schema=self.schema,
            generation_id=generation_id,
            is_named_by_bubble=is_named_by_bubble,
            is_settled=self.is_settled,
            is_sub_agent=self.is_sub_agent,
            created_ms=self.document.created_ms,
            timestamp=timestamp,
            timestamp_source=timestamp_source,
            newest_ms=self._newest_ms(),
            fingerprint=self._fingerprint(),
            outcome=self._outcome(),
        )

    def _content(self) -> TurnContent:
        question = None if self.question is None else self.question.bubble
        status = self._status()
        prompt_tokens, completion_tokens = first(b.tokens for b in reversed(self.bubbles)) or (None, None)
        texts = [bubble.text for bubble in self.answers if bubble.text is not None]
        return TurnContent(
            turn=self._turn(is_over=True),
            status=status,
            data_version=self.document_rowid,
            model=first(bubble.model for bubble in self.bubbles) or self.document.model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            prompt_text=None if question is None else question.text,
            response_text="\n\n".join(texts) or None,
            prompt_timestamp=None if question is None else question.created_ms,
            completed_timestamp=None if status == "incomplete" else self._completed_ms(),
            duration_ms=self._duration_ms(),
            tool_calls=tuple(bubble.tool_call for bubble in self.answers if bubble.tool_call is not None),
            source={
                "conversation": self.document.source,
                "bubbles": [bubble.source for bubble in self.bubbles if bubble.source],
            },
            left_out=self._left_out(),
        )

    def _name(self, *, is_over: bool) -> tuple[str | None, bool]:
        """By what it is reported, and whether a bubble says so."""
        if request_id := first(bubble.request_id for bubble in self.bubbles):
            return request_id, True
        latest = self.document.latest_id
        if self.is_newest and latest is not None and canonical_id(latest) not in self.earlier_ids:
            return latest, False
        # Whatever is still to come may bring a request id.
        if self.question is None or not (self.is_settled or is_over):
            return None, False
        return usable_id(self.question.header.bubble_id), False

    def _timestamp(self) -> tuple[int | None, str | None]:
        asked_ms = None if self.question is None else self.question.bubble.created_ms
        sent_ms = first(bubble.sent_ms for bubble in self.bubbles)
        found = first((asked_ms, sent_ms, *(bubble.created_ms for bubble in self.bubbles)))
        if found is not None:
            return found, "bubble"
        created_ms = self.document.created_ms if self.is_first else None
        return created_ms, None if created_ms is None else "conversation"

    def _newest_ms(self) -> int | None:
        times = [header.created_ms for header in self.span.headers]
        for bubble in self.bubbles:
            times += [bubble.created_ms, bubble.sent_ms, bubble.ended_ms]
        if self.is_last:
            # Some eras write no other time; and what a conversation made just now asks is not long past.
            times += [self.document.last_updated_ms, self.checkpoint_ms, self.document.created_ms]
        return max((time for time in times if time is not None), default=None)

    def _fingerprint(self) -> str:
        """Of what is known however many of the bubbles were read."""
        if self.document.inline is None:
            bubbles = [self.rows.present.get(header.bubble_id) for header in self.span.headers]
            stands = repr((self.span.headers, bubbles))
        else:
            # Their row is that of all of them, and its rowid changes with any.
            stands = repr(self.messages)
        document = self.document
        outcome = (document.status, document.is_generating, document.latest_id) if self.is_newest else ()
        return digest(repr((stands, self.is_last, self.is_settled, outcome)))

    def _outcome(self) -> str | None:
        if not self.is_newest:
            return None
        status = self.document.status
        return status if status in _OUTCOMES else "none"

    def _status(self) -> str:
        if (outcome := self._outcome()) in _OUTCOMES:
            return str(outcome)
        if self.is_last and not self.is_complete:
            return "incomplete"
        if self.is_newest:
            return "completed"
        # The conversation has gone on, perhaps no further than to name the next question: what it said of
        # the outcome of this turn is gone, and only the answer tells.
        is_answered = any(bubble.has_answer or bubble.is_too_large for bubble in self.answers)
        return "completed" if is_answered else "aborted"

    def _completed_ms(self) -> int | None:
        last_created_ms = self.answers[-1].created_ms if self.answers else None
        return first((*(bubble.ended_ms for bubble in reversed(self.answers)), last_created_ms))

    def _duration_ms(self) -> int | None:
        from_the_end = self.bubbles[::-1]
        measured = (bubble.measured_ms for bubble in from_the_end)
        return first((*(bubble.duration_ms for bubble in from_the_end), *measured))

    def _left_out(self) -> tuple[str, ...]:
        too_large = [message for message in self.messages if message.bubble.is_too_large]
        names = ("prompt_text" if message is self.question else "response_text" for message in too_large)
        return tuple(dict.fromkeys(names))
