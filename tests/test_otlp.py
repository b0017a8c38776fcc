"""OpenTelemetry: each generation a span, each figure counted once, whatever becomes of whom."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from deadlines import until, within
from log_events import event, gap
from otlp_receiver import Answer, Receiver, partial, receiving, values
from scans import uuid

from trio_cursor.config import Config, OtlpConfig, OutputsConfig
from trio_cursor.discretion import enter_mode
from trio_cursor.eventlog import Entry, open_event_log
from trio_cursor.outputs import follower, otlp_posting, otlp_sending
from trio_cursor.outputs.follower import follow
from trio_cursor.outputs.otlp import OtlpOutput
from trio_cursor.outputs.otlp_address import collector_of
from trio_cursor.outputs.otlp_opening import open_otlp

USED = "gen_ai.client.inference.usage.input_tokens"


def now_ms():
    return time.time_ns() // 1_000_000


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Waits a moment where it would wait half a minute."""
    monkeypatch.setattr(otlp_posting, "_MENDING_SECONDS", 0.05)
    monkeypatch.setattr(follower, "_RETRY_MOST_SECONDS", 0.1)


def counted(first, last, **payload):
    """Events of one transaction, captured just now; the n-th has used n tokens."""
    found = []
    for number in range(first, last + 1):
        made = event(number, text="an answer")
        made = attrs.evolve(
            made,
            metadata=made.metadata | {"captured_at": now_ms()},
            payload=made.payload | {"prompt_tokens": number, "duration_ms": 1000} | payload,
        )
        found.append(((made.event_id,), made))
    return Entry(tuple(found))


def ids(first, last):
    return [event(number).event_id for number in range(first, last + 1)]


def make(directory, name):
    (directory / name).mkdir(mode=0o700)
    return directory / name


def tokens(receiver):
    """The total as it was told last."""
    return sum(point.as_int for point in receiver.points(USED))


@asynccontextmanager
async def following(directory, receiver, *, environ=None, mode=None, **options):
    """A log with the output of a configuration behind it, and its state."""
    otlp = OtlpConfig(enabled=True, endpoint=receiver.url, **options)
    config = Config(outputs=OutputsConfig(otlp=otlp))
    async with open_event_log(directory) as log, trio.open_nursery() as nursery:
        if mode is not None:
            await enter_mode(log, mode, "/home/me")
        output, state = await open_otlp(config, log, now_ms, environ or {})
        nursery.start_soon(follow, output, log, state)
        yield log, state
        nursery.cancel_scope.cancel()


async def all_sent(log, state):
    await until(lambda: state.sequence == log.last_sequence and state.state == "connected")


@within(60)
async def test_spans_are_the_events_and_totals_their_sums(tmp_path, receiver):
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 1200))
        await log.append(Entry((((), gap()),)))
        await log.append(counted(1201, 1203))
        await all_sent(log, state)
        assert receiver.event_ids == ids(1, 1203)
        read = [one for after in (0, 500, 1000) for one in await log.read(after)]
    sent = {one.event_id: one for one in read if one.event_type == "database_trace"}
    for span, id_ in zip(receiver.spans, receiver.event_ids, strict=True):
        one, found = sent[id_], values(span.attributes)
        assert span.start_time_unix_nano == one.timestamp * 1_000_000
        assert span.end_time_unix_nano == (one.timestamp + 1000) * 1_000_000
        assert found["gen_ai.usage.input_tokens"] == one.payload["prompt_tokens"]
        assert found["cursor.generation.id"] == one.generation_id
        assert found["cursor.generation.status"] == one.payload["status"]
    assert tokens(receiver) == sum(range(1, 1204))
    (lasted,) = receiver.points("gen_ai.client.operation.duration")
    assert (lasted.count, lasted.sum) == (1203, 1203.0)
    assert (state.errors, state.dead, state.alarms) == (0, 0, {})


@within(60)
async def test_a_resource_says_who_we_are_the_same_after_a_restart(tmp_path, receiver):
    environ = {"OTEL_SERVICE_NAME": "desk", "OTEL_RESOURCE_ATTRIBUTES": "team=a%20b"}
    for number in (1, 2):
        async with following(tmp_path, receiver, environ=environ) as (log, state):
            await log.append(counted(number, number))
            await all_sent(log, state)
    first, second = (values(request.resource_spans[0].resource.attributes) for request in receiver.traces)
    assert first == second
    assert (first["service.name"], first["team"]) == ("desk", "a b")
    assert values(receiver.metrics[-1].resource_metrics[0].resource.attributes) == first


