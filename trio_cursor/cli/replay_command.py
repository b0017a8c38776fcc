"""`replay`: stored events to an output again."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trio_cursor.asked import marker_seconds
from trio_cursor.cli.log_access import PassedOver, readable
from trio_cursor.cli.output import plural, printable, say
from trio_cursor.cli.progress import counting
from trio_cursor.cli.redis_access import add_redis_options, server_of
from trio_cursor.config import Config, load_config
from trio_cursor.discretion import veil_of
from trio_cursor.errors import StateError, TrioCursorError
from trio_cursor.eventlog import Filter, cursor_names, last_sequence, open_for_reading, read_events
from trio_cursor.os_files import is_broken_pipe
from trio_cursor.outputs.follower import OutputClosedError, OutputError
from trio_cursor.outputs.json_lines import JsonLinesFile, open_json_lines
from trio_cursor.outputs.otlp_opening import sender_for_replay
from trio_cursor.records import Event
from trio_cursor.redis_keys import keys_of, shard_of
from trio_cursor.redis_replay import StreamReplay
from trio_cursor.redis_trouble import StreamError

if TYPE_CHECKING:
    from trio_cursor.outputs.otlp_sending import SpanSender

_USAGE = 2
_BATCH_EVENTS = 500
_BATCH_BYTES = 16_000_000
#: Takes events; gives, a few at a time, how many it took, and how many of them were not there.
_Send = Callable[[list[Event]], Iterator[tuple[int, int]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where to; which events is the main parser's."""
    parser.add_argument("--json-lines", metavar="FILE|-", help="append them to a file, or print them")
    parser.add_argument("--otlp", metavar="URL|env", help="send them to an OpenTelemetry collector, as spans")
    add_redis_options(parser)
    parser.add_argument("--force", action="store_true", help="also what is on the stream already")


@attrs.define
class _Tally:
    sent: int = 0
    already_there: int = 0

    def words(self) -> str:
        there = f", {self.already_there:,} already there" if self.already_there else ""
        return f"{plural(self.sent, 'event')} sent{there}"


def run(arguments: argparse.Namespace) -> int:
    """Send what is asked for, and say how much that was."""
    is_redis = arguments.redis_url or arguments.stream or arguments.force
    for option, given in (("--json-lines", arguments.json_lines), ("--otlp", arguments.otlp)):
        if given and is_redis:
            say(f"trio_cursor: {option}: not together with --redis-url, --stream or --force")
            return _USAGE
    if arguments.json_lines and arguments.otlp:
        say("trio_cursor: --otlp: not together with --json-lines")
        return _USAGE
    config = load_config(arguments.config, overrides=arguments.overrides)
    directory = Path(config.state.dir)
    tally = _Tally()
    with ExitStack() as stack:
        connection = open_for_reading(directory)
        if connection is not None:
            stack.enter_context(closing(connection))
            stack.enter_context(readable(directory))
            veil = _veil(connection, config)
            if arguments.json_lines:
                send = _to_lines(arguments.json_lines, connection, config)
            elif arguments.otlp:
                send = _to_collector(config)
            else:
                send = _to_redis(config, stack, is_forced=arguments.force)
            _replay(arguments, connection, lambda events: send([veil(event) for event in events]), tally)
    if not tally.sent + tally.already_there:
        hint = "" if connection else "; there is no event log yet: `run` makes one"
        say(f"no events to send in {printable(str(directory))}{hint}")
    elif not arguments.json:
        say(tally.words())
    if arguments.json and arguments.json_lines != "-":
        print(json.dumps(attrs.asdict(tally)))
    return 0


def _veil(connection: Any, config: Config) -> Callable[[Event], Event]:
    """An event as the privacy mode has it: it leaves us, as by an output."""
    try:
        return veil_of(connection, config.privacy.mode)
    except StateError as error:
        raise StateError(f"could not replay: {error}") from error


