"""`stats`: totals and distributions, for a person and for a program."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from trio_cursor.charts import KINDS
from trio_cursor.charts.names import WEEKDAYS
from trio_cursor.cli.csv_cells import harmless_cell
from trio_cursor.cli.drawing import print_lines
from trio_cursor.cli.figures_access import load_figures, zone_name
from trio_cursor.cli.output import Style, terminal_width
from trio_cursor.cli.stats_text import stats_lines
from trio_cursor.config import load_config
from trio_cursor.figures import DURATION_EDGES_MS, OTHERS, Figures, Known, Share
from trio_cursor.observations import JsonObject

_CSV_HEAD = ("by", "key", "generations", "tokens", "tokens_known_of")
#: What counts have in sums, by their names here and in events.
_SUMS = {
    "tokens": "tokens_used",
    **{name: name for name in ("prompt_tokens", "completion_tokens", "cached_tokens")},
    **{name: name for name in ("lines_added", "lines_removed")},
}
_SHARES = {"workspace": "workspaces", "model": "models", "type": "types", "status": "statuses"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare in which form; the window is the main parser's."""
    parser.add_argument("--by", metavar="KIND", choices=list(KINDS), help=f"only by this: {', '.join(KINDS)}")
    parser.add_argument("--csv", action="store_true", help="as CSV: a row for each group")


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    directory = Path(load_config(arguments.config, overrides=arguments.overrides).state.dir)
    figures = load_figures(arguments, directory)
    if figures is None:
        return 0
    kinds = [arguments.by] if arguments.by else list(KINDS)
    if arguments.csv:
        print(_as_csv(figures, kinds), end="")
    elif arguments.json or not sys.stdout.isatty():
        print(json.dumps(stats_object(figures, zone_name(arguments), kinds)))
    else:
        style = Style.of(sys.stdout, no_color=arguments.no_color)
        lines = stats_lines(figures, zone_name(arguments), arguments.by, style, terminal_width())
        print_lines(lines, sys.stdout)
    return 0


def stats_object(figures: Figures, zone: str, kinds: list[str]) -> JsonObject:
    """Everything as one JSON object. What is known of none is null, and the rest are counted beside it."""
    durations = figures.durations
    found: JsonObject = {
        "generations": figures.events,
        "sessions": figures.sessions,
        "first_timestamp": figures.first_ms,
        "last_timestamp": figures.last_ms,
        "time_zone": "UTC" if zone == "UTC" else "local",
        "without_usable_time": figures.undated,
        **{of: _known(getattr(figures, name)) for name, of in _SUMS.items()},
        "duration_ms": {
            "known": durations.known,
            "of": durations.of,
            "total": durations.total_ms if durations.known else None,
            "median": durations.median_ms,
            "percentile_90": durations.p90_ms,
            "longest": durations.longest_ms,
        },
    }
    for kind in kinds:
        found[f"by_{kind}"] = list(_rows(figures, kind))
    return found


def _known(known: Known) -> JsonObject:
    return {"total": known.total if known.known else None, "known": known.known, "of": known.of}


def _rows(figures: Figures, kind: str) -> Iterator[JsonObject]:
    match kind:
        case "day":
            yield from (_share_row("day", share) for _, share in figures.days)
        case "hour":
            yield from ({"hour": hour, "generations": count} for hour, count in enumerate(figures.hours))
        case "weekday":
            for name, hours in zip(WEEKDAYS, figures.punchcard, strict=True):
                yield {"weekday": name, "generations": sum(hours), "by_hour": list(hours)}
        case "duration":
            for number, (edge, count) in enumerate(
                zip(DURATION_EDGES_MS, figures.durations.classes, strict=True)
            ):
                below = DURATION_EDGES_MS[number + 1 : number + 2]
                yield {"from_ms": edge, "below_ms": below[0] if below else None, "generations": count}
        case _:
            yield from (_share_row(kind, share) for share in getattr(figures, _SHARES[kind]))


def _share_row(kind: str, share: Share) -> JsonObject:
    key = "(others)" if share.key == OTHERS else share.key
    return {kind: key, "generations": share.events, "tokens_used": _known(share.tokens)}


def _as_csv(figures: Figures, kinds: list[str]) -> str:
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    write(_CSV_HEAD)
    for kind in kinds:
        for row in _rows(figures, kind):
            if kind == "weekday":
                for hour, count in enumerate(row["by_hour"]):
                    write((kind, f"{row['weekday']} {hour:02}", count, "", ""))
                continue
            key = row["from_ms" if kind == "duration" else kind]
            tokens = row.get("tokens_used", {})
            cells = (row["generations"], tokens.get("total"), tokens.get("known"))
            write((kind, harmless_cell("" if key is None else str(key)), *cells))
    return text.getvalue()
