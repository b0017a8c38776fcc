"""A chart as SVG: light and dark by what the viewer prefers, with words for whoever does not see it. Pure."""

from __future__ import annotations

import math
import unicodedata
from html import escape
from typing import Final

from trio_cursor.charts.chart import Bar, Bars, Chart, Grid
from trio_cursor.charts.names import WEEKDAYS, percent

_WIDTH: Final = 860
_MARGIN: Final = 24
_TOP: Final = 64
#: Of a line of time.
_PLOT_HEIGHT: Final = 220
_ROW: Final = 26
_LABEL_WIDTH: Final = 220
_NUMBER_WIDTH: Final = 120
_CELL: Final = 32
_WIDEST_BAR: Final = 72
#: Characters of a label that fit beside a bar.
_LABEL_CHARACTERS: Final = 30
_CHARACTER_WIDTH: Final = 8.5
#: Two characters that show as they are, but that no XML may have.
_NO_XML: Final = {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}

STYLE: Final = """
.chart { color-scheme: light dark;
  --ground: #fcfcfb; --ink: #1b1b1a; --soft: #66645e; --line: #dedcd5; --mark: #2a6fc9; }
@media (prefers-color-scheme: dark) {
  .chart { --ground: #1a1a19; --ink: #f3f2ee; --soft: #aba9a1; --line: #3a3935; --mark: #5a9bea; }
}
.chart .ground { fill: var(--ground); }
.chart text { fill: var(--ink); unicode-bidi: isolate;
  font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
.chart .title { font-size: 17px; font-weight: 600; }
.chart .soft { fill: var(--soft); font-size: 12px; }
.chart .line { stroke: var(--line); stroke-width: 1; }
.chart .mark { fill: var(--mark); }
.chart .mark:hover { fill: var(--ink); }
"""


def svg_of(chart: Chart) -> str:
    """A whole file of its own."""
    drawing = drawing_of(chart, STYLE).translate(_NO_XML)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{drawing}\n'


def drawing_of(chart: Chart, style: str = "") -> str:
    """The element alone, for a page that has the style already."""
    match chart:
        case Grid():
            body, height = _grid(chart)
        case Bars(is_timeline=True):
            body, height = _columns(chart)
        case _:
            body, height = _rows(chart)
    name = escape(chart.kind)
    styled = f"<style>{style}</style>" if style else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(chart.title)}</title>'
        f'<desc id="{name}-desc">{escape(_said(chart))}</desc>{styled}'
        f'<rect class="ground" width="{_WIDTH}" height="{height}" rx="8"/>'
        f'<text class="title" x="{_MARGIN}" y="32">{escape(chart.title)}</text>'
        f'<text class="soft" x="{_MARGIN}" y="51">{escape(chart.summary)}</text>'
        f"{body}</svg>"
    )


def _said(chart: Chart) -> str:
    """The same in words: at most the largest ones, since somebody has to listen to all of them."""
    match chart:
        case Grid():
            cells = [
                (count, f"{WEEKDAYS[day]} {hour:02}:00")
                for day, hours in enumerate(chart.rows)
                for hour, count in enumerate(hours)
            ]
        case _:
            cells = [(bar.events, bar.label) for bar in chart.bars]
    largest = [cell for cell in sorted(cells, key=lambda cell: -cell[0])[:3] if cell[0]]
    words = ", ".join(f"{label}: {count:,}" for count, label in largest)
    return f"{chart.summary}. " + (f"Most: {words}." if words else "Nothing to show.")


def _columns(chart: Bars) -> tuple[str, int]:
    """Bars upwards, in the order of time."""
    left, right = _MARGIN + 44, _WIDTH - _MARGIN
    bottom = _TOP + 16 + _PLOT_HEIGHT
    most = _round_up(max([bar.events for bar in chart.bars], default=0))
    parts = []
    for share in (0, 1, 2):
        y = bottom - _PLOT_HEIGHT * share / 2
        parts.append(f'<line class="line" x1="{left}" x2="{right}" y1="{y:g}" y2="{y:g}"/>')
        parts.append(
            f'<text class="soft" x="{left - 8}" y="{y + 4:g}" text-anchor="end">{_halves(most, share)}</text>'
        )
    step = min((right - left) / max(len(chart.bars), 1), _WIDEST_BAR)
    # Every n-th, so that none covers its neighbour.
    widest = max([len(bar.label) for bar in chart.bars], default=1) * _CHARACTER_WIDTH
    often = max(math.ceil(widest / step), 1)
    for number, bar in enumerate(chart.bars):
        x, height = left + step * number, _PLOT_HEIGHT * bar.events / most
        gap = min(step * 0.2, 2.0)
        if bar.events:
            parts.append(
                f'<rect class="mark" x="{x + gap / 2:.1f}" y="{bottom - max(height, 1):.1f}"'
                f' width="{step - gap:.1f}" height="{max(height, 1):.1f}" rx="{min(2.0, step / 4):.1f}">'
                f"<title>{escape(_words(bar))}</title></rect>"
            )
        if number % often == 0 and x + (step + widest) / 2 < _WIDTH:
            parts.append(
                f'<text class="soft" x="{x + step / 2:.1f}" y="{bottom + 18}" text-anchor="middle">'
                f"{escape(bar.label)}</text>"
            )
    return "".join(parts), bottom + 40


