"""Every AI generation in Cursor becomes one event, exactly once, and Cursor never notices.

Embed it in a Trio program::

    async with trio.open_nursery() as nursery:
        handle = await nursery.start(trio_cursor.serve, trio_cursor.load_config())
        async with handle.subscribe() as events:
            async for event in events:
                print(event.session_id, event.payload["prompt_text"])
"""

from importlib import import_module
from typing import TYPE_CHECKING

from trio_cursor.version import __version__

if TYPE_CHECKING:
    from trio_cursor.config import Config, load_config
    from trio_cursor.errors import TrioCursorError
    from trio_cursor.handle import Handle
    from trio_cursor.records import Event
    from trio_cursor.service import serve

__all__ = ["Config", "Event", "Handle", "TrioCursorError", "__version__", "load_config", "serve"]

_PLACES = {
    "Config": "config",
    "Event": "records",
    "Handle": "handle",
    "TrioCursorError": "errors",
    "load_config": "config",
    "serve": "service",
}


def __getattr__(name: str) -> object:
    """Import on first use: `python -m trio_cursor --help` must not wait for trio and all the rest."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"trio_cursor.{_PLACES[name]}"), name)
