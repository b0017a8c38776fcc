"""`plot`: one distribution drawn on the terminal, or as a file to show to others."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from trio_cursor.charts import KINDS, chart_of, page_of, svg_of
from trio_cursor.cli.drawing import columns_for, drawing_lines, print_lines
from trio_cursor.cli.figures_access import load_figures, zone_for_others, zone_name
from trio_cursor.cli.out_file import OutFile
from trio_cursor.cli.output import Style, printable, say, terminal_width
from trio_cursor.cli.stats_command import stats_object
from trio_cursor.config import load_config
from trio_cursor.discretion import veil_of
from trio_cursor.figures.days import moment_of, zone_of

_USAGE = 2
_DEFAULT = "day"
_TITLE = "What was generated in Cursor"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what and where to; the window is the main parser's."""
    parser.add_argument("kind", metavar="KIND", nargs="?", choices=list(KINDS),
        help=f"{', '.join(KINDS)} (default {_DEFAULT}; in HTML all of them)")  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="into a file: .svg, or .html with tables as well")


def run(arguments: argparse.Namespace) -> int:
    """Draw it."""
    suffix = Path(arguments.out).suffix.lower() if arguments.out is not None else None
    if suffix not in (None, ".svg", ".html", ".htm"):
        say(f"trio_cursor: --out {printable(arguments.out)}: name a file that ends with .svg or .html")
        return _USAGE
    config = load_config(arguments.config, overrides=arguments.overrides)
    directory = Path(config.state.dir)
    zone = zone_name(arguments)
    if suffix is None:
        figures = load_figures(arguments, directory)
        if figures is not None and arguments.json:
            print(json.dumps(stats_object(figures, zone, [arguments.kind or _DEFAULT])))
        elif figures is not None:
            style, width = Style.of(sys.stdout, no_color=arguments.no_color), terminal_width()
            chart = chart_of(arguments.kind or _DEFAULT, figures, zone, columns_for(width))
            print_lines(drawing_lines(chart, style, width), sys.stdout)
        return 0
    path = Path(arguments.out)
    with OutFile(path) as out:
        # It may be shown to others: not more of it than the privacy mode has.
        figures = load_figures(
            arguments, directory, lambda connection: veil_of(connection, config.privacy.mode)
        )
        if figures is None:
            if path.exists() and not arguments.quiet:
                say(f"{printable(arguments.out)} was left as it was")
            return 0
        zone = zone_for_others(arguments, figures)
        kinds = [arguments.kind or _DEFAULT] if suffix == ".svg" or arguments.kind else list(KINDS)
        charts = [chart_of(kind, figures, zone) for kind in kinds]
        words = f"{_when(figures.first_ms, arguments)} to {_when(figures.last_ms, arguments)} ({zone})"
        out.write(svg_of(charts[0]) if suffix == ".svg" else page_of(charts, _TITLE, words))
        out.keep()
    if arguments.json:
        print(json.dumps(stats_object(figures, zone_name(arguments), kinds)))
    if not arguments.quiet:
        say(f"drawn into {printable(arguments.out)}")
    return 0


def _when(timestamp: int | None, arguments: argparse.Namespace) -> str:
    found = moment_of(timestamp or 0, zone_of(is_utc=arguments.utc))
    return f"{timestamp} ms" if found is None else f"{found:%Y-%m-%d %H:%M}"
