"""How an event reads: on a line of its own, with its texts, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath

import attrs
from rich.cells import cell_len

from trio_cursor.cli.output import Style, clock, cut, padded, plural, printable, span
from trio_cursor.events import GAP_TYPE, to_object
from trio_cursor.observations import Json, JsonObject
from trio_cursor.records import Event

_PLACE_WIDTH = 16
_KIND_WIDTH = 8
#: On fewer columns no kind, a shorter place, and of another day only the date and the minute; then no place.
_ROOMY, _NARROW = 60, 36
_NARROW_PLACE_WIDTH = 10
#: `2026-11-22 10:31:07` without year and seconds.
_SHORT = slice(5, 16)
_MODEL_WIDTH = 24
#: Of a prompt and of an answer, where no terminal sets a limit.
_TEXT_WIDTH = 60
#: Less is not worth an answer, model or tokens beside it.
_WORDS_WIDTH = 24
#: Of the words, beside how it ended.
_LEAST_WIDTH = 10
_ARROW = "→ "
#: A prompt may have megabytes, and only its beginning is shown.
_LOOKED_AT = 1000

#: How each status looks; one that nobody knows looks like `unknown`.
_STATUS_STYLES = {"completed": "green", "aborted": "yellow", "incomplete": "yellow", "error": "red"}


def event_json(event: Event) -> str:
    """One JSON object: the event as in JSON lines, with its place in the log."""
    return json.dumps({"sequence": event.sequence, **to_object(event)})


def event_line(event: Event, style: Style, width: int | None = None) -> str:
    """Time, workspace, kind, first words of prompt and answer; if known model, duration, tokens, tools.

    The status too, unless it is the usual one. Fits into `width` columns if that is given.
    """
    payload, place = event.payload, event.metadata
    is_gap = event.event_type == GAP_TYPE
    kind = "gap" if is_gap else padded(beginning(payload.get("generation_type")) or "-", _KIND_WIDTH)
    head = [("dim", clock(event.timestamp)), ("cyan", padded(place_name(place), _PLACE_WIDTH))]
    head.append(("red" if is_gap else "yellow", kind))
    if width is not None and width < _ROOMY:
        head = _narrow(head, is_gap=is_gap, width=width)
    room = None if width is None else width - sum(cell_len(text) + 2 for _, text in head)
    words = beginning(payload.get("detail")) if is_gap else _words(payload, style, room)
    if is_gap and room is not None:
        words = cut(words, max(room, 1))
    return "  ".join([*(style(colour, text) for colour, text in head), words])


def _narrow(head: list[tuple[str, str]], *, is_gap: bool, width: int) -> list[tuple[str, str]]:
    """What stands before the words where there is little room."""
    (dim, when), (colour, place), kind = head
    short = (dim, when[_SHORT] if "-" in when else when)
    named = [(colour, padded(place.rstrip(), _NARROW_PLACE_WIDTH))] if width >= _NARROW else []
    return [short, *named, *([kind] if is_gap else [])]


@attrs.frozen
class _Note:
    """A word beside the words of a generation."""

    text: str
    colour: str = "dim"
    #: It goes if less is left for the words.
    leaves: int = _WORDS_WIDTH

    @property
    def cells(self) -> int:
        return 2 + cell_len(self.text)


def _notes(payload: JsonObject) -> list[_Note]:
    """What is known besides, the most important first."""
    status, model, tools = payload.get("status"), payload.get("model"), payload.get("tool_calls")
    duration, tokens = count(payload.get("duration_ms")), count(payload.get("tokens_used"))
    colour = status_style(status)
    notes = []
    if colour not in ("green", "dim"):
        notes.append(_Note(beginning(status), colour, _LEAST_WIDTH))
    if model not in (None, "unknown"):
        notes.append(_Note(f"[{cut(beginning(model), _MODEL_WIDTH)}]"))
    if duration is not None:
        notes.append(_Note(span(duration)))
    if tokens is not None:
        notes.append(_Note(f"{tokens} tokens"))
    if isinstance(tools, list) and tools:
        notes.append(_Note(plural(len(tools), "tool")))
    if status is not None and colour == "dim":
        notes.append(_Note("status unknown"))
    return notes


def _words(payload: JsonObject, style: Style, room: int | None) -> str:
    prompt, answer = (beginning(payload.get(name)) for name in ("prompt_text", "response_text"))
    notes = _notes(payload)
    if room is None:
        of_prompt = of_answer = _TEXT_WIDTH
    else:
        while notes and room - sum(note.cells for note in notes) < notes[-1].leaves:
            notes.pop()  # the words matter more
        room = max(room - sum(note.cells for note in notes), 1)
        if prompt and room < _WORDS_WIDTH:
            answer = ""
        of_prompt, of_answer = _shares(room, cell_len(prompt), cell_len(answer))
    words = [cut(prompt, of_prompt)] if prompt else []
    if answer:
        words.append(style("dim", _ARROW + cut(answer, of_answer)))
    if not words:
        words.append(style("dim", cut(_without_texts(payload), of_answer)))
    return "  ".join([*words, *(style(note.colour, note.text) for note in notes)])


def _without_texts(payload: JsonObject) -> str:
    """What stands where there are no words: nothing was asked or found, or no texts are kept."""
    asked, answered = (count(payload.get(name)) for name in ("prompt_length", "response_length"))
    words = [] if asked is None else [f"{asked:,}"]
    words += [] if answered is None else [f"{_ARROW}{answered:,}"]
    return f"({' '.join(words)} characters)" if words else "(no prompt)"


def _shares(room: int, prompt: int, answer: int) -> tuple[int, int]:
    """One half for each, and what the other does not need."""
    if answer:
        room -= len(_ARROW) + (2 if prompt else 0)
    of_prompt = min(prompt, max(room // 2, room - answer))
    return of_prompt, room - of_prompt


def event_in_full(event: Event, style: Style, width: int | None = None) -> str:
    """The line, and below it tool calls and the whole texts."""
    lines = [event_line(event, style, width)]
    for title, texts in sections(event.payload):
        lines.append(style("dim", f"  {title}:"))
        lines += [f"    {line}" for line in texts]
    return "\n".join(lines)


def sections(payload: JsonObject) -> list[tuple[str, list[str]]]:
    """Tool calls, prompt and answer as far as there are any: each a title and lines that are harmless."""
    found = []
    if calls := tool_calls(payload):
        found.append(("tools", calls))
    for title, name in (("prompt", "prompt_text"), ("answer", "response_text")):
        text = payload.get(name)
        length = count(payload.get(f"{name.removesuffix('_text')}_length"))
        if text is None and length is not None:
            digest = beginning(payload.get(f"{name.removesuffix('_text')}_digest"))
            found.append((title, [f"{plural(length, 'character')}, not kept (digest {digest})"]))
        if isinstance(text, str) and text:
            mark = ", cut" if name in cut_texts(payload) else ""
            found.append((title + mark, printable(text, multiline=True).split("\n")))
    return found


def tool_calls(payload: JsonObject) -> list[str]:
    """One line for each: its name, and how it ended."""
    calls = payload.get("tool_calls")
    return [
        f"{beginning(call.get('name')) or '(no name)'} {beginning(call.get('status'))}".rstrip()
        for call in (calls if isinstance(calls, list) else [])
        if isinstance(call, dict)
    ]


def cut_texts(payload: JsonObject) -> list[str]:
    """Names of the texts that are not whole, or missing."""
    names = payload.get("truncated")
    return [beginning(name) for name in names if isinstance(name, str)] if isinstance(names, list) else []


def status_style(status: Json) -> str:
    """The colour of a status."""
    return _STATUS_STYLES.get(status, "dim") if isinstance(status, str) else "dim"


def place_name(place: Mapping[str, Json]) -> str:
    """A short name of the workspace."""
    return _name(place.get("workspace_path") or place.get("workspace_id") or "global")


def _name(path: Json) -> str:
    """The last part of a path of either kind."""
    text = path if isinstance(path, str) else ""
    return beginning((PureWindowsPath(text).name if "\\" in text else PurePosixPath(text).name) or text)


def beginning(text: Json) -> str:
    """First words of a text, on one line."""
    return printable(" ".join(text[:_LOOKED_AT].split())) if isinstance(text, str) else ""


def count(value: Json) -> int | None:
    """A number of something, if it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
