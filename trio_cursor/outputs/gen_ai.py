"""Names of OpenTelemetry's conventions for generative AI, and what of a generation goes under which. Pure.

They are those of version 0.1.0, the first of the conventions that has a repository of its own
(open-telemetry/semantic-conventions-genai, autumn 2026; status: development). It calls the client's metrics
otherwise than all versions before, of which 1.41 of the common conventions is the last; and by these names
dashboards look for them today. So both are sent, until somebody asks for the latest alone (`LATEST_ONLY`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import attrs

from trio_cursor.observations import Json, JsonObject
from trio_cursor.records import Event

VERSION: Final = "0.1.0"
#: Of the metrics that were renamed.
FORMER_VERSION: Final = "1.41.0"
#: What `OTEL_SEMCONV_STABILITY_OPT_IN` must name for the metrics of `VERSION` alone.
LATEST_ONLY: Final = "gen_ai_latest_experimental"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
MODEL: Final = "gen_ai.request.model"
CONVERSATION: Final = "gen_ai.conversation.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
COUNTED: Final = "gen_ai.token.type"
MODALITY: Final = "gen_ai.token.modality"
ERROR_TYPE: Final = "error.type"
SESSION: Final = "session.id"
HOST: Final = "host.name"

#: Every generation of Cursor is the answer to a chat, as far as anybody can tell from outside.
CHAT: Final = "chat"
#: Who calls which provider is Cursor's business, and not in its files: to us it is the provider.
CURSOR: Final = "cursor"
#: Cursor says that there was an error, and not which.
OTHER_ERROR: Final = "_OTHER"
ERROR: Final = "error"
UNKNOWN: Final = "unknown"

#: A name that is longer is no name.
_LONGEST_NAME: Final = 200
#: What an attribute can hold.
_MOST: Final = 2**63 - 1
#: More tokens than this nobody has used, and their sum must fit.
_MOST_TOKENS: Final = 10**12
#: A year.
_MOST_MS: Final = 366 * 86_400_000

Attribute: TypeAlias = str | int | bool | tuple[str, ...]
Attributes: TypeAlias = dict[str, Attribute]


@attrs.frozen
class Metric:
    """One metric, and what it takes of a generation."""

    name: str
    unit: str
    description: str
    #: Upper bounds; none: a sum that only grows.
    buckets: tuple[float, ...] = ()


_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS: Final = tuple(float(4**power) for power in range(14))

DURATION: Final = Metric(
    "gen_ai.client.inference.duration", "s", "GenAI client inference operation duration.", _SECONDS
)
INPUT_USAGE: Final = Metric(
    "gen_ai.client.inference.usage.input_tokens",
    "{token}",
    "The number of input (prompt) tokens used, including cached tokens.",
)
OUTPUT_USAGE: Final = Metric(
    "gen_ai.client.inference.usage.output_tokens",
    "{token}",
    "The number of output (completion) tokens used, including reasoning tokens.",
)
CACHE_READ_USAGE: Final = Metric(
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "{token}",
    "The number of input tokens served from a provider-managed cache.",
)
INPUT_SHARE: Final = Metric(
    "gen_ai.client.inference.operation.input_tokens",
    "{token}",
    "The number of input (prompt) tokens used per inference operation.",
    _TOKENS,
)
OUTPUT_SHARE: Final = Metric(
    "gen_ai.client.inference.operation.output_tokens",
    "{token}",
    "The number of output (completion) tokens used per inference operation.",
    _TOKENS,
)
FORMER_DURATION: Final = Metric(
    "gen_ai.client.operation.duration", "s", "GenAI operation duration.", _SECONDS
)
FORMER_USAGE: Final = Metric(
    "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", _TOKENS
)

LATEST: Final = (DURATION, INPUT_USAGE, OUTPUT_USAGE, CACHE_READ_USAGE, INPUT_SHARE, OUTPUT_SHARE)
FORMER: Final = (FORMER_DURATION, FORMER_USAGE)
METRICS: Final = {metric.name: metric for metric in (*LATEST, *FORMER)}


def attributes_of(event: Event, *, with_texts: bool) -> Attributes:
    """What a span says of a generation. What is not known is not there.

    No path and nothing of `full_generation_data` or `request_parameters` is ever in it; prompt and answer are
    only `with_texts`, as the event has them.
    """
    payload, metadata = event.payload, event.metadata
    calls = payload.get("tool_calls")
    found: dict[str, Attribute | None] = {
        **_of_the_call(payload),
        CONVERSATION: _text(payload.get("conversation_id")),
        INPUT_TOKENS: _count(payload.get("prompt_tokens")),
        OUTPUT_TOKENS: _count(payload.get("completion_tokens")),
        CACHE_READ_TOKENS: _count(payload.get("cached_tokens")),
        # It ended before its end: by the conventions that is one of the reasons.
        FINISH_REASONS: (ERROR,) if payload.get("status") in ("error", "aborted") else None,
        SESSION: _text(event.session_id),
        HOST: _text(metadata.get("host")),
        "cursor.event.id": _text(event.event_id),
        "cursor.generation.id": _text(payload.get("generation_id")),
        "cursor.generation.type": _text(payload.get("generation_type")),
        "cursor.generation.status": _text(payload.get("status")),
        "cursor.schema": _text(metadata.get("schema")),
        "cursor.time_source": _text(metadata.get("timestamp_source")),
        "cursor.tokens.source": _text(payload.get("tokens_source")),
        "cursor.tokens.total": _count(payload.get("tokens_used")),
        "cursor.tool_calls": len(calls) if isinstance(calls, list) else None,
        "cursor.workspace.hash": _text(metadata.get("workspace_hash")),
        "cursor.workspace.id": _text(metadata.get("workspace_id")),
    }
    if with_texts:
        found[INPUT_MESSAGES] = _messages("user", payload.get("prompt_text"))
        found[OUTPUT_MESSAGES] = _messages("assistant", payload.get("response_text"))
    return {name: value for name, value in found.items() if value is not None}


def measured(event: Event) -> Iterator[tuple[Metric, Attributes, int]]:
    """What is measured of a generation: tokens, and milliseconds. Nothing where the figure is not known."""
    payload = event.payload
    call = {name: value for name, value in _of_the_call(payload).items() if value is not None}
    if (duration := duration_ms(event)) is not None:
        yield DURATION, call, duration
        yield FORMER_DURATION, call, duration
    used = {name: value for name, value in call.items() if name != ERROR_TYPE}
    for field, kind, usage, share in (
        ("prompt_tokens", "input", INPUT_USAGE, INPUT_SHARE),
        ("completion_tokens", "output", OUTPUT_USAGE, OUTPUT_SHARE),
    ):
        if (count := _tokens(payload.get(field))) is not None:
            # Cursor counts no kinds of tokens.
            yield usage, {**used, MODALITY: UNKNOWN}, count
            yield share, call, count
            yield FORMER_USAGE, {**used, COUNTED: kind}, count
    if (cached := _tokens(payload.get("cached_tokens"))) is not None:
        yield CACHE_READ_USAGE, {**used, MODALITY: UNKNOWN}, cached


def duration_ms(event: Event) -> int | None:
    """How long it took, by Cursor's own word; None: not known, or nonsense."""
    duration = _count(event.payload.get("duration_ms"))
    return duration if duration is not None and duration <= _MOST_MS else None


def model_of(payload: Mapping[str, Json]) -> str | None:
    """The model that was asked; None: not known."""
    model = _text(payload.get("model"))
    return None if model == UNKNOWN else model


def clean(text: str) -> str:
    """The text as UTF-8 can have it."""
    return text.encode("utf-8", "replace").decode()


def _of_the_call(payload: JsonObject) -> dict[str, Attribute | None]:
    return {
        OPERATION: CHAT,
        PROVIDER: CURSOR,
        MODEL: model_of(payload),
        ERROR_TYPE: OTHER_ERROR if payload.get("status") == ERROR else None,
    }


def _text(value: object) -> str | None:
    return clean(value)[:_LONGEST_NAME] if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    return value if is_count and isinstance(value, int) else None


def _tokens(value: object) -> int | None:
    count = _count(value)
    return count if count is not None and count <= _MOST_TOKENS else None


def _messages(role: str, text: Json) -> str | None:
    """By the schema of the conventions, as JSON: few can read more than a text in an attribute."""
    if not isinstance(text, str) or not text:
        return None
    message = {"role": role, "parts": [{"type": "text", "content": clean(text)}]}
    return json.dumps([message], ensure_ascii=False)
