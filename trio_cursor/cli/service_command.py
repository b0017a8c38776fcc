"""`service install|uninstall|status`: have the host run the service whenever its user is logged on."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from trio_cursor.cli.hosted_run import run_words, unseen_variables
from trio_cursor.cli.output import printable, say
from trio_cursor.cli.shell_words import shell_line
from trio_cursor.config import Config, load_config
from trio_cursor.errors import AlreadyRunningError, ConfigError, HostError
from trio_cursor.hosts import unit_file
from trio_cursor.hosts.choosing import host_of
from trio_cursor.hosts.host import Host, Question, Step
from trio_cursor.hosts.templates import Found
from trio_cursor.hosts.tools import Answer, Tool, ask
from trio_cursor.os_files import own_uid
from trio_cursor.state_dir import is_held

WELL, FAILED, DEGRADED, NOT_RUNNING = 0, 1, 3, 4
_PAUSE_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments; the common ones are the main parser's."""
    parser.add_argument(
        "action",
        choices=("install", "uninstall", "status"),
        help="install: start it now and at each logon, with the --config, --cursor-dir, --state-dir and "
        "--log-* given here; uninstall: stop it and take that back; status: 0 well, 3 not, 4 not running",
    )
    parser.add_argument("--print", action="store_true", dest="is_printed",
        help="print what would be written and run, and change nothing")  # fmt: skip
    parser.add_argument(
        "--force", action="store_true", help="also over a file that was changed by hand or is not ours"
    )


