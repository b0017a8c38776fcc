"""A conversation: its document `composerData:<id>`, its row in `composerHeaders`, its place.

Source: cursor-storage facts, section c ("composerData", "composerHeaders table", "Attributing a composer").
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from trio_cursor.demo import texts, turns
from trio_cursor.demo.bubbles import iso_8601
from trio_cursor.demo.javascript import stringify
from trio_cursor.demo.ring import new_id
from trio_cursor.demo.rows import bubble_key, composer_key

if TYPE_CHECKING:
    from random import Random

    from trio_cursor.demo.eras import Era
    from trio_cursor.demo.places import Place
    from trio_cursor.demo.rows import Rows
    from trio_cursor.observations import Json, JsonObject

_NAMED = 0.73
_LAST_UPDATED = 0.73
#: Of the rows in `composerHeaders`: NULL, and 0.
_HEADER_LAST_UPDATED = (0.43, 0.09)
_ARCHIVED = 0.1
_AUTO = 0.2
_BLOBS = 0.03
_SAYS_FOLDER = 0.6
_NAME_CHARACTERS: Final = 40


class Conversation:
    """State of one conversation. `write` puts all of it where it belongs."""

    def __init__(self, random: Random, era: Era, place: Place | None, created_ms: int) -> None:
        self.id = new_id(random)
        self.era = era
        self.place = place
        self.created_ms = created_ms
        self.headers: list[JsonObject] = []
        #: By bubble id: what the headers name, as it was written last.
        self.bubbles: dict[str, JsonObject] = {}
        #: `none`, `generating`, `completed`, `aborted` or `error`.
        self.status = "none"
        self.generating: list[str] = []
        self.latest: str | None = None
        #: The first question, by which people know it.
        self.title: str | None = None
        self.turns = 0
        #: No further turn may follow.
        self.has_ended = False
        self.sub_agents: list[str] = []
        self.parent: Conversation | None = None
        #: Its head stands in the window's `composer.composerData`.
        self.is_listed = False
        #: One tool that rewrote databases left BLOBs behind (eric-tramel/moraine#377).
        self.as_blob = random.random() < _BLOBS
        self._version = random.choice(era.composer_versions)
        self._is_named = random.random() < _NAMED
        self._has_last_updated = random.random() < _LAST_UPDATED
        self._is_archived = random.random() < _ARCHIVED
        self._header_chance = random.random()
        self._names_place = place is not None and random.random() < era.workspace_identifier
        self._model = "default" if random.random() < _AUTO else random.choice(texts.MODELS)
        self._folder_rule = random.choice((turns.REQUEST_CONTEXT, turns.WORKSPACE_URIS))
        self._says_folder = random.random() < _SAYS_FOLDER

    @property
    def is_running(self) -> bool:
        return self.status == turns.GENERATING

    @property
    def model(self) -> str | None:
        """What the document says; Auto is not the name of a model."""
        return self._model if self.era.has_model_config and self._model != "default" else None

    @property
    def attribution(self) -> tuple[str, int] | None:
        """Workspace id and rule by which the global database alone says where this belongs."""
        if self.place is None:
            return None
        if self.era.has_composer_headers and self.parent is None:
            return self.place.id, turns.HEADERS_TABLE
        if self._names_place:
            return self.place.id, turns.IDENTIFIER
        if self.folder is not None and (rule := self.folder_rule) is not None:
            return self.place.id, rule
        return None

    @property
    def folder(self) -> str | None:
        """The local folder, if there is one."""
        if self.place is None or self.place.folder_uri is None:
            return None
        return self.place.name

    @property
    def folder_rule(self) -> int | None:
        """By which rows the folder becomes known: `messageRequestContext:*`, bubbles, or none."""
        if not self._says_folder or self.parent is not None:
            return None
        if self._folder_rule == turns.REQUEST_CONTEXT and not self.era.has_request_context:
            return turns.WORKSPACE_URIS
        return self._folder_rule

    def put_bubble(self, rows: Rows, bubble: JsonObject) -> None:
        self.bubbles[bubble["bubbleId"]] = bubble
        if self.era.is_inline:
            return  # `write` takes it along
        rows.put(bubble_key(self.id, bubble["bubbleId"]), bubble, as_blob=self.as_blob)

    def add_header(self, bubble_id: str, kind: int, created_ms: int | None) -> None:
        header: JsonObject = {"bubbleId": bubble_id, "type": kind}
        if created_ms is not None:
            header["createdAt"] = iso_8601(created_ms)
        self.headers.append(header)

    def write(self, rows: Rows, now_ms: int) -> None:
        rows.put(composer_key(self.id), self._document(now_ms), as_blob=self.as_blob)
        if self.era.has_composer_headers:
            rows.put_header(*self._header_columns(now_ms))

    def fork(self, random: Random, now_ms: int) -> Conversation:
        """A copy: bubbles get new ids and keep their request ids (so with 767 of 11,396 in one store)."""
        copied = copy.copy(self)
        copied.id, copied.created_ms = new_id(random), now_ms
        copied.sub_agents, copied.generating, copied.is_listed = [], [], False
        copied.headers, copied.bubbles = [], {}
        for header in self.headers:
            bubble = self.bubbles[header["bubbleId"]] | {"bubbleId": new_id(random)}
            copied.headers.append(header | {"bubbleId": bubble["bubbleId"]})
            copied.bubbles[bubble["bubbleId"]] = bubble
        return copied

    def write_all(self, rows: Rows, now_ms: int) -> None:
        for bubble in self.bubbles.values():
            self.put_bubble(rows, bubble)
        self.write(rows, now_ms)

    def delete(self, rows: Rows) -> None:
        """Cursor writes NULL over what is deleted."""
        rows.put_raw(composer_key(self.id), None)
        for header in self.headers:
            rows.put_raw(bubble_key(self.id, header["bubbleId"]), None)

    def _document(self, now_ms: int) -> JsonObject:
        document: JsonObject = {} if self._version is None else {"_v": self._version}
        document |= {
            "composerId": self.id,
            "richText": "",
            "hasLoaded": True,
            "text": "",
            "conversationMap": {},
            "status": self.status,
            "generatingBubbleIds": list(self.generating),
            "unifiedMode": "agent",
            "createdAt": self.created_ms,
            "usageData": {},
            "isArchived": self._is_archived,
        }
        if self.era.is_inline:
            document["conversation"] = list(self.bubbles.values())
        else:
            # A copy: what has been handed over is not to change any more.
            document["fullConversationHeadersOnly"] = list(self.headers)
        if self.latest is not None:
            document["latestChatGenerationUUID"] = self.latest
        if self._is_named and self.title:
            document["name"] = self.title[:_NAME_CHARACTERS]
        if self._has_last_updated and self.headers:
            document["lastUpdatedAt"] = now_ms
        if self.era.has_model_config:
            document["modelConfig"] = {"modelName": self._model, "maxMode": False}
        if self._names_place and self.place is not None:
            document["workspaceIdentifier"] = _identifier(self.place)
        if self.era.has_sub_agents:
            document["subComposerIds"] = []
            document["subagentComposerIds"] = list(self.sub_agents)
        return document

    def _header_columns(self, now_ms: int) -> tuple[Any, ...]:
        is_null, is_zero = _HEADER_LAST_UPDATED
        last_updated: int | None = now_ms
        if self._header_chance < is_null + is_zero:
            last_updated = None if self._header_chance < is_null else 0
        # An agent of an agent has no window of its own: the conversation that started it says where it is.
        workspace_id = None if self.place is None or self.parent is not None else self.place.id
        head: JsonObject = {"type": "head", "composerId": self.id, "createdAt": self.created_ms}
        head |= {"unifiedMode": "agent", "isArchived": self._is_archived}
        checkpoint_at = None if self.is_running else now_ms
        flags = int(self._is_archived), int(self.parent is not None)
        return (
            self.id,
            workspace_id,
            self.created_ms,
            last_updated,
            *flags,
            now_ms,
            checkpoint_at,
            stringify(head),
        )


def _identifier(place: Place) -> Json:
    """VS Code's `IWorkspaceIdentifier`; of a window without a folder the id alone."""
    identifier: JsonObject = {"id": place.id}
    if place.folder_uri is not None and place.name is not None:
        identifier["uri"] = {
            "$mid": 1,
            "fsPath": place.name,
            "external": place.folder_uri,
            "path": place.name,
            "scheme": "file",
        }
    return identifier
