"""Alarms at a webhook, over real HTTP: what is posted, and what becomes of it when nobody takes it."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import struct
from contextlib import suppress
from functools import partial
from types import SimpleNamespace

import attrs
import cursor_files
import pytest
import trio
import trustme
from deadlines import until, within
from hook_receiver import Hook
from http_client import Client
from scraped import scrape
from serving import MONITOR, running_service

from trio_cursor import alarming, webhook
from trio_cursor.alarms import CLEARED, DATABASE, RAISED, RULES, Episode, Notice
from trio_cursor.config import (
    AlarmsConfig,
    Config,
    CursorConfig,
    HttpConfig,
    PrivacyConfig,
    SessionsConfig,
    StateConfig,
)
from trio_cursor.errors import ConfigError
from trio_cursor.status import WebhookStatus
from trio_cursor.webhook import Webhook, open_webhook, webhook_place

NOW = 1_800_000_000_000


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(webhook, "_RETRY_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(webhook, "_RETRY_MOST_SECONDS", 0.02)


@pytest.fixture
def hook():
    with Hook().listening() as found:
        yield found


def poster(hook, mode="full", path="/secret"):
    url = f"http://127.0.0.1:{hook.port}{path}"
    return Webhook(webhook_place(url), mode, lambda: NOW + 60_000, "laptop", run_id="run")


def notice(number=1, state=RAISED, count=1):
    episodes = tuple(
        Episode(DATABASE, NOW, f"/home/me/p{at}: error: no", True, at, f"hash{at}", f"/home/me/p{at}")
        for at in range(number, number + count)
    )
    return Notice(state, episodes)


# -- What is posted ------------------------------------------------------------------------------------


@within(30)
async def test_an_alarm_is_posted_when_it_is_raised_and_when_it_is_cleared(hook, nursery):
    one = poster(hook, path="/secret?key=1")
    nursery.start_soon(one.run)
    one.tell([notice()])
    await until(lambda: len(hook.requests) == 1)
    one.tell([notice(state=CLEARED)])
    await until(lambda: len(hook.requests) == 2)
    path, headers, _ = hook.requests[0]
    assert (path, headers["Content-Type"]) == ("/secret?key=1", "application/json")
    raised, cleared = hook.posted
    assert raised == {
        "source": "trio_cursor",
        "version": webhook.__version__,
        "state": "raised",
        "kind": "database",
        "since": NOW,
        "at": NOW + 60_000,
        "count": 1,
        "ids": ["run-1"],
        "words": "/home/me/p1: error: no",
        "text": "trio_cursor on laptop: raised: /home/me/p1: error: no",
        "workspaces": [{"hash": "hash1", "path": "/home/me/p1"}],
        "host": "laptop",
    }
    assert (cleared["state"], cleared["ids"]) == ("cleared", ["run-1"])
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("mode", ["redacted", "metadata"])
@pytest.mark.parametrize("count", [1, 5, 6, 300])
def test_unless_everything_may_be_told_no_path_and_no_name_is(mode, count):
    one = Webhook(webhook_place("http://h/"), mode, lambda: NOW, "laptop")
    text = json.dumps(message := one.message(notice(count=count)))
    assert "/home" not in text
    assert "laptop" not in text
    assert message["workspaces"][0] == {"hash": "hash1"}
    assert message["count"] == count
    assert len(message["workspaces"]) == len(message["ids"]) == min(count, 100)
    assert message["words"] == RULES[DATABASE].meaning + (f" ({count} times)" if count > 5 else "")


def test_hostile_words_are_cut_and_are_json():
    one = Webhook(webhook_place("http://h/"), "full", lambda: NOW, "laptop")
    evil = Notice(RAISED, (Episode(DATABASE, NOW, "\x1b[2J\u202e\udcff" + "x" * 100_000, True, 1),))
    text = json.dumps(one.message(evil)).encode()
    assert len(text) < 10_000
    assert json.loads(text)["words"].startswith("\x1b[2J\u202e")
    assert json.loads(text)["workspaces"] == []


# -- Where to ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "shown"),
    [
        ("http://h/a/secret?b=c", "h", 80, "/a/secret?b=c", "http://h/***"),
        ("https://h", "h", 443, "/", "https://h"),
        ("https://[::1]:8/x", "::1", 8, "/x", "https://[::1]:8/***"),
    ],
)
def test_the_path_of_a_webhook_is_a_secret(url, host, port, path, shown):
    place = webhook_place(url)
    assert (place.host, place.port, place.path, str(place)) == (host, port, path, shown)
    assert "secret" not in repr(place)


def test_a_user_in_the_url_is_sent_as_he_would_be_by_a_browser():
    place = webhook_place("https://me:a%40b@h:1/x")
    assert (place.host, place.port, place.path) == ("h", 1, "/x")
    assert dict(place.headers)["Authorization"] == "Basic bWU6YUBi"
    assert dict(webhook_place("https://me@h").headers)["Authorization"] == "Basic bWU6"
    assert "bWU6" not in f"{place!r} {place}"


@pytest.mark.parametrize(
    "url", ["http://h:99999/secret", "http://h\u00f6st/secret", "http://h/a secret", "http://[secret"]
)
def test_what_cannot_be_one_is_refused_without_being_quoted(url):
    with pytest.raises(ConfigError, match=r"^alarms\.webhook must be") as refused:
        webhook_place(url)
    assert "secret" not in str(refused.value)


def test_none_is_opened_unless_it_is_asked_for():
    assert open_webhook(Config(), lambda: NOW) is None
    plain = open_webhook(Config(alarms=AlarmsConfig(webhook="http://h/x")), lambda: NOW)
    assert (plain.tls, plain.mode) == (None, "full")
    encrypted = open_webhook(Config(alarms=AlarmsConfig(webhook="https://h/x")), lambda: NOW)
    assert encrypted.tls.verify_mode == ssl.CERT_REQUIRED
    assert encrypted.tls.check_hostname


@within(30)
async def test_over_tls_to_whom_it_is_meant_for_and_to_nobody_else(nursery, logged):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with Hook().listening(context) as hook:
        place = webhook_place(f"https://127.0.0.1:{hook.port}/x")
        stranger = Webhook(place, "full", lambda: NOW, "h", ssl.create_default_context())
        nursery.start_soon(stranger.run)
        stranger.tell([notice()])
        await until(lambda: "alarms cannot be posted; they are still written here" in logged())
        one = Webhook(place, "full", lambda: NOW, "h", trusting)
        nursery.start_soon(one.run)
        one.tell([notice(2)])
        await until(lambda: hook.requests)
        assert [posted["ids"] for posted in hook.posted] == [[f"{one.run_id}-2"]]
        nursery.cancel_scope.cancel()


# -- When nobody takes it ------------------------------------------------------------------------------


@within(30)
async def test_it_is_posted_again_until_it_is_taken_and_that_is_said_once(hook, nursery, logged):
    hook.script.extend([(503, {}), (500, {}), (429, {"Retry-After": "0"}), (204, {}), (502, {})])
    one = poster(hook)
    nursery.start_soon(one.run)
    one.tell([notice(1), notice(2)])
    await until(lambda: len(hook.requests) == 6)
    await until(lambda: logged().count("alarms are posted again") == 2)
    assert [posted["ids"] for posted in hook.posted] == [["run-1"]] * 4 + [["run-2"]] * 2
    assert logged().count("alarms cannot be posted; they are still written here") == 2
    nursery.cancel_scope.cancel()


@within(30)
async def test_one_that_is_refused_is_given_up_and_no_redirect_is_followed(hook, nursery, caplog):
    caplog.set_level("INFO", logger="trio_cursor")
    hook.script.extend([(302, {"Location": f"http://127.0.0.1:{hook.port}/elsewhere"}), (404, {}), (204, {})])
    one = poster(hook)
    nursery.start_soon(one.run)
    one.tell([notice(1), notice(2), notice(3)])
    await until(lambda: [record for record in caplog.records if record.message == "alarms are posted again"])
    assert [path for path, _, _ in hook.requests] == ["/secret"] * 3
    [failed, again] = caplog.records
    # Where to, without the path: whoever knows that may post there.
    where = f"http://127.0.0.1:{hook.port}"
    said = f"{where}/***: HTTP 302, a redirect to {where}, which is not followed"
    assert (failed.levelname, failed.why) == ("WARNING", said)
    assert again.lost == 2
    # Over, and not forgotten.
    assert one.status() == WebhookStatus(None, 2)
    nursery.cancel_scope.cancel()


@within(30)
async def test_whoever_is_not_there_or_does_not_answer_is_waited_for(hook, nursery, logged, monkeypatch):
    monkeypatch.setattr(webhook, "SECONDS", 0.2)
    hook.script.append(None)
    one = poster(hook)
    nursery.start_soon(one.run)
    one.tell([notice()])
    await until(lambda: len(hook.requests) == 2)
    assert "alarms cannot be posted; they are still written here" in logged()
    nursery.cancel_scope.cancel()


@within(30)
async def test_what_nobody_takes_does_not_pile_up(nursery, logged):
    hook = Hook()
    with hook.listening():
        pass
    one = poster(hook)
    for number in range(1000):
        one.tell([notice(number)])
    nursery.start_soon(one.run)
    await until(lambda: "alarms cannot be posted; they are still written here" in logged())
    assert one.status().lost >= 900
    assert one.status().last_error.startswith(f"http://127.0.0.1:{hook.port}/***: ")
    with hook.listening():
        await until(lambda: len(hook.requests) == 100)
        assert [posted["ids"] for posted in hook.posted] == [[f"run-{number}"] for number in range(900, 1000)]
    nursery.cancel_scope.cancel()


@within(30)
async def test_a_mistake_of_ours_costs_one_alarm_and_not_the_service(hook, nursery, logged):
    one = poster(hook)
    right, one.place = one.place, attrs.evolve(one.place, path="not a path")
    nursery.start_soon(one.run)
    one.tell([notice()])
    await until(lambda: "an alarm could not be posted and is given up" in logged())
    assert one.status().lost == 1
    one.place = right
    one.tell([notice(2)])
    await until(lambda: hook.requests)
    assert [posted["ids"] for posted in hook.posted] == [["run-2"]]
    nursery.cancel_scope.cancel()


# -- Whoever misbehaves --------------------------------------------------------------------------------


async def drips(stream):
    """One byte now and then, for ever."""
    for byte in itertools.cycle(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 1000):
        await stream.send_all(bytes((byte,)))
        await trio.sleep(0.05)


async def drips_its_body(stream):
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while True:
        await stream.send_all(b"x")
        await trio.sleep(0.05)


async def says_to_go_on(stream):
    while True:
        await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        await trio.sleep(0.01)


async def says_nothing(_):
    await trio.sleep_forever()


async def has_no_end_of_headers(stream):
    await stream.send_all(b"HTTP/1.1 500 no\r\n")
    while True:
        await stream.send_all(b"X: " + b"a" * 60_000 + b"\r\n")


async def has_no_end_of_its_refusal(stream):
    await stream.send_all(b"HTTP/1.1 503 no\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await stream.send_all(b"10000\r\n" + b"a" * 0x10000 + b"\r\n")


async def leads_elsewhere(stream):
    await stream.send_all(b"HTTP/1.1 503 no\r\nLocation: http://169.254.0.1/\r\nContent-Length: 0\r\n\r\n")


async def hangs_up_in_its_answer(stream):
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    # A reset, not an end.
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def talks_nonsense(stream):
    await stream.send_all(b"\x16\x03\x01 not http at all\r\n\r\n")


MISBEHAVIOURS = [
    drips,
    drips_its_body,
    says_to_go_on,
    says_nothing,
    has_no_end_of_headers,
    has_no_end_of_its_refusal,
    leads_elsewhere,
    hangs_up_in_its_answer,
    talks_nonsense,
]


@attrs.define(eq=False)
class Strange:
    """A server that answers as it likes, until it is told to be good; whoever hangs up is nothing to it."""

    misbehave: object
    is_good: bool = False
    connections: int = 0
    taken: list = attrs.field(factory=list)

    async def serve(self, stream):
        self.connections += 1
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            request = b""
            while b"}" not in request.partition(b"\r\n\r\n")[2]:
                request += bytes(await stream.receive_some())
            if not self.is_good:
                await self.misbehave(stream)
                return
            self.taken.append(request)
            await stream.send_all(b"HTTP/1.1 204 ok\r\n\r\n")


@within(30)
@pytest.mark.parametrize("misbehave", MISBEHAVIOURS)
async def test_whoever_misbehaves_is_left_in_time_and_asked_again(nursery, monkeypatch, misbehave):
    monkeypatch.setattr(webhook, "SECONDS", 0.3)
    strange = Strange(misbehave)
    serve = partial(trio.serve_tcp, strange.serve, 0, host="127.0.0.1")
    [listener] = await nursery.start(serve)
    one = poster(SimpleNamespace(port=listener.socket.getsockname()[1]))
    nursery.start_soon(one.run)
    one.tell([notice()])
    await until(lambda: strange.connections >= 3)
    why = one.status().last_error
    assert why
    if misbehave is has_no_end_of_its_refusal:
        # Enough is enough: not once the time is over.
        assert why.endswith("HTTP 503")
    strange.is_good = True
    await until(lambda: strange.taken)
    assert b"run-1" in strange.taken[0]
    await until(lambda: one.status() == WebhookStatus(None, 0))
    nursery.cancel_scope.cancel()


@within(30)
@pytest.mark.parametrize("misbehave", MISBEHAVIOURS)
async def test_whoever_misbehaves_holds_up_neither_the_service_nor_its_end(
    nursery, tmp_path, monkeypatch, misbehave
):
    # Nothing here waits for a deadline: each post has an hour.
    monkeypatch.setattr(webhook, "SECONDS", 3600.0)
    monkeypatch.setattr(alarming, "LOOK_SECONDS", 0.02)
    strange = Strange(misbehave)
    serve = partial(trio.serve_tcp, strange.serve, 0, host="127.0.0.1")
    [listener] = await nursery.start(serve)
    hook = SimpleNamespace(port=listener.socket.getsockname()[1])
    ring = [cursor_files.ring_item(number, type="cmdk") for number in range(100)]
    database = cursor_files.make_workspace(tmp_path / "User", "w1", ring)
    async with running_service(config_of(tmp_path, hook)) as handle:
        await handle.synced()
        later = [cursor_files.ring_item(number, type="cmdk") for number in range(500, 600)]
        cursor_files.write_ring(database, later)
        await until(lambda: strange.connections)
        cursor_files.write_ring(database, [*later[1:], cursor_files.ring_item(600, type="cmdk")])
        await until(lambda: handle.status().generations == 201)
        assert handle.status().webhook.lost == 0
    assert strange.taken == []
    nursery.cancel_scope.cancel()


# -- In a service --------------------------------------------------------------------------------------


def config_of(tmp_path, hook, **more):
    return Config(
        cursor=CursorConfig(dirs=(str(tmp_path / "User"),)),
        state=StateConfig(dir=str(tmp_path / "state")),
        sessions=SessionsConfig(mode="discovery"),
        cursor_database_monitor=MONITOR,
        http=HttpConfig(listen="127.0.0.1:0"),
        alarms=AlarmsConfig(webhook=f"http://127.0.0.1:{hook.port}/secret"),
        **more,
    )


@within(60)
async def test_what_a_webhook_has_lost_is_seen_everywhere(hook, tmp_path, monkeypatch):
    monkeypatch.setattr(alarming, "LOOK_SECONDS", 0.02)
    hook.script.append((404, {}))
    database = cursor_files.make_workspace(tmp_path / "User", "w1", [])
    config = config_of(tmp_path, hook)
    async with running_service(config) as handle:
        await handle.synced()
        assert handle.status().webhook == WebhookStatus(None, 0)
        assert (await scrape(handle)).value("trio_cursor_alarms_lost_total") == 0
        for first in (0, 500):
            ring = [cursor_files.ring_item(number, type="cmdk") for number in range(first, first + 100)]
            cursor_files.write_ring(database, ring)
            await until(lambda wanted=first: handle.status().generations >= 100 + wanted / 5)
        await until(lambda: handle.status().webhook.lost)
        said = handle.status().to_object()["webhook"]
        assert said == {"last_error": f"http://127.0.0.1:{hook.port}/***: HTTP 404", "lost": 1}
        assert (await scrape(handle)).value("trio_cursor_alarms_lost_total") == 1
    async with running_service(attrs.evolve(config, alarms=AlarmsConfig())) as handle:
        await handle.synced()
        assert handle.status().webhook is None
        names = {sample.name for sample in (await scrape(handle)).samples}
        assert "trio_cursor_alarms_active" in names
        assert "trio_cursor_alarms_lost_total" not in names


@within(60)
@pytest.mark.parametrize("mode", ["full", "metadata"])
async def test_a_gap_is_an_alarm_everywhere(hook, tmp_path, monkeypatch, caplog, mode):
    caplog.set_level("INFO", logger="trio_cursor.alarming")
    monkeypatch.setattr(alarming, "LOOK_SECONDS", 0.02)
    database = cursor_files.make_workspace(
        tmp_path / "User", "w1", [cursor_files.ring_item(number, type="cmdk") for number in range(100)]
    )
    async with running_service(config_of(tmp_path, hook, privacy=PrivacyConfig(mode=mode))) as handle:
        await handle.synced()
        assert handle.status().episodes == ()
        cursor_files.write_ring(
            database, [cursor_files.ring_item(number, type="cmdk") for number in range(500, 600)]
        )
        await until(lambda: hook.requests)
        [episode] = handle.status().episodes
        assert (episode.kind, episode.is_present) == ("gap", True)
        assert handle.status().alarms == (episode.words,)
        page = await scrape(handle)
        assert page.by("trio_cursor_alarms_active", "kind") == {"gap": 1}
        assert page.value("trio_cursor_alarms_active", kind="log") == 0
        # What is lost is lost: it keeps nobody from working.
        host, _, port = handle.status().http.address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            assert (await Client(stream).ask("GET", "/readyz")).status == 200
        await trio.sleep(0.2)
    [posted] = hook.posted
    assert (posted["kind"], posted["state"]) == ("gap", "raised")
    assert (posted["words"] == episode.words) == (mode == "full")
    assert str(tmp_path) not in json.dumps(posted)
    [line] = [record for record in caplog.records if record.name == "trio_cursor.alarming"]
    assert (line.levelname, line.kind, line.why) == ("ERROR", "gap", episode.words)
