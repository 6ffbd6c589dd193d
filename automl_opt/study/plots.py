"""Plots as SVG text: no script, no network, readable in print and by a screen reader."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0b57d0", "#b3261e", "#146c2e", "#7b4397", "#8a5000", "#00639b", "#a8005c", "#4d5b00")
"""Dark enough to be read on white; after them, dashes begin."""

WIDTH, HEIGHT, ROW = 420, 260, 38
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 10, 44
GREY = "#5f6368"


@dataclass(frozen=True)
class Line:
    """A curve, with a band around it where there is one.

    Args:
        points: ``(x, y)`` from left to right.
        band: ``(x, low, high)`` likewise.
    """

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class Bar:
    """An interval around a value, with a name beside it."""

    name: str
    value: float
    low: float
    high: float


def lines(series: Sequence[Line], *, alt: str, x: str, y: str) -> str:
    """Curves over one another, with a legend under them."""
    shown = [line for line in series if line.points]
    if not shown:
        return ""
    xs = [px for line in shown for px, _ in line.points]
    ys = [py for line in shown for _, py in line.points]
    ys += [edge for line in shown for _, low, high in line.band for edge in (low, high)]
    across, up = _Scale(xs, LEFT, WIDTH - RIGHT), _Scale(ys, HEIGHT - BOTTOM, TOP)
    parts = [_axes(across, up, x, y)]
    for i, line in enumerate(shown):
        colour = COLOURS[i % len(COLOURS)]
        if line.band:
            top = [f"{across(px):.1f},{up(high):.1f}" for px, _, high in line.band]
            bottom = [f"{across(px):.1f},{up(low):.1f}" for px, low, _ in reversed(line.band)]
            parts.append(
                f'<polygon points="{" ".join(top + bottom)}" fill="{colour}" opacity=".12"/>'
            )
        path = " ".join(f"{across(px):.1f},{up(py):.1f}" for px, py in line.points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"'
            f"{_dashes(i)}/>"
        )
    return _figure(_svg(parts, HEIGHT, alt), _legend([line.name for line in shown]))


def intervals(bars: Sequence[Bar], *, alt: str, x: str, margin: float) -> str:
    """Intervals beside one another, over the band of differences that do not matter."""
    if not bars:
        return ""
    height = ROW * len(bars) + BOTTOM + TOP
    edges = [edge for bar in bars for edge in (bar.low, bar.high)]
    across = _Scale([*edges, -margin, margin, 0.0], 4, WIDTH - RIGHT)
    left, right, bottom = across(-margin), across(margin), height - BOTTOM
    parts = [
        f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{bottom - TOP}" '
        'fill="#e8eaed"/>',
        f'<path d="M{across(0):.1f} {TOP}V{bottom}" stroke="{GREY}" stroke-dasharray="3 3"/>',
        _ticks_across(across, bottom, x, left=4),
    ]
    for i, bar in enumerate(bars):
        middle, colour = TOP + ROW * i + 26, COLOURS[0]
        parts.append(
            f'<path d="M{across(bar.low):.1f} {middle}H{across(bar.high):.1f}" '
            f'stroke="{colour}" stroke-width="3"/>'
            f'<circle cx="{across(bar.value):.1f}" cy="{middle}" r="5" fill="{colour}"/>'
            f'<text x="4" y="{middle - 11}">{escape(bar.name)}</text>'
        )
    return _figure(_svg(parts, height, alt))


def strips(rows: Sequence[tuple[str, Sequence[float]]], *, alt: str, x: str) -> str:
    """Every value as a dot, a row a name, the mean as a bar."""
    rows = [(name, values) for name, values in rows if values]
    if not rows:
        return ""
    height = ROW * len(rows) + BOTTOM + TOP
    across = _Scale([v for _, values in rows for v in values], 8, WIDTH - RIGHT)
    parts = [_ticks_across(across, height - BOTTOM, x, left=4)]
    for i, (name, values) in enumerate(rows):
        middle, colour = TOP + ROW * i + 26, COLOURS[i % len(COLOURS)]
        mean = math.fsum(values) / len(values)
        parts.append(f'<text x="4" y="{middle - 11}">{escape(name)}</text>')
        parts += [
            f'<circle cx="{across(v):.1f}" cy="{middle}" r="4" fill="{colour}" opacity=".45"/>'
            for v in values
        ]
        parts.append(
            f'<path d="M{across(mean):.1f} {middle - 7}V{middle + 7}" stroke="{colour}" '
            'stroke-width="3"/>'
        )
    return _figure(_svg(parts, height, alt))


@dataclass(frozen=True)
class Axis:
    """One upright axis of parallel coordinates, its two ends in words."""

    name: str
    low: str
    high: str


def parallel(
    axes: Sequence[Axis], rows: Sequence[tuple[Sequence[float], bool]], *, alt: str
) -> str:
    """Every row a line across the axes.

    Args:
        rows: ``(heights, top)``: from 0 to 1 on each axis, and whether the row stands out.
    """
    if len(axes) < 2 or not rows:
        return ""
    top, bottom = TOP + 14, HEIGHT - BOTTOM - 14
    step = (WIDTH - 2 * LEFT) / (len(axes) - 1)
    parts = []
    for heights, stands_out in sorted(rows, key=lambda row: row[1]):
        path = " ".join(
            f"{LEFT + step * i:.1f},{bottom - (bottom - top) * height:.1f}"
            for i, height in enumerate(heights)
        )
        style = f'stroke="{COLOURS[0]}" stroke-width="2"' if stands_out else 'stroke="#9aa0a6"'
        parts.append(f'<polyline points="{path}" fill="none" {style} opacity=".8"/>')
    for i, axis in enumerate(axes):
        x = LEFT + step * i
        under = bottom + (32 if i % 2 else 46)
        parts.append(
            f'<path d="M{x:.1f} {top}V{bottom}" stroke="{GREY}"/>'
            f'<text x="{x:.1f}" y="{top - 5}" text-anchor="middle">'
            f"{escape(axis.high)}</text>"
            f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">'
            f"{escape(axis.low)}</text>"
            f'<text x="{x:.1f}" y="{under}" text-anchor="middle">{escape(axis.name)}</text>'
        )
    return _figure(_svg(parts, HEIGHT, alt))


class _Scale:
    """From values to pixels."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        if low == high:
            low, high = low - (abs(low) or 1) / 10, high + (abs(high) or 1) / 10
        self.low, self.high, self._start, self._end = low, high, start, end

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        """Some four round numbers."""
        step = 10 ** math.floor(math.log10((self.high - self.low) / 4))
        for factor in (1, 2, 5, 10):
            if (self.high - self.low) / (factor * step) <= 5:
                step *= factor
                break
        first = math.ceil(self.low / step)
        return [step * i for i in range(first, math.floor(self.high / step) + 1)]


