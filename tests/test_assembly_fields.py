"""From ring, turn and row to one generation: which of them each field is taken from."""

from __future__ import annotations

import attrs
import pytest
from assembly_world import GLOBAL, W1, W2, content, entry, prompt, row, turn
from scans import NOW_MS, uuid

from trio_cursor.assembly import PendingEntry
from trio_cursor.assembly.generations import Parts
from trio_cursor.assembly.pending import Row
from trio_cursor.observations import TableRow

ENTRY = PendingEntry("k", W2, entry(1, text="asked", rowid=5), NOW_MS)
TURN = turn(1, at="c/b", time=NOW_MS + 10)
CONTENT = content(
    TURN,
    "aborted",
    data_version=8,
    model="claude",
    prompt_tokens=30,
    completion_tokens=40,
    prompt_text="question",
    response_text="answer",
    prompt_timestamp=NOW_MS + 11,
    completed_timestamp=NOW_MS + 900,
    duration_ms=890,
    tool_calls=({"name": "grep", "status": "completed"},),
    source={"conversation": {"status": "aborted"}, "bubbles": [{"type": 1}]},
    left_out=("response_text",),
)
VALUE = {
    "model": "gpt",
    "promptTokens": 3,
    "completionTokens": 4,
    "responseText": "because",
    "text": "never",
    "promptId": "p",
    "requestParameters": {"t": [1]},
}
ROW = Row(W1, row(1, VALUE, time=NOW_MS + 20, prompt=prompt("why?", NOW_MS - 1)))


def of(entry=None, content=None, row=None, turn=None):
    parts = Parts(entry, content.turn if content else turn, content, row)
    return parts.generation("k", W1, ("alias",))


def of_row(value=None, **other):
    return of(row=Row(W1, row(1, value, **other)))


class TestOfARingAlone:
    def test_is_what_a_ring_knows(self):
        found = of(ENTRY)
        assert (found.key, found.generation_id, found.workspace, found.aliases) == (
            "k",
            uuid(1),
            W1,
            ("alias",),
        )
        assert (found.schema, found.status, found.data_version) == ("ring", "unknown", 5)
        assert (found.timestamp, found.timestamp_source) == (NOW_MS, "ring")
        assert (found.generation_type, found.prompt_text) == ("composer", "asked")
        assert (found.model, found.tokens_used, found.tokens_source, found.tool_calls) == (None,) * 4
        assert found.full_generation_data == {"unixMs": NOW_MS}

    def test_without_a_time_has_no_source_of_it(self):
        found = of(PendingEntry("k", W2, entry(1, None), NOW_MS))
        assert (found.timestamp, found.timestamp_source) == (None, None)

    def test_has_the_earliest_time_of_all_rings(self):
        assert of(attrs.evolve(ENTRY, earliest_ms=NOW_MS - 5)).timestamp == NOW_MS - 5

    def test_of_an_applied_suggestion_holds_a_file_name_and_no_prompt(self):
        applied = PendingEntry("k", W2, entry(1, type_="apply", text="main.py"), NOW_MS)
        assert of(applied).prompt_text is None
        assert of(applied, attrs.evolve(CONTENT, prompt_text=None)).prompt_text is None


