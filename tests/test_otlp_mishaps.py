"""Collectors that misbehave, and lines that are slow: everything arrives, and nothing is asked for ever."""

from __future__ import annotations

import gzip
import ssl

import attrs
import pytest
import trio
import trustme
from deadlines import until, within
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from otlp_following import all_sent, counted, following, ids, now_ms, posting
from otlp_receiver import PROTOBUF, Answer, Receiver, partial, receiving

from trio_cursor import posting as http
from trio_cursor.outputs import follower, otlp_posting
from trio_cursor.outputs.otlp_posting import NoAnswerError, Refused, Taken

LARGE = "x" * 50_000


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(otlp_posting, "_MENDING_SECONDS", 0.05)
    monkeypatch.setattr(follower, "_RETRY_MOST_SECONDS", 0.1)


async def answered(receiver, answer):
    """What is made of an answer."""
    receiver.always = answer
    poster, place = posting(receiver, now_ms)
    return await poster.post(place, b"")


# -- What it says --------------------------------------------------------------------------------------


def said(text="", rejected=0):
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected
    answer.partial_success.error_message = text
    return answer.SerializeToString()


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        # Spelled otherwise, it is the same.
        (attrs.evolve(partial(2), content_type="Application/X-ProtoBuf; v=1"), Taken(2, "no")),
        # What nobody can read is taken all the same: else all of it came again for ever.
        (Answer(body=said("x" * 100_000, 2)), Taken()),
        (Answer(body=gzip.compress(said("no", 2)), headers={"Content-Encoding": "gzip"}), Taken()),
        (Answer(body=said("no", 2), headers={"Content-Encoding": "Identity"}), Taken(2, "no")),
        (Answer(body=b"ok", content_type="text/plain"), Taken()),
        (
            Answer(413, gzip.compress(b"no"), "text/plain", {"Content-Encoding": "gzip"}),
            Refused(413, ""),
        ),
        (Answer(status=401, body=b"No", content_type="TEXT/PLAIN"), Refused(401, "No")),
        (Answer(status=302, headers={"Location": "/login?a=1"}), Refused(302, "")),
        (Answer(status=302, headers={"Location": "//c:1/v1?a=1"}), Refused(302, "to ://c:1")),
        (Answer(status=302, headers={"Location": "http://[c"}), Refused(302, "")),
        (Answer(status=200, headers={"Location": "http://c"}), Taken()),
    ],
)
@within(30)
async def test_what_is_made_of_an_answer(receiver, answer, meant):
    assert await answered(receiver, answer) == meant


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
@within(30)
async def test_a_page_is_no_answer_of_a_collector_however_it_is_spelled_or_packed(receiver, headers):
    with pytest.raises(follower.OutputError, match="a page for people"):
        await answered(receiver, Answer(body=b"<HTML>", content_type="Text/HTML", headers=headers))


@within(30)
async def test_it_is_asked_to_pack_nothing(receiver):
    await answered(receiver, Answer())
    assert receiver.headers["Accept-Encoding"] == "identity"


@within(60)
async def test_a_huge_answer_does_not_make_it_come_again(tmp_path, receiver):
    receiver.script.append(Answer(body=said("x" * 10**6), is_taken=True))
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 3))
        await all_sent(log, state)
        assert state.errors == 0
    assert receiver.event_ids == ids(1, 3)


@within(30)
async def test_a_host_that_uses_all_of_trios_threads_holds_up_nothing(receiver):
    limiter = trio.to_thread.current_default_thread_limiter()
    for _ in range(int(limiter.total_tokens)):
        limiter.acquire_on_behalf_of_nowait(object())
    poster, place = posting(receiver, now_ms)
    assert await poster.post(attrs.evolve(place, host="localhost"), b"") == Taken()


# -- How it says it ------------------------------------------------------------------------------------


@within(60)
async def test_an_answer_that_comes_byte_by_byte_is_waited_for(receiver):
    answer = attrs.evolve(partial(2), drip_seconds=0.01)
    assert await answered(receiver, answer) == Taken(2, "no")


