"""The pages that teach are done as they say, and what they show is what is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from automl_opt.core.spec import parse_study

from .page import agrees, blocks

ROOT = Path(__file__).parents[2]
DONE = [
    *sorted((ROOT / "docs" / "plugins").glob("*.md")),
    ROOT / "docs" / "howto" / "adapters.md",
    ROOT / "docs" / "howto" / "batches.md",
    ROOT / "docs" / "howto" / "regularizers.md",
    ROOT / "docs" / "howto" / "verdict.md",
    ROOT / "docs" / "explain" / "plugins.md",
]
TUTORIAL = (ROOT / "docs" / "plugins" / "tutorial.md").read_text("utf-8")


@pytest.mark.parametrize("page", DONE, ids=lambda page: page.stem)
def test_doing_what_a_page_says_gives_what_it_shows(page, reader):
    done = reader.follow(page.read_text("utf-8"))

    assert done
    for each in done:
        assert agrees(each), (
            f"$ {each.command}\n-- shown:\n{each.shown}\n-- printed:\n{each.printed}"
        )


@pytest.mark.parametrize("page", DONE, ids=lambda page: page.stem)
def test_every_piece_of_python_on_a_page_is_a_file_that_is_used(page):
    loose = [
        block.text
        for block in blocks(page.read_text("utf-8"))
        if block.language == "python" and block.path is None
    ]

    assert loose == []


def test_the_plugin_of_the_tutorial_is_as_short_as_it_says():
    [module] = [b for b in blocks(TUTORIAL) if b.path == "automl_opt_yogi.py"]
    [project] = [b for b in blocks(TUTORIAL) if b.path == "pyproject.toml"]

    lines = [len([line for line in b.text.splitlines() if line.strip()]) for b in (module, project)]

    assert "23 lines of Python and nine of TOML" in TUTORIAL
    assert lines == [23, 9]
    assert lines[0] <= 25


def test_the_package_of_the_tutorial_is_built_with_its_module_and_its_name(tmp_path):
    for block in blocks(TUTORIAL):
        if block.path in ("automl_opt_yogi.py", "pyproject.toml"):
            (tmp_path / block.path).write_text(block.text, encoding="utf-8")

    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "built"],
        cwd=tmp_path,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
    )

    assert built.returncode == 0, built.stderr
    [wheel] = (tmp_path / "built").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert "automl_opt_yogi.py" in names
        [points] = [name for name in names if name.endswith("entry_points.txt")]
        assert "acme = automl_opt_yogi" in archive.read(points).decode()


def test_the_keys_of_the_page_on_batches_are_read():
    page = (ROOT / "docs" / "howto" / "batches.md").read_text("utf-8")
    [file] = [block.text for block in blocks(page) if block.language == "toml"]
    data = {"name": "x", "task": "a:b", **tomllib.loads(file)}
    data["space"]["optimizer"] = ["sgd"]
    spec = parse_study(data, source="docs/howto/batches.md")

    assert spec.lr_scaling == ("none", "linear", "sqrt")
    assert spec.accumulate == 4


@pytest.mark.parametrize("page", DONE, ids=lambda page: page.stem)
def test_a_page_ends_with_its_limits_or_with_where_to_go_on(page):
    titles = re.findall(r"^## (.*)$", page.read_text("utf-8"), re.MULTILINE)

    assert titles[-1] in ("Limits", "Where to go on")
