"""The pictures of the page in docs/: a service with an invented history, looked at with Chromium.

    python docs/make_screenshots.py

Needs the test dependencies, and Chromium with its driver (Debian: chromium, chromium-driver).
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import trio

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import invented_history  # noqa: E402 - found only now
from chromium import browser, look_like  # noqa: E402 - as above

import trio_cursor  # noqa: E402 - as above
from trio_cursor.config import CursorConfig, HttpConfig, StateConfig  # noqa: E402 - as above

_PATIENCE_SECONDS = 30


def make_cursor(user_dir: Path) -> None:
    """A Cursor in which nothing happens, with the workspaces of the history."""
    for name in invented_history.PLACES:
        folder = user_dir / "workspaceStorage" / f"w-{name}"
        folder.mkdir(parents=True)
        place = invented_history.workspace(name)
        (folder / "workspace.json").write_text(json.dumps({"folder": f"file://{place.path}"}))
        with closing(sqlite3.connect(folder / "state.vscdb")) as connection, connection:
            connection.execute("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
            connection.execute("INSERT INTO ItemTable VALUES ('aiService.generations', '[]')")


def take_pictures(address: str, break_something: Path) -> None:
    """All of them, as they stand in docs/."""
    with browser() as driver:

        def picture(
            name: str, path: str, *, width: int = 1120, height: int = 720, scheme: str = "light"
        ) -> None:
            look_like(driver, width=width, height=height, scheme=scheme)
            driver.get(f"{address}{path}")
            time.sleep(1.5)  # what comes by itself has come
            driver.save_screenshot(str(HERE / f"page-{name}.png"))

        _until(driver, f"{address}/", lambda source: 'id="reading"' not in source)
        picture("light", "/")
        picture("dark", "/?q=index", scheme="dark")
        picture("phone", "/", width=390, height=844)
        # Not seen until it is looked at, which may be at any moment.
        break_something.write_bytes(b"no database any more" * 200)
        _until(driver, f"{address}/?part=health", lambda source: "health red" in source)
        picture("alarm", "/", height=560)


def _until(driver: Any, address: str, is_so: Callable[[str], bool]) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _PATIENCE_SECONDS:
        driver.get(address)
        if is_so(driver.page_source):
            return
        time.sleep(0.2)
    raise SystemExit(f"{address} never came to that")


async def main() -> None:
    """Serve and look."""
    with tempfile.TemporaryDirectory(prefix="trio-cursor-pictures-") as place:
        user_dir, state = Path(place) / "User", Path(place) / "state"
        make_cursor(user_dir)
        state.mkdir(mode=0o700)
        invented_history.write_log(state, invented_history.month(invented_history.local_now()))
        config = trio_cursor.Config(
            cursor=CursorConfig(dirs=(str(user_dir),)),
            state=StateConfig(dir=str(state)),
            http=HttpConfig(listen="127.0.0.1:0"),
        )
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(trio_cursor.serve, config)
            await handle.synced()
            server = handle.status().http
            assert server is not None
            broken = user_dir / "workspaceStorage" / f"w-{invented_history.PLACES[1]}" / "state.vscdb"
            await trio.to_thread.run_sync(take_pictures, f"http://{server.address}", broken)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
