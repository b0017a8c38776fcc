"""Broken set-ups: `doctor` alone says what is wrong and what to do, and the document quotes it truly."""

import json
import re
from pathlib import Path

import pytest
from doctor_setups import SETUPS, can_be_made, examined, findings

#: Of each set-up, words of what is wrong, and of what to do.
ESSENTIAL = {
    "No Cursor on this machine": ("no Cursor was found", "start Cursor once"),
    "Cursor's directory may not be read": ("Permission denied", "run as the user who runs Cursor"),
    "A database of a layout that nobody knows": ("aiGenerationStore", "update trio_cursor"),
    "A database that somebody keeps locked": ("locked for all of", "see which program holds it"),
    "A damaged database": ("malformed", "it puts its backup"),
    "Redis does not run": ("nothing listens there", "start Redis"),
    "Redis may drop the stream": ("allkeys-lru", "maxmemory-policy noeviction"),
    "A wrong password for Redis": ("wrong or missing user or password", "redis.password_file"),
    "A service that hangs": (
        "(process 4711), and has not said anything",
        "end it (kill -9 4711) and start it",
    ),
    "The port is taken": ("another program has this address", "--http HOST:PORT"),
    "The state directory cannot be written": ("cannot be written", "--state-dir"),
    "A mistake in the configuration file": ("did you mean", "mend that"),
    "Every workspace is excluded": ("leaves out the only workspace", "/home/dev/.config/trio-cursor"),
    "Only announced sessions count, and none is": ("none is announced", "auto"),
}
DOCUMENT = Path(__file__).parent.parent / "docs/doctor.md"


def quoted(title):
    """What the document has of it: the text and the exit code."""
    part = re.search(
        rf"### {re.escape(title)}\n\n```text\n(.*?)```\n\nExit code ([0-9]+)",
        DOCUMENT.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    return part[1], int(part[2])


def test_the_document_has_every_set_up_and_no_other():
    titles = re.findall(r"^### (.*)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert titles == list(SETUPS) == list(ESSENTIAL)


@pytest.mark.parametrize("title", SETUPS)
def test_what_is_wrong_is_said_with_what_to_do_and_nothing_else_is(title):
    if not can_be_made(title):
        pytest.skip("needs permissions or a server that are not here")
    code, text = examined(title)
    found = findings(text)
    wrong, remedy = ESSENTIAL[title]
    assert any(wrong in line.partition("→")[0] and remedy in line.partition("→")[2] for line in found)
    assert all("→" in line for line in found)
    quote, quoted_code = quoted(title)
    assert (found, code) == (findings(quote), quoted_code)
    assert code == (78 if "configuration" in title else 3)


def test_a_program_is_told_the_same():
    code, text = examined("Every workspace is excluded", "--json")
    found = [json.loads(line) for line in text.splitlines()]
    assert code == 3
    assert {tuple(item) for item in found} == {("check", "subject", "level", "what", "do", "facts")}
    assert [item["check"] for item in found if item["level"] == "finding"] == ["databases"]


def test_of_each_check_the_document_tells():
    """The names are what programs rely on."""
    names = set(re.findall(r"^\| `([a-z_.]+)`", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    source = Path(__file__).parent.parent / "trio_cursor"
    files = [*source.glob("doctor/*.py"), source / "cli/doctor_command.py"]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    said = set(re.findall(r'\b(?:ok|note|finding|of_error|say)\(\s*"([a-z_.]+)"', text))
    said |= set(re.findall(r'\bname(?:, subject)?(?:, do)? = "([a-z_.]+)"', text))
    assert {name for name in said if name not in names} == set()
