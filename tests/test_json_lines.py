"""JSON lines: each event once in the file, whatever happens to us, to the file or to the disk."""

from __future__ import annotations

import json
import os
import stat
import sys
import tracemalloc
from pathlib import Path

import attrs
import log_events
import pytest
import trio
from log_events import event

from trio_cursor.eventlog import open_event_log
from trio_cursor.events import to_json
from trio_cursor.outputs import json_lines
from trio_cursor.outputs.follower import OutputClosedError, OutputError, follow
from trio_cursor.outputs.json_lines import JsonLinesFile, JsonLinesStream, open_json_lines
from trio_cursor.states import OutputState

PATIENCE = 30


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def numbers(path):
    return [
        int(json.loads(line)["payload"]["generation_id"][:8], 16) for line in path.read_bytes().splitlines()
    ]


def published(number):
    return attrs.evolve(event(number), sequence=number)


async def write(path, *wanted, detail=""):
    """A run that takes up what the last one stored, and writes these events."""
    output = JsonLinesFile(path)
    await output.resume(0, detail)
    return await output.write([event(number) for number in wanted])


async def test_a_line_is_the_event_as_one_object(path):
    await write(path, 1)
    assert path.read_text() == to_json(event(1)) + "\n"


async def test_a_run_goes_on_where_the_last_one_ended(path):
    detail = await write(path, 1, 2)
    await write(path, 3, detail=detail)
    assert numbers(path) == [1, 2, 3]


@pytest.mark.parametrize(
    "stored", ["not JSON", "[1]", '{"size": "x"}', '{"size": 5}', '{"size": 1e999}', "[" * 100_000]
)
async def test_what_was_stored_otherwise_doubles_no_line(path, stored):
    await write(path, 1, 2)
    await write(path, 1, 2, 3, detail=stored)
    assert numbers(path) == [1, 2, 3]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
