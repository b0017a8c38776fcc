"""`completion`: the scripts, run by the shells that they are for."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from trio_cursor.cli import main

#: What is typed, and what it may become.
CASES = [
    ("trio-cursor wor", ["workspaces"]),
    ("trio-cursor service ", ["install", "status", "uninstall"]),
    ("trio-cursor config c", ["check"]),
    ("trio-cursor completion z", ["zsh"]),
    ("trio-cursor service install --pri", ["--print"]),
    ("trio-cursor --onc", ["--once"]),  # of run, which is meant where no command is
    ("trio-cursor run --sessions ", ["auto", "discovery", "extension"]),
    ("trio-cursor status --log-level w", ["warning"]),
    ("trio-cursor run --config place", ["place-dir/", "place.toml"]),
    ("trio-cursor run --json-lines place", ["place-dir/", "place.toml"]),
    ("trio-cursor run --state-dir place", ["place-dir/"]),
    ("trio-cursor demo place", ["place-dir/"]),
]
BASH = """
source "$1"
COMP_WORDS=($2) COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
[[ $2 == *" " ]] && { COMP_WORDS+=(""); COMP_CWORD=$(( COMP_CWORD + 1 )); }
spec=$(complete -p trio-cursor)
[[ $spec =~ -F\\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" trio-cursor "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
#: With a description behind each, which begins with a tab.
FISH = "source $argv[1]; complete -C $argv[2]"


def script(capsys, shell):
    assert main(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.fixture
def complete(capsys, tmp_path):
    """What a shell makes of a line."""
    (tmp_path / "place-dir").mkdir()
    (tmp_path / "place.toml").touch()

    def run(shell, program, line):
        path = tmp_path / "completion"
        path.write_text(script(capsys, shell))
        words = {"bash": ["bash", "--norc", "-c", program, "bash"], "fish": ["fish", "-N", "-c", program]}
        command = [*words[shell], str(path), line]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr == ""
        return sorted(found.partition("\t")[0] for found in done.stdout.splitlines())

    return run


@pytest.mark.skipif(shutil.which("bash") is None or sys.platform == "win32", reason="no bash here")
@pytest.mark.parametrize(("line", "becomes"), CASES)
def test_bash_completes(complete, line, becomes):
    # It adds the sign of a directory itself, later.
    found = [f"{word}/" if word == "place-dir" else word for word in complete("bash", BASH, line)]
    assert found == becomes


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
@pytest.mark.parametrize(("line", "becomes"), CASES)
def test_fish_completes(complete, line, becomes):
    assert complete("fish", FISH, line) == becomes


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_takes_the_script(capsys, tmp_path):
    (tmp_path / "_trio-cursor").write_text(script(capsys, "zsh"))
    program = (
        "fpath=($1 $fpath); autoload -Uz compinit; compinit -u -d $1/dump; autoload +X _trio-cursor;"
        " print $_comps[trio-cursor]"
    )
    words = ["zsh", "-fc", program, "zsh", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("_trio-cursor\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_every_command_is_in_every_script(capsys, shell):
    text = script(capsys, shell)
    for word in ("trio-cursor", "workspaces", "uninstall", "cursor-dir", "prove", "window-seconds"):
        assert word in text


def test_another_shell_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["completion", "tcsh"])
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err
