"""A generation as span and figures, by the conventions; what is not known, and what makes no sense."""

from __future__ import annotations

import json
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_receiver import values
from scans import NOW_MS, uuid
from scans import session as a_session
from small_logs import generation

from trio_cursor.events import build_event, event_id
from trio_cursor.outputs import gen_ai
from trio_cursor.outputs.otlp_sending import resource_of
from trio_cursor.outputs.otlp_spans import span_of
from trio_cursor.outputs.otlp_totals import MOST_SERIES, Totals

MS = 1_000_000
RESOURCE = resource_of({})
#: What OpenTelemetry's conventions call the metrics.
NAMES = {
    "gen_ai.client.inference.duration",
    "gen_ai.client.inference.operation.input_tokens",
    "gen_ai.client.inference.operation.output_tokens",
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "gen_ai.client.inference.usage.input_tokens",
    "gen_ai.client.inference.usage.output_tokens",
    "gen_ai.client.operation.duration",
    "gen_ai.client.token.usage",
}
CALL = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "cursor"}


def event(number=1, **fields):
    fields = {"timestamp": NOW_MS, "prompt_text": "Why?", "response_text": "So.", **fields}
    return build_event(
        generation(uuid(number), **fields),
        session=a_session("s1"),
        captured_at=NOW_MS + 5,
        host="h",
        max_text_bytes=10**6,
    )


def rewritten(found, **payload):
    """An event as only somebody else's hand would have written it."""
    return attrs.evolve(found, payload=found.payload | payload)


def attributes(found, *, with_texts=False):
    return values(span_of(found, with_texts=with_texts).attributes)


FULL = {
    "model": "claude-4",
    "generation_type": "composer",
    "conversation_id": "conversation",
    "prompt_tokens": 700,
    "completion_tokens": 0,
    "cached_tokens": 512,
    "tokens_used": 700,
    "tokens_source": "database",
    "duration_ms": 1500,
    "completed_timestamp": NOW_MS + 9_000,
    "tool_calls": ({"name": "read_file", "status": "ok"},) * 2,
}


def test_everything_that_is_known_has_its_name():
    span = span_of(event(**FULL), with_texts=False)
    assert span.name == "chat claude-4"
    assert span.kind == span.SPAN_KIND_CLIENT
    assert values(span.attributes) == {
        **CALL,
        "gen_ai.request.model": "claude-4",
        "gen_ai.conversation.id": "conversation",
        "gen_ai.usage.input_tokens": 700,
        "gen_ai.usage.output_tokens": 0,
        "gen_ai.usage.cache_read.input_tokens": 512,
        "session.id": "s1",
        "host.name": "h",
        "cursor.event.id": event_id(uuid(1)),
        "cursor.generation.id": uuid(1),
        "cursor.generation.type": "composer",
        "cursor.generation.status": "completed",
        "cursor.schema": "ring+conversations",
        "cursor.time_source": "ring",
        "cursor.tokens.source": "database",
        "cursor.tokens.total": 700,
        "cursor.tool_calls": 2,
        "cursor.workspace.hash": "0123456789abcdef",
        "cursor.workspace.id": "a1",
        "cursor.end_source": "duration",
    }


def test_what_is_not_known_is_not_there():
    found = attributes(event(generation_type=None))
    assert not [
        name for name in found if name.startswith("gen_ai.usage") or "model" in name or "tool" in name
    ]
    assert span_of(event(), with_texts=False).name == "chat"


def test_the_ids_are_of_the_event_the_same_each_time_and_others_for_each():
    one, again, other = (span_of(event(number), with_texts=False) for number in (1, 1, 2))
    assert (one.trace_id, one.span_id) == (again.trace_id, again.span_id)
    assert str(UUID(bytes=one.trace_id)) == event_id(uuid(1))
    assert len(one.span_id) == 8
    assert any(one.span_id)
    assert {one.trace_id, one.span_id}.isdisjoint({other.trace_id, other.span_id})


@pytest.mark.parametrize("id_", ["", "no uuid", "0" * 32, "x" * 10_000, "\ud800"])
def test_an_id_that_is_none_gives_ids_all_the_same(id_):
    spans = [span_of(attrs.evolve(event(), event_id=id_), with_texts=False) for _ in range(2)]
    assert spans[0] == spans[1]
    assert len(spans[0].trace_id) == 16
    assert any(spans[0].trace_id)


@pytest.mark.parametrize(
    ("fields", "length", "source"),
    [
        ({"duration_ms": 1500}, 1500, "duration"),
        ({"duration_ms": 0}, 0, "duration"),
        ({"duration_ms": 1500, "completed_timestamp": NOW_MS + 7}, 1500, "duration"),
        ({"completed_timestamp": NOW_MS + 7}, 7, "completed"),
        ({"completed_timestamp": NOW_MS - 7}, 0, "none"),
        ({}, 0, "none"),
        ({"duration_ms": 10**15}, 0, "none"),
        ({"duration_ms": -5}, 0, "none"),
    ],
)
def test_it_ends_when_it_ended_and_where_nobody_knows_it_has_no_length(fields, length, source):
    span = span_of(event(**fields), with_texts=False)
    assert span.start_time_unix_nano == NOW_MS * MS
    assert span.end_time_unix_nano - span.start_time_unix_nano == length * MS
    assert values(span.attributes)["cursor.end_source"] == source