def _axes(across: _Scale, up: _Scale, x: str, y: str) -> str:
    bottom = HEIGHT - BOTTOM
    rows = "".join(
        f'<path d="M{LEFT} {up(v):.1f}H{WIDTH - RIGHT}" stroke="#e8eaed"/>'
        f'<text x="{LEFT - 6}" y="{up(v) + 4:.1f}" text-anchor="end">{v:.4g}</text>'
        for v in up.ticks()
    )
    middle = (TOP + bottom) / 2
    name = (
        f'<text transform="rotate(-90 14 {middle})" x="14" y="{middle}" '
        f'text-anchor="middle">{escape(y)}</text>'
    )
    return rows + name + _ticks_across(across, bottom, x)


def _ticks_across(across: _Scale, bottom: float, x: str, left: float = LEFT) -> str:
    marks = "".join(
        f'<text x="{across(v):.1f}" y="{bottom + 18}" text-anchor="middle">{v:.4g}</text>'
        for v in across.ticks()
    )
    return (
        f'<path d="M{left:g} {bottom}H{WIDTH - RIGHT}" stroke="{GREY}"/>{marks}'
        f'<text x="{(LEFT + WIDTH) / 2}" y="{bottom + 36}" text-anchor="middle">{escape(x)}</text>'
    )


def _svg(parts: Sequence[str], height: float, alt: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(alt, quote=True)}" '
        f'font-family="sans-serif" font-size="13" fill="#202124">{"".join(parts)}</svg>'
    )


def _figure(svg: str, legend: str = "") -> str:
    return f"<figure>{svg}{legend}</figure>"


def _legend(names: Sequence[str]) -> str:
    entries = "".join(
        f'<li><svg width="24" height="10" aria-hidden="true"><path d="M0 5H24" '
        f'stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="3"{_dashes(i)}/></svg> '
        f"{escape(name)}</li>"
        for i, name in enumerate(names)
    )
    return f'<ul class="legend">{entries}</ul>'


def _dashes(i: int) -> str:
    return f' stroke-dasharray="{6 + 2 * (i // len(COLOURS))} 4"' if i >= len(COLOURS) else ""
