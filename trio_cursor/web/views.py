"""What stands on each page, as values for its template. Synchronous: they read index and log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import attrs

from trio_cursor.eventlog import Filter, find_event, read_events
from trio_cursor.observations import Json, JsonObject
from trio_cursor.page_index import (
    Line,
    Progress,
    Selected,
    Selection,
    local,
    of_the_log,
    progress,
    workspace_of,
)
from trio_cursor.page_index.filling import Outgoing
from trio_cursor.records import Event
from trio_cursor.web.asked import Asked
from trio_cursor.web.overview import by_day, by_hour, day_name, distributions
from trio_cursor.web.texts import moment, parts, place_name, span

#: Lines on one page.
PAGE = 50
#: New lines that are put into a page that is open; if there are more, it begins anew.
NEWEST = 60
_NOT_KNOWN = "unknown"
_TOKENS = {
    "tokens_used": "Tokens in all",
    "prompt_tokens": "Tokens of the question",
    "completion_tokens": "Tokens of the answer",
    "cached_tokens": "Tokens from a cache",
    "tokens_source": "Tokens counted by",
}
_LINES = {"lines_added": "Lines added", "lines_removed": "Lines removed"}


@attrs.frozen
class Field:
    """A line of what is known of a generation."""

    name: str
    value: str
    is_known: bool = True
    is_code: bool = False


def today(now_ms: int) -> date:
    """The local day."""
    at = local(now_ms)
    assert at is not None  # noqa: S101 - a clock of this world
    return at.date()


def home(index: Any, asked: Asked, now_ms: int) -> dict[str, Any]:
    """The list, and everything around it."""
    selected = Selected(index, asked.selection())
    return {
        **_lines(selected, asked),
        **_overview(selected, asked, now_ms),
        **_choices(selected, asked),
        "progress": _progress(index, selected),
    }


def lines(index: Any, asked: Asked) -> dict[str, Any]:
    """The list alone, or what is new in it."""
    return _lines(Selected(index, asked.selection()), asked)


def overview(index: Any, asked: Asked, now_ms: int) -> dict[str, Any]:
    """What is around the list."""
    selected = Selected(index, asked.selection())
    return {**_overview(selected, asked, now_ms), "progress": _progress(index, selected)}


def _progress(index: Any, selected: Selected) -> Progress:
    """Of the same moment as all the rest, so that whoever asks knows whether to ask again."""
    found = progress(index)
    # What has just come is put into the list by itself.
    is_read = selected.is_whole_behind(0) and found.missing <= NEWEST
    return Progress(0, found.total) if is_read else found


def _lines(selected: Selected, asked: Asked) -> dict[str, Any]:
    high, edition = selected.high(), selected.edition()
    if asked.after is not None:
        found = selected.lines(NEWEST + 1, after_sequence=asked.after)
        # A log that was begun anew has other sequences. An index that was has those of before filled in
        # from above, so that there may be a hole.
        is_other = asked.after > high or asked.of not in {None, edition.of}
        is_too_much = is_other or len(found) > NEWEST or not selected.is_whole_behind(asked.after)
        return {
            "edition": edition,
            "lines": [] if is_too_much else found,
            "high": high,
            "is_too_much": is_too_much,
            "older": None,
        }
    found = selected.lines(PAGE + 1, before=asked.before)
    shown = found[:PAGE]
    older = asked.url(before=(shown[-1].timestamp, shown[-1].sequence)) if len(found) > PAGE else None
    return {"edition": edition, "lines": shown, "high": high, "is_too_much": False, "older": older}


def _overview(selected: Selected, asked: Asked, now_ms: int) -> dict[str, Any]:
    now = today(now_ms)
    facets = selected.facets()
    return {
        "facets": facets,
        "days": by_day(selected, asked, now),
        "hours": by_hour(selected, asked, now),
        "charts": [chart for chart in distributions(facets, asked) if chart.bars],
        "now": now,
        "yesterday": (asked.day or now) - timedelta(days=1),
        "tomorrow": (asked.day or now) + timedelta(days=1),
        # Where a day has nothing of what is looked for, another may.
        "elsewhere": _elsewhere(selected, asked) if not facets.total else 0,
    }


def _elsewhere(selected: Selected, asked: Asked) -> int:
    return 0 if asked.day is None else selected.count_ever()


def _choices(selected: Selected, asked: Asked) -> dict[str, Any]:
    names = selected.workspaces()
    if asked.workspace is not None and asked.workspace not in names:
        names.append(asked.workspace)
    last_parts = [place_name(name) for name in names]
    # Two of one name are told apart by the whole path.
    counts = Counter(last_parts)
    labels = [part if counts[part] == 1 else name for part, name in zip(last_parts, names, strict=True)]
    choices = sorted(zip(labels, names, strict=True), key=lambda choice: choice[0].lower())
    return {"choices": choices}


def chosen(asked: Asked, now_ms: int) -> Iterator[tuple[str, str, str]]:
    """What is chosen: of what, which, and the address without it."""
    if asked.q:
        yield "search", asked.q, asked.url(q="")
    if asked.workspace is not None:
        yield "workspace", place_name(asked.workspace), asked.url(workspace=None)
    if asked.day is not None:
        yield "day", day_name(asked.day, today(now_ms)), asked.url(day=None, hour=None)
    if asked.hour is not None:
        yield "hour", f"{asked.hour:02}:00 to {(asked.hour + 1) % 24:02}:00", asked.url(hour=None)
    if asked.model is not None:
        yield "model", asked.model, asked.url(model=None)
    if asked.kind is not None:
        yield "type", asked.kind, asked.url(kind=None)


def called(index: Any, text: str) -> int | None:
    """The sequence of the one generation that has this id; None: there is none, or several."""
    with of_the_log():
        found = find_event(index, text, lambda _: None)
    return found[0].sequence if len(found) == 1 else None


def generation(index: Any, sequence: int, outgoing: Outgoing) -> dict[str, Any] | None:
    """One generation in full; None: there is none."""
    with of_the_log():
        found = read_events(index, Filter(), after=sequence - 1, limit=1, unreadable=lambda _: None)
    if not found or found[0].sequence != sequence:
        return None
    event = outgoing(found[0])
    older, newer = Selected(index, Selection()).neighbours(sequence)
    payload = event.payload
    return {
        "event": event,
        "place": workspace_of(event.metadata),
        "question": _texts(payload, "prompt_text", "prompt"),
        "answer": _texts(payload, "response_text", "response"),
        "calls": _calls(payload.get("tool_calls")),
        "fields": list(_fields(event)),
        "older": older,
        "newer": newer,
    }


def _texts(payload: JsonObject, name: str, stem: str) -> dict[str, Any]:
    """A text in pieces, or why there is none."""
    text, length, cut = payload.get(name), payload.get(f"{stem}_length"), payload.get("truncated")
    is_cut = isinstance(cut, list) and name in cut
    if isinstance(text, str) and text:
        return {
            "pieces": list(parts(text)),
            "note": "cut: it was too long to be kept whole" if is_cut else None,
        }
    if isinstance(length, int):
        digest = payload.get(f"{stem}_digest")
        return {"pieces": [], "note": f"{length:,} characters, not kept (digest {digest})"}
    return {"pieces": [], "note": "too long to be kept" if is_cut else "nothing is known of it"}


def _calls(calls: Json) -> list[tuple[str, str]]:
    found = [call for call in (calls if isinstance(calls, list) else []) if isinstance(call, dict)]
    return [(str(call.get("name") or "(no name)"), str(call.get("status") or "")) for call in found]


def _fields(event: Event) -> Iterator[Field]:
    payload, metadata = event.payload, event.metadata
    yield Field("Asked", moment(event.timestamp) + _doubt(metadata.get("timestamp_source")))
    yield _field("Finished", payload.get("completed_timestamp"), moment)
    yield _field("Took", payload.get("duration_ms"), span)
    yield _field("Workspace", metadata.get("workspace_path") or metadata.get("workspace_id"))
    yield _field("Model", _unless_unknown(payload.get("model")))
    yield _field("Type", payload.get("generation_type"))
    yield _field("Status", _unless_unknown(payload.get("status")))
    yield from _counts(payload, "Tokens", _TOKENS)
    yield from _counts(payload, "Lines changed", _LINES)
    for name, value in (
        ("Generation", payload.get("generation_id")),
        ("Conversation", payload.get("conversation_id")),
        ("Session", event.session_id),
        ("Event", event.event_id),
        ("Found in", metadata.get("schema")),
        ("Host", metadata.get("host")),
    ):
        yield attrs.evolve(_field(name, value), is_code=True)
    yield _field("Captured", metadata.get("captured_at"), moment)


def _counts(payload: JsonObject, together: str, names: Mapping[str, str]) -> Iterator[Field]:
    """Each that is known or not, or one for all if nothing is known."""
    if all(payload.get(key) is None for key in names):
        yield Field(together, _NOT_KNOWN, is_known=False)
        return
    for key, name in names.items():
        yield _field(name, payload.get(key), "{:,}".format if key != "tokens_source" else str)


def _doubt(source: Json) -> str:
    return " (when it was found: Cursor's data has no time)" if source == "capture" else ""


def _unless_unknown(value: Json) -> Json:
    return None if value == _NOT_KNOWN else value


def _field(name: str, value: Json, words: Any = str) -> Field:
    """What is not known is said so; what should be a number and is none stands as it is."""
    if value is None or value == "":
        return Field(name, _NOT_KNOWN, is_known=False)
    if words is not str and (isinstance(value, bool) or not isinstance(value, int | float)):
        words = str
    return Field(name, words(value))


def question_of(line: Line) -> str:
    """What stands for the question in the list."""
    if text := line.head.get("prompt"):
        return str(text)
    length = line.head.get("prompt_length")
    return "" if not isinstance(length, int) else f"{length:,} characters, not kept"