def test_without_a_time_of_its_own_it_stands_where_it_was_captured():
    span = span_of(event(timestamp=None, timestamp_source=None), with_texts=False)
    assert span.start_time_unix_nano == span.end_time_unix_nano == (NOW_MS + 5) * MS
    assert values(span.attributes)["cursor.time_source"] == "capture"


@pytest.mark.parametrize("time", [10**14, -1, 2**70])
def test_a_time_that_no_back_end_can_have_is_none(time):
    span = span_of(attrs.evolve(event(), timestamp=time), with_texts=False)
    assert span.start_time_unix_nano == (NOW_MS + 5) * MS


def test_a_time_and_a_duration_that_end_behind_all_times():
    latest = (2**63 - 1) // MS
    span = span_of(attrs.evolve(event(duration_ms=1000), timestamp=latest), with_texts=False)
    assert span.end_time_unix_nano == latest * MS


@pytest.mark.parametrize(
    ("status", "code", "error", "reasons"),
    [
        ("completed", 0, None, None),
        ("unknown", 0, None, None),
        ("incomplete", 0, None, None),
        ("aborted", 0, None, ["error"]),
        ("error", 2, "_OTHER", ["error"]),
    ],
)
def test_only_an_error_is_one_and_what_was_broken_off_says_so(status, code, error, reasons):
    span = span_of(event(status=status), with_texts=False)
    found = values(span.attributes)
    assert (span.status.code, found.get("error.type")) == (code, error)
    assert found.get("gen_ai.response.finish_reasons") == reasons
    assert found["cursor.generation.status"] == status


def test_texts_go_only_where_they_are_asked_for():
    secret = event(request_parameters={"x": "Why?"}, full_generation_data={"y": "So."})
    assert b"Why?" not in span_of(secret, with_texts=False).SerializeToString()
    found = attributes(secret, with_texts=True)
    (asked,), (answered,) = (
        json.loads(found[name]) for name in ("gen_ai.input.messages", "gen_ai.output.messages")
    )
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "Why?"}]}
    assert answered == {"role": "assistant", "parts": [{"type": "text", "content": "So."}]}


@pytest.mark.parametrize("text", [None, "", 7])
def test_without_texts_there_are_no_messages(text):
    found = attributes(rewritten(event(), prompt_text=text, response_text=text), with_texts=True)
    assert not [name for name in found if name.endswith("messages")]


def test_no_path_is_in_it():
    whole = span_of(event(**FULL), with_texts=True).SerializeToString()
    assert b"/home/dev/site" not in whole


HOSTILE = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)
)


@given(st.dictionaries(st.sampled_from(sorted(event(**FULL).payload)), HOSTILE))
def test_whatever_stands_in_an_event_makes_a_span_and_figures(payload):
    found = rewritten(event(), **payload)
    span_of(found, with_texts=True).SerializeToString()
    totals_of([found]).sent(NAMES, RESOURCE, NOW_MS).SerializeToString()


@pytest.mark.parametrize("model", ["\x1b[2J\u202e<b>", "m" * 5000, "\ud800x"])
def test_a_model_of_any_kind(model):
    found = attributes(rewritten(event(), model=model))["gen_ai.request.model"]
    assert found == model.encode("utf-8", "replace").decode()[:200]


# -- Figures -------------------------------------------------------------------------------------------


def totals_of(events, before=None):
    """As an output counts them: in portions, of copies."""
    totals = before or Totals(NOW_MS)
    for one in events:
        totals = totals.copied()
        totals.count([one])
    return totals


def points(totals, name, *, at=NOW_MS):
    (scope,) = totals.sent(NAMES, RESOURCE, at).scope_metrics
    return [
        point
        for metric in scope.metrics
        if metric.name == name
        for point in (metric.histogram if metric.HasField("histogram") else metric.sum).data_points
    ]


def test_the_names_are_those_of_the_conventions():
    assert set(gen_ai.METRICS) == NAMES
    assert (gen_ai.VERSION, gen_ai.LATEST_ONLY) == ("0.1.0", "gen_ai_latest_experimental")


