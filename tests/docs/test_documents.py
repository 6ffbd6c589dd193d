"""The README and the pages under docs/ are run, or compared with what they describe."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from automl_opt.core.spec import parse_study

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "AUTOML_OPT_PLUGINS": "acme", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def automl_opt(line: str) -> list[str]:
    """A documented command line, run by this Python."""
    words = line.split("#")[0].split()
    assert words[0] == "automl-opt"
    return [sys.executable, "-m", "automl_opt", *words[1:]]


def test_the_two_set_up_commands_are_those_that_ci_runs():
    commands = re.findall(r"^pip install -c constraints.txt .*$", README, re.MULTILINE)

    assert commands == [
        "pip install -c constraints.txt -e . && automl-opt run studies/digits",
        "pip install -c constraints.txt -e '.[test]' && pytest",
    ]


@pytest.mark.parametrize("position", [0, 1], ids=["own objective", "model and data"])
def test_the_first_two_ways_in_run_as_written(position, tmp_path):
    script = tmp_path / "example.py"
    script.write_text(blocks(README, "python")[position])

    assert run([sys.executable, "-W", "error", str(script)], tmp_path)


def test_the_plugin_of_the_readme_is_found_shown_and_trained(tmp_path):
    (tmp_path / "automl_opt_signum.py").write_text(blocks(README, "python")[2])
    project = tomllib.loads(blocks(README, "toml")[0])["project"]
    metadata = tmp_path / "automl_opt_signum-1.0.dist-info"
    metadata.mkdir()
    metadata.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    [(group, points)] = project["entry-points"].items()
    lines = [f"{name} = {target}" for name, target in points.items()]
    metadata.joinpath("entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    shutil.copytree(ROOT / "studies", tmp_path / "studies")
    command = (
        "automl-opt run studies/digits --trials 1 --set training.epochs=2 "
        '--set space.optimizer=["signum"] --json'
    )

    shown = run(automl_opt("automl-opt plugins show signum"), tmp_path, PYTHONPATH=str(tmp_path))
    ranking = run(automl_opt(command), tmp_path, PYTHONPATH=str(tmp_path))

    assert "acme.signum" in shown
    assert '"arm": "acme.signum"' in ranking


@pytest.fixture(scope="module")
def with_a_study(tmp_path_factory) -> Path:
    """A folder in which studies/digits was run, briefly."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "studies", folder / "studies")
    run(
        automl_opt("automl-opt run studies/digits --trials 1 --set training.epochs=1"),
        folder,
    )
    return folder


def test_the_other_commands_of_the_readme_run(with_a_study):
    commands = [
        line.removeprefix("$ ")
        for block in blocks(README, "console")
        for line in block.splitlines()
        if line.startswith("$ automl-opt")
    ]
    assert len(commands) >= 5
    # the study was run with one trial and one epoch, so its budget is not what the file says
    for command in commands:
        assert run(automl_opt(command), with_a_study)


def test_the_documented_query_gives_a_curve(with_a_study):
    query = blocks((ROOT / "docs/explain/storage.md").read_text(), "sql")[0]
    connection = sqlite3.connect(with_a_study / "automl_opt.db")

    rows = connection.execute(query).fetchall()
    connection.close()

    assert {(name, split) for name, split, _, _ in rows} >= {
        ("loss", "train"),
        ("accuracy", "valid"),
        ("accuracy", "test"),
    }


def test_every_table_of_ours_is_documented(with_a_study):
    page = (ROOT / "docs/explain/storage.md").read_text()
    connection = sqlite3.connect(with_a_study / "automl_opt.db")
    tables = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if name.startswith("hpo_")
    ]
    connection.close()

    assert [name for name in tables if f"`{name}`" not in page] == []


def test_the_study_of_the_howto_runs(tmp_path):
    page = (ROOT / "docs/howto/study.md").read_text()
    (tmp_path / "task.py").write_text(blocks(page, "python")[0])
    (tmp_path / "study.toml").write_text(blocks(page, "toml")[0])

    ranking = run(automl_opt("automl-opt run . --trials 2 --set training.epochs=2"), tmp_path)

    assert "adamw" in ranking


def test_every_key_of_a_study_file_is_in_the_reference():
    page = (ROOT / "docs/reference/study-file.md").read_text()
    spec = parse_study({"name": "x", "task": "a:b", "space": {"optimizer": ["c"]}}, source="x")

    keys = {key.rpartition(" ")[2] for key in spec.settings()} - {"[ranges]"} | {"storage"}

    assert [key for key in sorted(keys) if f"| `{key}` |" not in page] == []


def test_the_import_contracts_of_the_architecture_page_are_those_in_force():
    page = (ROOT / "docs/explain/architecture.md").read_text()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

    shown = re.findall(r"^(\w.*) KEPT$", page, re.MULTILINE)

    assert shown == [contract["name"] for contract in config["contracts"]]


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_a_page_starts_with_a_command(page):
    head, title, blank, fence, command, *_ = ["", *page.read_text().splitlines()]

    assert title.startswith("# ")
    assert (head, blank) == ("", "")
    assert fence == "```console"
    assert command.startswith("$ ")


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda p: p.name
)
def test_links_between_our_pages_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []
