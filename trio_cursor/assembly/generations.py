"""From everything that bears one key to the generation that is reported.

Field by field the first source counts that knows it: ring, turn and row in the order of the contract.
"""

from __future__ import annotations

import attrs

from trio_cursor.assembly.pending import PendingEntry, Row
from trio_cursor.cursor.schemas.fields import first, model_of
from trio_cursor.cursor.schemas.values import count, usable_id
from trio_cursor.observations import Json, JsonObject, RingEntry, TableRow, Text, Turn, TurnContent, TurnId
from trio_cursor.records import Generation, Workspace

_TYPE_WITH_FILE_NAME = "apply"

#: Of prompt, completion, and both together.
_Tokens = tuple[int | None, int | None, int | None]


@attrs.frozen
class Parts:
    """What one generation is made of: at least one of entry, turn and row."""

    entry: PendingEntry | None = None
    turn: Turn | None = None
    #: The turn's; None: it could not be read any more.
    content: TurnContent | None = None
    row: Row | None = None

    def timestamp(self) -> tuple[int | None, str | None]:
        """The event's time, and who knew it."""
        turn = self.turn
        by_turn = turn.timestamp if turn else None
        is_own = turn is not None and turn.timestamp_source == "bubble"
        for time, source in (
            (self.entry.earliest_ms if self.entry else None, "ring"),
            (by_turn if is_own else None, "bubble"),
            (self.row.row.timestamp if self.row else None, "row"),
            (by_turn, turn.timestamp_source if turn else None),
        ):
            if time is not None:
                return time, source
        return None, None

    def generation(self, key: str, workspace: Workspace, aliases: tuple[str, ...] = ()) -> Generation:
        """The generation as it is reported."""
        entry = self.entry.entry if self.entry else None
        turn, content = self.turn, self.content or _NOTHING
        row = self.row.row if self.row else None
        value = (row.value if row else None) or {}
        prompt = row.prompt if row else None
        timestamp, timestamp_source = self.timestamp()
        prompt_tokens, completion_tokens, tokens_used = _tokens(content, value)
        is_counted = not prompt_tokens is completion_tokens is tokens_used is None
        return Generation(
            key=key,
            generation_id=self._id(),
            workspace=workspace,
            schema=self._schema(),
            status=self._status(),
            timestamp=timestamp,
            timestamp_source=timestamp_source,
            generation_type=entry.type if entry else None,
            conversation_id=turn.id.conversation_id if turn else None,
            data_version=self._data_version(),
            model=content.model or model_of(value.get("model")),
            tokens_used=tokens_used,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            tokens_source="database" if is_counted else None,
            response_text=_first(content.response_text, _response(row)),
            prompt_text=_first(content.prompt_text, _prompt(row), _ring_prompt(entry)),
            prompt_id=usable_id(value.get("promptId")),
            request_parameters=_request_parameters(row),
            completed_timestamp=content.completed_timestamp,
            duration_ms=content.duration_ms,
            prompt_timestamp=first((prompt.timestamp if prompt else None, content.prompt_timestamp)),
            tool_calls=self.content.tool_calls if self.content else None,
            full_generation_data=self._source(),
            truncated=self._truncated(content, row),
            aliases=aliases,
        )

    def _id(self) -> str:
        """As it was written: by the turn, else the row, else the ring."""
        if self.turn is not None and self.turn.generation_id is not None:
            return self.turn.generation_id
        if self.row is not None:
            return self.row.row.generation_id
        return self.entry.entry.generation_id if self.entry else ""

    def _schema(self) -> str:
        if self.row is not None:
            return self.row.row.schema
        if self.turn is None:
            return "ring"
        # Where in Cursor's files a conversation stands (`Turn.schema`) is nothing to those who read events:
        # the contract knows only `conversations`.
        return "ring+conversations" if self.entry else "conversations"

    def _status(self) -> str:
        if self.content is not None:
            remembered = None if self.turn is None else self.turn.outcome
            return self.content.status if remembered in (None, "none") else str(remembered)
        if self.turn is not None:
            return "incomplete"
        return "completed" if self.row else "unknown"

    def _data_version(self) -> int | None:
        if self.row is not None:
            return self.row.row.data_version
        if self.turn is not None:
            return self.content.data_version if self.content else None
        return self.entry.entry.rowid if self.entry else None

    def _source(self) -> Json:
        """What stands in the files; of one source alone as it is, of several each under its name."""
        row = self.row.row if self.row else None
        stands = row and (row.raw if row.value is None else row.value)
        if self.turn is None:
            return stands if row else self.entry.entry.source if self.entry else None
        found: JsonObject = dict(self.content.source) if self.content else {}
        if self.entry is not None:
            found["ring"] = self.entry.entry.source
        if row is not None:
            found["row"] = stands
        return found or None

    def _truncated(self, content: TurnContent, row: TableRow | None) -> tuple[str, ...]:
        """Names of what a file holds and could not be read; not of what was found elsewhere before."""
        if row is None or not (row.left_out or row.prompt):
            return content.left_out
        names = (*row.left_out, *(("prompt_text",) if row.prompt and row.prompt.is_too_large else ()))
        known = {"prompt_text": content.prompt_text, "response_text": content.response_text}
        return tuple(dict.fromkeys((*content.left_out, *(n for n in names if known.get(n) is None))))


#: The content of a turn that could not be read.
_NOTHING = TurnContent(
    Turn(
        TurnId("", ""),
        "",
        generation_id=None,
        is_named_by_bubble=False,
        is_settled=False,
        is_sub_agent=False,
        created_ms=None,
        timestamp=None,
        timestamp_source=None,
        newest_ms=None,
        fingerprint="",
    ),
    "incomplete",
    None,
)


def _first(*texts: Text | None) -> Text | None:
    for text in texts:
        if text is not None:
            return text
    return None


def _prompt(row: TableRow | None) -> Text | None:
    return None if row is None or row.prompt is None else row.prompt.text


def _ring_prompt(entry: RingEntry | None) -> Text | None:
    """The ring's text is a file name where a suggestion was applied."""
    return None if entry is None or entry.type == _TYPE_WITH_FILE_NAME else entry.text


def _response(row: TableRow | None) -> Text | None:
    if row is None or row.value is None:
        return None
    for text in (row.value.get("responseText"), row.value.get("text")):
        if isinstance(text, str):
            return text
    return row.sealed.get("response_text")


def _request_parameters(row: TableRow | None) -> Json:
    if row is None or row.value is None:
        return None
    return first((row.value.get("requestParameters"), row.sealed.get("request_parameters")))


def _tokens(content: TurnContent, value: JsonObject) -> _Tokens:
    """The turn's counts, else the row's. Zeroes that stand for "not given" are no counts."""
    prompt, completion, total = content.prompt_tokens, content.completion_tokens, None
    if not prompt and not completion:
        prompt, completion = count(value.get("promptTokens")), count(value.get("completionTokens"))
        total = count(value.get("tokensUsed")) or None
    if not prompt and not completion:
        prompt = completion = None
    if total is None:
        total = completion if prompt is None or completion is None else prompt + completion
    return prompt, completion, total
