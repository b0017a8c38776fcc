"""The OpenTelemetry output of a configuration; what needs the extra `otel` is imported here alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from trio_cursor.asked import marker_seconds
from trio_cursor.config import Config
from trio_cursor.errors import ConfigError
from trio_cursor.eventlog import EventLog
from trio_cursor.logs import get_logger
from trio_cursor.outputs.otlp_address import Collector, collector_of
from trio_cursor.records import Event
from trio_cursor.states import OutputState

if TYPE_CHECKING:
    from trio_cursor.outputs.follower import Output
    from trio_cursor.outputs.otlp_sending import SpanSender

log = get_logger(__name__)

#: What the extra brings, by what is imported of it.
_EXTRA: Final = ("opentelemetry.proto",)


def usable_collector(config: Config, environ: Mapping[str, str]) -> Collector:
    """The collector that is asked for. Raises `ConfigError`, also if the extra is not installed."""
    if not all(map(_is_installed, _EXTRA)):
        raise ConfigError(
            ("outputs.otlp needs the extra otel, which is not installed: pip install 'trio-cursor[otel]'",)
        )
    return collector_of(config.outputs.otlp, environ)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it would be in
        return False


async def open_otlp(
    config: Config, events: EventLog, now_ms: Callable[[], int], environ: Mapping[str, str]
) -> tuple[Output, OutputState]:
    """The output for `[outputs.otlp]`. Connects to nothing yet. Raises `ConfigError`, `StateError`."""
    collector = usable_collector(config, environ)
    from trio_cursor.outputs.otlp import NAME, OtlpOutput  # noqa: PLC0415 - needs the extra

    for note in collector.notes:
        log.warning(note)
    state = OutputState(NAME)
    output = OtlpOutput(
        collector,
        with_texts=config.outputs.otlp.texts,
        instance=await events.producer_id(),
        events=events,
        state=state,
        now_ms=now_ms,
    )
    await _begin(events, now_ms() - marker_seconds(config) * 1000)
    return output, state


async def _begin(events: EventLog, since_ms: int) -> None:
    """At first only what was captured of late is sent: few collectors want what is old."""
    from trio_cursor.outputs.otlp import NAME  # noqa: PLC0415 - needs the extra

    if NAME in await events.cursors(NAME):
        return
    if begin := await events.sequence_before(since_ms):
        log.info("what was captured long ago is not sent to OpenTelemetry; `replay` does that", events=begin)
    await events.save_cursor(NAME, begin)


def sender_for_replay(
    config: Config,
    environ: Mapping[str, str],
    now_ms: Callable[[], int],
    refuse: Callable[[Event, str], Awaitable[None]],
) -> SpanSender:
    """Who sends spans beside the service, without metrics: they were counted. Raises `ConfigError`.

    `refuse` is called for each event that is never taken, with the reason.
    """
    collector = usable_collector(config, environ)
    from trio_cursor.outputs.otlp_posting import Poster  # noqa: PLC0415 - needs the extra
    from trio_cursor.outputs.otlp_sending import SpanSender, resource_of  # noqa: PLC0415 - as above

    if collector.traces is None:
        raise ConfigError(("OTEL_TRACES_EXPORTER is none: there is nothing that could be sent again",))

    async def bury(events: Sequence[Event], reason: str) -> None:
        for event in events:
            await refuse(event, reason)

    resource = resource_of(collector.resource)
    return SpanSender(
        Poster(collector, now_ms), collector.traces, resource, with_texts=config.outputs.otlp.texts, bury=bury
    )
