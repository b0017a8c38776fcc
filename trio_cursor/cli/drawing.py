"""Charts on a terminal, out of blocks: as wide as the terminal, and never wider."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TextIO

from rich.cells import cell_len

from trio_cursor.charts import Bar, Bars, Chart, Grid
from trio_cursor.charts.names import WEEKDAYS, percent
from trio_cursor.cli.output import Style, cut, indented, padded

_ACROSS: Final = " ▏▎▍▌▋▊▉█"
_UPWARDS: Final = " ▁▂▃▄▅▆▇█"
#: For terminals that have no such characters.
_ASCII: Final = str.maketrans("▏▎▍▌▋▊▉█▁▂▃▄▅▆▇·░▒▓┤└─", "..::||##...::||.:+*|+-")
#: From nothing to the most.
_SHADES: Final = ("··", "░░", "▒▒", "▓▓", "██")
_STEPS: Final = ("none", "to 25 %", "to 50 %", "to 75 %", "to 100 %")
_PLOT_ROWS: Final = 10
_LABEL_MOST: Final = 30
_LEAST_WIDTH: Final = 32
#: A cell for each hour takes so many columns.
_CELL: Final = 2


def bar_of(share: float, cells: int) -> str:
    """A bar to the right: of `cells` columns if the share is 1, and to be seen if it is more than 0."""
    eighths = round(share * cells * 8)
    if share > 0:
        eighths = max(eighths, 1)
    whole, rest = divmod(eighths, 8)
    return (_ACROSS[8] * whole + _ACROSS[rest]).rstrip()[:cells]


def print_lines(lines: Iterable[str], stream: TextIO) -> None:
    """Print them, with what the stream's encoding has instead of blocks, if it has none."""
    print(drawable("\n".join(lines), stream), file=stream)


def drawable(text: str, stream: TextIO) -> str:
    """The text with what the stream's encoding has instead of blocks, if it has none."""
    try:
        _ACROSS.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return text.translate(_ASCII)
    return text


def sparkline(numbers: Sequence[int]) -> str:
    """A column of one cell for each; what is more than 0 stands above the line of those that are."""
    most = max(numbers, default=0) or 1
    return "".join(_UPWARDS[1 - (-number * 7 // most)] for number in numbers)


def columns_for(width: int) -> int:
    """How many bars a line of time may have on a terminal."""
    return max(width - 14, 10)


def drawing_lines(chart: Chart, style: Style, width: int, *, with_summary: bool = True) -> Iterator[str]:
    """The lines of a drawing."""
    width = max(width, _LEAST_WIDTH)
    yield style("bold", cut(chart.title, width))
    if with_summary:
        yield from (style("dim", line.strip()) for line in indented(chart.summary, width, by=0))
        yield ""
    match chart:
        case Grid():
            yield from _grid(chart, style, width)
        case Bars(is_timeline=True):
            yield from _columns(chart.bars, style, width)
        case _:
            yield from _rows(chart.bars, style, width)


def _columns(bars: tuple[Bar, ...], style: Style, width: int) -> Iterator[str]:
    """Bars upwards, from left to right in the order of time."""
    most = max([bar.events for bar in bars], default=0)
    axis = len(f"{most:,}")
    room = width - axis - 2
    each = max(min(room // max(len(bars), 1), 4), 1)
    gap = 1 if each > 1 else 0
    for row in range(_PLOT_ROWS, 0, -1):
        cells = "".join(_cell(bar.events, most, row) * (each - gap) + " " * gap for bar in bars)
        number = f"{most:,}" if row == _PLOT_ROWS else f"{most // 2:,}" if row == _PLOT_ROWS // 2 else ""
        yield f"{style('dim', number.rjust(axis) + ' ┤')}{style('cyan', cells.rstrip())}".rstrip()
    yield style("dim", " " * axis + " └" + "─" * (each * len(bars)))
    yield style("dim", " " * (axis + 2) + _labels(bars, each, room))


def _cell(events: int, most: int, row: int) -> str:
    """What of a bar stands in a row, from 1 at the bottom."""
    if not events:
        return " "
    eighths = max(round(events / most * _PLOT_ROWS * 8), 1)
    return _UPWARDS[min(max(eighths - (row - 1) * 8, 0), 8)]


def _labels(bars: tuple[Bar, ...], each: int, room: int) -> str:
    """As many as there is room for, each where its bar begins."""
    line = ""
    for number, bar in enumerate(bars):
        at = number * each
        # Between two there is a space, or they would be one.
        if at >= len(line) + (1 if line else 0) and at + len(bar.label) <= room:
            line = line.ljust(at) + bar.label
    return line


def _rows(bars: tuple[Bar, ...], style: Style, width: int) -> Iterator[str]:
    """Bars to the right, each with its name and number."""
    label = min(max([cell_len(bar.label) for bar in bars], default=0), _LABEL_MOST, width // 2)
    number = max([len(f"{bar.events:,}") for bar in bars], default=1)
    total = sum(bar.events for bar in bars) or 1
    most = max([bar.events for bar in bars], default=0) or 1
    room = max(width - label - number - len("    100 %"), 1)
    for bar in bars:
        drawn = bar_of(bar.events / most, room)
        share = percent(bar.events, total)
        yield (
            f"{padded(bar.label, label)}  {style('cyan', drawn)}{' ' if drawn else ''}"
            f"{bar.events:,} {style('dim', share)}"
        )


def _grid(chart: Grid, style: Style, width: int) -> Iterator[str]:
    """A shade for each hour of the week."""
    most = max(max(hours) for hours in chart.rows) or 1
    totals = [f"  {sum(hours):,}" for hours in chart.rows]
    widest = max(map(len, totals))
    cell = _CELL if 4 + 24 * _CELL + widest <= width else 1
    if 4 + 24 * cell + widest > width:
        totals, widest = [""] * len(totals), 0
    hours_shown = "".join(f"{hour:02}".ljust(3 * cell) for hour in range(0, 24, 3))
    yield style("dim", "    " + hours_shown.rstrip())
    for name, hours, total in zip(WEEKDAYS, chart.rows, totals, strict=True):
        cells = "".join(_shade(count, most)[:cell] for count in hours)
        yield f"{style('dim', name)} {style('cyan', cells)}{total.rjust(widest)}"
    steps = [f"{shade[:cell]} {words}" for shade, words in zip(_SHADES, _STEPS, strict=True)]
    legend = f"{'  '.join(steps)} of {most:,} in one hour"
    yield from (style("dim", f"    {line.strip()}") for line in indented(legend, width - 4, by=0))


def _shade(count: int, most: int) -> str:
    return _SHADES[0] if not count else _SHADES[-(-4 * count // most)]
