"""The tables of README.md as a picture: docs/explain/fused.svg.

python benchmarks/fused/plot.py
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
TABLES = HERE / "README.md"
PICTURE = HERE.parents[1] / "docs" / "explain" / "fused.svg"

COLOURS = {"8": "#9ecae1", "32": "#4292c6", "128": "#08519c", "64 compiled": "#d94801"}
"""By what stands in the column K."""

LEFT, WIDTH, LINE, TOP, MOST = 255, 470, 26, 44, 12


class Point(NamedTuple):
    """How many times as many trial-steps a second as the loop."""

    model: str
    learned: str
    k: str
    times: float


def points(text: str) -> Iterator[Point]:
    """What the tables say of whole stacks; those of chosen sizes are left out."""
    columns: list[str] = []
    model = learned = ""
    for line in text.splitlines():
        if not line.startswith("| "):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not columns or cells[0].startswith("---"):
            columns = columns or cells
            continue
        if columns[:3] != ["model", "learned", "K"]:
            continue
        model, learned = cells[0] or model, cells[1] or learned
        compiled = "compiled" in columns
        k = f"{cells[2]} compiled" if compiled else cells[2]
        if k in COLOURS:
            at = columns.index("×", columns.index("compiled") if compiled else 0)
            yield Point(model, learned, k, float(cells[at]))


def picture(found: list[Point]) -> str:
    """An SVG: a line a model, a dot a size of stack."""
    models = list(dict.fromkeys((point.model, point.learned) for point in found))
    bottom = TOP + LINE * len(models)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 30}" '
        f'height="{bottom + 44}" font-family="sans-serif" font-size="12" fill="#333">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for at, (k, colour) in enumerate(COLOURS.items()):
        x = LEFT + 95 * at
        parts.append(f'<circle cx="{x}" cy="18" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{x + 9}" y="22">K = {k}</text>')
    for times in range(0, MOST + 1, 2):
        parts.append(_tick(times, bottom, "#ddd"))
        parts.append(f'<text x="{_x(times)}" y="{bottom + 16}" text-anchor="middle">{times}</text>')
    parts.append(_tick(1, bottom, "#888"))
    parts.append(
        f'<text x="{_x(MOST / 2)}" y="{bottom + 35}" text-anchor="middle">trial-steps a second, '
        "as a multiple of the loop with torch.optim.Adam</text>"
    )
    for at, (model, learned) in enumerate(models):
        y = TOP + LINE * at + LINE / 2
        named = escape(f"{model} ({learned} weights)")
        parts.append(f'<text x="{LEFT - 14}" y="{y + 4}" text-anchor="end">{named}</text>')
        parts.extend(
            f'<circle cx="{_x(point.times)}" cy="{y}" r="5" fill="{COLOURS[point.k]}">'
            f"<title>K = {point.k}: {point.times:.2f}</title></circle>"
            for point in found
            if point.model == model
        )
    return "\n".join([*parts, "</svg>", ""])


def _x(times: float) -> str:
    return f"{LEFT + WIDTH * times / MOST:.1f}"


def _tick(times: float, bottom: int, colour: str) -> str:
    x = _x(times)
    return f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}" stroke="{colour}"/>'


if __name__ == "__main__":
    PICTURE.write_text(picture(list(points(TABLES.read_text()))))
