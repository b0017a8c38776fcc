"""A progress bar on a long first sync, for a person only."""

from __future__ import annotations

import sys

import trio

from trio_cursor.handle import Handle

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
