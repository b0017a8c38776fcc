"""Charts on one HTML page that needs nothing else: no script, no network. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from trio_cursor.charts.chart import Bar, Chart, Grid
from trio_cursor.charts.names import NOT_KNOWN, WEEKDAYS
from trio_cursor.charts.svg import STYLE, drawing_of

_STYLE: Final = """
:root { color-scheme: light dark; --page: #f2f1ee; --ink: #1b1b1a; --soft: #66645e; --line: #dedcd5; }
@media (prefers-color-scheme: dark) {
  :root { --page: #111110; --ink: #f3f2ee; --soft: #aba9a1; --line: #3a3935; }
}
body { margin: 0 auto; max-width: 56rem; padding: 1.5rem 1rem 3rem;
  background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
p { margin: 0 0 1.25rem; color: var(--soft); overflow-wrap: anywhere; }
section { margin: 0 0 1.5rem; }
section svg { display: block; width: 100%; min-width: 40rem; height: auto; }
details { margin: .4rem 0 0 1rem; }
summary { cursor: pointer; color: var(--soft); }
.scrolls { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: start; color: var(--soft); }
th, td { padding: .15rem .75rem .15rem 0; border-bottom: 1px solid var(--line); text-align: end; }
th[scope=row], thead th:first-child { text-align: start; font-weight: 400; }
th[scope=row] { unicode-bidi: isolate; overflow-wrap: anywhere; }
"""
#: Nothing may be loaded, whatever somebody has called a workspace.
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page_of(charts: Sequence[Chart], title: str, words: str) -> str:
    """The page: each chart, and below it the same as a table."""
    sections = "".join(
        f'<section><div class="scrolls" tabindex="0" role="group" aria-label="{escape(chart.title)}">'
        f"{drawing_of(chart)}</div>"
        f"<details><summary>{escape(chart.title)} as a table</summary>"
        f'<div class="scrolls" tabindex="0" role="region" aria-label="{escape(chart.title)}, table">'
        f"{_table(chart)}</div></details></section>\n"
        for chart in charts
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(words)}</p>\n{sections}</main>\n</body>\n</html>\n"
    )


def _table(chart: Chart) -> str:
    caption = f"<caption>{escape(chart.summary)}</caption>"
    if isinstance(chart, Grid):
        head = "".join(f'<th scope="col">{hour:02}</th>' for hour in range(24))
        rows = "".join(
            f'<tr><th scope="row">{name}</th>{"".join(f"<td>{count:,}</td>" for count in hours)}</tr>'
            for name, hours in zip(WEEKDAYS, chart.rows, strict=True)
        )
        return f"<table>{caption}<thead><tr><th>weekday</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    has_tokens = any(bar.tokens is not None for bar in chart.bars)
    heads = [chart.kind, "generations", *(["tokens", "known of"] if has_tokens else [])]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    rows = "".join(
        f'<tr><th scope="row">{escape(bar.label)}</th><td>{bar.events:,}</td>{_tokens(bar)}</tr>'
        for bar in chart.bars
    )
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _tokens(bar: Bar) -> str:
    tokens = bar.tokens
    if tokens is None:
        return ""
    total = f"{tokens.total:,}" if tokens.known else NOT_KNOWN
    return f"<td>{total}</td><td>{tokens.known:,} of {tokens.of:,}</td>"
