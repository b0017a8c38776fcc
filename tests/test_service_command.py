"""`service install|uninstall|status`, with a host that remembers what it was told."""

from __future__ import annotations

import json
import os
import sys

import attrs
import pytest
from running import TerminalText

from trio_cursor.cli import main
from trio_cursor.cli.hosted_run import run_words, unseen_variables
from trio_cursor.cli.parser import parse
from trio_cursor.cli.service_command import run
from trio_cursor.cli.shell_words import shell_line
from trio_cursor.config import Config
from trio_cursor.errors import AlreadyRunningError, ConfigError, HostError
from trio_cursor.hosts.tools import Answer
from trio_cursor.state_dir import held

pytestmark = [
    pytest.mark.usefixtures("home"),
    pytest.mark.skipif(os.name != "posix", reason="hosts of another platform have paths of another kind"),
]


@attrs.define
class Host:
    """systemctl, loginctl, launchctl and schtasks of a machine, as far as they are asked."""

    #: Of a machine that has no such tools.
    is_missing: bool = False
    #: Why it cannot be talked to.
    away: str | None = None
    #: Words of a command that fails, and with what.
    failing: dict[str, str] = attrs.Factory(dict)
    enabled: bool = False
    running: bool = False
    lingers: bool = False
    asked: list[str] = attrs.Factory(list)
    #: Of this package, started from elsewhere.
    version: Answer = attrs.Factory(lambda: Answer(0, "0.1.0"))

    def __call__(self, words):
        line = " ".join(words[-4:] if words[0] == sys.executable else words)
        self.asked.append(line)
        if words[0] == sys.executable:
            return self.version
        if self.is_missing:
            return Answer(None)
        for part, why in self.failing.items():
            if part in line:
                return Answer(1, why)
        if words[0] == "loginctl":
            return Answer(0, "yes" if self.lingers else "no")
        return Answer(1, self.away) if self.away else self._obey(words, line)

    def _obey(self, words, line):
        match words:
            case (_, "--user", "is-enabled", _) | (_, "/Query", "/TN", _):
                return Answer(int(not self.enabled))
            case ("launchctl", "print", where) if where.count("/") > 1:
                return Answer(int(not self.enabled), "state = running" if self.running else "state = exited")
            case (_, "--user", "is-active", _):
                return Answer(3 * (not self.running), "active" if self.running else "inactive")
            case _:
                pass
        if "disable" in line or "bootout" in line or "/Delete" in line:
            self.enabled = self.running = False
        elif any(word in words for word in ("enable", "bootstrap", "/Create")):
            self.enabled = True
        if any(word in words for word in ("restart", "bootstrap", "/Run")):
            self.running = True
        return Answer(0)

    def told(self):
        """What has changed something."""
        questions = ("show", "is-", "print", "/Query", "version")
        return [line for line in self.asked if not any(word in line for word in questions)]


@pytest.fixture
def service(home, tmp_path, capsys):
    """The command: code, stdout, stderr."""

    def call(host, *words, platform="linux", environ=None):
        arguments = parse(["service", "--state-dir", str(tmp_path / "state"), *words])
        environ = {"USERNAME": "a", "LOCALAPPDATA": str(home)} if environ is None else environ
        pauses = []
        code = run(arguments, platform=platform, environ=environ, tool=host, pause=pauses.append)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def unit(home):
    return home / ".config" / "systemd" / "user" / "trio-cursor.service"


START = [
    "systemctl --user daemon-reload",
    "systemctl --user enable trio-cursor.service",
    "systemctl --user restart trio-cursor.service",
]
BUS = "Failed to connect to bus: No medium found"


def test_install_writes_the_unit_and_starts_it_and_a_second_time_does_nothing(service, unit, tmp_path):
    host = Host()
    code, out, err = service(host, "install")
    assert (code, out) == (0, "")
    assert host.told() == START
    assert f"systemd user unit written: {unit}\n" in err
    assert "loginctl enable-linger" in err
    assert f"run --state-dir {tmp_path}/state\n" in unit.read_text()
    host.asked.clear()
    code, _, err = service(host, "install")
    assert (code, host.told()) == (0, [])
    assert err == f"{unit} is installed already, as it would be written now, and runs: nothing to do\n"


def test_who_lingers_is_not_told_to(service):
    assert "enable-linger" not in service(Host(lingers=True), "install")[2]