def _rows(chart: Bars) -> tuple[str, int]:
    """Bars to the right, each with its name and number."""
    left, right = _MARGIN + _LABEL_WIDTH, _WIDTH - _MARGIN - _NUMBER_WIDTH
    most = max([bar.events for bar in chart.bars], default=0) or 1
    total = sum(bar.events for bar in chart.bars) or 1
    parts = []
    for number, bar in enumerate(chart.bars):
        y = _TOP + 12 + number * _ROW
        width = (right - left) * bar.events / most
        parts.append(
            f'<text x="{left - 10}" y="{y + 14}" text-anchor="end">{escape(_shortened(bar.label))}'
            f"<title>{escape(bar.label)}</title></text>"
        )
        if bar.events:
            parts.append(
                f'<rect class="mark" x="{left}" y="{y}" width="{max(width, 1):.1f}"'
                f' height="{_ROW - 7}" rx="3">'
                f"<title>{escape(_words(bar))}</title></rect>"
            )
        parts.append(
            f'<text x="{left + max(width, 1) + 8:.1f}" y="{y + 14}">{bar.events:,}'
            f'<tspan class="soft" dx="6">{escape(percent(bar.events, total))}</tspan></text>'
        )
    return "".join(parts), _TOP + 24 + max(len(chart.bars), 1) * _ROW


def _grid(chart: Grid) -> tuple[str, int]:
    """A disc for each hour of the week, whose area is its number."""
    left, top = _MARGIN + 44, _TOP + 14
    most = max(max(hours) for hours in chart.rows) or 1
    parts = []
    for day, hours in enumerate(chart.rows):
        y = top + day * _CELL + _CELL / 2
        parts.append(
            f'<text class="soft" x="{left - 10}" y="{y + 4:g}" text-anchor="end">{WEEKDAYS[day]}</text>'
            f'<line class="line" x1="{left}" x2="{left + 24 * _CELL}" y1="{y:g}" y2="{y:g}"/>'
        )
        for hour, count in enumerate(hours):
            if count:
                x = left + hour * _CELL + _CELL / 2
                radius = max((count / most) ** 0.5 * (_CELL / 2 - 2), 1.2)
                when = f"{WEEKDAYS[day]} {hour:02}:00 to {hour + 1:02}:00"
                parts.append(
                    f'<circle class="mark" cx="{x:g}" cy="{y:g}" r="{radius:.1f}">'
                    f"<title>{when}: {count:,}</title></circle>"
                )
    bottom = top + 7 * _CELL
    parts += [
        f'<text class="soft" x="{left + hour * _CELL + _CELL / 2:g}" y="{bottom + 16}"'
        f' text-anchor="middle">{hour:02}</text>'
        for hour in range(24)
    ]
    return "".join(parts), bottom + 34


def _words(bar: Bar) -> str:
    return f"{bar.label}: {bar.events:,}{_tokens_beside(bar)}"


def _tokens_beside(bar: Bar) -> str:
    tokens = bar.tokens
    if tokens is None or not tokens.known:
        return ""
    known = "" if tokens.known == tokens.of else f" of {tokens.known:,}"
    return f", {tokens.total:,} tokens{known}"


def _shortened(text: str) -> str:
    """As much of a label as there is room for; some scripts need twice as much of it for a character."""
    room = _LABEL_CHARACTERS
    for number, char in enumerate(text):
        room -= 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if room < 0:
            return f"{text[: number - 1]}…"
    return text


def _round_up(number: int) -> int:
    """The next of 2, 4, 10, 20, 40, 100 and so on, all of which have a half."""
    size = 2
    while True:
        for first in (1, 2, 5):
            if first * size >= number:
                return first * size
        size *= 10


def _halves(most: int, share: int) -> str:
    return f"{most * share // 2:,}"