def test_the_totals_are_the_sums_of_what_is_known():
    events = [
        event(1, model="a", prompt_tokens=5, completion_tokens=64, duration_ms=20),
        event(2, model="a", prompt_tokens=4, duration_ms=90_000),
        event(3, model="b", completion_tokens=0, status="error", duration_ms=1),
        event(4, model="a"),
    ]
    totals = totals_of(events)
    (used,) = points(totals, "gen_ai.client.inference.usage.input_tokens")
    assert (used.as_int, used.start_time_unix_nano) == (9, NOW_MS * MS)
    assert values(used.attributes) == {
        **CALL,
        "gen_ai.request.model": "a",
        "gen_ai.token.modality": "unknown",
    }
    counts = {
        (values(p.attributes)["gen_ai.request.model"], values(p.attributes)["gen_ai.token.type"]): p
        for p in points(totals, "gen_ai.client.token.usage")
    }
    assert {key: (p.count, p.sum) for key, p in counts.items()} == {
        ("a", "input"): (2, 9.0),
        ("a", "output"): (1, 64.0),
        ("b", "output"): (1, 0.0),
    }
    # Bounds belong to what is below them: 4 is in the second, 5 in the third.
    assert list(counts["a", "input"].bucket_counts)[:4] == [0, 1, 1, 0]
    for name in ("gen_ai.client.operation.duration", "gen_ai.client.inference.duration"):
        first, second = points(totals, name)
        assert (first.count, first.sum) == (2, 90.02)
        assert (first.bucket_counts[1], first.bucket_counts[14]) == (1, 1)
        assert len(first.bucket_counts) == len(first.explicit_bounds) + 1
        assert values(second.attributes) == {**CALL, "gen_ai.request.model": "b", "error.type": "_OTHER"}


def test_tokens_of_each_call_are_distributions_by_how_it_ended_and_those_of_a_cache_a_sum():
    events = [
        event(1, prompt_tokens=5, completion_tokens=64, cached_tokens=3),
        event(2, prompt_tokens=4, cached_tokens=0, status="error"),
        event(3, prompt_tokens=4, completion_tokens=1, cached_tokens=4),
    ]
    totals = totals_of(events)
    well, badly = points(totals, "gen_ai.client.inference.operation.input_tokens")
    assert (well.count, well.sum, list(well.bucket_counts)[:4]) == (2, 9.0, [0, 1, 1, 0])
    assert (badly.count, badly.sum) == (1, 4.0)
    # By the conventions the figures of one kind of tokens alone would mean nothing here.
    assert values(well.attributes) == CALL
    assert values(badly.attributes) == {**CALL, "error.type": "_OTHER"}
    (out,) = points(totals, "gen_ai.client.inference.operation.output_tokens")
    assert (out.count, out.sum) == (2, 65.0)
    (cached,) = points(totals, "gen_ai.client.inference.usage.cache_read.input_tokens")
    assert cached.as_int == 7
    assert values(cached.attributes) == {**CALL, "gen_ai.token.modality": "unknown"}


def test_no_figure_where_nothing_is_known():
    assert not totals_of([event(), rewritten(event(2), duration_ms=1.5, prompt_tokens=True)])


def test_counts_that_nobody_can_have_used_are_not_summed():
    assert not totals_of([event(prompt_tokens=10**13, completion_tokens=2**80)])


def test_they_are_stored_and_come_back():
    totals = totals_of([event(**FULL)])
    again = Totals.parsed(str(totals), 5)
    assert str(again) == str(totals)
    assert again.since_ms == NOW_MS
    assert str(totals_of([event(2, **FULL)], again)) == str(totals_of([event(2, **FULL)], totals))


@pytest.mark.parametrize(
    "stored",
    [
        *("[", "[1]", "{}", '{"since": 1}', '{"since": "x", "series": {}}', "[" * 100_000),
        '{"since": 1, "series": {"gen_ai.client.token.usage": [[{}, 1, 1, [1]]]}}',
        '{"since": 1, "series": {"gen_ai.client.token.usage": [1]}}',
    ],
)
def test_what_was_stored_otherwise_begins_anew_and_says_so(stored, logged):
    totals = Totals.parsed(stored, 7)
    assert (totals.since_ms, bool(totals)) == (7, False)
    assert any("begins anew" in words for words in logged())


def test_metrics_of_another_release_are_left_out():
    totals = Totals.parsed('{"since": 1, "series": {"gen_ai.of.tomorrow": []}}', 7)
    assert (totals.since_ms, bool(totals)) == (1, False)


def test_more_models_than_anybody_uses_are_counted_together():
    totals = totals_of(event(number, model=f"m{number}", prompt_tokens=1) for number in range(300))
    found = points(totals, "gen_ai.client.inference.usage.input_tokens")
    assert len(found) == MOST_SERIES
    assert sum(point.as_int for point in found) == 300
    assert values(found[-1].attributes) == {"otel.metric.overflow": True}


def test_a_clock_that_was_put_back_makes_no_end_before_the_start():
    (point,) = points(totals_of([event(prompt_tokens=1)]), "gen_ai.client.inference.usage.input_tokens", at=5)
    assert point.time_unix_nano == point.start_time_unix_nano
