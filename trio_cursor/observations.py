"""What schemas find in Cursor's databases: plain frozen values, valid from the moment they are built."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, TypeAlias

import attrs

#: What ``json.loads`` may give.
Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Any]


@attrs.frozen
class Sealed:
    """Stands for a text that is not kept."""

    #: In characters.
    length: int
    #: Keyed; of equal texts it is equal.
    digest: str


Text: TypeAlias = str | Sealed


@attrs.frozen
class RingEntry:
    """An item of `aiService.generations` in `ItemTable`: something was asked."""

    generation_id: str
    unix_ms: int | None
    type: str | None
    text: Text | None
    #: Of the ring's row, which Cursor replaces at every change.
    rowid: int
    #: The item's known keys as they stand in the file.
    source: JsonObject

    @property
    def timestamp(self) -> int | None:
        return self.unix_ms


@attrs.frozen
class Prompt:
    """A row of a prompts table."""

    uuid: str
    text: Text | None
    timestamp: int | None
    #: The file holds a text, but one that was too large to read.
    is_too_large: bool = False


@attrs.frozen
class TableRow:
    """A row of a generations table."""

    schema: str
    generation_id: str
    rowid: int
    #: The column's, else the rowid.
    data_version: int
    #: The value's, else the column's; milliseconds since the epoch.
    timestamp: int | None
    #: None if the column holds no JSON object.
    value: JsonObject | None
    #: The value as text where it is not a JSON object.
    raw: str | None = None
    prompt: Prompt | None = None
    #: Names of payload texts that the file holds but that were too large to read.
    left_out: tuple[str, ...] = ()
    #: By payload field, what stands for texts that the value held.
    sealed: dict[str, Sealed] = attrs.field(factory=dict)


@attrs.frozen
class TurnId:
    """What names a turn for as long as it stands in its conversation, whatever else becomes of it."""

    conversation_id: str
    #: Of the first message that the headers name for it.
    bubble_id: str


@attrs.frozen
class Turn:
    """A question and everything up to the next one, as it stands in its conversation now, without texts."""

    id: TurnId
    #: `conversations` (rows of their own) or `composers` (inside a workspace's `composer.composerData`).
    schema: str
    #: None: nothing names it, or nothing does yet.
    generation_id: str | None
    #: A bubble bears the id. If not, another turn of the conversation may be called so tomorrow.
    is_named_by_bubble: bool
    #: Nothing that happens later can change it: a later question, an outcome, or everything is there.
    is_settled: bool
    #: Its conversation is known to be that of an agent which another conversation started.
    is_sub_agent: bool
    #: `composerData.createdAt`.
    created_ms: int | None
    #: Start of the generation, as far as the turn itself knows, and what knows it.
    timestamp: int | None
    timestamp_source: str | None
    #: Newest time found in it, for waiting.
    newest_ms: int | None
    #: Becomes another one with each change of the turn.
    fingerprint: str
    #: What its conversation says became of it: `aborted`, `error` or `none` of these; None: nothing any more,
    #: since it has gone on to the next question.
    outcome: str | None = None


@attrs.frozen
class TurnContent:
    """A turn with everything that is reported of it, read when it was about to be released."""

    turn: Turn
    #: `completed`, `aborted`, `error` or `incomplete`: as it is to be reported if it is released now.
    status: str
    #: Rowid of the conversation's document.
    data_version: int | None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_text: Text | None = None
    response_text: Text | None = None
    prompt_timestamp: int | None = None
    completed_timestamp: int | None = None
    duration_ms: int | None = None
    #: `name` and `status` of each.
    tool_calls: tuple[JsonObject, ...] = ()
    #: Known keys of document and bubbles as they stand in the file, without the texts above.
    source: JsonObject = attrs.field(factory=dict)
    #: Names of payload texts that the file holds but that were too large to read.
    left_out: tuple[str, ...] = ()


@attrs.frozen
class TurnGone:
    """A turn that was asked for and stands in its conversation no more."""

    id: TurnId


class Rule(IntEnum):
    """What says where a conversation belongs: its number in the facts about Cursor's storage (section c).

    Rule 1, the ring that holds a turn's own id, says it of a generation and is no fact about a conversation.
    """

    #: The conversation's row in `composerHeaders`.
    HEADERS_TABLE = 2
    #: `workspaceIdentifier` of its document.
    IDENTIFIER = 3
    #: `composer.composerData` of a workspace lists it.
    LISTED = 4
    #: It has a place in one of a workspace's panes.
    PANE = 5
    #: The context of one of its prompts names a folder.
    CONTEXT = 6
    #: One of its bubbles names a folder.
    BUBBLE = 7
    #: The ring of a workspace holds another turn of it.
    RING = 8
    #: A tool call of another conversation started it.
    PARENT = 9


@attrs.frozen
class Place:
    """Something in a database says where a conversation belongs."""

    conversation_id: str
    #: A `Rule`, or the number of one; of several the smallest counts.
    rule: int
    #: Directory name in `workspaceStorage`.
    workspace_id: str | None = None
    #: Folder as path or URI: what rules 6 and 7 know, and rule 3 where it has no id.
    folder: str | None = None
    #: The conversation that started this one as its agent (rule 9).
    parent_id: str | None = None


@attrs.frozen
class Wanted:
    """What is to be looked at again in a database, whether or not it seems changed."""

    schema: str
    id: TurnId
    #: Read everything that is reported of it; if not, only how it stands.
    with_content: bool


Observation: TypeAlias = RingEntry | TableRow | Turn | TurnContent | TurnGone | Place
