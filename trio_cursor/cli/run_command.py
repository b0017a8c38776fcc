"""`run`: the service in the foreground. It calls `serve` like any other program that embeds it."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import attrs
import trio

from trio_cursor.cli.demo_place import DemoPlace, demo_place
from trio_cursor.cli.log_setup import logging_to_stderr
from trio_cursor.cli.output import Style, plural, say
from trio_cursor.cli.progress import show_progress
from trio_cursor.cli.screen import Screen
from trio_cursor.cli.stopping import SIGNALS, Stop, terminable
from trio_cursor.cli.words import Words
from trio_cursor.config import Config, load_config
from trio_cursor.handle import Handle
from trio_cursor.service import cursor_dirs, refuse_what_is_not_built, serve, window_ms
from trio_cursor.status import Status

_LOOK_SECONDS = 0.05
#: `--once` gives an output that takes something, and then nothing any more, this long before it says so...
_OUTPUT_PATIENCE_SECONDS = 10.0
#: ... and this long to one, or to our own log, that gives an error.
_ERROR_PATIENCE_SECONDS = 3.0
_ERRORS = ("error", "timeout", "locked", "unknown_schema")


def run(arguments: argparse.Namespace) -> int:
    """Run until stopped; the exit code says how it ended."""
    with terminable(), ExitStack() as removed_at_the_end:
        overrides, demo = dict(arguments.overrides), None
        if arguments.demo:
            demo = removed_at_the_end.enter_context(demo_place(arguments))
            overrides |= demo.overrides
        config = load_config(arguments.config, overrides=overrides)
        refuse_what_is_not_built(config)
        if not config.cursor_database_monitor.enabled:
            say("enabled = false in the configuration: nothing is watched")
            return 0
        colors = Style.of(sys.stderr, no_color=arguments.no_color).is_on
        with logging_to_stderr(config.logging, colors=colors):
            stop = Stop(config.service.shutdown_grace_seconds, removed_at_the_end.close)
            return _run(_Run(config, arguments, stop, Words(config.logging)), demo)


def _run(this_run: _Run, demo: DemoPlace | None) -> int:
    try:
        if demo is not None:
            this_run.words.tell(f"Starting a fake Cursor in {demo.place}", "demo", directory=str(demo.place))
            demo.start()
        trio.run(this_run.main)
        this_run.summary()
        # Before the deadline of a stop is lifted: the reader of a pipe may have gone to sleep.
        sys.stdout.flush()
    finally:
        this_run.stop.settled()
    return this_run.exit_code()


def _is_cursor(status: Status) -> bool:
    """Whether there is anything: for the global database there is always a place, if nothing in it."""
    return any(item.workspace_id is not None or item.size is not None for item in status.workspaces)


@attrs.define(eq=False)
class _Run:
    """One run of the service, and what was seen of it."""

    config: Config
    arguments: argparse.Namespace
    stop: Stop
    words: Words
    #: Taken when the service ends: afterwards nothing changes any more.
    status: Status | None = None
    #: Why `--once` did not do what it should.
    trouble: str | None = None
    began_ms: int = attrs.field(factory=lambda: int(time.time() * 1000))
    began: float = attrs.field(factory=time.monotonic)

    async def main(self) -> None:
        """The service, beside those who look at it; around both the one who stops them."""
        with trio.open_signal_receiver(*SIGNALS) as signals:
            async with trio.open_nursery() as outer:
                async with trio.open_nursery() as nursery:
                    # Outside, so that it still hears a second signal while all of this ends.
                    outer.start_soon(self.stop.obey, signals, nursery.cancel_scope)
                    handle = await nursery.start(serve, self.config)
                    try:
                        await self._attend(handle, nursery)
                    finally:
                        self.status = handle.status()
                outer.cancel_scope.cancel()

    async def _attend(self, handle: Handle, nursery: trio.Nursery) -> None:
        scope, screen = nursery.cancel_scope, None
        self._introduce(handle)
        if not (self.arguments.quiet or self.config.outputs.json_lines.path == "-"):
            screen = self._screen(handle)
            nursery.start_soon(screen.show, scope)
        if self.arguments.once or self.config.outputs.json_lines.path == "-":
            nursery.start_soon(self._end_if_in_vain, handle, scope)
        is_wanted = sys.stderr.isatty() and not self.arguments.quiet
        await show_progress(handle, is_wanted=is_wanted, no_color=self.arguments.no_color)
        if screen is not None:
            await screen.caught_up()
        is_here = await self._say_what_is_there(handle.status())
        if self.arguments.once:
            await self._outputs_have_all(handle)
            scope.cancel()
        elif not is_here:
            await self._say_when_it_appears(handle)
        await trio.sleep_forever()

    def _screen(self, handle: Handle) -> Screen:
        is_person = sys.stdout.isatty() and not self.arguments.json
        style = Style.of(sys.stdout, no_color=self.arguments.no_color) if is_person else None
        return Screen(handle, style, self.began_ms, self.words)

    def _introduce(self, handle: Handle) -> None:
        """Say at the start where events go, and that nothing else is done with them."""
        names = [item.name.removeprefix("json_lines:") for item in handle.status().outputs]
        outputs = ["standard output" if name == "-" else name for name in names]
        places = " and to ".join([f"the event log in {self.config.state.dir}", *outputs])
        self.words.tell(
            f"Events go to {places}. Nothing leaves this machine.",
            "started",
            state_dir=self.config.state.dir,
            outputs=outputs,
        )

    async def _say_what_is_there(self, status: Status) -> bool:
        """After the first pass: how much there is, or what to do if there is no Cursor at all."""
        # In a thread: a directory of somebody else may be on a disk that does not answer.
        dirs = await trio.to_thread.run_sync(cursor_dirs, self.config)
        here = await trio.to_thread.run_sync(lambda: [path for path in dirs if Path(path).is_dir()])
        if not here:
            self._say_that_there_is_none(dirs)
        elif not _is_cursor(status):
            self._say_that_it_is_empty(here)
        else:
            self._say_how_much(status)
        return bool(here) and _is_cursor(status)

    def _say_that_there_is_none(self, dirs: tuple[str, ...]) -> None:
        lines = [
            "No Cursor found. Looked for:",
            *(f"  {path}" for path in dirs),
            "If yours is elsewhere, name its User directory with --cursor-dir;",
            "to see this work without one, use `run --demo`.",
        ]
        if not self.arguments.once:
            lines.append("Waiting for one to appear; ^C stops.")
        self.words.warn("\n".join(lines), "no Cursor found", searched=dirs)

    def _say_that_it_is_empty(self, here: list[str]) -> None:
        self.words.warn(
            f"No workspace in {' or '.join(here)}. A Cursor User directory has workspaceStorage and "
            "globalStorage in it: is this one?",
            "no workspace found",
            searched=here,
        )

    def _say_how_much(self, status: Status) -> None:
        read = sum(item.size is not None for item in status.workspaces)
        bad = sum(item.status in _ERRORS for item in status.workspaces)
        unread = f" ({bad} could not be: `status` says why)" if bad else ""
        hint = ""
        if not status.last_sequence and window_ms(self.config) is not None:
            hours = self.config.cursor_database_monitor.sync_window_hours
            hint = f" Nothing in the last {hours:g} h; --since all reads what is older."
        watching = "" if self.arguments.once else " Watching; ^C stops."
        self.words.tell(
            f"{plural(read, 'database')} read{unread}, {plural(status.generations, 'generation')} new."
            f"{hint}{watching}",
            "first pass done",
            databases=read,
            unreadable=bad,
            generations=status.generations,
        )

    async def _say_when_it_appears(self, handle: Handle) -> None:
        while not _is_cursor(handle.status()):  # noqa: ASYNC110 - the handle is looked at, it does not call
            await trio.sleep(_LOOK_SECONDS * 10)
        self.words.tell("Cursor found. Watching; ^C stops.", "Cursor found")

    async def _end_if_in_vain(self, handle: Handle, scope: trio.CancelScope) -> None:
        """When nobody reads our JSON lines any more; `--once` also when the log cannot be written."""
        since = trio.current_time()
        while True:
            status = handle.status()
            if any(item.state == "closed" for item in status.outputs):
                scope.cancel()
            if status.log_error is None:
                since = trio.current_time()
            elif self.arguments.once and trio.current_time() - since > _ERROR_PATIENCE_SECONDS:
                self.trouble = status.log_error
                scope.cancel()
            await trio.sleep(_LOOK_SECONDS * 10)

    async def _outputs_have_all(self, handle: Handle) -> None:
        """For `--once`: until every output has every event, or it is clear that one will not."""
        lags: list[int] = []
        moved = trio.current_time()
        with trio.move_on_after(_OUTPUT_PATIENCE_SECONDS) as scope:
            while behind := [item for item in handle.status().outputs if item.lag]:
                patience = _OUTPUT_PATIENCE_SECONDS
                if any(item.state == "error" for item in behind):
                    patience = _ERROR_PATIENCE_SECONDS
                if lags != (lags := [item.lag for item in behind]):
                    moved = trio.current_time()
                scope.deadline = moved + patience
                await trio.sleep(_LOOK_SECONDS)
        for item in handle.status().outputs:
            if item.lag and self.trouble is None:
                self.trouble = f"{item.name} is {plural(item.lag, 'event')} behind: {item.last_error}"

    def summary(self) -> None:
        """One line at the end; with `--once` also what could not be read."""
        if self.status is None:
            return
        if self.arguments.once:
            for item in self.status.workspaces:
                if item.status in _ERRORS:
                    place, why = item.workspace_path or item.database, item.last_error
                    self.words.warn(f"Not read: {place}: {why}", "not read", database=item.database, why=why)
        if self.stop.exit_code() and sys.stderr.isatty():
            say("")  # behind the ^C that the terminal shows
        if self.trouble:
            self.words.warn(f"Not delivered: {self.trouble}", "not delivered", why=self.trouble)
        active = sum(bool(item.generations) for item in self.status.workspaces)
        seconds = time.monotonic() - self.began
        gaps = f", {plural(self.status.gaps, 'gap')}" if self.status.gaps else ""
        self.words.tell(
            f"{plural(self.status.generations, 'generation')} from {plural(active, 'workspace')}"
            f" in {seconds:.0f} s{gaps}.",
            "stopped",
            generations=self.status.generations,
            workspaces=active,
            gaps=self.status.gaps,
            seconds=round(seconds, 1),
        )

    def exit_code(self) -> int:
        """1 if `--once` could not deliver, else how it was stopped."""
        return 1 if self.trouble else self.stop.exit_code()
