"""How figures read on a terminal: totals first, then a table with bars for each distribution."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len

from trio_cursor.charts import KINDS, Bar, Bars, chart_of
from trio_cursor.cli.drawing import bar_of, drawing_lines
from trio_cursor.cli.output import Style, indented, padded, plural, span
from trio_cursor.figures import Figures, Known

_NOT_GIVEN = "not given"
_NAME_WIDTH = 14
#: Where nothing else is asked for: the last days, and the largest of the rest.
_DAYS, _SHARES = 14, 8
_LABEL_WIDTHS = (8, 34)
_BAR_WIDTHS = (4, 30)


def stats_lines(figures: Figures, zone: str, kind: str | None, style: Style, width: int) -> Iterator[str]:
    """The lines; `kind` None: an overview of all of them."""
    yield from _totals(figures, zone, style, width)
    # The hours are in the grid of the week as well.
    for name in [kind] if kind else [name for name in KINDS if name != "hour"]:
        chart = _days(figures) if name == "day" else chart_of(name, figures, zone)
        yield ""
        if isinstance(chart, Bars):
            yield from _table(chart, style, width, is_whole=kind is not None)
        else:
            _, *lines = drawing_lines(chart, style, width - 2, with_summary=False)
            yield style("bold", "by weekday and hour")
            yield from (f"  {line}" for line in lines)


def _days(figures: Figures) -> Bars:
    """Only those that have any, and each: years may lie between two of them."""
    bars = tuple(Bar(day.isoformat(), share.events, share.tokens) for day, share in figures.days)
    return Bars("day", "", "", bars, is_timeline=True)


def _totals(figures: Figures, zone: str, style: Style, width: int) -> Iterator[str]:
    days = [day for day, _ in figures.days]
    when = f", {days[0]} to {days[-1]} ({zone})" if days else ""
    head = f"{plural(figures.events, 'generation')} in {plural(figures.sessions, 'session')}{when}"
    yield from (style("bold", line.strip()) for line in indented(head, width, by=0))
    durations = figures.durations
    took = _NOT_GIVEN
    if durations.median_ms is not None and durations.p90_ms is not None and durations.longest_ms is not None:
        took = (
            f"median {span(durations.median_ms)}, 90 % within {span(durations.p90_ms)},"
            f" longest {span(durations.longest_ms)}{_of(durations.known, durations.of)}"
        )
    rows = [
        ("tokens", _sum(figures.tokens)),
        *[
            (f"  {name}", _sum(known))
            for name, known in (
                ("prompt", figures.prompt_tokens),
                ("completion", figures.completion_tokens),
                ("cached", figures.cached_tokens),
            )
            if known.known
        ],
        ("duration", took),
        ("lines", _lines(figures)),
    ]
    if figures.undated:
        rows.append(("without time", f"{figures.undated:,} of them, in no day and no hour"))
    for name, words in rows:
        first, *rest = indented(words, width - _NAME_WIDTH, by=0)
        yield f"  {style('dim', padded(name, _NAME_WIDTH))}{first}"
        yield from (" " * (_NAME_WIDTH + 2) + line.strip() for line in rest)


def _sum(known: Known) -> str:
    return f"{known.total:,}{_of(known.known, known.of)}" if known.known else _NOT_GIVEN


def _lines(figures: Figures) -> str:
    added, removed = figures.lines_added, figures.lines_removed
    if not added.known and not removed.known:
        return _NOT_GIVEN
    if added.known == removed.known:
        return f"+{added.total:,} -{removed.total:,}{_of(added.known, added.of)}"
    return f"added {_sum(added)}, removed {_sum(removed)}"


def _of(known: int, of: int) -> str:
    return "" if known == of else f" (known of {known:,} of {of:,})"


def _table(chart: Bars, style: Style, width: int, *, is_whole: bool) -> Iterator[str]:
    bars = list(chart.bars)
    left_out = ""
    if not is_whole and chart.kind == "day" and len(bars) > _DAYS:
        left_out, bars = f" (the last {_DAYS} of {len(bars):,})", bars[-_DAYS:]
    elif not is_whole and chart.kind in ("workspace", "model", "type", "status") and len(bars) > _SHARES:
        left_out, bars = f" (the first {_SHARES} of {len(bars):,})", bars[:_SHARES]
    yield style("bold", f"by {chart.kind}") + style("dim", left_out)
    if not bars:
        yield f"  {_NOT_GIVEN}"
        return
    least, most = _LABEL_WIDTHS
    label = min(max([least, *(cell_len(bar.label) for bar in bars)]), most, max(width // 3, least))
    number = max(len(f"{bar.events:,}") for bar in bars)
    words = [_tokens(bar) for bar in bars]
    beside = max(map(len, words))
    least, most = _BAR_WIDTHS
    room = width - 2 - label - 2 - number - 2 - (beside + 2 if beside else 0)
    if beside and room < least:
        room, beside = room + beside + 2, 0
    largest = max(bar.events for bar in bars) or 1
    for bar, tokens in zip(bars, words, strict=True):
        line = f"  {padded(bar.label, label)}  {bar.events:>{number},}  "
        if beside:
            line += style("dim", tokens.rjust(beside)) + "  "
        yield line + style("cyan", bar_of(bar.events / largest, max(min(room, most), 0)))


def _tokens(bar: Bar) -> str:
    tokens = bar.tokens
    if tokens is None or not bar.events:
        return ""
    if not tokens.known:
        return "tokens not given"
    return f"{tokens.total:,} tokens" + ("" if tokens.known == tokens.of else f" of {tokens.known:,}")
