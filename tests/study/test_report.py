"""A report of a small real study has every section, and its numbers are those of the rows."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from automl_opt.core.spec import load_study
from automl_opt.store import Store
from automl_opt.study.confirm import confirm
from automl_opt.study.page import html, markdown
from automl_opt.study.report import report_of
from automl_opt.study.sections import sections, title_of

from .examples import NAME, run, write_study

TITLES = [
    "Verdict",
    "What speaks against it",
    "The recipe",
    "The search",
    "What else the trials say",
    "Which parameters decide",
    "What it cost",
    "Ranges searched",
    "Components and environment",
    "How to repeat it",
]


@pytest.fixture(scope="module")
def searched(tmp_path_factory, host):
    folder = tmp_path_factory.mktemp("searched")
    study = write_study(folder / "study")
    url = f"sqlite:///{folder}/study.db"
    run(study, url, host=host)
    return load_study(study, ["verdict.seeds=10"]), url


@pytest.fixture(scope="module")
def before(searched, host):
    spec, url = searched
    with Store.open(url) as store:
        return report_of(spec, store, host.catalog)


@pytest.fixture(scope="module")
def after(before, searched, host):
    spec, url = searched
    with Store.open(url) as store:
        confirm(spec, host=host, store=store)
        return report_of(spec, store, host.catalog)


def test_a_report_has_every_section(before, after):
    for report in (before, after):
        assert [section.title for section in sections(report)] == TITLES


def test_the_verdict_comes_first_and_says_what_the_selection_says(after):
    text = markdown(title_of(after), sections(after))

    first, *others = after.selection.said
    assert text.index(f"**{first}**") < text.index("## What speaks against it")
    for sentence in others:
        assert sentence in text


def test_a_study_without_a_question_is_named(after):
    assert title_of(after) == f"Study {NAME}"


def test_every_plot_is_there_and_the_file_is_small(after):
    page = html(title_of(after), sections(after))

    assert len(re.findall('role="img"', page)) == 5
    assert len(page.encode()) < 3_000_000


def test_bands_are_quantiles_of_the_trials_that_reached_the_epoch(after, searched):
    _, url = searched
    with Store.open(url) as store:
        trials = [t.trial_id for t in store.trials(NAME) if t.arm == "sgd"]
        curves = store.curves(NAME, split="valid")
    values = [
        row.value for t in trials for row in curves[t] if (row.metric, row.epoch) == ("loss", 2)
    ]

    [found] = [row for row in after.curves["sgd"] if row[0] == 2]
    assert found[1:] == pytest.approx(tuple(np.quantile(values, (0.25, 0.5, 0.75))))


def test_components_and_environment_are_those_of_the_rows(after):
    used = {(row.kind, row.name) for row in after.components}

    assert {("optimizer", "builtin.sgd"), ("optimizer", "builtin.adamw")} <= used
    assert all(row.distribution == "automl-opt" for row in after.components)
    assert after.environments[-1]["torch"]


def test_the_recipe_is_the_leaders_with_the_interval_that_export_states(after):
    assert after.winner.title == after.selection.verdict.leader
    low, high = after.winner.expected()
    text = markdown(title_of(after), sections(after))
    assert f"{low:.4g} … {high:.4g}" in text


def test_the_trials_of_the_leading_arm_lie_where_their_ranges_have_them(after, searched):
    _, url = searched
    with Store.open(url) as store:
        rows = [t for t in store.trials(NAME) if t.arm == after.trials.arm and t.value is not None]
    complete = {t.value: t.trial.recipe for t in rows if t.status == "complete"}

    names = [entry["name"] for entry in after.trials.entries]
    assert "optimizer.lr" in names
    assert len(after.trials.rows) == len(complete)
    for value, places in after.trials.rows:
        entry = after.trials.entries[names.index("optimizer.lr")]
        lr = complete[value].optimizer.params["lr"]
        expected = np.log(lr / entry["low"]) / np.log(entry["high"] / entry["low"])
        assert places[names.index("optimizer.lr")] == pytest.approx(expected)


def test_which_parameters_decide_is_said_of_every_arm(after):
    text = markdown(title_of(after), sections(after))
    section = text.partition("## Which parameters decide")[2].partition("## ")[0]

    assert set(after.importances) == {"sgd", "adamw"}
    for arm in after.importances:
        assert arm in section


def test_a_report_is_plain_data(before, after):
    for report in (before, after):
        data = json.loads(json.dumps(report.data()))
        assert set(data["curves"]) == {"sgd", "adamw"}
        assert set(data["ranges"]) == {"sgd", "adamw"}
        assert data["costs"]["arms"][0]["trials"] == 8
    assert data["verdict"]["outcome"] in ("better", "equivalent", "undecided")
    assert data["winner"]["expected"]