@within(60)
async def test_totals_go_on_after_a_restart_and_nothing_is_sent_again(tmp_path, receiver):
    for number in range(3):
        async with following(tmp_path, receiver) as (log, state):
            await log.append(counted(10 * number + 1, 10 * number + 10))
            await all_sent(log, state)
    assert receiver.event_ids == ids(1, 30)
    assert [sum(p.as_int for p in receiver.points(USED, index)) for index in range(3)] == [55, 210, 465]
    assert (
        len({point.start_time_unix_nano for index in range(3) for point in receiver.points(USED, index)}) == 1
    )


@within(60)
async def test_what_was_taken_and_not_stored_comes_with_the_same_ids_and_is_counted_once(tmp_path, receiver):
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 5))
        await all_sent(log, state)
    async with open_event_log(tmp_path) as log:
        # As if we had been killed between the answer and the cursor.
        await log.save_cursor("otlp", 0)
    async with following(tmp_path, receiver) as (log, state):
        await all_sent(log, state)
    spans = [span.SerializeToString() for span in receiver.spans]
    assert spans[:5] == spans[5:]
    assert tokens(receiver) == 15


@within(60)
async def test_outages_lose_nothing_and_double_nothing(tmp_path):
    receiver, number = Receiver(), 0
    with receiver.listening():
        pass  # the port is ours to come back to
    async with following(tmp_path, receiver) as (log, state):
        for _ in range(3):
            await log.append(counted(number + 1, number + 7))
            await until(lambda: state.state == "error")
            number += 7
            with receiver.listening():
                await all_sent(log, state)
                await log.append(counted(number + 1, number + 3))
                number += 3
                await all_sent(log, state)
    assert receiver.event_ids == ids(1, 30)
    assert tokens(receiver) == 465


@within(60)
async def test_a_collector_that_is_not_there_is_a_state_said_once(tmp_path, logged):
    receiver = Receiver()
    with receiver.listening():
        pass
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 1))
        await until(lambda: state.errors > 3)
        assert state.state == "error"
        assert state.last_error == f"{receiver.url}: Connection refused"
    assert sum("does not take events" in words for words in logged()) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@within(60)
async def test_what_it_cannot_take_now_comes_later(tmp_path, receiver, status):
    receiver.script.extend([Answer(status=status, content_type=None)] * 3)
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 3))
        await until(lambda: state.errors == 3)
        await all_sent(log, state)
    assert receiver.event_ids == ids(1, 3)
    assert tokens(receiver) == 6


@pytest.mark.parametrize("text", ["7", "Tue, 01 Jan 2030 00:00:07 GMT"])
@within(60)
async def test_it_waits_as_long_as_the_collector_asks_for(receiver, text):
    receiver.always = Answer(status=429, headers={"Retry-After": text})
    moment = 1_893_456_000_000
    poster, place = posting(receiver, lambda: moment)
    with pytest.raises(follower.OutputError, match="HTTP 429") as caught:
        await poster.post(place, b"")
    assert 7 <= caught.value.pause <= 8.4


@pytest.mark.parametrize("text", ["soon", "-5", "1e9", "Tue, 01 Jan 1980 00:00:07 GMT"])
@within(60)
async def test_what_says_nothing_of_when_is_passed_over(receiver, text):
    receiver.always = Answer(status=503, headers={"Retry-After": text})
    poster, place = posting(receiver, now_ms)
    with pytest.raises(follower.OutputError) as caught:
        await poster.post(place, b"")
    assert caught.value.pause == 0


def posting(receiver, clock):
    collector = collector_of(OtlpConfig(endpoint=receiver.url), {})
    return otlp_posting.Poster(collector, clock), collector.traces


@within(60)
async def test_a_collector_that_hangs_is_left_and_tried_again(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(otlp_posting, "SECONDS", 0.3)
    receiver.script.append(receiver.hang)
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 2))
        await until(lambda: state.state == "error")
        assert state.last_error == f"{receiver.url} does not answer within 0.3 s"
        monkeypatch.setattr(otlp_posting, "SECONDS", 10.0)
        await all_sent(log, state)
    assert receiver.event_ids == ids(1, 2)