async def test_the_file_is_private_whatever_the_umask_says(path):
    before = os.umask(0)
    try:
        await write(path, 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestKilledBetweenTheWriteAndTheCursor:
    """What stands behind the cursor's part of the file counts as delivered."""

    async def test_before_the_first_cursor(self, path):
        await write(path, 1, 2)
        await write(path, 1, 2, 3)
        assert numbers(path) == [1, 2, 3]

    async def test_later(self, path):
        detail = await write(path, 1)
        await write(path, 2, 3, detail=detail)
        await write(path, 2, 3, 4, detail=detail)
        assert numbers(path) == [1, 2, 3, 4]

    async def test_even_if_the_events_now_come_in_smaller_batches(self, path):
        await write(path, 1, 2, 3)
        output = JsonLinesFile(path)
        await output.resume(0, "")
        for number in (1, 2, 3, 4):
            await output.write([event(number)])
        assert numbers(path) == [1, 2, 3, 4]

    @pytest.mark.parametrize("cut", [1, 10, 50, 11])
    async def test_a_torn_last_line_is_cut_off_and_written_again(self, path, cut):
        detail = await write(path, 1)
        await write(path, 2, 3, detail=detail)
        content = path.read_bytes()
        path.write_bytes(content[:-cut])
        await write(path, 2, 3, 4, detail=detail)
        assert numbers(path) == [1, 2, 3, 4]

    async def test_torn_within_the_first_bytes_of_a_line(self, path):
        detail = await write(path, 1)
        whole = path.read_bytes()
        path.write_bytes(whole + b'{"ver')
        await write(path, 2, detail=detail)
        assert numbers(path) == [1, 2]

    async def test_after_the_file_was_rotated(self, path):
        detail = await write(path, 1)
        path.rename(path.with_suffix(".old"))
        await write(path, 2, detail=detail)
        await write(path, 2, 3, detail=detail)
        assert numbers(path) == [2, 3]

    async def test_after_the_file_was_emptied_in_place(self, path):
        detail = await write(path, 1, 2, 3)
        os.truncate(path, 0)
        await write(path, 4, detail=detail)
        await write(path, 4, 5, detail=detail)
        assert numbers(path) == [4, 5]

    async def test_after_another_file_got_larger_than_the_old_one(self, path):
        """The new one may even have the old one's inode."""
        detail = await write(path, 1)
        os.truncate(path, 0)
        await write(path, 2, 3, 4, detail=detail)
        await write(path, 2, 3, 4, 5, detail=detail)
        assert numbers(path) == [2, 3, 4, 5]

    async def test_a_copy_put_in_its_place_is_the_same_file(self, path):
        detail = await write(path, 1)
        await write(path, 2, detail=detail)
        copy = path.read_bytes()
        path.unlink()
        path.write_bytes(copy)
        await write(path, 2, 3, detail=detail)
        assert numbers(path) == [1, 2, 3]


class TestAnotherEventLog:
    """The state directory was deleted or restored: what the file holds comes again, in any order."""

    async def test_what_comes_first_may_be_older_than_all_that_is_in_the_file(self, path):
        await write(path, 7, 8, 9)
        output = JsonLinesFile(path)
        await output.resume(0, "")
        for batch in ([1, 2], [3, 7], [8, 9, 10]):
            await output.write([event(number) for number in batch])
        assert numbers(path) == [7, 8, 9, 1, 2, 3, 10]

    async def test_killed_before_all_that_is_in_the_file_has_come(self, path):
        await write(path, 7, 8, 9)
        detail = await write(path, 1, 7)
        detail = await write(path, 8, detail=detail)
        detail = await write(path, 9, 10, detail=detail)
        await write(path, 11, detail=detail)
        assert numbers(path) == [7, 8, 9, 1, 10, 11]

    async def test_once_all_has_come_the_file_is_known_as_far_as_it_goes(self, path):
        await write(path, 7, 8)
        detail = await write(path, 1, 7, 8)
        assert json.loads(detail)["size"] == path.stat().st_size


class TestSomebodyElsesLines:
    """Whatever stands in the file stays there, byte for byte."""

    FOREIGN = b'text\n[1]\n{"event_id": []}\n{"other": 1}\n\xff\n' + b"[" * 100_000 + b"\n"

    async def test_are_passed_over(self, path):
        path.write_bytes(self.FOREIGN)
        detail = await write(path, 1)
        assert path.read_bytes() == self.FOREIGN + (to_json(event(1)) + "\n").encode()
        await write(path, 2, detail=detail)

    @pytest.mark.parametrize("end", [b"", b"\n"])
    async def test_longer_than_any_of_ours_are_not_read_whole(self, path, monkeypatch, end):
        monkeypatch.setattr(json_lines, "_LONGEST_LINE", 1 << 20, raising=False)
        long = b'{"version":' + b"x" * (40 << 20) + (to_json(event(2)) + "\n").encode()
        path.write_bytes((to_json(event(1)) + "\n").encode() + long + b"y" * (2 << 20) + end)
        before = path.stat().st_size
        output = JsonLinesFile(path)
        tracemalloc.start()
        try:
            await output.resume(0, "")
            assert tracemalloc.get_traced_memory()[1] < 20 << 20
        finally:
            tracemalloc.stop()
        assert path.stat().st_size == before
        await output.write([event(1), event(2)])
        assert path.read_bytes()[before:] == b"\n"[len(end) :] + (to_json(event(2)) + "\n").encode()

    async def test_without_an_end_get_one(self, path):
        path.write_bytes(b"somebody's notes")
        detail = await write(path, 1)
        with path.open("ab") as other:
            other.write(b"more")
        await write(path, 2, detail=detail)
        lines = path.read_bytes().splitlines()
        assert lines == [b"somebody's notes", to_json(event(1)).encode(), b"more", to_json(event(2)).encode()]


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
async def test_killed_anywhere_each_event_is_in_the_file_once_and_in_order(tmp_path, path):
    script = str(Path(log_events.__file__))
    command = [sys.executable, script, "follow", str(tmp_path), str(path), "30"]
    with trio.fail_after(60):
        await trio.run_process(command)
        async with open_event_log(tmp_path) as log, trio.open_nursery() as nursery:
            output = JsonLinesFile(path)
            state = OutputState(output.name)
            nursery.start_soon(follow, output, log, state)
            while state.sequence < log.last_sequence:  # noqa: ASYNC110 - only its state says it
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert log.last_sequence > 30
    assert numbers(path) == list(range(log.last_sequence))


class TestTrouble:
    """Trouble is an error that is tried again, and after it everything is there once."""

    async def test_a_missing_directory_that_is_made_later(self, tmp_path):
        path = tmp_path / "later" / "events.jsonl"
        output = JsonLinesFile(path)
        await output.resume(0, "")
        with pytest.raises(OutputError, match="cannot be written"):
            await output.write([event(1)])
        path.parent.mkdir()
        await output.write([event(1)])
        assert numbers(path) == [1]

    async def test_a_directory_in_its_place(self, path):
        path.mkdir()
        with pytest.raises(OutputError, match="not a regular file"):
            await write(path, 1)
        path.rmdir()
        await write(path, 1)
        assert numbers(path) == [1]

    async def test_a_file_on_the_way_to_it(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="cannot be written"):
            await write(tmp_path / "file" / "events.jsonl", 1)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
    async def test_a_pipe_is_refused_before_it_can_hang_us(self, path):
        os.mkfifo(path)
        output = JsonLinesFile(path)
        with trio.fail_after(PATIENCE):
            for attempt in (output.resume(0, ""), output.write([event(1)])):
                with pytest.raises(OutputError, match="for a pipe write to - instead"):
                    await attempt

    async def test_a_full_disk_leaves_no_half_line(self, path):
        code = (
            "import resource, sys, trio; from pathlib import Path\n"
            "from log_events import event\n"
            "from trio_cursor.outputs.json_lines import *\n"
            "async def main():\n"
            "    output = JsonLinesFile(Path(sys.argv[1]))\n"
            "    limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
            "    await output.write([event(1)])\n"
            "    size = output.path.stat().st_size\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))\n"
            "    try:\n"
            "        await output.write([event(2), event(3)])\n"
            "    except OutputError as error:\n"
            "        print(error)\n"
            "    assert output.path.stat().st_size == size\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, limits)\n"
            "    await output.write([event(2), event(3)])\n"
            "trio.run(main)\n"
        )
        place = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        done = await trio.run_process([sys.executable, "-c", code, str(path)], capture_stdout=True, env=place)
        assert b"cannot be written (File too large)" in done.stdout
        assert numbers(path) == [1, 2, 3]


class TestStandardOutput:
    """What comes from now on, without a memory, but each line once."""

    @pytest.fixture
    def ends(self):
        """The two ends of a pipe: a reader's, and our standard output."""
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "w") as writer:
            yield reader, writer

    async def test_lines(self, ends):
        reader, writer = ends
        output = JsonLinesStream(writer)
        await output.resume(0, "")
        assert await output.write([published(1), published(2)]) == ""
        assert reader.read(10**6).decode() == f"{to_json(event(1))}\n{to_json(event(2))}\n"

    async def test_a_reader_that_left_closes_it_for_good(self, ends):
        reader, writer = ends
        reader.close()
        with pytest.raises(OutputClosedError, match="nobody reads"):
            await JsonLinesStream(writer).write([published(1)])

    async def test_closed_from_the_beginning_or_by_somebody(self, ends):
        _, writer = ends
        writer.close()
        for stream in (None, writer):
            with pytest.raises(OutputClosedError, match="is closed"):
                await JsonLinesStream(stream).write([published(1)])

    async def test_a_reader_that_is_slow_gets_each_line_once(self, ends):
        reader, writer = ends
        os.set_blocking(writer.fileno(), False)
        output, batch = JsonLinesStream(writer), [published(number) for number in range(1, 301)]
        got, errors = b"", 0
        while got.count(b"\n") < len(batch):
            try:
                await output.write(batch)
            except OutputError:
                errors += 1
            got += reader.read(10**6)
        assert errors > 0
        assert got.decode().splitlines() == [to_json(event(number)) for number in range(1, 301)]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
    async def test_a_full_disk_behind_it_is_tried_again(self):
        with os.fdopen(os.open("/dev/full", os.O_WRONLY), "w") as full:  # noqa: SIM117
            with pytest.raises(OutputError, match="No space left"):
                await JsonLinesStream(full).write([published(1)])

    async def test_it_is_what_a_dash_stands_for(self, capsys):
        output = open_json_lines("-")
        assert (output.name, output.is_durable) == ("json_lines:-", False)
        await output.write([published(1)])
        assert capsys.readouterr().out == to_json(event(1)) + "\n"


def test_a_path_is_a_file(path):
    output = open_json_lines(str(path))
    assert isinstance(output, JsonLinesFile)
    assert output.name == f"json_lines:{path}"
