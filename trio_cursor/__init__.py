"""Every AI generation in Cursor becomes one event, exactly once, and Cursor never notices.

Embed it in a Trio program::

    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, trio_cursor.load_config())
        async with handle.subscribe() as events:
            async for event in events:
                print(event.session_id, event.payload["prompt_text"])

Read the events from Redis, in a consumer group::

    async with trio_cursor.open_reader("redis://localhost:6379", group="analytics") as reader:
        async for delivery in reader:
            print(delivery.event.session_id)
            await delivery.ack()
"""

from importlib import import_module
from typing import TYPE_CHECKING

from trio_cursor.version import __version__

if TYPE_CHECKING:
    from trio_cursor.config import Config, load_config
    from trio_cursor.deliveries import Delivery
    from trio_cursor.errors import TrioCursorError
    from trio_cursor.handle import Handle
    from trio_cursor.reader import EventReader, open_reader
    from trio_cursor.records import Event
    from trio_cursor.service import serve

__all__ = [
    "Config",
    "Delivery",
    "Event",
    "EventReader",
    "Handle",
    "TrioCursorError",
    "__version__",
    "load_config",
    "open_reader",
    "serve",
]

_PLACES = {
    "Config": "config",
    "Delivery": "deliveries",
    "Event": "records",
    "EventReader": "reader",
    "Handle": "handle",
    "TrioCursorError": "errors",
    "load_config": "config",
    "open_reader": "reader",
    "serve": "service",
}


def __getattr__(name: str) -> object:
    """Import on first use: `python -m trio_cursor --help` must not wait for trio and all the rest."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"trio_cursor.{_PLACES[name]}"), name)
