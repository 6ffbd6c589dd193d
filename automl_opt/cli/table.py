"""Columns of text, coloured on a terminal and plain in a pipe."""

from __future__ import annotations

from collections.abc import Sequence

import click


def echo_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> None:
    """Print *rows* under *heads*, each column as wide as its widest cell.

    Args:
        right: heads of the columns that are aligned to the right, separated by blanks.
    """
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    to_right = [head in right.split() for head in heads]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if end else cell.ljust(width)
            for cell, width, end in zip(cells, widths, to_right, strict=True)
        ]
        return "  ".join(padded).rstrip()

    click.echo(click.style(line(heads), bold=True))
    for row in rows:
        click.echo(line(row))


def number(value: float | None, digits: int = 4) -> str:
    """A value for a table; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}g}"


def seconds(value: float) -> str:
    """A duration as a person says it: ``8.3s``, ``2m05s``, ``1h02m``."""
    if value < 59.95:  # which would read 60.0
        return f"{value:.1f}s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"
