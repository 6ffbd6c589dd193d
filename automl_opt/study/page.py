"""A page of sections, once as HTML in one file and once as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Args:
        lead: printed large: the answer.
    """

    text: str
    lead: bool = False


@dataclass(frozen=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows under heads; columns of *right* are numbers."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()


@dataclass(frozen=True)
class Plot:
    """A figure of :mod:`automl_opt.study.plots`, and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Code:
    text: str


Block: TypeAlias = Text | Bullets | Table | Plot | Code


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]


_BETWEEN_WORDS = re.compile(r"(?<=[a-z0-9][._])(?=[a-z])")
"""Where a long name in a narrow column may be broken: ``warm_`` ``restarts``."""

STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 46rem; padding: 1rem; color: #202124; background: #fff;
  font: 1rem/1.5 system-ui, sans-serif; }
p, li { overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.lead { font-size: 1.15rem; border-left: 4px solid #0b57d0; padding-left: .75rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; color: #5f6368; padding-bottom: .25rem; }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid #dadce0;
  vertical-align: top; }
td:not(.number) { min-width: 6.5rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1rem 0 0; } figure > svg { width: 100%; max-width: 34rem; height: auto; }
.caption { color: #5f6368; font-size: .9rem; margin-top: .25rem; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0 1rem;
  font-size: .9rem; margin: .25rem 0; }
pre { background: #f1f3f4; padding: .6rem; overflow-x: auto; font-size: .85rem; }
@media (max-width: 30rem) { table { font-size: .8rem; } td:not(.number) { min-width: 4rem; }
  th, td { padding-right: .4rem; } th.number { white-space: normal; } }
@page { margin: 15mm; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; }
  h2, figure, table caption { break-after: avoid; } figure, tr { break-inside: avoid; }
  .scroll, pre { overflow: visible; white-space: pre-wrap; } }
"""


def html(title: str, sections: Iterable[Section]) -> str:
    """One self-contained file: no script, nothing from elsewhere."""
    body = "\n".join(
        f"<section><h2>{escape(section.title)}</h2>\n"
        + "\n".join(_html(block) for block in section.blocks)
        + "\n</section>"
        for section in sections
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        '<link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Text(text, lead):
            return f"<p{' class=lead' if lead else ''}>{escape(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"
        case Table():
            return _html_table(block)
        case Plot(svg, caption):
            return f'{svg}\n<p class="caption">{escape(caption)}</p>' if svg else ""
        case Code(text):
            return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


def _html_table(table: Table) -> str:
    def cell(tag: str, head: str, text: str) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        number = ' class="number"' if head in table.right else ""
        return f"<{tag}{scope}{number}>{_BETWEEN_WORDS.sub('<wbr>', escape(text))}</{tag}>"

    heads = "".join(cell("th", head, head) for head in table.heads)
    rows = "".join(
        "<tr>" + "".join(cell("td", h, c) for h, c in zip(table.heads, row, strict=True)) + "</tr>"
        for row in table.rows
    )
    label = escape(table.caption, quote=True)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>'
        f"<caption>{escape(table.caption)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def markdown(title: str, sections: Iterable[Section]) -> str:
    """The same without the plots: their numbers are in the JSON."""
    parts = [f"# {title}"]
    for section in sections:
        blocks = [text for block in section.blocks if (text := _markdown(block))]
        if blocks:
            parts += [f"## {section.title}", *blocks]
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Text(text, lead):
            return f"**{text}**" if lead else text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Table(caption, heads, rows, right):
            rule = "|".join("---:" if head in right else "---" for head in heads)
            lines = [f"| {' | '.join(_escaped(row))} |" for row in (heads, *rows)]
            return "\n".join([f"{caption}:", "", lines[0], f"|{rule}|", *lines[1:]])
        case Plot():
            return ""
        case Code(text):
            return f"```text\n{text}\n```"


def _escaped(row: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in row]