class TestOfATurn:
    def test_is_what_its_conversation_knows(self):
        found = of(content=CONTENT)
        assert (found.generation_id, found.schema, found.status) == (uuid(1), "conversations", "aborted")
        assert (found.conversation_id, found.data_version, found.model) == ("c", 8, "claude")
        assert (found.timestamp, found.timestamp_source) == (NOW_MS + 10, "bubble")
        assert (found.prompt_tokens, found.completion_tokens, found.tokens_used) == (30, 40, 70)
        assert (found.tokens_source, found.cached_tokens) == ("database", None)
        assert (found.prompt_text, found.response_text) == ("question", "answer")
        assert (found.prompt_timestamp, found.completed_timestamp) == (NOW_MS + 11, NOW_MS + 900)
        assert (found.duration_ms, found.generation_type) == (890, None)
        assert found.tool_calls == ({"name": "grep", "status": "completed"},)
        assert found.full_generation_data == {"conversation": {"status": "aborted"}, "bubbles": [{"type": 1}]}
        assert (found.truncated, found.prompt_id) == (("response_text",), None)

    @pytest.mark.parametrize(
        ("prompt_tokens", "completion_tokens", "tokens"),
        [
            (None, None, (None, None, None, None)),
            (5, 0, (5, 5, 0, "database")),
            (None, 7, (7, None, 7, "database")),
        ],
    )
    def test_counts_what_was_given(self, prompt_tokens, completion_tokens, tokens):
        found = of(content=content(TURN, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens))
        assert (
            found.tokens_used,
            found.prompt_tokens,
            found.completion_tokens,
            found.tokens_source,
        ) == tokens

    def test_without_tools_called_none(self):
        assert of(content=content(TURN)).tool_calls == ()

    def test_that_could_not_be_read_is_incomplete(self):
        found = of(turn=TURN)
        assert (found.schema, found.status, found.conversation_id) == ("conversations", "incomplete", "c")
        assert (found.data_version, found.tool_calls, found.full_generation_data) == (None, None, None)
        assert (found.model, found.tokens_source, found.truncated) == (None, None, ())
        assert found.timestamp == NOW_MS + 10

    def test_with_its_ring_entry_is_both(self):
        found = of(ENTRY, CONTENT)
        assert (found.schema, found.status, found.data_version) == ("ring+conversations", "aborted", 8)
        assert (found.timestamp, found.timestamp_source) == (NOW_MS, "ring")
        assert (found.generation_type, found.prompt_text) == ("composer", "question")
        assert found.full_generation_data == {**CONTENT.source, "ring": {"unixMs": NOW_MS}}

    def test_lacks_what_its_ring_entry_knows(self):
        found = of(ENTRY, content(TURN))
        assert found.prompt_text == "asked"
        assert found.full_generation_data == {"ring": {"unixMs": NOW_MS}}
        timeless = PendingEntry("k", W2, entry(1, None), NOW_MS)
        assert (of(timeless, CONTENT).timestamp, of(timeless, CONTENT).timestamp_source) == (
            NOW_MS + 10,
            "bubble",
        )

    def test_is_called_as_it_calls_itself(self):
        assert of(ENTRY, content(turn(id_=uuid(10).upper()))).generation_id == uuid(10).upper()


