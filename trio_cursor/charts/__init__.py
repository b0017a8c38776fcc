"""Figures as drawings: first as values, then as SVG, or as one HTML page. Pure."""

from trio_cursor.charts.chart import KINDS, Bar, Bars, Chart, Grid, chart_of
from trio_cursor.charts.page import page_of
from trio_cursor.charts.svg import svg_of

__all__ = ["KINDS", "Bar", "Bars", "Chart", "Grid", "chart_of", "page_of", "svg_of"]
