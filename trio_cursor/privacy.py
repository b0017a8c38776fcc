"""What of a generation is stored and sent: everything, texts without secrets, or no texts. Pure.

It applies to what was observed, before anything of it is pending, since what is in the log is what leaks.
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import attrs

from trio_cursor.assembly import Pending, PendingEntry
from trio_cursor.cursor.schemas.values import usable_id
from trio_cursor.events import EVENT_TYPE, sealed_fields
from trio_cursor.observations import (
    JsonObject,
    Observation,
    RingEntry,
    Sealed,
    TableRow,
    Text,
    Turn,
    TurnContent,
)
from trio_cursor.records import Event
from trio_cursor.scrubbing import Scrubber

FULL: Final = "full"
REDACTED: Final = "redacted"
METADATA: Final = "metadata"
#: From the most open one on.
MODES: Final = (FULL, REDACTED, METADATA)

#: In which modes a log was written: from which sequence on, and which.
History: TypeAlias = tuple[tuple[int, str], ...]

_TEXTS: Final = ("prompt_text", "response_text", "request_parameters")
#: Of a row's value.
_FIGURES: Final = ("promptTokens", "completionTokens", "tokensUsed")
_PARAMETERS: Final = "requestParameters"
_ANSWERS: Final = ("responseText", "text")
_NAME = re.compile(r"[A-Za-z0-9_.:/@+\-]{1,100}")


def is_more_open(mode: str, than: str) -> bool:
    """Whether more is stored in a mode than in another one."""
    return MODES.index(mode) < MODES.index(than)


def mode_of(event: Event) -> str:
    """In which mode an event was stored; one that nobody knows is the most open one."""
    mode = event.metadata.get("privacy")
    return mode if mode in MODES else FULL


def more_open_ranges(history: History, mode: str) -> list[tuple[int, int | None]]:
    """Sequences of what was stored in modes that are more open: first, and the one behind the last."""
    ends = [first for first, _ in history[1:]] + [None]
    return [(first, end) for (first, was), end in zip(history, ends, strict=True) if is_more_open(was, mode)]


@attrs.frozen
class Privacy:
    """A mode, and what it makes of what passes."""

    mode: str
    #: Of the digests: random, in our log alone.
    key: bytes = attrs.field(repr=False)
    #: The user's own home.
    home: str | None = None
    _scrubber: Scrubber = attrs.field(init=False, repr=False)

    @_scrubber.default
    def _make_scrubber(self) -> Scrubber:
        return Scrubber(self.home)

    def observed(self, observation: Observation) -> Observation:
        """What was found in a database, as it may be pending and be reported."""
        if self.mode == FULL:
            return observation
        match observation:
            case RingEntry():
                return self._entry(observation)
            case TableRow():
                return self._row(observation)
            case TurnContent():
                return self._content(observation)
            case Turn():
                return self._turn(observation)
        return observation

    def pending(self, item: Pending) -> Pending:
        """What was stored in a more open mode and is not released yet."""
        if self.mode == FULL:
            return item
        if isinstance(item, PendingEntry):
            return attrs.evolve(item, entry=self._entry(item.entry))
        row = item.row and attrs.evolve(item.row, row=self._row(item.row.row))
        return attrs.evolve(item, turn=self._turn(item.turn), row=row)

    def reported(self, event: Event) -> Event:
        """An event of what was observed in this mode: the rest of it, which holds no texts."""
        if self.mode == FULL:
            return event
        payload, metadata = dict(event.payload), {**event.metadata, "privacy": self.mode}
        payload.pop("full_generation_data", None)
        if isinstance(cut := payload.pop("truncated", None), list) and (left := _without_source(cut)):
            payload["truncated"] = left
        if isinstance(detail := payload.get("detail"), str):
            payload["detail"] = self._scrubber.text(detail)
        for name in ("workspace_path", "workspace_uri"):
            if isinstance(path := metadata.get(name), str):
                metadata[name] = self._scrubber.path(path) if self.mode == REDACTED else None
        if self.mode == METADATA:
            if isinstance(host := metadata.get("host"), str):
                metadata["host"] = self._digest(host)
            if event.event_type == EVENT_TYPE:
                for name in _TEXTS:
                    payload = {**payload, **{key: payload.get(key) for key in sealed_fields(name, None)}}
        return attrs.evolve(event, payload=payload, metadata=metadata)

    def sent(self, event: Event) -> Event:
        """An event of the log on its way to an output: not more of it than this mode has."""
        if not is_more_open(mode_of(event), self.mode):
            return event
        payload = dict(event.payload)
        for name in _TEXTS:
            value = payload.get(name)
            veiled = self._json(value) if name == "request_parameters" else self._text(value)
            if isinstance(veiled, Sealed):
                payload |= sealed_fields(name, veiled)
            elif value is not None:
                payload[name] = veiled
        if event.event_type == EVENT_TYPE:
            payload["model"] = self._name(payload.get("model")) or "unknown"
            payload["generation_type"] = self._name(payload.get("generation_type"))
        if isinstance(calls := payload.get("tool_calls"), list):
            payload["tool_calls"] = list(self._calls(call for call in calls if isinstance(call, dict)))
        return self.reported(attrs.evolve(event, payload=payload))

    def _entry(self, entry: RingEntry) -> RingEntry:
        return attrs.evolve(entry, type=self._name(entry.type), text=self._text(entry.text), source={})

    def _turn(self, turn: Turn) -> Turn:
        # Texts of a conversation that is one row are in it.
        return (
            attrs.evolve(turn, fingerprint=self._digest(turn.fingerprint)) if self.mode == METADATA else turn
        )

    def _content(self, content: TurnContent) -> TurnContent:
        return attrs.evolve(
            content,
            turn=self._turn(content.turn),
            model=self._name(content.model),
            prompt_text=self._text(content.prompt_text),
            response_text=self._text(content.response_text),
            tool_calls=tuple(self._calls(content.tool_calls)),
            source={},
        )

    def _row(self, row: TableRow) -> TableRow:
        prompt = row.prompt and attrs.evolve(row.prompt, text=self._text(row.prompt.text))
        if row.value is None:
            return attrs.evolve(row, raw=None, prompt=prompt)
        value: JsonObject = {
            name: number for name in _FIGURES if isinstance(number := row.value.get(name), int | float)
        }
        value["model"], value["promptId"] = (
            self._name(row.value.get("model")),
            usable_id(row.value.get("promptId")),
        )
        sealed = dict(row.sealed)
        # The first of two answers counts.
        answer = next((text for key in _ANSWERS if isinstance(text := row.value.get(key), str)), None)
        for name, key, veiled in (
            ("response_text", _ANSWERS[0], self._text(answer)),
            ("request_parameters", _PARAMETERS, self._json(row.value.get(_PARAMETERS))),
        ):
            if isinstance(veiled, Sealed):
                sealed[name] = veiled
            elif veiled is not None:
                value[key] = veiled
        return attrs.evolve(row, value=value, raw=None, prompt=prompt, sealed=sealed)

    def _calls(self, calls: Any) -> Any:
        for call in calls:
            yield {name: self._name(call.get(name)) for name in ("name", "status")}

    def _text(self, text: Any) -> Text | None:
        """A text in this mode; of what is none, nothing."""
        if isinstance(text, Sealed):
            return text
        if not isinstance(text, str):
            return None
        return self._scrubber.text(text) if self.mode == REDACTED else self._seal(text)

    def _json(self, value: Any) -> Any:
        if value is None or isinstance(value, Sealed):
            return value
        if self.mode == REDACTED:
            return self._scrubber.json(value)
        return self._seal(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False))

    def _name(self, name: Any) -> str | None:
        """A word that programs have chosen; of anything else in its place, as of a text."""
        if not isinstance(name, str):
            return None
        scrubbed = self._scrubber.text(name)
        return scrubbed if self.mode == REDACTED or (scrubbed == name and _NAME.fullmatch(name)) else None

    def _seal(self, text: str) -> Sealed:
        return Sealed(len(text), self._digest(text))

    def _digest(self, text: str) -> str:
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self.key, digest_size=16).hexdigest()


def _without_source(names: list[Any]) -> list[Any]:
    return [name for name in names if name != "full_generation_data"]
