"""The README and the pages under docs/ are run, or compared with what they describe."""

from __future__ import annotations

import re
import sqlite3
import tomllib
from pathlib import Path

import pytest

from automl_opt.core.spec import parse_study
from automl_opt.plugin.describe import counts

from .page import blocks

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def blocks_of(text: str, language: str) -> list[str]:
    return [block.text for block in blocks(text) if block.language == language]


def test_the_two_set_up_commands_are_those_that_ci_runs():
    commands = re.findall(r"^pip install -c constraints.txt .*$", README, re.MULTILINE)

    assert commands == [
        "pip install -c constraints.txt -e . && automl-opt run studies/digits",
        "pip install -c constraints.txt -e '.[test]' && pytest",
    ]


@pytest.mark.parametrize("position", [0, 1], ids=["own objective", "model and data"])
def test_the_first_two_ways_in_run_as_written(position, reader):
    reader.write("example.py", blocks_of(README, "python")[position])

    assert reader.give("python example.py")


def test_the_plugin_of_the_readme_is_found_shown_and_trained(reader):
    reader.write("automl_opt_signum.py", blocks_of(README, "python")[2])
    reader.write("pyproject.toml", blocks_of(README, "toml")[0])
    reader.give("pip install -e .")

    shown = reader.give("automl-opt plugins show signum")
    checked = reader.give("automl-opt plugins check signum")
    ranking = reader.give(
        "automl-opt run studies/digits --trials 1 --set training.epochs=2 "
        "--set 'space.optimizer=[\"signum\"]' --json"
    )

    assert "acme.signum" in shown
    assert "failed" not in checked
    assert '"arm": "acme.signum"' in ranking


def test_the_other_commands_of_the_readme_run(with_a_study):
    commands = [
        command
        for block in blocks(README)
        if block.language == "console"
        for command, _ in block.commands()
    ]
    assert len(commands) >= 5
    # the study was run with one trial and one epoch, so its budget is not what the file says
    for command in commands:
        printed = with_a_study.give(command)
        assert printed
        assert "Error:" not in printed, command


def test_the_readme_counts_the_components_that_there_are(host):
    there = counts(host)

    told = re.findall(r"(\d+) (optimizers|schedulers|regularizers|initializers)\b", README)

    assert len(told) == 4
    for number, several in told:
        assert int(number) == there[several.removesuffix("s")]


def test_the_documented_query_gives_a_curve(with_a_study):
    query = blocks_of((ROOT / "docs/explain/storage.md").read_text(), "sql")[0]
    connection = sqlite3.connect(with_a_study.folder / "automl_opt.db")

    rows = connection.execute(query).fetchall()
    connection.close()

    assert {(name, split) for name, split, _, _ in rows} >= {
        ("loss", "train"),
        ("accuracy", "valid"),
        ("accuracy", "test"),
    }


def test_every_table_of_ours_is_documented(with_a_study):
    page = (ROOT / "docs/explain/storage.md").read_text()
    connection = sqlite3.connect(with_a_study.folder / "automl_opt.db")
    tables = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if name.startswith("hpo_")
    ]
    connection.close()

    assert [name for name in tables if f"`{name}`" not in page] == []


def test_a_run_says_by_whom_it_was_trained(with_a_study):
    query = blocks_of((ROOT / "docs/plugins/trust.md").read_text(), "sql")[0]
    connection = sqlite3.connect(with_a_study.folder / "automl_opt.db")

    rows = connection.execute(query).fetchall()
    connection.close()

    adamw = [row for row in rows if row[:2] == ("optimizer", "builtin.adamw")]
    assert [row[3] for row in adamw] == ["automl-opt"]
    assert all(re.fullmatch("[0-9a-f]{64}", row[5]) for row in adamw)


def test_the_study_of_the_howto_runs(reader):
    page = (ROOT / "docs/howto/study.md").read_text()
    reader.write("task.py", blocks_of(page, "python")[0])
    reader.write("study.toml", blocks_of(page, "toml")[0])

    ranking = reader.give("automl-opt run . --trials 2 --set training.epochs=2")

    assert re.search(r"^ +\d+  adamw ", ranking, re.MULTILINE)


def test_every_key_of_a_study_file_is_in_the_reference():
    page = (ROOT / "docs/reference/study-file.md").read_text()
    space = {"optimizer": ["c"], "lr_scaling": "linear"}  # told only where it is set
    training = {"checkpoints": "s3://bucket/states", "executor": "ray"}
    study = {"name": "x", "task": "a:b", "space": space, "training": training}
    spec = parse_study(study, source="x")

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
