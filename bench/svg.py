"""Curves as plain SVG: panels below each other, one axis of x for all, for light and dark paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import attrs

WIDTH, PANEL, LEFT, RIGHT, TOP, BELOW, BETWEEN = 720, 190, 78, 150, 44, 46, 26
#: Dark enough for white paper, light enough for black.
INK, GRID = "#7d8590", "#7d859040"
COLOURS = ("#2f81f7", "#d9730d", "#2da44e", "#bf4bdb")
Point = tuple[float, float]


@attrs.frozen
class Panel:
    """Some series of one measure."""

    #: With its unit.
    label: str
    series: dict[str, Sequence[Point]]
    is_log: bool = False


@attrs.frozen
class Axis:
    """Values to pixels."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool

    def __call__(self, value: float) -> float:
        low, high, at = (self._scaled(one) for one in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-9)) if self.is_log else value

    def ticks(self) -> list[float]:
        """Round numbers between both ends."""
        if self.is_log:
            return [
                10.0**power for power in range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
            ]
        step = _nice(self.high / 4)
        return [step * number for number in range(int(self.high / step + 1e-9) + 1)]


def axis(values: Sequence[float], start: float, end: float, *, is_log: bool) -> Axis:
    """From zero, or from power of ten to power of ten."""
    if is_log:
        known = [value for value in values if value > 0] or [1.0]
        low, high = 10.0 ** math.floor(math.log10(min(known))), 10.0 ** math.ceil(math.log10(max(known)))
        return Axis(low, high if high > low else low * 10, start, end, is_log=True)
    return Axis(0.0, max(values, default=0) * 1.08 or 1.0, start, end, is_log=False)


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= step * 0.999)


def words_of(value: float) -> str:
    """A tick as it is read."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.3g}"


def chart(
    title: str,
    x_label: str,
    panels: Sequence[Panel],
    *,
    is_log: bool = True,
    tick: Callable[[float], str] = words_of,
) -> str:
    """The text of the SVG."""
    points = [point for panel in panels for series in panel.series.values() for point in series]
    height = TOP + len(panels) * PANEL + (len(panels) - 1) * BETWEEN + BELOW
    right = WIDTH - RIGHT
    across = axis([x for x, _ in points], LEFT, right, is_log=is_log)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" font-family="system-ui, sans-serif" font-size="12" fill="{INK}" role="img">'
    )
    parts = [
        head,
        f"<title>{escape(title)}</title>",
        _text(LEFT, 22, title, size=15),
    ]
    for number, panel in enumerate(panels):
        top = TOP + number * (PANEL + BETWEEN)
        is_last = number == len(panels) - 1
        parts += _panel(panel, across, top, right, tick if is_last else None)
    parts += [_text((LEFT + right) / 2, height - 10, x_label, anchor="middle"), "</svg>\n"]
    return "\n".join(parts)


def _panel(
    panel: Panel, across: Axis, top: float, right: float, tick: Callable[[float], str] | None
) -> list[str]:
    bottom = top + PANEL
    values = [y for series in panel.series.values() for _, y in series]
    up = axis(values, bottom, top + 16, is_log=panel.is_log)
    parts = [_text(LEFT - 8, top + 4, panel.label, anchor="start", dx=8)]
    for value in up.ticks():
        parts += [
            _line(LEFT, up(value), right, up(value)),
            _text(LEFT - 8, up(value) + 4, words_of(value), anchor="end"),
        ]
    for value in across.ticks():
        parts.append(_line(across(value), top + 16, across(value), bottom))
        if tick:
            parts.append(_text(across(value), bottom + 18, tick(value), anchor="middle"))
    lowest = -1e9
    ends = sorted(
        (up(series[-1][1]), number, name)
        for number, (name, series) in enumerate(panel.series.items())
        if series
    )
    for number, series in enumerate(panel.series.values()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in series)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(series) <= 20:
            parts += [
                f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>' for x, y in series
            ]
    for at, number, name in ends:  # what names a series stands at its end, none on another
        lowest = max(at + 4, lowest + 14)
        parts.append(_text(right + 8, lowest, name, colour=COLOURS[number % len(COLOURS)]))
    return parts


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, colour: str = INK, dx: int = 0
) -> str:
    return (
        f'<text x="{x + dx:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">'
        f"{escape(words)}</text>"
    )


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{GRID}"/>'


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
