"""Progress bars on a long first sync and on whatever else takes a while, for a person only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trio_cursor.handle import Handle

if TYPE_CHECKING:
    from rich.progress import Progress

#: Nobody wants a bar for what is over at once.
_PATIENCE_SECONDS = 0.5
_FRAME_SECONDS = 0.1


async def show_progress(handle: Handle, *, is_wanted: bool, no_color: bool) -> None:
    """Wait until the first pass is over, with a bar on stderr if it takes a while."""
    with trio.move_on_after(_PATIENCE_SECONDS):
        await handle.synced()
        return
    if not is_wanted:
        await handle.synced()
        return
    from rich.console import Console  # noqa: PLC0415 - rarely needed, slow to import
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("first sync"),
        BarColumn(),
        TextColumn("{task.completed} of {task.fields[of]} databases,"),
        TextColumn("{task.fields[generations]:,} generations"),
        TimeElapsedColumn(),
    )
    bar = Progress(
        *columns,
        console=Console(file=sys.stderr, no_color=no_color or None),
        transient=True,
        # Events that are printed meanwhile stand above the bar; those for a file or a pipe go there.
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task("", total=None, of=0, generations=0)
        while not (now := handle.progress()).first_pass_done:
            # Nobody knows how much a database holds: a single one gives a bar that only moves.
            total = now.total if now.total > 1 else None
            bar.update(task, completed=now.looked, total=total, of=now.total, generations=now.generations)
            await trio.sleep(_FRAME_SECONDS)


@contextmanager
def counting(
    words: str, total: int | None, *, is_wanted: bool, no_color: bool
) -> Iterator[Callable[[int], None]]:
    """Gives what is to be told how many more are done; a bar on stderr shows it if it takes a while.

    `total` None: nobody knows how many there are, and the bar only moves.
    """
    began, done, bar, task = time.monotonic(), 0, None, None

    def advance(number: int) -> None:
        nonlocal done, bar, task
        done += number
        if bar is None and is_wanted and time.monotonic() - began >= _PATIENCE_SECONDS:
            bar = _bar(words, no_color=no_color)
            task = bar.add_task("", total=total)
            bar.start()
        if bar is not None and task is not None:
            bar.update(task, completed=done)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.stop()


def _bar(words: str, *, no_color: bool) -> Progress:
    from rich.console import Console  # noqa: PLC0415 - rarely needed, slow to import
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = TextColumn(words), BarColumn(), TextColumn("{task.completed:,}"), TimeElapsedColumn()
    console = Console(file=sys.stderr, no_color=no_color or None)
    return Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())
