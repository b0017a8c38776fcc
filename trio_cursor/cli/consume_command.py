"""`consume`: a reference consumer; it prints each event of a stream, and acknowledges what was printed."""

from __future__ import annotations

import argparse
import sys

import attrs
import trio

from trio_cursor.asked import marker_seconds
from trio_cursor.cli.event_words import event_line
from trio_cursor.cli.log_setup import logging_to_stderr
from trio_cursor.cli.output import Style, terminal_width
from trio_cursor.cli.redis_access import server_of
from trio_cursor.cli.stopping import Stop, listened_to, terminable
from trio_cursor.config import Config, load_config
from trio_cursor.deliveries import Delivery
from trio_cursor.events import to_json
from trio_cursor.reader import open_reader

#: Who wants a few should not hold many.
_PREFETCH = 10


def run(arguments: argparse.Namespace) -> int:
    """Print events until stopped, or until there were as many as asked for."""
    with terminable():
        config = load_config(arguments.config, overrides=arguments.overrides)
        server_of(config, "consume")  # before anything is started
        colors = Style.of(sys.stderr, no_color=arguments.no_color).is_on
        with logging_to_stderr(config.logging, colors=colors):
            stop = Stop(config.service.shutdown_grace_seconds, lambda: None)
            try:
                trio.run(_Consumer(config, arguments, stop).main)
                # Before the deadline of a stop is lifted: the reader of a pipe may have gone to sleep.
                sys.stdout.flush()
            finally:
                stop.settled()
            return stop.exit_code()


@attrs.define(eq=False)
class _Consumer:
    config: Config
    arguments: argparse.Namespace
    stop: Stop

    async def main(self) -> None:
        """Consume, beside the one who hears that it should end."""
        with trio.open_signal_receiver(*listened_to()) as signals:
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    nursery.start_soon(self.stop.obey, signals, scope, None)
                    await self._consume()
                nursery.cancel_scope.cancel()

    async def _consume(self) -> None:
        wanted = self.arguments.count
        async with open_reader(
            self.config.redis,
            group=self.arguments.group,
            consumer=self.arguments.consumer,
            prefetch=_PREFETCH if wanted is None else min(wanted, _PREFETCH),
            marker_seconds=marker_seconds(self.config),
        ) as reader:
            while wanted != 0:
                await self._deal_with(await reader.receive())
                wanted = None if wanted is None else wanted - 1

    async def _deal_with(self, delivery: Delivery) -> None:
        # In a thread: a terminal that was stopped, or a full pipe, must not stop us from ending.
        await trio.to_thread.run_sync(_write, self._line(delivery), abandon_on_cancel=True)
        # What was printed is not to be printed again only because we are asked to end just now.
        with trio.move_on_after(self.config.service.shutdown_grace_seconds / 2, shield=True) as scope:
            await delivery.ack()
        if scope.cancelled_caught:
            await delivery.ack()

    def _line(self, delivery: Delivery) -> str:
        """For a person on a terminal, JSON lines everywhere else."""
        if self.arguments.json or not sys.stdout.isatty():
            return to_json(delivery.event)
        style = Style.of(sys.stdout, no_color=self.arguments.no_color)
        return event_line(delivery.event, style, terminal_width())


def _write(text: str) -> None:
    print(text, flush=True)
