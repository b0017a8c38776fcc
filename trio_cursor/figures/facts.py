"""What is counted of one generation. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from trio_cursor.observations import Json
from trio_cursor.records import Event

#: A longer name of a model is no name; a thousand different ones of a megabyte must not fill the memory.
_LONGEST_WORD = 200
#: What is no 64-bit number was never counted by anybody.
_LARGEST_COUNT = 2**63
#: What says where it was; an event of a local folder has no URI.
PLACES = ("workspace_uri", "workspace_path", "workspace_id")


class Fact(NamedTuple):
    """One generation. What is not known is None, never 0. (No attrs: a hundred thousand are made at once.)"""

    #: Its place in the log.
    sequence: int
    #: Start, milliseconds since the epoch.
    timestamp: int
    session_id: str
    #: URI of a remote folder, since two hosts may have the same path; else path, else id; None: it belongs to
    #: no workspace that is known.
    workspace: str | None
    model: str | None
    type: str | None
    #: As in the event: `unknown` is one of them.
    status: str | None
    duration_ms: int | None
    # From here on what is summed up.
    #: All together, as the source counts them; the three below need not sum up to it.
    tokens: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    lines_added: int | None
    lines_removed: int | None


def fact_of(event: Event) -> Fact:
    """What is counted of an event; values of another type than the field's are not known."""
    return fact_from(event.sequence, event.timestamp, event.session_id, event.metadata, event.payload)


def fact_from(
    sequence: int, timestamp: int, session_id: str, metadata: Mapping[str, Json], payload: Mapping[str, Json]
) -> Fact:
    """The same from its parts."""
    workspace = next((place for name in PLACES if isinstance(place := metadata.get(name), str)), None)
    get = payload.get
    model = word(get("model"))
    return Fact(
        sequence,
        timestamp,
        session_id,
        workspace,
        None if model == "unknown" else model,
        word(get("generation_type")),
        word(get("status")),
        number(get("duration_ms")),
        number(get("tokens_used")),
        number(get("prompt_tokens")),
        number(get("completion_tokens")),
        number(get("cached_tokens")),
        number(get("lines_added")),
        number(get("lines_removed")),
    )


def word(value: Json) -> str | None:
    """A name, if it is one; as much of it as a name has."""
    return value[:_LONGEST_WORD] if isinstance(value, str) and value else None


def number(value: Json) -> int | None:
    """A number of something, if it is one."""
    return value if type(value) is int and 0 <= value < _LARGEST_COUNT else None