@within(20)
async def test_whoever_is_cancelled_is_gone_at_once(tmp_path, receiver):
    began = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def hang(spans):
        token.run_sync_soon(began.set)
        return receiver.hang()

    receiver.script.append(hang)
    async with following(tmp_path, receiver) as (log, _):
        await log.append(counted(1, 2))
        await began.wait()
        ended = trio.current_time()
    assert trio.current_time() - ended < 5  # else it would be the ten seconds of the deadline


PAGE = Answer(body=b"<html>Log in</html>", content_type="text/html; charset=utf-8")
GARBAGE = Answer(body=b"\xff\xff\xff", content_type="application/x-protobuf")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (PAGE, "answers with a page for people: is it a collector?"),
        (GARBAGE, "says that it took it, in words that no collector has"),
        (Answer(status=0, body=b"SSH-2.0-OpenSSH_9\r\n\r\n"), "does not answer as HTTP has it"),
        (Answer(status=0), "the connection was closed without an answer"),
        (
            Answer(status=0, body=b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"),
            "does not answer as HTTP",
        ),
        (Answer(status=301, headers={"Location": "https://elsewhere/"}), "HTTP 301"),
        (
            Answer(status=401, body=b"who\x1b[2J are you?", content_type="text/plain"),
            "HTTP 401 (who [2J are you?)",
        ),
        (Answer(status=404, body=b"x" * 10**6, content_type="text/html"), "HTTP 404"),
        (
            Answer(status=0, body=b"HTTP/1.1 100 Continue\r\n\r\n"),
            "the connection was closed without an answer",
        ),
    ],
)
@within(60)
async def test_what_no_collector_says_takes_nothing(tmp_path, receiver, answer, words):
    receiver.script.extend([answer] * 50)
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 2))
        assert words in await until(lambda: state.last_error)
        receiver.script.clear()
        await all_sent(log, state)
    assert receiver.event_ids == ids(1, 2)
    assert state.dead == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer(is_taken=True),
        Answer(status=204, is_taken=True),
        Answer(body=b"{}", content_type="application/json", is_taken=True),
        Answer(body=b"ok", content_type="text/plain", is_taken=True),
        Answer(content_type=None, is_taken=True),
    ],
)
@within(60)
async def test_what_collectors_say_is_understood(tmp_path, receiver, answer):
    receiver.script.append(answer)
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 2))
        await all_sent(log, state)
    assert receiver.event_ids == ids(1, 2)
    assert state.errors == 0


class TestWhatIsNeverTaken:
    """It is laid aside with the collector's word, and holds up nothing."""

    def refusing(self, *numbers, status=400):
        """Whoever refuses a request with one of these in it."""
        bad = {uuid(number) for number in numbers}

        def judge(spans):
            is_bad = any(values(span.attributes)["cursor.generation.id"] in bad for span in spans)
            return Answer(status=status, body=b"bad span", content_type="text/plain") if is_bad else None

        return judge

    async def dead(self, log):
        rows = "SELECT seq, reason FROM dead WHERE output = 'otlp' ORDER BY seq"
        return await log._read("dead", lambda connection: list(connection.execute(rows)))

    @pytest.mark.parametrize("status", [400, 413, 422])
    @within(60)
    async def test_alone(self, tmp_path, receiver, status):
        receiver.script.extend([self.refusing(3, 4, 9, status=status)] * 40)
        async with following(tmp_path, receiver) as (log, state):
            await log.append(counted(1, 10))
            await all_sent(log, state)
            dead = await self.dead(log)
        assert receiver.event_ids == [id_ for id_ in ids(1, 10) if id_ not in (*ids(3, 4), *ids(9, 9))]
        assert dead == [(n, f"the collector refuses it: HTTP {status} (bad span)") for n in (3, 4, 9)]
        assert (state.dead, state.errors) == (3, 0)
        assert state.dead_at is not None
        # A generation that happened is counted, whether its span is taken or not.
        assert tokens(receiver) == 55

    @within(60)
    async def test_a_server_that_refuses_everything_is_none(self, tmp_path, receiver):
        receiver.always = Answer(status=400, body=b"plain HTTP to a TLS port", content_type="text/plain")
        async with following(tmp_path, receiver) as (log, state):
            await log.append(counted(1, 2))
            await until(lambda: state.state == "error" and "refused everything" in state.last_error)
            assert "plain HTTP to a TLS port" in state.last_error
            assert (await self.dead(log), state.sequence) == ([], 0)

    @within(60)
    async def test_one_that_refuses_what_is_empty_may_be_one(self, tmp_path, receiver):
        receiver.always = lambda items: None if items else Answer(status=400)
        async with following(tmp_path, receiver) as (log, state):
            await log.append(counted(1, 2))
            await all_sent(log, state)
        assert receiver.event_ids == ids(1, 2)

    @within(60)
    async def test_all_of_a_request_that_it_says_it_has_not_taken(self, tmp_path, receiver):
        receiver.script.append(partial(2, "too \u202eold"))
        async with following(tmp_path, receiver) as (log, state):
            await log.append(counted(1, 2))
            await all_sent(log, state)
            await log.append(counted(3, 3))
            await all_sent(log, state)
            assert await self.dead(log) == [(n, "the collector refuses it: too old") for n in (1, 2)]
        assert receiver.event_ids == ids(3, 3)

    @within(60)
    async def test_some_of_a_request_nobody_knows_which(self, tmp_path, receiver):
        receiver.script.append(attrs.evolve(partial(2, ""), is_taken=True))
        async with following(tmp_path, receiver) as (log, state):
            await log.append(counted(1, 5))
            await all_sent(log, state)
            assert state.alarms == {
                "rejected": "the collector did not take 2 of 5 spans (#1 to #5): it gave no reason"
            }
            assert await self.dead(log) == []
        # By the protocol it is not asked again.
        assert receiver.event_ids == ids(1, 5)


