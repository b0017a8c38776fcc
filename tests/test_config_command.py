"""`trio-cursor config`: what it prints, where it prints it, and how it ends."""

import argparse
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from trio_cursor.cli import config_command
from trio_cursor.config import annotated_text, load_config

pytestmark = pytest.mark.usefixtures("home")


def run(action, **common):
    """Run it as the main parser does, which adds the common options."""
    parser = argparse.ArgumentParser()
    config_command.add_arguments(parser)
    return config_command.run(parser.parse_args([action], argparse.Namespace(**common)))


def written(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text)
    return str(path)


def test_an_action_that_does_not_exist_is_refused():
    parser = argparse.ArgumentParser(exit_on_error=False)
    config_command.add_arguments(parser)
    with pytest.raises(argparse.ArgumentError, match="show"):
        parser.parse_args(["shwo"])


# -- show ----------------------------------------------------------------------------------------------


def test_show_gives_every_value_with_its_origin(tmp_path, capsys, monkeypatch):
    file = written(tmp_path, '[redis]\nurl = "redis://:secret@host"\n[cursor]\ndirs = ["/a b", "/\u00fc"]')
    monkeypatch.setenv("TRIO_CURSOR_LOG__KEEP_DAYS", "7")
    assert run("show", config=file, overrides={"http.listen": "off"}) == 0
    out, err = capsys.readouterr()
    assert err == ""
    head, *lines = out.splitlines()
    assert head.split() == ["KEY", "VALUE", "FROM"]
    rows = {line.split()[0]: line for line in lines}
    assert list(rows) == list(load_config(file).origins)
    assert rows["redis.url"].split()[1:] == ['"redis://:***@host"', "file", file]
    assert '["/a b", "/\u00fc"]' in rows["cursor.dirs"]
    assert rows["log.keep_days"].endswith("environment TRIO_CURSOR_LOG__KEEP_DAYS")
    assert rows["http.listen"].endswith("option")
    assert rows["redis.suppress"].split()[1:] == ["true", "built-in"]
    assert rows["sessions.stream"].split()[1:] == ["none", "built-in"]
    assert "secret" not in out


def test_the_columns_of_the_table_are_aligned(capsys, monkeypatch):
    monkeypatch.delenv("TRIO_CURSOR_HTTP__LISTEN")
    run("show")
    head, *lines = capsys.readouterr().out.splitlines()
    assert {line.index("built-in") for line in lines} == {head.index("FROM")}


def test_show_as_json_is_one_object_a_line(tmp_path, capsys):
    file = written(tmp_path, "[redis]\nshards = 2")
    assert run("show", config=file, json=True, overrides={"cursor.include": ["/\u00fc"]}) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"key": "redis.shards", "value": 2, "origin": f"file {file}"} in rows
    assert {"key": "redis.url", "value": None, "origin": "built-in"} in rows
    assert {"key": "cursor.include", "value": ["/\u00fc"], "origin": "option"} in rows
    assert all(list(row) == ["key", "value", "origin"] for row in rows)


def test_a_terminal_is_sent_nothing_that_it_obeys(tmp_path, capsys):
    file = tmp_path / "\x1b[31m.toml"
    file.write_text("[redis]\nusername = 'right-to-left \u202e'")
    assert run("show", config=str(file)) == 0
    assert run("check", config=str(file)) == 0
    file.write_text("[redis]\nusername = 1")
    assert run("check", config=str(file)) == 78
    out, err = capsys.readouterr()
    assert "\\u202e" in out
    assert len(err.splitlines()) == 2
    assert not {"\x1b", "\u202e"} & {*out, *err}


# -- check ---------------------------------------------------------------------------------------------


def test_check_says_that_a_file_is_fine(tmp_path, capsys):
    file = written(tmp_path, "[redis]\nshards = 2")
    assert run("check", config=file) == 0
    assert capsys.readouterr() == ("", f"configuration is fine: {file}\n")


def test_check_without_a_file_says_so(capsys):
    assert run("check") == 0
    assert capsys.readouterr() == ("", "configuration is fine: no file, built-in values\n")


@pytest.mark.parametrize("action", ["check", "show"])
def test_all_errors_come_at_once_and_the_exit_code_says_configuration(action, tmp_path, capsys):
    file = written(tmp_path, "[redis]\nshards = 0\nstrem = 1")
    assert run(action, config=file, json=False, overrides={"sessions.mode": "x"}) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"file {file}: unknown key redis.strem; did you mean redis.stream?",
        f"file {file}: redis.shards must be from 1 to 1,024, not 0",
        "option: sessions.mode must be auto, extension or discovery, not x",
    ]


# -- init ----------------------------------------------------------------------------------------------


def test_init_writes_a_file_that_is_then_read(home, capsys):
    assert run("init") == 0
    out, err = capsys.readouterr()
    assert out == ""
    file = load_config().file
    assert err == f"written: {file}\n"
    assert Path(file).read_bytes() == annotated_text().encode()
    assert run("check") == 0
    assert file.startswith(str(home))


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")
def test_nobody_else_may_read_it(tmp_path):
    mask = os.umask(0)
    try:
        assert run("init", config=str(tmp_path / "new" / "config.toml")) == 0
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new" / "config.toml").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_init_writes_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_CONFIG", str(tmp_path / "named.toml"))
    assert run("init") == 0
    assert (tmp_path / "named.toml").is_file()


def test_init_writes_beside_us_if_only_a_name_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("init", config="here.toml") == 0
    assert (tmp_path / "here.toml").is_file()


def test_init_never_overwrites(tmp_path, capsys):
    file = written(tmp_path, "# mine")
    assert run("init", config=file) == 1
    assert capsys.readouterr().err == f"{file} exists: move it away, or name another with --config FILE\n"
    assert (tmp_path / "config.toml").read_text() == "# mine"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_init_does_not_write_through_a_link(tmp_path):
    (tmp_path / "config.toml").symlink_to(tmp_path / "elsewhere")
    assert run("init", config=str(tmp_path / "config.toml")) == 1
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["file/below", "nul\0"])
def test_a_file_that_cannot_be_written_is_one_line(name, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("init", config=str(tmp_path / name)) == 1
    err = capsys.readouterr().err
    assert err.endswith("): name another place with --config FILE\n")
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
def test_a_full_disk_leaves_no_half_a_file(tmp_path, capsys, monkeypatch):
    opened = os.open

    def open_full(path, flags, mode):
        os.close(opened(path, flags, mode))
        return opened("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", open_full)
    assert run("init", config=str(tmp_path / "config.toml")) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "config.toml").exists()
