from __future__ import annotations

from html.parser import HTMLParser

import pytest

from automl_opt.study.page import Bullets, Code, Plot, Section, Table, Text, html, markdown
from automl_opt.study.plots import strips

PLOT = Plot(strips([("a", [1.0, 2.0])], alt="Values", x="x"), "All of them.")
PAGE = [
    Section(
        "First <one>",
        [
            Text("The answer & more.", lead=True),
            Text("Plain."),
            Bullets(["one", "two"]),
            Table("Numbers", ["name", "value"], [["a|b", "1"], ["<c>", "2"]], right=["value"]),
            PLOT,
            Code("automl-opt run <study>"),
        ],
    ),
    Section("Only a plot", [PLOT]),
]


class Outline(HTMLParser):
    """What a page loads, its headings, and whether its tags are closed."""

    VOID = ("meta", "link", "br", "path", "circle", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: dict[str, dict] = {}

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes[tag] = dict(attrs)
        self.loads += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def outline():
    found = Outline()
    found.feed(html("Which <one>?", PAGE))
    return found


def test_a_page_needs_nothing_from_elsewhere_and_runs_nothing(outline):
    assert outline.loads == ["data:,"]
    assert "script" not in outline.tags


def test_a_page_is_closed_and_has_language_title_and_a_main_part(outline):
    assert outline.open == []
    assert outline.attributes["html"] == {"lang": "en"}
    assert {"title", "main", "h1", "h2", "caption"} <= set(outline.tags)
    assert "width=device-width" in outline.attributes["meta"]["content"]


def test_texts_are_escaped():
    text = html("Which <one>?", PAGE)

    for plain in ("<one>", "<c>", "<study>", "& more"):
        assert plain not in text
    assert "Which &lt;one&gt;?" in text


def test_markdown_says_the_same_but_for_the_plots():
    text = markdown("Which one?", PAGE)

    assert text.splitlines()[0] == "# Which one?"
    assert "**The answer & more.**" in text
    assert "| a\\|b | 1 |" in text
    assert "|---|---:|" in text
    assert "```text\nautoml-opt run <study>\n```" in text
    assert "svg" not in text
    assert "Only a plot" not in text
