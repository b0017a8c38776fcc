"""`compare`: what we have reported, and what other producers have put on the stream."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import attrs
import trio

from trio_cursor.assembly import PendingEntry, key_of
from trio_cursor.cli.event_words import place_name
from trio_cursor.cli.log_access import PassedOver, by_time, readable
from trio_cursor.cli.output import Style, clock, cut, indented, plural, printable, terminal_width
from trio_cursor.cli.progress import counting
from trio_cursor.cli.redis_access import reachable, server_of
from trio_cursor.comparing import Comparison, Difference, Tally
from trio_cursor.config import Config, load_config
from trio_cursor.errors import StateError, TrioCursorError
from trio_cursor.eventlog import Filter, events_called, load_pending, open_for_reading
from trio_cursor.events import event_id, to_object
from trio_cursor.observations import Json, JsonObject
from trio_cursor.records import Event
from trio_cursor.redis_address import RedisAddress
from trio_cursor.redis_keys import keys_of
from trio_cursor.redis_pages import BEGINNING, covered_from_ms, read_to_end
from trio_cursor.redis_streams import Entry, StreamInfo

DIFFERENT = 3
#: Entries come after their generation began, unless clocks differ.
_CLOCKS_MS = 3_600_000
#: Of a text that differs, from where it does.
_SHOWN_TEXT = 24
_NAMES = {"only_ours": "only ours", "only_theirs": "only theirs", "differs": "differs"}
_COLOURS = {"only_ours": "yellow", "only_theirs": "red", "differs": "cyan"}


def run(arguments: argparse.Namespace) -> int:
    """Compare, and print each difference and how many there are; 0 none, 3 some."""
    config = load_config(arguments.config, overrides=arguments.overrides)
    address = server_of(config, "compare")
    directory = Path(config.state.dir)
    since = None if arguments.since is None else int((time.time() - arguments.since) * 1000)
    as_json = arguments.json or not sys.stdout.isatty()
    style = Style.of(sys.stdout, no_color=arguments.no_color)
    tell = _tell_json if as_json else partial(_tell, style)
    connection = open_for_reading(directory)
    if connection is None:
        raise StateError(
            f"could not compare: there is no event log in {printable(str(directory))}; `run` makes one"
        )
    passed_over = PassedOver()
    is_wanted = sys.stderr.isatty() and not arguments.quiet
    with closing(connection), readable(directory):
        comparison = Comparison(since, _asking(connection, passed_over), _in_flight(connection), tell)
        with (
            reachable(address, "compare"),
            counting("entries", None, is_wanted=is_wanted, no_color=arguments.no_color) as advance,
        ):
            trio.run(_read_theirs, config, address, comparison, advance)
        for event in by_time(connection, Filter(since_ms=since), None, passed_over):
            comparison.take_ours(event)
    tally = comparison.tally
    if as_json:
        print(json.dumps({"kind": "summary", "since": since, **attrs.asdict(tally)}))
    else:
        print(*_summary(tally, config.redis.stream), sep="\n")
    return 0 if tally.is_same else DIFFERENT


def _asking(
    connection: Any, unreadable: Callable[[int], None]
) -> Callable[[Iterable[str]], Mapping[str, Event]]:
    return lambda ids: events_called(connection, ids, unreadable)


def _in_flight(connection: Any) -> frozenset[str]:
    """Event ids of what was observed and is not reported yet."""
    found = set()
    for item in load_pending(connection, lambda _: None):
        if isinstance(item, PendingEntry):
            found.add(event_id(item.key))
        elif item.turn.generation_id is not None:
            found.add(event_id(key_of(item.turn.generation_id, item.workspace)))
    return frozenset(found)


async def _read_theirs(
    config: Config, address: RedisAddress, comparison: Comparison, advance: Callable[[int], None]
) -> None:
    since = comparison.since_ms
    after = BEGINNING if since is None else f"{max(0, since - _CLOCKS_MS)}-0"

    def take(_: StreamInfo, entries: list[Entry]) -> None:
        comparison.take_theirs(entries)
        advance(len(entries))

    found = [
        await read_to_end(address, keys.stream, after=after, take=take)
        for keys in keys_of(config.redis.stream, config.redis.shards)
    ]
    infos = [info for info in found if info is not None]
    if not infos:
        raise TrioCursorError(
            f"could not compare: {address} has no stream {printable(config.redis.stream)};"
            " is that its name (--stream), and is it split (redis.shards)?"
        )
    comparison.covered_from_ms = max(map(covered_from_ms, infos))


def _tell_json(difference: Difference) -> None:
    event = difference.event
    found: JsonObject = {
        "kind": difference.kind,
        "generation_id": event.generation_id,
        "event_id": event.event_id,
        "timestamp": event.timestamp,
        "producer": difference.producer,
    }
    if difference.kind == "differs":
        found["fields"] = {
            name: {"ours": ours, "theirs": theirs} for name, (ours, theirs) in difference.fields.items()
        }
    else:
        found["event"] = to_object(event)
    print(json.dumps(found))


def _tell(style: Style, difference: Difference) -> None:
    event, width = difference.event, terminal_width()
    name, where = _NAMES[difference.kind], printable(place_name(event.metadata))
    words = [clock(event.timestamp), where, printable(event.generation_id)]
    words += [] if difference.producer is None else [f"from {printable(difference.producer)}"]
    print(style(_COLOURS[difference.kind], f"{name:12}") + cut("  ".join(words), max(width - 12, 10)))
    for field, pair in difference.fields.items():
        print(*indented(f"{field}: {_pair_in_words(*pair)}", width), sep="\n")


def _pair_in_words(ours: Json, theirs: Json) -> str:
    start = 0
    if isinstance(ours, str) and isinstance(theirs, str):
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
        start = max(0, same - _SHOWN_TEXT // 3)
    return f"ours {_in_words(ours, start)}, theirs {_in_words(theirs, start)}"


def _in_words(value: Json, start: int) -> str:
    """A text as how long it is, and a few words from where both differ."""
    if value is None:
        return "not known"
    if not isinstance(value, str):
        return cut(printable(json.dumps(value)), 2 * _SHOWN_TEXT)
    shown = cut(printable(value[start : start + 2 * _SHOWN_TEXT]), _SHOWN_TEXT)
    is_whole = not start and len(value) <= _SHOWN_TEXT
    return f"'{shown}'" if is_whole else f"{plural(len(value), 'character')} '{'…' if start else ''}{shown}'"


def _summary(tally: Tally, stream: str) -> Iterator[str]:
    others = ", ".join(f"{printable(name)} {count:,}" for name, count in tally.producers.most_common())
    yield (
        f"{plural(tally.theirs, 'generation')} from others on {printable(stream)}"
        + (f" ({others})" if others else "")
        + f", {tally.ours:,} in the event log"
    )
    fields = ", ".join(f"{name} {count:,}" for name, count in tally.fields.most_common())
    yield f"both {tally.both:,}: the same {tally.same:,}, differing {tally.differing:,}" + (
        f" ({fields})" if fields else ""
    )
    yield f"only ours {tally.only_ours:,}, only theirs {tally.only_theirs:,}"
    unusable = ", ".join(f"{reason} ({count:,})" for reason, count in tally.unusable.items())
    for count, words in (
        (tally.in_flight, "theirs that we know of and have not reported yet"),
        (tally.not_judged, "ours from before the stream's oldest entry: not judged"),
        (tally.texts_not_compared, "of both without texts: stored in a privacy mode that takes them out"),
        (tally.repeated, "of theirs came more than once"),
        (tally.unusable.total(), f"entries that are no events: {unusable}"),
    ):
        if count:
            yield f"{count:,} {words}"
