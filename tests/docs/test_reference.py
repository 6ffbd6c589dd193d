"""The reference is what the components declare, and stays so."""

from __future__ import annotations

import importlib.util
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate():
    """docs/generate.py, which is a script."""
    described = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(generate):
    return generate.pages()


@pytest.fixture
def copy(tmp_path):
    """A copy of docs/ that may be spoilt."""
    return shutil.copytree(DOCS, tmp_path / "docs")


def test_the_reference_is_fresh(pages):
    stale = [
        path
        for path, text in pages.items()
        if not (DOCS / path).is_file() or (DOCS / path).read_text("utf-8") != text
    ]

    assert stale == [], "run: python docs/generate.py"


def test_every_component_is_there_with_every_parameter(catalog, pages):
    text = "\n".join(pages.values())

    for component in catalog.components():
        assert f"\n## {component.spec.name}\n\n`{component.id}" in text
        for name in component.spec.params:
            assert f"\n| `{name}` | " in text


def test_every_schedule_has_a_plot_that_can_be_read(catalog, pages):
    for component in catalog.components("scheduler"):
        picture = ElementTree.fromstring(pages[f"reference/schedules/{component.spec.name}.svg"])
        line = picture.find("{http://www.w3.org/2000/svg}polyline").get("points").split()
        heights = [float(point.partition(",")[2]) for point in line]
        assert len(heights) == 161
        assert min(heights) >= 12.0
        assert max(heights) <= 88.0
        assert f"(schedules/{component.spec.name}.svg)" in pages["reference/schedulers.md"]


def test_what_is_stale_is_named_and_then_written(generate, copy, capsys):
    page = copy / "reference" / "schedulers.md"
    fresh = page.read_text("utf-8")
    page.write_text(re.sub("cosine", "sine", fresh), encoding="utf-8")
    (copy / "reference" / "schedules" / "gone.svg").write_text("<svg/>", encoding="utf-8")

    assert generate.main(["--check"], copy) == 1
    assert capsys.readouterr().out.split("\n")[:2] == [
        "docs/reference/schedulers.md is stale",
        "docs/reference/schedules/gone.svg is stale",
    ]
    assert page.read_text("utf-8") != fresh

    assert generate.main([], copy) == 0
    assert page.read_text("utf-8") == fresh
    assert generate.main(["--check"], copy) == 0
