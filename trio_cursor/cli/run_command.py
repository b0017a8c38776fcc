"""`run`: the service in the foreground. It calls `serve` like any other program that embeds it."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress

import attrs
import trio

from trio_cursor.cli.demo_place import DemoPlace, demo_place, without_token
from trio_cursor.cli.log_setup import LogLines, level_of, logging_to_stderr
from trio_cursor.cli.notifying import Manager
from trio_cursor.cli.output import Style, goes_nowhere, plural, say
from trio_cursor.cli.progress import show_progress
from trio_cursor.cli.run_report import Report, server_begun
from trio_cursor.cli.screen import Screen
from trio_cursor.cli.stopping import Stop, listened_to, terminable
from trio_cursor.cli.words import Words
from trio_cursor.config import Config, LoggingConfig, load_config
from trio_cursor.errors import ConfigError
from trio_cursor.handle import Handle
from trio_cursor.service import serve
from trio_cursor.status import Status

_LOOK_SECONDS = 0.05
#: `--once` gives an output that takes something, and then nothing any more, this long before it says so...
_OUTPUT_PATIENCE_SECONDS = 10.0
#: ... and this long to one, or to our own log, that gives an error.
_ERROR_PATIENCE_SECONDS = 3.0


def run(arguments: argparse.Namespace) -> int:
    """Run until stopped; the exit code says how it ended."""
    # Closing the terminal is the most ordinary end of a demo; a daemon has no terminal that could be closed.
    by_hangup = arguments.demo or sys.stdin.isatty()
    early: list[int] = []
    manager = Manager.of(os.environ)
    with terminable(None if by_hangup else early.append), ExitStack() as removed_at_the_end:
        overrides, demo = dict(arguments.overrides), None
        if arguments.demo:
            demo = removed_at_the_end.enter_context(demo_place(arguments))
            overrides |= demo.overrides | {"sessions.files_dir": str(demo.place / "sessions")}

        def load() -> Config:
            config = load_config(arguments.config, overrides=overrides)
            # No override says "none": that would be one that was not given.
            return config if demo is None else without_token(config)

        config = load()
        if not config.cursor_database_monitor.enabled:
            say("enabled = false in the configuration: nothing is watched")
            manager.will_not_run("enabled = false in the configuration")
            return 0
        colors = Style.of(sys.stderr, no_color=arguments.no_color).is_on
        with logging_to_stderr(config.logging, colors=colors) as log_lines:
            stop = Stop(config.service.shutdown_grace_seconds, removed_at_the_end.close)
            report = Report(config, Words(config.logging), is_once=arguments.once)
            reloading = None if by_hangup else Reloading(load, log_lines, early)
            return _run(_Run(config, arguments, stop, report, reloading, manager), demo)


def _run(this_run: _Run, demo: DemoPlace | None) -> int:
    try:
        if demo is not None:
            words = this_run.report.words
            words.tell(f"Starting a fake Cursor in {demo.place}", "demo", directory=str(demo.place))
            demo.start()
        trio.run(this_run.main)
        if this_run.status is not None:
            trouble, is_interrupted = this_run.trouble, bool(this_run.stop.exit_code())
            this_run.report.summary(this_run.status, trouble=trouble, is_interrupted=is_interrupted)
        # Before the deadline of a stop is lifted: the reader of a pipe may have gone to sleep.
        sys.stdout.flush()
    finally:
        this_run.stop.settled()
    return this_run.exit_code()


@attrs.define(eq=False)
class Reloading:
    """How the configuration is read again."""

    #: As at the start: from the same sources, with the same options. Blocks.
    load: Callable[[], Config]
    log_lines: LogLines
    #: Hangups that came before anybody listened: what they ask for is done once somebody does.
    early: Collection[int] = ()
    _sends: trio.MemorySendChannel[None] = attrs.field(init=False)
    #: One request for all that come before it is obeyed.
    asked: trio.MemoryReceiveChannel[None] = attrs.field(init=False)
    #: Own thread: a file on a mount that is dead must not keep anybody else from one.
    _limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)

    def __attrs_post_init__(self) -> None:
        self._sends, self.asked = trio.open_memory_channel[None](1)

    def ask(self) -> None:
        """Somebody wants it to be read."""
        with suppress(trio.WouldBlock):
            self._sends.send_nowait(None)

    async def read(self) -> Config:
        """Read it. Raises `ConfigError`."""
        return await trio.to_thread.run_sync(self.load, abandon_on_cancel=True, limiter=self._limiter)


@attrs.define(eq=False)
class _Run:
    """One run of the service, and what was seen of it."""

    config: Config
    arguments: argparse.Namespace
    stop: Stop
    report: Report
    #: None: a hangup is the end.
    reloading: Reloading | None
    manager: Manager = attrs.field(factory=Manager)
    #: Taken when the service ends: afterwards nothing changes any more.
    status: Status | None = None
    #: Why `--once` did not do what it should.
    trouble: str | None = None
    began_ms: int = attrs.field(factory=lambda: int(time.time() * 1000))

    async def main(self) -> None:
        """The service, beside those who look at it; around both the one who stops them."""
        with trio.open_signal_receiver(*listened_to()) as signals:
            async with trio.open_nursery() as outer:
                async with trio.open_nursery() as nursery:
                    # Outside, so that it still hears a second signal while all of this ends.
                    reload = None if self.reloading is None else self.reloading.ask
                    outer.start_soon(self.stop.obey, signals, nursery.cancel_scope, reload)
                    handle = await nursery.start(serve, self.config)
                    # What was imported stays for good: to look for garbage in it took 30 ms each time.
                    gc.freeze()
                    nursery.start_soon(self.manager.attend, handle.progress)
                    if self.reloading is not None:
                        nursery.start_soon(self._reload, handle, self.reloading)
                    try:
                        await self._attend(handle, nursery)
                    finally:
                        self.status = handle.status()
                outer.cancel_scope.cancel()

    async def _attend(self, handle: Handle, nursery: trio.Nursery) -> None:
        scope, screen = nursery.cancel_scope, None
        self.report.introduce(handle)
        is_unwanted = self.arguments.quiet or goes_nowhere(sys.stdout)
        if not (is_unwanted or self.config.outputs.json_lines.path == "-"):
            screen = self._screen(handle)
            nursery.start_soon(screen.show, scope)
        if self.arguments.once or self.config.outputs.json_lines.path == "-":
            nursery.start_soon(self._end_if_in_vain, handle, scope)
        is_wanted = sys.stderr.isatty() and not self.arguments.quiet
        await show_progress(handle, is_wanted=is_wanted, no_color=self.arguments.no_color)
        if screen is not None:
            await screen.caught_up()
        await server_begun(handle)
        is_here = await self.report.what_is_there(handle.status())
        if self.arguments.once:
            await self._outputs_have_all(handle)
            scope.cancel()
        elif not is_here:
            await self.report.when_it_appears(handle)
        await trio.sleep_forever()

    async def _reload(self, handle: Handle, reloading: Reloading) -> None:
        """Read the configuration again whenever that is asked for; one that is at fault changes nothing."""
        if reloading.early:
            reloading.ask()
        async for _ in reloading.asked:
            self.manager.reloading()
            await self._reload_once(handle, reloading)
            self.manager.reloaded()

    async def _reload_once(self, handle: Handle, reloading: Reloading) -> None:
        try:
            config = await reloading.read()
        except ConfigError as error:
            self.report.refused(error.faults)
        else:
            reloaded = handle.reload(config)
            # Told at whichever of the two levels lets more through.
            is_quieter = level_of(config.logging) > logging.getLogger().level
            if not is_quieter:
                self._follow(config.logging, reloading.log_lines)
            self.report.reloaded(reloaded)
            self._follow(config.logging, reloading.log_lines)

    def _follow(self, config: LoggingConfig, log_lines: LogLines) -> None:
        log_lines.follow(config)
        self.report = attrs.evolve(self.report, words=Words(config))

    def _screen(self, handle: Handle) -> Screen:
        is_person = sys.stdout.isatty() and not self.arguments.json
        style = Style.of(sys.stdout, no_color=self.arguments.no_color) if is_person else None
        return Screen(handle, style, self.began_ms, self.report.words)

    async def _end_if_in_vain(self, handle: Handle, scope: trio.CancelScope) -> None:
        """When nobody reads our JSON lines any more; `--once` also when the log cannot be written."""
        since = trio.current_time()
        while True:
            now = handle.progress()
            if any(item.state == "closed" for item in now.outputs):
                scope.cancel()
            if now.log_error is None:
                since = trio.current_time()
            elif self.arguments.once and trio.current_time() - since > _ERROR_PATIENCE_SECONDS:
                self.trouble = now.log_error
                scope.cancel()
            await trio.sleep(_LOOK_SECONDS * 10)

    async def _outputs_have_all(self, handle: Handle) -> None:
        """For `--once`: until every output has every event, or it is clear that one will not."""
        lags: list[int] = []
        moved = trio.current_time()
        with trio.move_on_after(_OUTPUT_PATIENCE_SECONDS) as scope:
            while behind := [item for item in handle.progress().outputs if item.lag]:
                patience = _OUTPUT_PATIENCE_SECONDS
                if any(item.state == "error" for item in behind):
                    patience = _ERROR_PATIENCE_SECONDS
                if lags != (lags := [item.lag for item in behind]):
                    moved = trio.current_time()
                scope.deadline = moved + patience
                await trio.sleep(_LOOK_SECONDS)
        for item in handle.progress().outputs:
            if item.lag and self.trouble is None:
                self.trouble = f"{item.name} is {plural(item.lag, 'event')} behind: {item.last_error}"

    def exit_code(self) -> int:
        """1 if `--once` could not deliver, else how it was stopped."""
        return 1 if self.trouble else self.stop.exit_code()