class TestMetrics:
    @within(60)
    async def test_where_they_are_not_taken_the_spans_go_on_and_it_is_said(self, tmp_path, receiver, logged):
        receiver.of_metrics = Answer(status=404)
        async with following(tmp_path, receiver) as (log, state):
            for number in (1, 2):
                await log.append(counted(number, number))
                await all_sent(log, state)
            assert "does not take the metrics: HTTP 404" in state.alarms["metrics"]
            assert receiver.metrics == []
            receiver.of_metrics = None
            await log.append(counted(3, 3))
            await all_sent(log, state)
            assert (state.alarms, tokens(receiver)) == ({}, 6)
        assert receiver.event_ids == ids(1, 3)
        assert sum("needs a look" in words for words in logged()) == 1

    @within(60)
    async def test_where_they_cannot_come_now_the_spans_are_not_sent_twice(self, tmp_path, receiver):
        receiver.of_metrics = Answer(status=503)
        async with following(tmp_path, receiver) as (log, state):
            await log.append(counted(1, 4))
            await until(lambda: state.errors > 2)
            await log.append(counted(5, 6))
            await until(lambda: state.errors > 4)
            receiver.of_metrics = None
            await all_sent(log, state)
        assert receiver.event_ids == ids(1, 6)
        assert tokens(receiver) == 21

    @within(60)
    async def test_points_that_are_not_taken_are_said(self, tmp_path, receiver):
        receiver.of_metrics = partial(1, "")
        async with following(tmp_path, receiver) as (log, state):
            await log.append(counted(1, 1))
            await all_sent(log, state)
            assert state.alarms["metrics"].endswith("1 of its points: it gave no reason")

    @within(60)
    async def test_totals_are_repeated_while_nothing_comes(self, tmp_path, receiver, monkeypatch):
        monkeypatch.setattr(OtlpOutput, "idle_seconds", 0.05)
        async with following(tmp_path, receiver) as (log, _):
            await log.append(counted(1, 3))
            await until(lambda: len(receiver.metrics) > 3)
            assert tokens(receiver) == 6
        times = [receiver.points(USED, index)[0].time_unix_nano for index in range(4)]
        assert times == sorted(times)
        assert len(receiver.spans) == 3

    @within(60)
    async def test_the_latest_names_alone(self, tmp_path, receiver):
        environ = {"OTEL_SEMCONV_STABILITY_OPT_IN": "http, gen_ai_latest_experimental"}
        async with following(tmp_path, receiver, environ=environ) as (log, state):
            await log.append(counted(1, 1, completion_tokens=2))
            await all_sent(log, state)
        assert receiver.names() == {
            "gen_ai.client.inference.duration",
            "gen_ai.client.inference.usage.input_tokens",
            "gen_ai.client.inference.usage.output_tokens",
        }

    @within(60)
    async def test_none_or_nothing_else(self, tmp_path, receiver):
        async with following(make(tmp_path, "a"), receiver, environ={"OTEL_METRICS_EXPORTER": "none"}) as (
            log,
            state,
        ):
            await log.append(counted(1, 2))
            await all_sent(log, state)
        assert (receiver.event_ids, receiver.metrics) == (ids(1, 2), [])
        async with following(make(tmp_path, "b"), receiver, environ={"OTEL_TRACES_EXPORTER": "none"}) as (
            log,
            state,
        ):
            receiver.of_metrics = Answer(status=403)
            await log.append(counted(1, 2))
            await until(lambda: state.state == "error")
            receiver.of_metrics = None
            await all_sent(log, state)
        assert (len(receiver.spans), tokens(receiver)) == (2, 3)

    @within(60)
    async def test_nothing_is_sent_where_nothing_is_known(self, tmp_path, receiver):
        async with following(tmp_path, receiver) as (log, state):
            await log.append(counted(1, 2, prompt_tokens=None, duration_ms=None))
            await all_sent(log, state)
        assert (len(receiver.spans), receiver.metrics) == (2, [])