class TestOfARow:
    def test_is_what_a_row_knows(self):
        found = of(row=ROW)
        assert (found.schema, found.status, found.model, found.data_version) == (
            "tables_v1",
            "completed",
            "gpt",
            7,
        )
        assert (found.timestamp, found.timestamp_source) == (NOW_MS + 20, "row")
        assert (found.prompt_tokens, found.completion_tokens, found.tokens_used) == (3, 4, 7)
        assert (found.tokens_source, found.tool_calls) == ("database", None)
        assert (found.response_text, found.prompt_text) == ("because", "why?")
        assert (found.prompt_id, found.prompt_timestamp) == ("p", NOW_MS - 1)
        assert (found.request_parameters, found.full_generation_data) == ({"t": [1]}, VALUE)
        assert (found.truncated, found.conversation_id) == ((), None)

    def test_of_which_nothing_is_known_is_a_generation(self):
        bare = TableRow("tables_v2", "x", 1, 1, None, None, raw="[1]", left_out=("response_text",))
        found = of(row=Row(W1, bare))
        assert (found.status, found.timestamp, found.timestamp_source) == ("completed", None, None)
        assert (found.model, found.response_text, found.tokens_source) == (None, None, None)
        assert (found.full_generation_data, found.truncated) == ("[1]", ("response_text",))

    def test_with_a_ring_entry_keeps_its_own_value(self):
        found = of(ENTRY, row=ROW)
        assert (found.timestamp, found.timestamp_source) == (NOW_MS, "ring")
        assert (found.generation_type, found.prompt_text, found.schema) == ("composer", "why?", "tables_v1")
        assert found.full_generation_data == VALUE
        assert of(ENTRY, row=Row(W1, row(1))).prompt_text == "asked"

    def test_with_its_turn_is_all_of_it(self):
        found = of(ENTRY, CONTENT, ROW)
        assert (found.schema, found.status, found.data_version) == ("tables_v1", "aborted", 7)
        assert (found.model, found.prompt_text, found.response_text) == ("claude", "question", "answer")
        assert (found.prompt_tokens, found.completion_tokens, found.tokens_used) == (30, 40, 70)
        assert (found.prompt_timestamp, found.prompt_id) == (NOW_MS - 1, "p")
        assert (found.conversation_id, found.completed_timestamp) == ("c", NOW_MS + 900)
        assert found.request_parameters == {"t": [1]}
        assert found.full_generation_data == {**CONTENT.source, "ring": {"unixMs": NOW_MS}, "row": VALUE}

    def test_gives_what_its_turn_does_not_know(self):
        found = of(None, content(TURN, prompt_timestamp=5), ROW)
        assert (found.model, found.prompt_text, found.response_text) == ("gpt", "why?", "because")
        assert (found.prompt_tokens, found.completion_tokens, found.tokens_used) == (3, 4, 7)
        assert of(None, content(TURN, prompt_timestamp=5), Row(W1, row(1))).prompt_timestamp == 5

    @pytest.mark.parametrize(
        ("source", "expected"),
        [("bubble", (NOW_MS + 10, "bubble")), ("conversation", (NOW_MS + 20, "row"))],
    )
    def test_knows_the_time_better_than_the_conversation_as_a_whole(self, source, expected):
        found = of(None, content(attrs.evolve(TURN, timestamp_source=source)), ROW)
        assert (found.timestamp, found.timestamp_source) == expected
        alone = of(None, content(attrs.evolve(TURN, timestamp_source=source)))
        assert (alone.timestamp, alone.timestamp_source) == (NOW_MS + 10, source)

    @pytest.mark.parametrize(
        ("value", "counts"),
        [
            ({"promptTokens": 0, "completionTokens": 0}, (None, None, None, None)),
            ({"promptTokens": 0, "completionTokens": 0, "tokensUsed": 0}, (None, None, None, None)),
            ({"promptTokens": 3, "completionTokens": 4, "tokensUsed": 9}, (3, 4, 9, "database")),
            ({"promptTokens": 3, "completionTokens": 0}, (3, 0, 3, "database")),
            ({"promptTokens": 3}, (3, None, None, "database")),
            ({"completionTokens": 4}, (None, 4, 4, "database")),
            ({"tokensUsed": 5}, (None, None, 5, "database")),
            ({"promptTokens": True, "completionTokens": "4", "tokensUsed": -1}, (None, None, None, None)),
            ({"promptTokens": 10**300, "completionTokens": 1e300}, (None, None, None, None)),
        ],
    )
    def test_counts_that_were_given_and_no_others(self, value, counts):
        found = of_row(value)
        tokens = (found.prompt_tokens, found.completion_tokens, found.tokens_used, found.tokens_source)
        assert tokens == counts
        assert found.cached_tokens is None

    @pytest.mark.parametrize("model", ["default", "", None, 5, ["m"], "m" * 201])
    def test_what_is_no_model(self, model):
        assert of_row({"model": model}).model is None

    @pytest.mark.parametrize(
        ("value", "text"),
        [({"text": "b"}, "b"), ({"responseText": None, "text": "b"}, "b"), ({"responseText": ["a"]}, None)],
    )
    def test_response_texts(self, value, text):
        assert of_row(value).response_text == text

    @pytest.mark.parametrize("is_too_large", [True, False])
    def test_a_prompt_without_text_leaves_it_to_the_ring(self, is_too_large):
        found = of(ENTRY, row=Row(W1, row(1, prompt=prompt(None, is_too_large=is_too_large))))
        assert found.prompt_text == "asked"
        assert found.truncated == (("prompt_text",) if is_too_large else ())

    def test_what_is_too_large_in_it_is_named_unless_the_turn_has_it(self):
        large = Row(W1, row(1, left_out=("response_text",), prompt=prompt(None, is_too_large=True)))
        assert of(row=large).truncated == ("response_text", "prompt_text")
        assert of(None, content(TURN, response_text="r"), large).truncated == ("prompt_text",)
        left_out = content(TURN, left_out=("response_text",))
        assert of(None, left_out, large).truncated == ("response_text", "prompt_text")


def test_a_row_of_the_global_database_is_a_row_like_any_other():
    assert of(row=Row(GLOBAL, row(1))).schema == "tables_v1"
