"""The files by which hosts run the service, as text: escaped right, known as ours, and in the wheel."""

from __future__ import annotations

import plistlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import attrs
import pytest

from trio_cursor.errors import HostError
from trio_cursor.hosts import unit_file
from trio_cursor.hosts.choosing import host_of
from trio_cursor.hosts.systemd import quoted
from trio_cursor.hosts.templates import Found, compared, template
from trio_cursor.hosts.tools import Answer, ask

ROOT = Path(__file__).parent.parent
NAMES = ("trio-cursor.service", "trio-cursor.plist", "trio-cursor.xml")
#: What means something to systemd, to XML, to a shell or to the console of Windows.
NASTY = [
    "two words",
    "100%",
    "%h and %%",
    "$HOME ${HOME} $$",
    "back\\slash\\",
    "\"double\" 'single'",
    "<a> & ]]> -- &amp;",
    "@DIGEST@ @COMMAND@",
    "semi;colon # not a comment",
    "\u65e5\u672c\u8a9e \u00fc",
    "-",
    "",
]
WINDOWS = {"USERDOMAIN": "HOUSE", "USERNAME": "a & b", "LOCALAPPDATA": "C:\\Users\\a\\AppData\\Local"}


def host(platform, *options, program="/opt/python", environ=None, home="/home/a"):
    words = (program, "-P", "-m", "trio_cursor", "run", *options)
    return host_of(platform, words, environ=WINDOWS if environ is None else environ, home=home, uid=501)


def text_of(one):
    return one.content.decode(one.encoding)


# -- Escaping ------------------------------------------------------------------------------------------


def as_systemd_reads(line):
    """The words of `ExecStart=`, by the rules of systemd.service(5) and systemd.syntax(7)."""
    words, at = [], 0
    simple = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"'}
    while at < len(line):
        match = re.compile(r'"((?:[^"\\]|\\.)*)"|[^\s"]+').match(line, at)
        assert match, line[at:]
        inside = match[1] if match[1] is not None else match[0]
        assert match[1] is not None or "\\" not in inside
        inside = re.sub(
            r"\\(?:x([0-9a-f]{2})|(.))",
            lambda found: chr(int(found[1], 16)) if found[1] else simple[found[2]],
            inside,
        )
        assert not re.search(r"(?<!%)%(?:%%)*(?!%)", inside), "a specifier"
        words.append(inside.replace("%%", "%").replace("$$", "$"))
        at = match.end() + 1
    return words


def test_systemd_gets_every_word_as_it_was_given():
    options = [*NASTY, "line\nbreak", "tab\there", "esc\x1b[2J"]
    [line] = re.findall(r"^ExecStart=(.*)$", text_of(host("linux", *options)), re.MULTILINE)
    assert as_systemd_reads(line) == ["/opt/python", "-P", "-m", "trio_cursor", "run", *options]


def test_a_plain_word_stays_as_a_person_would_write_it():
    assert quoted("--state-dir=/var/a_b-c@d") == "--state-dir=/var/a_b-c@d"


def test_launchd_gets_every_word_as_it_was_given():
    found = plistlib.loads(host("darwin", *NASTY, home="/Users/a & b").content)
    assert found["ProgramArguments"] == ["/opt/python", "-P", "-m", "trio_cursor", "run", *NASTY]
    assert found["StandardErrorPath"] == "/Users/a & b/Library/Logs/trio-cursor.log"
    assert found["KeepAlive"] == {"SuccessfulExit": False}
    assert (found["Label"], found["Umask"], found["RunAtLoad"]) == ("trio-cursor", 0o077, True)
    assert "StandardOutPath" not in found


