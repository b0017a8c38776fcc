"""What a body says, without a server; and how posts reach the desk, in virtual time."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing
from http_client import HASH, FakeDesk, start

from trio_cursor.cursor.folders import LONGEST_URI
from trio_cursor.states import SourceState
from trio_cursor.web.intake import BATCH_LIMIT, Intake, UnusableError, read_body

HEARD_MS = 1_800_000_000_000


def read(content):
    return read_body(content if isinstance(content, bytes) else json.dumps(content).encode(), HEARD_MS)


def test_one_event_is_one_announcement():
    posted = read(start())
    (heard,) = posted.heard
    assert posted.ignored == 0
    assert (heard.is_start, heard.session_id, heard.workspace_hash) == (True, "s1", HASH)
    assert (heard.source, heard.heard_ms, heard.said_ms) == ("http", HEARD_MS, 1_793_527_200_000)
    assert heard.workspace_path == "/home/demo/w1"


@pytest.mark.parametrize("place", ["item", "event", "payload", "metadata"])
def test_the_session_id_may_stand_anywhere(place):
    item = start(session_id=None)
    event = item["event"]
    {"item": item, "event": event, "payload": event["payload"], "metadata": event["metadata"]}[place][
        "session_id"
    ] = "here"
    assert read(item).heard[0].session_id == "here"


def test_a_list_is_a_batch_in_its_order():
    posted = read(
        [start("a"), start("a", event_type="session_end"), start("b", event_type="hook"), start("b")]
    )
    assert [(item.session_id, item.is_start) for item in posted.heard] == [
        ("a", True),
        ("a", False),
        ("b", True),
    ]
    assert posted.ignored == 1
    assert read([]) == read([])  # nothing is nothing wrong


def test_what_is_not_about_cursor_is_ignored():
    assert read({**start(), "platform": "another_editor"}).ignored == 1
    assert read({**start(), "platform": "Cursor"}).ignored == 0
    assert read({**start(), "platform": None}).ignored == 0


def test_an_event_without_payload_and_metadata_is_well_formed():
    assert read({"event": {"event_type": "heartbeat"}}).ignored == 1


BAD = {
    "a number": (3, "it is not an object"),
    "no event": ({}, "event is not an object"),
    "an event in a text": ({"event": "{}"}, "event is not an object"),
    "no type": (start(event_type=None), "event.event_type is not a text"),
    "an empty type": (start(event_type=""), "event.event_type is not a text"),
    "a type of another type": (start(event_type=["session_start"]), "event.event_type is not a text"),
    "payload as text": (start(payload="{}"), "event.payload is not an object"),
    "metadata as a list": (start(metadata=[]), "event.metadata is not an object"),
    "a platform that is none": ({**start(), "platform": 1}, "platform is not a text"),
    "no hash": (start(hash_=None), "no workspace_hash"),
    "a path as a hash": (start(hash_="../../etc"), "workspace_hash is not 16 to 64 hex digits"),
    "no id": (start(session_id=""), "no session_id"),
    "an id with a line break": (start(session_id="a\nb"), "session_id is not usable"),
    "an endless path": (
        start(payload={"workspace_path": "/" * (LONGEST_URI + 1)}),
        "workspace_path is longer than",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_said(name):
    item, reason = BAD[name]
    with pytest.raises(UnusableError, match=f"^{reason}") as caught:
        read(item)
    assert caught.value.index is None
    with pytest.raises(UnusableError, match=f"^{reason}") as caught:
        read([start(), item])
    assert caught.value.index == 1


BOMBS = {
    "nothing": (b"", "the body is not JSON"),
    "not JSON": (b"{", "the body is not JSON"),
    "a deep one": (b"[" * 40_000, "the body is not JSON"),
    "a closed deep one": (b"[" * 500 + b"]" * 500, "the body is not JSON"),
    "many digits": (b"[" + b"9" * 5000 + b"]", "the body is not JSON"),
    "not a number": (b'{"event": NaN}', "the body is not JSON"),
    "beyond all bounds": (b"[1e999]", "the body is not JSON"),
    "not UTF-8": (json.dumps(start()).encode().replace(b"w1", b"\xff\xfe"), "the body is not UTF-8"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_not_go_off(name):
    body, reason = BOMBS[name]
    with pytest.raises(UnusableError) as caught:
        read(body)
    assert caught.value.reason == reason
    assert str(caught.value) != reason  # it says more


@pytest.mark.parametrize("bracket", [b"[],", b"{},"])
def test_a_body_of_brackets_is_not_gone_through(bracket):
    with pytest.raises(UnusableError, match="brackets"):
        read(b"[" + bracket * 50_000 + b"0]")


def test_a_batch_has_a_bound():
    assert len(read([start()] * BATCH_LIMIT).heard) == BATCH_LIMIT
    with pytest.raises(UnusableError, match="more than 1,000 items"):
        read([start()] * (BATCH_LIMIT + 1))


def announcements(*ids):
    return read([start(id_) for id_ in ids]).heard


@pytest.fixture
def desk():
    return FakeDesk()


@pytest.fixture
def intake(desk, nursery):
    intake = Intake(desk, SourceState("http"), patience=5)
    nursery.start_soon(intake.run)
    return intake


async def test_nothing_waits_for_nothing(intake, desk):
    assert await intake.take(())
    assert desk.calls == 0


async def test_posts_that_come_meanwhile_are_stored_together_in_their_order(
    intake, desk, nursery, autojump_clock
):
    desk.gate = trio.Event()
    stored = []

    async def post(id_):
        if await intake.take(announcements(id_)):
            stored.append(id_)

    for id_ in "abcde":
        nursery.start_soon(post, id_)
        await trio.testing.wait_all_tasks_blocked()
    assert stored == []  # not before the desk says so
    desk.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert desk.ids == sorted(stored) == list("abcde")
    assert desk.calls == 2
    assert intake.source.taken == 5


async def test_a_transaction_has_a_bound(intake, desk, nursery, autojump_clock):
    desk.gate = trio.Event()
    for _ in range(4):
        nursery.start_soon(intake.take, announcements(*"x" * 600))
        await trio.testing.wait_all_tasks_blocked()
    desk.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert len(desk.heard) == 2400
    assert desk.calls == 3  # one, two of six hundred, one


async def test_what_the_desk_had_in_hand_is_stored_later_and_the_rest_forgotten(
    intake, desk, nursery, autojump_clock
):
    desk.gate = trio.Event()
    said = []

    async def post(id_):
        said.append(await intake.take(announcements(id_)))

    for id_ in "ab":
        nursery.start_soon(post, id_)
        await trio.testing.wait_all_tasks_blocked()
    await trio.sleep(6)
    assert said == [False, False]
    desk.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert desk.ids == ["a"]
    assert await intake.take(announcements("b"))
    assert desk.ids == ["a", "b"]
    assert intake.source.taken == 2


async def test_more_than_can_wait_are_told_so(intake, desk, nursery, autojump_clock):
    desk.gate = trio.Event()
    said = []

    async def post(number):
        said.append(await intake.take(announcements(f"s{number}")))

    for number in range(300):
        nursery.start_soon(post, number)
    await trio.sleep(4)
    desk.gate.set()
    await trio.sleep(2)
    assert said.count(True) == len(desk.heard) == len(set(desk.ids)) == 300


def test_each_reason_is_counted_and_logged_once(logged, desk):
    intake = Intake(desk, SourceState("http"), patience=5)
    for _ in range(3):
        intake.refused("no session_id")
    intake.refused("no workspace_hash")
    assert intake.source.skipped == {"no session_id": 3, "no workspace_hash": 1}
    assert len(logged()) == 2
