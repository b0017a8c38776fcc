"""What README.md promises is there, and its program runs as it stands."""

import re
import shlex
from pathlib import Path

import cursor_files
import pytest
import trio
from deadlines import within

from trio_cursor.cli.parser import parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@within(30)
async def test_the_program_receives_events_and_can_be_cancelled(user_dir, tmp_path, monkeypatch):
    items = [cursor_files.ring_item(number, textDescription=f"question {number}") for number in range(3)]
    cursor_files.make_workspace(user_dir, "a1", items)
    monkeypatch.setenv("TRIO_CURSOR_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text(
        f"[cursor]\ndirs = ['{user_dir}']\n[state]\ndir = '{tmp_path}/state'\n"
        "[cursor_database_monitor]\nsync_window_hours = 876000\n[http]\nlisten = 'off'\n"
    )
    [program] = blocks("python")
    body, run, rest = program.rpartition("trio.run(main)")
    assert (run, rest) == ("trio.run(main)", "\n")
    sends, printed = trio.open_memory_channel(10)
    namespace = {"print": lambda *words: sends.send_nowait(words)}
    exec(body, namespace)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(namespace["main"])
        received = [await printed.receive() for _ in items]
        nursery.cancel_scope.cancel()
    assert received == [("scan_a1", f"question {number}") for number in range(3)]


def test_the_program_is_short():
    [program] = blocks("python")
    assert len([line for line in program.splitlines() if line and not line.startswith("import")]) <= 10


def commands():
    lines = [line.split("#")[0] for block in blocks("sh") for line in block.splitlines()]
    found = [line.partition("-m trio_cursor")[2] for line in lines if "-m trio_cursor" in line]
    quoted = re.findall(
        r"`(?:trio[-_]cursor )?((?:run|config|events|tail|status|workspaces|version)(?: [^`]*)?)`", README
    )
    return [*found, *quoted]


@pytest.mark.parametrize("command", commands())
def test_every_command_that_is_named_is_understood(command):
    parse(shlex.split(command))


def test_there_are_commands_to_be_checked():
    assert len(commands()) >= 6


def test_every_option_that_is_named_is_understood(capsys):
    with pytest.raises(SystemExit):
        parse(["run", "--help"])
    known = capsys.readouterr().out
    named = set(re.findall(r"`(--[a-z-]+)", README))
    assert "--json-lines" in named
    assert [option for option in named if option not in known] == []


@pytest.mark.parametrize("path", sorted({path for path in re.findall(r"\]\(([^)#:]+)\)", README)}))  # noqa: C416
def test_every_file_that_is_linked_is_there(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "path", ["conf/trio_cursor.toml", "LICENSE", "CHANGELOG.md", "noxfile.py", "docs/architecture.md"]
)
def test_what_a_newcomer_looks_for_is_there(path):
    assert (ROOT / path).read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("room", sorted(set(re.findall(r"`([a-z_]+(?:/|\.py))`", README))))
def test_every_room_that_is_named_is_there(room):
    assert (
        (ROOT / "trio_cursor" / room).exists()
        or list((ROOT / "trio_cursor").glob(f"*/{room}"))
        or list((ROOT / "trio_cursor").glob(f"*/*/{room}"))
    )