@within(60)
async def test_one_that_comes_for_ever_is_not(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(otlp_posting, "SECONDS", 0.3)
    receiver.script.append(Answer(body=bytes(10_000), content_type=PROTOBUF, drip_seconds=0.02))
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 2))
        await until(lambda: state.state == "error")
        assert state.last_error == f"{receiver.url} does not answer within 0.3 s"
        monkeypatch.setattr(otlp_posting, "SECONDS", 10.0)
        await all_sent(log, state)
    assert receiver.event_ids == ids(1, 2)


@pytest.mark.parametrize("words", [b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
@within(60)
async def test_one_that_ends_in_its_middle_is_none(tmp_path, receiver, words):
    receiver.script.append(Answer(status=0, body=words))
    async with following(tmp_path, receiver) as (log, state):
        await log.append(counted(1, 2))
        await all_sent(log, state)
        assert state.errors == 1
    assert receiver.event_ids == ids(1, 2)


# -- How much it takes ---------------------------------------------------------------------------------


def certified(tmp_path, *names):
    """A context for a server, and the environment in which its certificate is believed."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return context, {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem")}


@pytest.mark.parametrize("too_large", [None, Answer(status=413)])
@pytest.mark.parametrize("is_encrypted", [False, True])
@within(60)
async def test_who_hangs_up_on_what_is_large_gets_less_at_once(tmp_path, is_encrypted, too_large):
    tls, environ = certified(tmp_path, "127.0.0.1") if is_encrypted else (None, {})
    (tmp_path / "state").mkdir(mode=0o700)
    with Receiver(most_bytes=150_000, too_large=too_large).listening(tls) as receiver:
        async with following(tmp_path / "state", receiver, environ=environ, texts=True) as (log, state):
            await log.append(counted(1, 60, prompt_text=LARGE))
            await all_sent(log, state)
            assert state.dead == 0
    assert receiver.event_ids == ids(1, 60)


@within(60)
async def test_who_is_too_slow_for_all_gets_less_at_once_and_then_more_again(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(otlp_posting, "SECONDS", 0.5)
    monkeypatch.setattr(http, "_LEAST_BYTES_PER_SECOND", 10**9)
    receiver.script.extend([lambda spans: receiver.hang() if len(spans) > 10 else None] * 50)
    async with following(tmp_path, receiver, texts=True) as (log, state):
        await log.append(counted(1, 60, prompt_text=LARGE))
        await until(lambda: receiver.event_ids)
        monkeypatch.setattr(otlp_posting, "SECONDS", 10.0)
        receiver.script.clear()
        await all_sent(log, state)
    assert receiver.event_ids == ids(1, 60)
    sizes = [request.ByteSize() for request in receiver.traces]
    assert sizes[0] < 600_000 < max(sizes)


@within(60)
async def test_what_is_large_has_more_time(receiver, monkeypatch):
    monkeypatch.setattr(otlp_posting, "SECONDS", 0.01)
    monkeypatch.setattr(http, "_LEAST_BYTES_PER_SECOND", 1000)
    receiver.always = lambda _: receiver.ended.wait(0.3) and None
    poster, place = posting(receiver, now_ms)
    body = ExportTraceServiceRequest(resource_spans=[ResourceSpans(schema_url="x" * 20_000)])
    assert await poster.post(place, body.SerializeToString()) == Taken()
    with pytest.raises(NoAnswerError, match=r"does not answer within 0\.01 s$"):
        await poster.post(place, b"")


@within(60)
async def test_how_much_more_time_it_had_is_told(receiver, monkeypatch):
    monkeypatch.setattr(otlp_posting, "SECONDS", 0.0)
    monkeypatch.setattr(http, "_LEAST_BYTES_PER_SECOND", 20_000)
    receiver.always = receiver.hang
    poster, place = posting(receiver, now_ms)
    body = ExportTraceServiceRequest(resource_spans=[ResourceSpans(schema_url="x" * 19_993)])
    with pytest.raises(NoAnswerError, match=r"within 0 s \(and 1 s for 20,0\d\d bytes\)$"):
        await poster.post(place, body.SerializeToString())