def test_install_starts_what_was_installed_and_does_not_run(service, unit):
    host = Host()
    service(host, "install")
    host.running = False
    host.asked.clear()
    code, _, err = service(host, "install")
    assert (code, host.told()) == (0, START)
    assert f"{unit} is there already" in err


def test_install_with_other_options_writes_the_unit_anew_and_starts_it_again(service, unit):
    host = Host()
    service(host, "install")
    host.asked.clear()
    code, _, err = service(host, "install", "--log-level", "debug")
    assert (code, host.told()) == (0, START)
    assert "written" in err
    assert unit.read_text().count("--log-level debug\n") == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text + "Nice=5\n", "was changed by hand"),
        (lambda _: "[Service]\n", "was not written by us"),
    ],
)
def test_what_is_not_ours_any_more_is_neither_overwritten_nor_removed(service, unit, change, words):
    host = Host()
    service(host, "install")
    unit.write_text(changed := change(unit.read_text()))
    host.asked.clear()
    for action in ("install", "uninstall"):
        with pytest.raises(HostError, match=f"{words}.* with --force"):
            service(host, action)
    assert (unit.read_text(), host.told()) == (changed, [])
    assert service(host, "install", "--force")[0] == 0
    assert service(host, "status")[0] == 0
    unit.write_text(changed)
    assert service(host, "uninstall", "--force")[0] == 0
    assert not unit.exists()


def test_where_there_is_no_systemd_nothing_is_written_and_the_line_to_run_is_told(service, unit, tmp_path):
    code, _, err = service(Host(is_missing=True), "install")
    assert code == 1
    assert not unit.exists()
    assert "There is no systemctl here: systemd does not run this system. Nothing was installed.\n" in err
    assert f"  {sys.executable} -P -m trio_cursor run --state-dir {tmp_path}/state\n" in err


def test_without_a_user_manager_the_unit_is_written_and_the_rest_is_told(service, unit):
    host = Host(away=BUS)
    code, _, err = service(host, "install")
    assert (code, unit.exists(), host.told()) == (1, True, [])
    assert BUS in err
    assert "".join(f"  {line}\n" for line in START) in err
    # What would stop it cannot be asked to: its file stays.
    code, _, err = service(host, "uninstall")
    assert (code, unit.exists()) == (1, True)
    assert f"  systemctl --user disable --now trio-cursor.service\n  rm {unit}\n" in err


def test_a_step_that_fails_says_why_and_what_is_left(service):
    host = Host(failing={"restart": "Job for \x1b[2Jtrio-cursor.service failed.\nSee journalctl"})
    code, _, err = service(host, "install")
    assert code == 1
    assert "failed: Job for \\u001b[2Jtrio-cursor.service failed. See journalctl\n" in err
    assert err.count("  systemctl") == 1
    assert "journalctl --user -u trio-cursor -f" in err


def test_a_step_that_fails_without_a_word_tells_its_code(service):
    assert (
        "`systemctl --user daemon-reload` failed: code 1\n"
        in (service(Host(failing={"daemon-reload": ""}), "install")[2])
    )


def test_another_instance_is_told_before_anything_is_written(service, unit, state):
    with held(state), pytest.raises(AlreadyRunningError, match="stop it, then install"):
        service(Host(), "install")
    assert not unit.exists()
    host = Host(running=True)
    with held(state):  # by the unit itself
        assert service(host, "install")[0] == 0


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(1, "Traceback\nNo module named trio_cursor"), "No module named"),
        (Answer(1), "no such program"),
    ],
)
def test_a_package_that_is_found_from_here_alone_is_not_installed(service, unit, answer, why):
    host = Host(version=answer)
    with pytest.raises(HostError, match=f"does not find trio_cursor outside .*{why}"):
        service(host, "install")
    assert not unit.exists()
    assert "-E -P -m trio_cursor version"[6:] in host.asked[-1]


def test_a_bad_configuration_is_not_installed_but_can_be_uninstalled(service, unit, tmp_path):
    host = Host()
    service(host, "install")
    (tmp_path / "c.toml").write_text("[cursor]\nnonsense = 1\n")
    with pytest.raises(ConfigError):
        service(host, "install", "-c", str(tmp_path / "c.toml"))
    assert service(host, "uninstall", "-c", str(tmp_path / "c.toml"))[0] == 0
    assert not unit.exists()