def run(
    arguments: argparse.Namespace,
    *,
    platform: str = sys.platform,
    environ: Mapping[str, str] = os.environ,
    tool: Tool = ask,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Do it, and give the exit code. Raises `HostError`, `ConfigError`, `AlreadyRunningError`."""
    try:
        config = load_config(arguments.config, overrides=arguments.overrides)
        state_dir: Path | None = Path(config.state.dir)
    except ConfigError:
        # The service would fail with it, too, but nobody would be there to read why.
        if arguments.action == "install":
            raise
        config, state_dir = Config(), None
    words = run_words(arguments, platform)
    host = host_of(platform, words, environ=environ, home=str(Path.home()), uid=own_uid())
    work = _Work(host, tool, pause, state_dir, words, is_forced=arguments.force)
    if arguments.action == "status":
        return work.status(as_json=arguments.json or not sys.stdout.isatty())
    if arguments.is_printed:
        return work.show(arguments.action)
    if arguments.action == "uninstall":
        return work.uninstall()
    return work.install(unseen_variables(environ, config))


@attrs.frozen
class _Work:
    """One host, and how it is talked to."""

    host: Host
    tool: Tool
    pause: Callable[[float], None]
    #: None: the configuration is at fault, so nothing can run.
    state_dir: Path | None
    words: tuple[str, ...]
    is_forced: bool

    # -- install ---------------------------------------------------------------------------------------

    def install(self, unseen: list[str]) -> int:
        """Write the file and start the service, unless all of that was done already."""
        host, found = self.host, unit_file.look(self.host)
        self._refuse_what_is_not_ours(found, "overwrite")
        reachable = self._ask(host.reachable)
        if reachable.code is None:
            return self._say_that_there_is_none()
        is_running = self._is_running()
        if found is Found.SAME and is_running and self._is_yes(host.is_enabled):
            _tell(f"{host.file} is installed already, as it would be written now, and runs: nothing to do")
            return WELL
        self._refuse_what_could_not_start(is_running=is_running)
        if found is Found.SAME:
            _tell(f"{host.noun}: {host.file} is there already, as it would be written now")
        else:
            unit_file.write(host)
            _tell(f"{host.noun} written: {host.file}")
        if unseen:
            _tell(f"Set here, and most likely not where the service runs: {', '.join(unseen)}.")
            _tell("What they say is best written into the configuration file (`config init`, `config show`).")
        if not reachable.is_well:
            return self._say_what_to_do_by_hand(host.starting, host.reachable, reachable)
        for number, step in enumerate(host.starting):
            answer = self._do(step)
            if step.is_vital and not answer.is_well:
                return self._say_what_to_do_by_hand(host.starting[number:], step, answer)
        _tell(f"It runs, and starts again whenever you log on. Its log lines: {host.log}")
        _tell("How it is: `service status` and `status`. To take it back: `service uninstall`.")
        if host.outlives is not None and not self._is_yes(host.outlives):
            _tell(host.until_logout)
        return WELL

    def _say_that_there_is_none(self) -> int:
        """In a container, or on a system that is run by something else."""
        [program, *_] = self.host.reachable.words
        _tell(
            f"There is no {program} here: {self.host.name} does not run this system. Nothing was installed."
        )
        _tell("Have whatever starts programs here run this; it stays in the foreground, and SIGTERM ends it:")
        _tell(f"  {shell_line(self.words)}")
        return FAILED

    def _refuse_what_could_not_start(self, *, is_running: bool) -> None:
        program, *options = self.words
        # As the host will start it: without what this shell has set, and from another directory.
        answer = self.tool((program, "-E", *options[: options.index("run")], "version"))
        if not answer.is_well:
            last = answer.text.splitlines()[-1:] or ["no such program"]
            raise HostError(
                f"{program} does not find trio_cursor outside of this directory or shell ({last[0]}); "
                "install it with pip, and call that one"
            )
        if not is_running and self._is_held():
            raise AlreadyRunningError(
                f"another trio_cursor holds {self.state_dir}; stop it, then install the service"
            )

    # -- uninstall -------------------------------------------------------------------------------------

    def uninstall(self) -> int:
        """Stop the service and remove the file, if it is ours."""
        host, found = self.host, unit_file.look(self.host)
        if found is Found.NOTHING:
            _tell(f"{host.noun}: nothing is installed at {host.file}")
            return WELL
        self._refuse_what_is_not_ours(found, "remove")
        reachable = self._ask(host.reachable)
        if not reachable.is_well and reachable.code is not None:
            # Without its file nothing could stop it any more.
            removing = (Step(("rm", host.file)), *host.forgetting)
            return self._say_what_to_do_by_hand((*host.stopping, *removing), host.reachable, reachable)
        answers = [self._do(step) for step in host.stopping] if reachable.is_well else []
        if reachable.is_well and self._is_running():
            raise HostError(
                f"it does not stop ({_words_of(host.stopping[0], answers[0])}); nothing was removed"
            )
        unit_file.remove(host)
        _tell(f"{host.noun} removed: {host.file}")
        _tell("What was reported stays in the event log; `events` shows it.")
        for step in host.forgetting if reachable.is_well else ():
            self._do(step)
        return WELL

    # -- status ----------------------------------------------------------------------------------------

    def status(self, *, as_json: bool) -> int:
        """Whether it is installed, enabled and running."""
        host, found = self.host, unit_file.look(self.host)
        reachable = self._ask(host.reachable)
        can_tell = reachable.is_well
        # Whatever has another file by our name is not us.
        is_ours = found not in (Found.NOTHING, Found.FOREIGN)
        is_enabled = can_tell and is_ours and self._is_yes(host.is_enabled)
        is_running = can_tell and is_ours and self._is_running()
        if as_json:
            print(json.dumps({
                "host": host.name, "file": host.file, "found": found.name.lower(), "reachable": can_tell,
                "enabled": is_enabled if can_tell else None, "running": is_running if can_tell else None,
            }))  # fmt: skip
        else:
            lines = [f"{host.noun}: {host.file}", f"file: {found.value}"]
            if can_tell:
                lines.append(f"starts at logon: {'yes' if is_enabled else 'no'}")
                lines.append(f"running: {'yes' if is_running else 'no'}")
            else:
                lines.append(f"{host.name} cannot be asked: {_words_of(host.reachable, reachable)}")
            print(*map(printable, lines), sep="\n")
        if not is_running:
            return NOT_RUNNING
        return WELL if found in (Found.SAME, Found.OPTIONS) and is_enabled else DEGRADED

    # -- --print ---------------------------------------------------------------------------------------

    def show(self, action: str) -> int:
        """What would be done: the file on stdout, words about it on stderr."""
        host = self.host
        if action == "install":
            print(host.content.decode(host.encoding), end="")
            _tell(f"Would be written to {host.file}; then would be run:")
            steps = host.starting
        else:
            _tell(f"Would be run, and {host.file} removed:")
            steps = (*host.stopping, *host.forgetting)
        for step in steps:
            _tell(f"  {shell_line(step.words)}")
        return WELL

    # -- The host --------------------------------------------------------------------------------------

    def _refuse_what_is_not_ours(self, found: Found, what: str) -> None:
        if found in (Found.EDITED, Found.FOREIGN) and not self.is_forced:
            state = "was changed by hand" if found is Found.EDITED else "was not written by us"
            raise HostError(f"{self.host.file} {state}: move it away, or {what} it with --force")

    def _is_running(self) -> bool:
        if self.host.is_running is None:
            # Somebody holds our directory, and the host knows us: that is most likely it.
            return self._is_held() and self._is_yes(self.host.is_enabled)
        return self._is_yes(self.host.is_running)

    def _is_held(self) -> bool:
        return self.state_dir is not None and is_held(self.state_dir)

    def _ask(self, question: Question) -> Answer:
        return self.tool(question.words)

    def _is_yes(self, question: Question) -> bool:
        return question.is_yes(self._ask(question))

    def _do(self, step: Step) -> Answer:
        answer = self.tool(step.words)
        for _ in range(step.tries - 1):
            if answer.is_well:
                break
            self.pause(_PAUSE_SECONDS)
            answer = self.tool(step.words)
        return answer

    def _say_what_to_do_by_hand(
        self, steps: tuple[Step, ...], failed: Question | Step, answer: Answer
    ) -> int:
        _tell(_words_of(failed, answer))
        _tell("So this is left to be run by hand, in a session of the user:")
        for step in steps:
            _tell(f"  {shell_line(step.words)}")
        if steps[-1] in self.host.starting:
            _tell(f"If it does not start, its log lines say why: {self.host.log}")
        return FAILED


def _words_of(asked: Question | Step, answer: Answer) -> str:
    if answer.code is None:
        return f"there is no {asked.words[0]} here"
    why = " ".join(answer.text.split()) or f"code {answer.code}"
    return f"`{shell_line(asked.words)}` failed: {why}"


def _tell(line: str) -> None:
    say(printable(line))