def as_windows_reads(line):
    """Words of a command line, by the rules of its C library."""
    words = []
    for match in re.finditer(r'((?:[^\s"\\]|\\+"?|"(?:[^"\\]|\\+.?)*")+)', line + " "):
        word, inside, at = "", False, 0
        while at < len(match[0]):
            slashes = len(match[0][at:]) - len(match[0][at:].lstrip("\\"))
            at += slashes
            if match[0][at : at + 1] != '"':
                word += "\\" * slashes + match[0][at : at + 1]
            else:
                word += "\\" * (slashes // 2)
                if slashes % 2:
                    word += '"'
                else:
                    inside = not inside
            at += 1
        words.append(word)
    return words


TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


def test_the_task_scheduler_gets_every_word_as_it_was_given():
    options = [word for word in NASTY if "%h" not in word]
    one = host("win32", *options, program="C:\\Program Files\\Python\\pythonw.exe")
    assert one.content[:2] == b"\xff\xfe"  # as the scheduler's own files begin
    tree = ET.fromstring(one.content)
    [command], [arguments] = tree.iter(f"{TASK}Command"), tree.iter(f"{TASK}Arguments")
    assert command.text == "C:\\Program Files\\Python\\pythonw.exe"
    assert as_windows_reads(arguments.text) == ["-P", "-m", "trio_cursor", "run", *options]
    assert {item.text for item in tree.iter(f"{TASK}UserId")} == {"HOUSE\\a & b"}
    assert one.file == "C:\\Users\\a\\AppData\\Local\\trio-cursor\\service.xml"
    assert "C:\\Users\\a\\AppData\\Local\\trio-cursor\\service.log" in one.log


def test_a_task_that_has_ended_is_started_again_and_one_that_runs_is_left_alone():
    tree = ET.fromstring(host("win32").content)
    [trigger] = tree.iter(f"{TASK}LogonTrigger")
    # In this order the schema wants them.
    assert [item.tag.removeprefix(TASK) for item in trigger] == ["Enabled", "Repetition", "UserId"]
    # Without a duration: for ever.
    assert [(item.tag.removeprefix(TASK), item.text) for item in trigger[1]] == [("Interval", "PT5M")]
    assert [item.text for item in tree.iter(f"{TASK}MultipleInstancesPolicy")] == ["IgnoreNew"]


@pytest.mark.parametrize("word", ["a\udcffb", "a\0b"])
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_what_is_no_text_is_refused(platform, word):
    with pytest.raises(HostError, match="cannot stand in a file of text"):
        host(platform, word)


@pytest.mark.parametrize("word", ["a\nb", "a\x1bb", "a\ufffeb"])
@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_what_xml_cannot_hold_is_refused(platform, word):
    with pytest.raises(HostError, match="without control characters"):
        host(platform, word)


@pytest.mark.parametrize("word", ["C:\\%TEMP%\\x", "C:\\$(Arg0)"])
def test_what_the_task_scheduler_would_replace_is_refused(word):
    with pytest.raises(HostError, match="would put something else for"):
        host("win32", word)
    with pytest.raises(HostError, match="would put something else for"):
        host("win32", program=word)


def test_a_task_must_be_somebodys():
    with pytest.raises(HostError, match="USERNAME is not set"):
        host("win32", environ={})


@pytest.mark.parametrize("name", ["$x", "a'b", 'a"b', "a\\b", "a\nb", "a\x1bb"])
def test_a_program_that_systemd_cannot_name_is_refused(analyze, name):
    with pytest.raises(HostError, match="systemd cannot start /opt/"):
        host("linux", program=f"/opt/{name}/python")
    unit = host("linux", program="/opt/here")
    written = quoted(f"/opt/{name}/python").encode()
    unit = attrs.evolve(unit, content=unit.content.replace(b"/opt/here", written))
    code, said = analyze(["verify", "--man=no"], unit)
    # It would be read as nothing, or as another path.
    assert code == 1
    assert f"Command /opt/{name}/python is" not in said


def test_a_platform_without_a_host_says_so():
    with pytest.raises(HostError, match="no service is known on freebsd14"):
        host("freebsd14")


def test_the_unit_goes_where_the_configuration_of_programs_is():
    assert host("linux").file == "/home/a/.config/systemd/user/trio-cursor.service"
    moved = host("linux", environ={"XDG_CONFIG_HOME": "/c"})
    assert moved.file == "/c/systemd/user/trio-cursor.service"
    assert host("darwin").file == "/home/a/Library/LaunchAgents/trio-cursor.plist"


# -- systemd itself ------------------------------------------------------------------------------------


@pytest.fixture
def analyze(tmp_path, monkeypatch):
    """`systemd-analyze --user`, which reads a unit as systemd does: what it said."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here to read the unit")
    # Units of the machine have sockets there, whose paths must not be long.
    with tempfile.TemporaryDirectory(prefix="run-", dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        yield from _analyze(tmp_path, monkeypatch)


def _analyze(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    def run(verb, unit):
        path = tmp_path / "trio-cursor.service"
        path.write_bytes(unit.content)
        words = ["systemd-analyze", "--user", *verb, str(path)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    yield run


@pytest.mark.parametrize("options", [(), NASTY], ids=["plain", "nasty"])
def test_systemd_finds_nothing_wrong_with_the_unit(analyze, options):
    unit = host("linux", *options, program=sys.executable)
    assert analyze(["verify", "--man=no"], unit) == (0, "")


@pytest.mark.parametrize("name", [word for word in NASTY if word and not set(word) & set("$\\\"'")])
def test_systemd_finds_a_program_whatever_it_is_called(analyze, tmp_path, name):
    (tmp_path / name).mkdir()
    program = tmp_path / name / "python"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    assert analyze(["verify", "--man=no"], host("linux", program=str(program))) == (0, "")
    program.unlink()
    code, said = analyze(["verify", "--man=no"], host("linux", program=str(program)))
    assert (code, "is not executable" in said) == (1, True)


def test_systemd_finds_it_less_exposed_than_a_unit_without_any_of_it(analyze):
    code, said = analyze(["security", "--offline=true", "--no-pager", "--threshold=70"], host("linux"))
    assert code == 0, said
    assert float(re.search(r"exposure level for trio-cursor.service: ([0-9.]+)", said)[1]) < 7


# -- The templates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_templates_stand_in_conf(name):
    assert template(name) == (ROOT / "conf" / "service" / name).read_text(encoding="utf-8")


def test_the_templates_are_in_the_wheel(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in NAMES:
            packed = archive.read(f"trio_cursor/conf/service/{name}").decode()
            assert packed == template(name)
        archive.extractall(tmp_path / "installed")
    # As it is found there, by a copy that has no repository around it.
    program = "from trio_cursor.hosts import templates; print(templates.template('trio-cursor.plist'))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, sys.argv[1]); {program}", "installed"],
        cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.rstrip() == template("trio-cursor.plist").rstrip()


def test_the_unit_says_what_a_start_that_is_in_vain_ends_with():
    unit = text_of(host("linux"))
    assert "\nRestartPreventExitStatus=2 75 78\n" in unit
    assert "\nType=notify\n" in unit
    assert "\nStandardOutput=null\n" in unit


# -- Whose file it is ----------------------------------------------------------------------------------


def found(content, wanted):
    return compared(content, wanted.content, wanted.encoding, wanted.like)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_file_is_told_by_its_content(platform):
    plain, other = host(platform), host(platform, "--state-dir", "/<a> b/.*")
    assert found(None, plain) is Found.NOTHING
    assert found(plain.content, plain) is Found.SAME
    assert found(other.content, plain) is Found.OPTIONS
    assert found(plain.content, other) is Found.OPTIONS
    assert found(host(platform, program="/usr/other").content, plain) is Found.OTHER
    edited = text_of(other).replace("/.*", "/mine").encode(plain.encoding)
    assert found(edited, plain) is Found.EDITED
    assert found("[Service]\n".encode(plain.encoding), plain) is Found.FOREIGN
    assert found(b"", plain) is Found.FOREIGN
    assert found(b"\xff\xfe\x00", plain) is Found.FOREIGN


def on_disk(tmp_path):
    return host("linux", environ={"XDG_CONFIG_HOME": str(tmp_path / "c")})


def test_a_file_is_written_whole_private_and_can_be_removed(tmp_path):
    one = on_disk(tmp_path)
    assert unit_file.look(one) is Found.NOTHING
    unit_file.write(one)
    assert unit_file.look(one) is Found.SAME
    path = Path(one.file)
    assert path.stat().st_mode & 0o777 == 0o600
    path.with_name(f"{path.name}.new").write_text("left by one that was killed")
    unit_file.write(one)
    assert [item.name for item in path.parent.iterdir()] == ["trio-cursor.service"]
    unit_file.remove(one)
    unit_file.remove(one)
    assert unit_file.look(one) is Found.NOTHING


def test_a_link_is_somebodys_and_what_it_leads_to_is_never_written(tmp_path):
    one = on_disk(tmp_path)
    path = Path(one.file)
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/null")  # as `systemctl mask` leaves it
    assert unit_file.look(one) is Found.FOREIGN
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    assert unit_file.look(one) is Found.FOREIGN
    unit_file.write(one)
    assert not path.is_symlink()
    assert not (tmp_path / "gone").exists()


def test_what_cannot_be_read_written_or_removed_says_so(tmp_path):
    one = on_disk(tmp_path)
    Path(one.file).mkdir(parents=True)
    for work, words in (
        (unit_file.look, "read"),
        (unit_file.write, "written"),
        (unit_file.remove, "removed"),
    ):
        with pytest.raises(HostError, match=f"cannot be {words}"):
            work(one)


def test_nothing_is_written_into_a_directory_of_cursors(user_dir):
    one = host("linux", environ={"XDG_CONFIG_HOME": str(user_dir)})
    with pytest.raises(HostError, match="which is Cursor's"):
        unit_file.write(one)
    assert not (user_dir / "systemd").exists()


# -- Tools ---------------------------------------------------------------------------------------------


def test_a_tool_is_run_and_its_words_kept(tmp_path):
    program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    answer = ask([sys.executable, "-uc", program])
    assert (answer.code, answer.text.split(), answer.is_well) == (3, ["out", "err"], False)
    assert ask([sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'\\xff')"]).text == "\ufffd"
    assert ask([str(tmp_path / "none")]) == Answer(None)
    answer = ask([str(tmp_path)])
    assert (answer.code, answer.text) == (1, f"{tmp_path}: Permission denied")
    assert "has not ended" in ask([sys.executable, "-c", "import time; time.sleep(30)"], 0.05).text