def test_variables_that_the_service_will_not_see_are_named_without_their_values(service):
    environ = {"TRIO_CURSOR_REDIS__URL": "redis://:secret@host", "XDG_CONFIG_HOME": "", "HOME": "/h"}
    _, _, err = service(Host(), "install", environ=environ)
    assert "Set here, and most likely not where the service runs: TRIO_CURSOR_REDIS__URL.\n" in err
    assert "secret" not in err
    environ = {"XDG_STATE_HOME": "/s", "TRIO_CURSOR_B": "1", "TRIO_CURSOR_A": "1", "X": "1"}
    ours = ["TRIO_CURSOR_A", "TRIO_CURSOR_B"]
    assert unseen_variables(environ, Config()) == [*ours, "XDG_STATE_HOME"]
    # Of other programs, as long as nobody says so.
    environ |= {"REDIS_URL": "redis://h", "OTEL_SERVICE_NAME": "s", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    assert unseen_variables(environ, Config()) == [*ours, "XDG_STATE_HOME"]


def test_variables_of_other_programs_are_named_where_events_go_by_them(service, tmp_path, monkeypatch):
    environ = {
        "REDIS_URL": "redis://:secret@host",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://secret",
        "OTEL_EXPORTER_OTLP_HEADERS": "key=secret",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "c.toml").write_text('[redis]\nurl = "env"\n[outputs.otlp]\nenabled = true\n')
    _, _, err = service(Host(), "install", "-c", str(tmp_path / "c.toml"), environ=environ)
    assert "secret" not in err
    assert (
        "Set here, and most likely not where the service runs:"
        " REDIS_URL, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS.\n"
    ) in err


# -- uninstall -----------------------------------------------------------------------------------------


def test_uninstall_stops_it_and_removes_the_unit_and_a_second_time_does_nothing(service, unit):
    host = Host()
    service(host, "install")
    host.asked.clear()
    code, _, err = service(host, "uninstall")
    assert (code, unit.exists(), host.running) == (0, False, False)
    assert host.told() == ["systemctl --user disable --now trio-cursor.service", START[0]]
    assert "stays in the event log" in err
    code, _, err = service(host, "uninstall")
    assert (code, err) == (0, f"systemd user unit: nothing is installed at {unit}\n")


def test_what_does_not_stop_keeps_its_file(service, unit):
    host = Host()
    service(host, "install")
    host.failing = {"disable": "it is stubborn"}
    with pytest.raises(HostError, match=r"does not stop .*it is stubborn.*; nothing was removed"):
        service(host, "uninstall")
    assert unit.exists()


def test_a_unit_that_came_from_a_machine_with_systemd_is_removed(service, unit):
    service(Host(), "install")
    assert service(Host(is_missing=True), "uninstall")[0] == 0
    assert not unit.exists()


# -- status --------------------------------------------------------------------------------------------


def test_status_tells_programs_how_it_is(service, unit):
    host = Host()
    code, out, _ = service(host, "status")
    assert code == 4
    assert json.loads(out) == {
        "host": "systemd", "file": str(unit), "found": "nothing", "reachable": True, "enabled": False,
        "running": False,
    }  # fmt: skip
    service(host, "install", "--log-level", "debug")
    code, out, _ = service(host, "status")
    assert code == 0  # whatever its options are
    assert json.loads(out)["found"] == "options"
    host.enabled = False
    assert service(host, "status")[0] == 3
    host.enabled = True
    unit.write_text(unit.read_text() + "#\n")
    code, out, _ = service(host, "status")
    assert (code, json.loads(out)["found"]) == (3, "edited")
    unit.write_text("")
    code, out, _ = service(host, "status")
    assert (code, json.loads(out)["running"]) == (4, False)


def test_status_tells_people_how_it_is(service, unit, monkeypatch):
    def shown(host):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", TerminalText())
            code, _, _ = service(host, "status")
            return code, sys.stdout.getvalue()

    host = Host()
    service(host, "install")
    assert shown(host) == (
        0,
        f"systemd user unit: {unit}\nfile: as it would be written now\nstarts at logon: yes\nrunning: yes\n",
    )
    code, text = shown(Host(away=BUS))
    assert code == 4
    assert text.endswith(
        f"systemd cannot be asked: `systemctl --user show --property=Version` failed: {BUS}\n"
    )
    assert shown(Host(is_missing=True))[1].endswith("systemd cannot be asked: there is no systemctl here\n")


# -- --print -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_print_changes_nothing_and_asks_nobody(service, home, platform):
    host = Host()
    code, out, err = service(host, "install", "--print", platform=platform)
    assert (code, host.asked, home.exists()) == (0, [], False)
    assert "trio-cursor service install" in out
    assert "Would be written to " in err
    code, out, err = service(host, "uninstall", "--print", platform=platform)
    assert (code, out, host.asked) == (0, "", [])
    assert " removed:\n  " in err


def test_print_is_the_file_that_install_would_write(service, unit):
    _, out, _ = service(Host(), "install", "--print")
    service(Host(), "install")
    assert unit.read_text() == out


# -- The other hosts -----------------------------------------------------------------------------------


def test_launchd_is_told_in_its_own_words(service, home):
    host = Host(failing={"bootstrap": "Bootstrap failed: 5: Input/output error"})
    code, _, err = service(host, "install", platform="darwin")
    file = home / "Library" / "LaunchAgents" / "trio-cursor.plist"
    domain = f"gui/{os.getuid()}"
    bootstrap = f"launchctl bootstrap {domain} {file}"
    assert (code, file.exists()) == (1, True)
    assert host.told() == [
        f"launchctl bootout {domain}/trio-cursor", f"launchctl enable {domain}/trio-cursor", *[bootstrap] * 5
    ]  # fmt: skip
    assert f"  {bootstrap}\n" in err
    host = Host()
    assert service(host, "install", platform="darwin")[0] == 0
    assert service(host, "status", platform="darwin")[0] == 0
    host.running = False
    assert service(host, "status", platform="darwin")[0] == 4
    assert service(host, "uninstall", platform="darwin")[0] == 0
    assert not file.exists()


def test_the_task_scheduler_is_told_in_its_own_words(service, home, state):
    host = Host()
    code, _, _ = service(host, "install", platform="win32")
    assert code == 0
    # A name in the directory of the home, here where a backslash is a letter.
    [file] = home.parent.glob("home*service.xml")
    assert host.told() == [
        "schtasks /End /TN trio-cursor",
        f"schtasks /Create /TN trio-cursor /XML {file} /F",
        "schtasks /Run /TN trio-cursor",
    ]
    assert service(host, "status", platform="win32")[0] == 4  # nobody holds our directory
    with held(state):
        assert service(host, "status", platform="win32")[0] == 0
    assert service(host, "uninstall", platform="win32")[0] == 0
    assert not file.exists()


def test_a_person_of_windows_gets_no_console_window(tmp_path):
    arguments = parse(["service", "install"])
    program = tmp_path / "python.exe"
    assert run_words(arguments, "win32", str(program))[0] == str(program)
    (tmp_path / "pythonw.exe").touch()
    assert run_words(arguments, "win32", str(program))[0] == str(tmp_path / "pythonw.exe")
    assert run_words(arguments, "linux", str(program))[0] == str(program)


# -- The command line ----------------------------------------------------------------------------------


def test_what_is_passed_on_does_not_depend_on_where_we_are(tmp_path, home, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["-c", "c.toml", "--cursor-dir", "~/a", "--cursor-dir", "/b/../c", "--state-dir", "s", "-v"]
    arguments = parse(["service", "install", *words, "--log-format", "json", "--log-level", "info"])
    assert run_words(arguments, "linux", "/p")[5:] == (
        *("--config", str(tmp_path / "c.toml"), "--cursor-dir", f"{home}/a", "--cursor-dir", "/c"),
        *("--state-dir", str(tmp_path / "s"), "--log-level", "info", "--log-format", "json"),
    )


def test_a_line_can_be_pasted_into_the_shell():
    assert shell_line(["a b", "c'd"], "linux") == "'a b' 'c'\"'\"'d'"
    assert shell_line(["a b", 'c"d'], "win32") == '"a b" c\\"d'


def test_an_error_is_one_line(capsys, unit):
    unit.parent.mkdir(parents=True)
    unit.write_text("mine")
    assert main(["service", "install"]) == 1
    err = capsys.readouterr().err
    assert err == f"trio_cursor: {unit} was not written by us: move it away, or overwrite it with --force\n"