def _replay(arguments: argparse.Namespace, connection: Any, send: _Send, tally: _Tally) -> None:
    newest = last_sequence(connection)
    is_wanted = sys.stderr.isatty() and not arguments.quiet
    with counting("of the log", newest, is_wanted=is_wanted, no_color=arguments.no_color) as advance:
        at = 0
        for events in _selected(arguments, connection, newest):
            try:
                for count, added in send(events):
                    tally.sent += added
                    tally.already_there += count - added
            except (OutputError, OutputClosedError) as error:
                if error.__context__ is not None and is_broken_pipe(error.__context__):
                    raise error.__context__ from None  # as for every command that prints
                done = tally.words()
                raise TrioCursorError(f"could not replay: {error} ({done}; it can be run again)") from error
            advance(events[-1].sequence - at)
            at = events[-1].sequence


def _selected(arguments: argparse.Namespace, connection: Any, newest: int) -> Iterator[list[Event]]:
    """By sequence, some at a time, up to where the log ended when it began."""
    since = None if arguments.since is None else int((time.time() - arguments.since) * 1000)
    wanted = Filter(since, arguments.workspace, arguments.session)
    unreadable, after = PassedOver(), 0
    if arguments.number is not None:
        last = read_events(connection, wanted, limit=arguments.number, newest=True, unreadable=unreadable)
        after = last[0].sequence - 1 if last else newest
    while after < newest:
        found = read_events(
            connection,
            wanted,
            after=after,
            limit=_BATCH_EVENTS,
            max_bytes=_BATCH_BYTES,
            unreadable=unreadable,
        )
        events = [event for event in found if event.sequence <= newest]
        if not events:
            return
        yield events
        after = events[-1].sequence


def _to_lines(path: str, connection: Any, config: Config) -> _Send:
    output = open_json_lines(path)
    # What stands in its file behind what it knows of is for the service what a killed run has written.
    if isinstance(output, JsonLinesFile) and _is_live(output, connection, config):
        raise TrioCursorError(
            f"could not replay: the service itself writes {printable(path)}; name another file"
        )

    def send(events: list[Event]) -> Iterator[tuple[int, int]]:
        trio.run(output.write, events)
        yield len(events), len(events)

    return send


def _to_collector(config: Config) -> _Send:
    refused: list[str] = []

    async def refuse(event: Event, why: str) -> None:
        refused.append(event.event_id)
        say(f"not sent: {printable(event.event_id)}: {printable(why)}")
        await trio.lowlevel.checkpoint()

    sender = sender_for_replay(config, os.environ, lambda: time.time_ns() // 1_000_000, refuse)
    trio.run(_looked_at, sender)

    def send(events: list[Event]) -> Iterator[tuple[int, int]]:
        refused.clear()
        trio.run(sender.send, events)
        if sender.rejected:
            say(f"not sent: {printable(sender.rejected)}")
            sender.rejected = None
        count = len(events) - len(refused)
        yield count, count

    return send


async def _looked_at(sender: SpanSender) -> None:
    try:
        await sender.look()
    except OutputError as error:
        raise TrioCursorError(f"could not replay: {error}") from error


def _is_live(output: JsonLinesFile, connection: Any, config: Config) -> bool:
    """Whether the service writes the file, whatever it calls it."""
    kind, _, _ = output.name.partition(":")
    names = [
        name.removeprefix(f"{kind}:") for name in cursor_names(connection) if name.startswith(f"{kind}:")
    ]
    if config.outputs.json_lines.path:
        names.append(config.outputs.json_lines.path)
    return any(_is_same_file(str(output.path), name) for name in names)


def _is_same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 - of hard links too
    except (OSError, ValueError):  # one of them is not there yet
        return os.path.realpath(one) == os.path.realpath(other)


def _to_redis(config: Config, stack: ExitStack, *, is_forced: bool) -> _Send:
    address, shards, seconds = server_of(config, "replay"), config.redis.shards, marker_seconds(config)
    replays = [
        stack.enter_context(closing(StreamReplay(address, keys, marker_seconds=seconds, is_forced=is_forced)))
        for keys in keys_of(config.redis.stream, shards)
    ]

    def send(events: list[Event]) -> Iterator[tuple[int, int]]:
        by_shard: dict[int, list[Event]] = {}
        for event in events:
            by_shard.setdefault(shard_of(event, shards), []).append(event)
        try:
            for number, some in by_shard.items():
                yield from replays[number].send(some)
        except StreamError as error:
            raise OutputError(f"{address}: {error}") from error

    return send
