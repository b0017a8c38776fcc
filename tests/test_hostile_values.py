"""Hostile values in the running service: what can be read is reported once, what cannot is said in a word.

In both journal modes, with a neighbour that nothing may hurt, and with an output that encodes all of it.
As in `test_files_that_change`, the full check is far away: what is mended is seen to be.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager

import attrs
import chats
import cursor_files
import pytest
import scans
import trio
from cursor_files import RING_KEY, SET_ITEM, new_id, ring_item
from deadlines import until, within
from living_owner import LivingOwner
from serving import by_id, id_of, running_service

from trio_cursor.config import (
    AssemblyConfig,
    Config,
    CursorConfig,
    DatabaseMonitorConfig,
    HttpConfig,
    JsonLinesConfig,
    OutputsConfig,
    StateConfig,
)

both_modes = pytest.mark.parametrize("mode", ["delete", "wal"])
SOON = 10
TABLE = 'CREATE TABLE "aiService.generations" (uuid TEXT, data_version INTEGER, value TEXT, timestamp)'


@pytest.fixture
def config(user_dir, tmp_path):
    return Config(
        http=HttpConfig(listen="off"),
        cursor=CursorConfig(dirs=(str(user_dir),)),
        state=StateConfig(dir=str(tmp_path / "state")),
        assembly=AssemblyConfig(
            ring_grace_seconds=0.1, conversation_wait_seconds=0.2, settle_timeout_seconds=0.5
        ),
        outputs=OutputsConfig(json_lines=JsonLinesConfig(path=str(tmp_path / "lines"))),
        cursor_database_monitor=DatabaseMonitorConfig(
            probe_interval_seconds=0.05, retry_backoff_seconds=0.1, sync_window_hours=876_000
        ),
    )


@attrs.define(eq=False)
class World:
    """The service and what it has reported."""

    handle: object
    received: Counter = attrs.field(factory=Counter)
    events: dict = attrs.field(factory=dict)

    async def collect(self):
        async with self.handle.subscribe() as events:
            async for event in events:
                self.received[event.generation_id] += 1
                self.events[event.generation_id] = event

    async def has(self, *ids):
        """The event of the last one, once all of them are there; none comes twice."""
        await until(lambda: set(ids) <= self.received.keys(), SOON)
        assert set(self.received.values()) == {1}
        return self.events[ids[-1]]

    async def says(self, words, name="w1"):
        state = await until(lambda: self._troubled(words, name), SOON)
        assert any(f"{name}:" in alarm for alarm in self.handle.status().alarms)
        return state

    def _troubled(self, words, name):
        state = by_id(self.handle).get(name)
        return state if state and state.status == "error" and words in state.last_error else None

    async def is_well(self, name="w1"):
        await until(lambda: by_id(self.handle)[name].status == "synced", SOON)


@pytest.fixture
def world_of(config, user_dir, tmp_path):
    """Makes a world whose neighbour is read to the end, and of which every line can be parsed."""

    @asynccontextmanager
    async def make(mode, name="w1"):
        folder = user_dir / "workspaceStorage" / name if name else user_dir / "globalStorage"
        with (
            LivingOwner(user_dir / "workspaceStorage" / "near" / "state.vscdb", mode) as near,
            LivingOwner(folder / "state.vscdb", mode) as owner,
        ):
            async with running_service(config) as handle, trio.open_nursery() as nursery:
                world = World(handle)
                nursery.start_soon(world.collect)
                near.set_ring([first := ring_item()])
                await world.has(id_of(first))
                yield world, owner
                near.set_ring([first, second := ring_item()])
                await world.has(id_of(second))
                assert by_id(handle)["near"].errors == 0
                await until(lambda: not any(output.lag for output in handle.status().outputs))
                nursery.cancel_scope.cancel()
        written = (tmp_path / "lines").read_bytes().splitlines()
        lines = [json.loads(line, parse_constant=refuse) for line in written]
        assert len(lines) == len(world.received)

    return make


def refuse(constant):
    raise AssertionError(constant)


def as_text(content):
    """SQL for a TEXT of any bytes."""
    return f"CAST(x'{content.hex()}' AS TEXT)"


def with_text(field, text, head=b"{"):
    """A JSON object with an odd text in it, as bytes."""
    return head + b'"%s": ' % field.encode() + text.replace(b"FIELD", field.encode()) + b"}"


def put(owner, sql, key=RING_KEY, table="ItemTable"):
    owner.execute(f"INSERT INTO {table} VALUES (?, {sql})", (key,))


#: What no ring can be: SQL of the value, and the word for it.
REFUSED = {
    "40 MB": ("'[\"' || hex(zeroblob(20000000)) || '\"]'", "more than"),
    "40 MB in a BLOB": ("CAST('[\"' || hex(zeroblob(20000000)) || '\"]' AS BLOB)", "more than"),
    "100,000 deep": (as_text(b"[" * 100_000), "nested too deeply"),
    "100,000 deep and closed": (as_text(b"[" * 100_000 + b"]" * 100_000), "nested too deeply"),
    "objects 100,000 deep": (as_text(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "nested too deeply"),
    "5,000 digits": (as_text(b'[{"unixMs": ' + b"9" * 5000 + b"}]"), "too many digits"),
    "NaN": (as_text(b'[{"unixMs": NaN}]'), "NaN"),
    "-Infinity": (as_text(b'[{"unixMs": -Infinity}]'), "Infinity"),
    "1e400": (as_text(b'[{"unixMs": 1e400}]'), "beyond all bounds"),
    "NULL": ("NULL", "NULL"),
    "an integer": ("7", "number"),
    "a real": ("7.5", "number"),
    "no text": ("''", "not JSON"),
    "zero bytes": (as_text(bytes(1000)), "not JSON"),
    "half": (as_text(b'[{"generationUUID": "a'), "not JSON"),
    "UTF-16": (as_text("[]".encode("utf-16")), "not JSON"),
    "an object": ("'{}'", "not a list"),
    "a text": ("'\"[]\"'", "not a list"),
}


@both_modes
@within(60)
async def test_rings_that_cannot_be_are_refused_in_a_word_and_read_when_they_are_mended(world_of, mode):
    async with world_of(mode) as (world, owner):
        ring = [ring_item()]
        owner.set_ring(ring)
        await world.has(id_of(ring[0]))
        for value, words in REFUSED.values():
            put(owner, value)
            await world.says(words)
            ring.append(ring_item(len(ring)))
            owner.set_ring(ring)
            await world.has(id_of(ring[-1]))
            await world.is_well()
        assert world.handle.status().gaps == 0
        assert world.handle.status().alarms == ()


#: Values that are only odd: JSON of a text and of what follows it, and what becomes of the text.
ODD = {
    "invalid UTF-8": (b'"caf\xe9 \xff\xfe \xed\xa0\x80"', "caf\ufffd \ufffd\ufffd \ufffd\ufffd\ufffd"),
    "cut in a character": (b'"caf\xc3"', "caf\ufffd"),
    "lone surrogates": (rb'"a\ud800b\udfffc"', "a\ufffdb\ufffdc"),
    "a pair the wrong way round": (rb'"\udc00\ud83d"', "\ufffd\ufffd"),
    "a pair": (rb'"\ud83d\ude00"', "\U0001f600"),
    "control characters": (rb'"a\u0000b\u001b[2Jc"', "a\0b\x1b[2Jc"),
    "a list where text belongs": (b'["a"]', None),
    "a number where text belongs": (b"1", None),
    "deep where nothing is looked for": (b'"x", "other": ' + b"[" * 150 + b"]" * 150, "x"),
    "duplicate keys": (b'"first", "FIELD": "last"', "last"),
    "twice the same key and once nothing": (b'"first", "FIELD": null', None),
}


@both_modes
@pytest.mark.parametrize("form", ["TEXT", "BLOB"])
@within(60)
async def test_odd_values_in_a_ring_cost_neither_the_entry_nor_its_neighbours(world_of, mode, form):
    async with world_of(mode) as (world, owner):
        ring, expected = [], {}
        for number, (text, becomes) in enumerate(ODD.values()):
            id_ = new_id()
            expected[id_] = becomes
            head = b'{"unixMs": %d, "generationUUID": "%s", "type": "cmdk", ' % (
                cursor_files.NOON_MS + number,
                id_.encode(),
            )
            ring.append(with_text("textDescription", text, head))
            put(owner, f"CAST(x'{(b'[' + b','.join(ring) + b']').hex()}' AS {form})")
            event = await world.has(id_)
            assert event.payload["prompt_text"] == becomes
        await world.is_well()
        await world.has(*expected)


@both_modes
@within(60)
async def test_a_ring_of_five_megabytes_is_read_again_and_again(world_of, mode):
    async with world_of(mode) as (world, owner):
        ring = [ring_item(number, textDescription="x" * 50_000) for number in range(100)]
        ring[7]["textDescription"] = "x" * 1_100_000
        owner.set_ring(ring[:60])  # full at once, it would have a gap before it
        for _ in range(3):
            await world.has(*map(id_of, ring[:60]))
            owner.set_ring(ring)
            await world.has(*map(id_of, ring))
            ring = [*ring[1:], ring_item(1000, textDescription="y" * 50_000)]
        await world.is_well()
        assert by_id(world.handle)["w1"].entries == {"ring": 100}
        (cut,) = [event for event in world.events.values() if event.payload.get("truncated")]
        assert "prompt_text" in cut.payload["truncated"]
        assert world.handle.status().gaps == 0


@both_modes
@within(60)
async def test_rows_of_a_table_are_generations_whatever_their_value_is(world_of, mode):
    async with world_of(mode) as (world, owner):
        owner.execute(TABLE)
        insert = 'INSERT INTO "aiService.generations" VALUES (?, 1, {}, ?)'
        values = {name: value for name, (value, _) in REFUSED.items()}
        values |= {name: as_text(with_text("responseText", text)) for name, (text, _) in ODD.items()}
        values["a BLOB"] = 'CAST(\'{"responseText": "said"}\' AS BLOB)'
        ids = {name: new_id() for name in values}
        for name, value in values.items():
            owner.execute(insert.format(value), (ids[name], cursor_files.NOON_MS))
        owner.execute(insert.format("'{}'"), (last := new_id(), "9" * 5000))
        await world.has(*ids.values(), last)
        said = {name: world.events[id_].payload["response_text"] for name, id_ in ids.items()}
        assert {name: said[name] for name in ODD} == {name: text for name, (_, text) in ODD.items()}
        assert said["a BLOB"] == "said"
        assert {said[name] for name in REFUSED} == {None}
        # Ids that are none are counted, and what comes after them is read.
        for id_ in ("NULL", "''", "x'ff00'", "'a\nb'", "hex(zeroblob(1000))", "7"):
            owner.execute(f"INSERT INTO \"aiService.generations\" VALUES ({id_}, 1, '{{}}', 1)")
        owner.execute(insert.format("'{}'"), (after := new_id(), None))
        await world.has(after)
        await until(lambda: sum(by_id(world.handle)["w1"].skipped.values()) >= 5)
        await world.is_well()


@both_modes
@within(60)
async def test_conversations_with_hostile_bubbles_and_documents(world_of, mode):
    async with world_of(mode, None) as (world, owner):
        owner.execute(chats.KV)
        turns = {}
        for number, (name, value) in enumerate(
            [(name, value) for name, (value, _) in REFUSED.items()]
            + [(name, as_text(with_text("text", text, b'{"type": 2, '))) for name, (text, _) in ODD.items()]
        ):
            chat = chats.Chat(owner, scans.uuid(1000 + number))
            turns[name] = scans.uuid(number)
            chat.add(chats.USER, "why?", requestId=turns[name])
            answer = chat.add(chats.ASSISTANT, "because")
            chat.write_bubble("b0")
            put(owner, value, chat.key(answer), "cursorDiskKV")
            chat.write_document()
            # A document that is the same.
            put(owner, value, f"composerData:{scans.uuid(2000 + number)}", "cursorDiskKV")
        well = chats.Chat(owner, scans.uuid(3000)).turn(900).write()
        event = await world.has(scans.uuid(900))
        assert event.payload["response_text"] == "answer 900"
        await world.has(*turns.values())
        said = {name: world.events[id_].payload["response_text"] for name, id_ in turns.items()}
        assert {name: said[name] for name in ODD} == {name: text for name, (_, text) in ODD.items()}
        assert {said[name] for name in REFUSED} == {None}
        well.turn(901).write()
        await world.has(scans.uuid(901))
        await world.is_well(None)


@both_modes
@within(60)
async def test_keys_that_are_no_text(world_of, mode):
    async with world_of(mode) as (world, owner):
        for key in ("NULL", f"x'{RING_KEY.encode().hex()}'", "7", "CAST(x'ff' AS TEXT)"):
            owner.execute(f"INSERT INTO ItemTable VALUES ({key}, '[]')")
        owner.execute(SET_ITEM, (RING_KEY, json.dumps([item := ring_item()])))
        await world.has(id_of(item))
        await world.is_well()
