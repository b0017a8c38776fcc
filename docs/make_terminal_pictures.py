"""The pictures of the terminal in docs/: real commands on a living fake Cursor, as tmux shows them.

    python docs/make_terminal_pictures.py

Needs tmux, and takes some minutes: the figures are of what has happened by then.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE = Path(__file__).parent
_COLUMNS, _ROWS = 100, 27
#: So long there is something to be seen of the last hour.
_SECONDS = 260
_PYTHON = f"{sys.executable} -m trio_cursor"
_THEME = TerminalTheme(
    (24, 26, 31),
    (214, 217, 224),
    [
        (24, 26, 31), (240, 113, 120), (134, 201, 139), (229, 192, 123),
        (110, 160, 230), (198, 146, 233), (102, 194, 205), (214, 217, 224),
    ],
)  # fmt: skip
#: Nobody who looks at a picture shall fetch fonts from anywhere.
_FONT_FACES = re.compile(r"\s*@font-face \{\{?.*?\}\}?\n", re.DOTALL)


@contextmanager
def running(*words: str, place: Path) -> Iterator[None]:
    """A command of ours, in the directory, until the end of the block."""
    with (place / "output").open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "trio_cursor", *words], cwd=place, stdout=output, stderr=output
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def screen(command: str, place: Path, keys: str = "") -> str:
    """What stands on a terminal after some seconds of the command, with its colours."""
    tmux = ["tmux", "-S", str(place / "tmux"), "-f", os.devnull]
    size = ["-x", str(_COLUMNS), "-y", str(_ROWS)]
    run = ["env", "-u", "COLUMNS", "-u", "LINES", "TERM=screen-256color", *command.split()]
    subprocess.run([*tmux, "new-session", "-d", "-s", "picture", *size, *run], check=True, cwd=place)
    try:
        subprocess.run([*tmux, "set", "-g", "status", "off"], check=True)
        subprocess.run([*tmux, "resize-window", "-t", "picture", *size], check=True)
        if keys:
            subprocess.run([*tmux, "send-keys", "-t", "picture", keys], check=True)
        time.sleep(4)
        shown = subprocess.run(
            [*tmux, "capture-pane", "-e", "-p", "-t", "picture"], check=True, capture_output=True, text=True
        )
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)
    return shown.stdout.rstrip("\n")


def save(name: str, title: str, text: str) -> None:
    """Make a picture of it."""
    console = Console(
        record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text.from_ansi(text), soft_wrap=True)
    picture = console.export_svg(title=title, theme=_THEME, unique_id=name)
    (HERE / f"{name}.svg").write_text(_FONT_FACES.sub("\n", picture), encoding="utf-8")


def main() -> None:
    """Let them work for a while, and look."""
    with tempfile.TemporaryDirectory(prefix="trio-cursor-pictures-") as name:
        place = Path(name)
        where = ["--state-dir", f"{place}/state"]
        demo = ["demo", f"{place}/cursor", "--workspaces", "6", "--rate", "0.5", "--seed", "11"]
        service = ["run", *where, "--cursor-dir", f"{place}/cursor/User", "--http", "off", "--since", "all"]
        with running(*demo, place=place):
            while not (place / "cursor" / "User" / "globalStorage").is_dir():
                time.sleep(0.1)
            with running(*service, "--json-lines", "events.jsonl", place=place):
                time.sleep(_SECONDS)
                save("top", "trio-cursor top", screen(f"{_PYTHON} top {' '.join(where)}", place))
                save(
                    "tail",
                    "trio-cursor tail",
                    screen(f"{_PYTHON} tail -n {_ROWS - 4} {' '.join(where)}", place),
                )


if __name__ == "__main__":
    main()