@pytest.mark.parametrize(
    ("mode", "answer"), [("full", "an answer"), ("redacted", "an answer"), ("metadata", None)]
)
@within(60)
async def test_texts_where_they_are_asked_for_are_as_the_mode_has_them(tmp_path, receiver, mode, answer):
    async with following(tmp_path, receiver, mode=mode, texts=True) as (log, state):
        made = counted(1, 1, prompt_text="mail me@example.org").events
        await log.append(Entry(made))
        await all_sent(log, state)
    found = values(receiver.spans[0].attributes)
    whole = receiver.traces[0].SerializeToString()
    assert (answer is not None) == ("gen_ai.output.messages" in found)
    assert (b"me@example.org" in whole) == (mode == "full")
    assert b"/home/me" not in whole
    assert (found["host.name"] == "h") == (mode != "metadata")


@within(60)
async def test_large_texts_go_in_several_requests(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(otlp_sending, "_BATCH_BYTES", 5000)
    async with following(tmp_path, receiver, texts=True) as (log, state):
        await log.append(counted(1, 10, prompt_text="x" * 3000))
        await all_sent(log, state)
    assert receiver.event_ids == ids(1, 10)
    assert len(receiver.traces) == 10


@within(60)
async def test_compressed_with_headers_and_below_a_path(tmp_path, receiver):
    environ = {
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%3Db,x=1",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }
    below = attrs.evolve(receiver)
    async with open_event_log(tmp_path) as log, trio.open_nursery() as nursery:
        config = Config(outputs=OutputsConfig(otlp=OtlpConfig(enabled=True, endpoint=f"{below.url}/otlp/")))
        output, state = await open_otlp(config, log, now_ms, environ)
        nursery.start_soon(follow, output, log, state)
        await log.append(counted(1, 2))
        await all_sent(log, state)
        nursery.cancel_scope.cancel()
    assert receiver.event_ids == ids(1, 2)
    assert set(receiver.paths) == {"/otlp/v1/traces", "/otlp/v1/metrics"}
    assert (receiver.headers["api-key"], receiver.headers["x"]) == ("a=b", "1")


@within(60)
async def test_at_first_only_what_was_captured_of_late(tmp_path, receiver, logged):
    async with open_event_log(tmp_path) as log:
        old = [((one.event_id,), one) for one in (event(number, captured_at=1000) for number in (1, 2))]
        await log.append(Entry(tuple(old)))
        await log.append(counted(3, 4))
    for _ in range(2):
        async with following(tmp_path, receiver) as (log, state):
            await all_sent(log, state)
    assert receiver.event_ids == ids(3, 4)
    assert sum("long ago" in words for words in logged()) == 1


@within(60)
async def test_a_wrong_password_is_found_out_before_anything_is_to_be_sent(tmp_path, receiver):
    receiver.always = Answer(status=401, body=b"\xff", content_type="application/x-protobuf")
    async with following(tmp_path, receiver) as (log, state):
        assert await until(lambda: state.last_error) == f"{receiver.url}: HTTP 401"
        receiver.always = None
        await log.append(counted(1, 1))
        await all_sent(log, state)
    assert receiver.event_ids == ids(1, 1)


@within(60)
async def test_what_is_done_otherwise_than_asked_for_is_said(tmp_path, receiver, logged):
    environ = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
    async with following(tmp_path, receiver, environ=environ):
        pass
    assert sum("'delta', but totals are sent" in words for words in logged()) == 1
