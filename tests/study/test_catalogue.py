"""Studies that use all there is: wrappers, scaling rules, averages, and every optimizer at once."""

from __future__ import annotations

import json
import sqlite3

import pytest

from automl_opt.core.result import Status

from .examples import contents, rows_of, run, write_study
from .test_runner import At, interrupt

WRAPPED = [
    'space.optimizer=["sam(sgd)", "lookahead(adamw)"]',
    'space.scheduler=["cosine", "warmup(cosine)"]',
    'space.regularizer=["ema", "swa", "mixup", "adversarial", "gradient_noise", "max_norm"]',
    'space.initializer=["lsuv", "he"]',
    'space.lr_scaling=["none", "sqrt"]',
    "training.accumulate=2",
    "search.trials=4",
    'search.strategy="random"',
]


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "study")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/study.db"


def test_every_link_of_a_chain_is_in_the_rows_of_a_trial(study, url, host):
    run(study, url, *WRAPPED, host=host)

    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        found = database.execute(
            "SELECT arm, role, position, hpo_plugin.name, params_json, sha256 FROM hpo_run_plugin "
            "JOIN hpo_plugin ON id = plugin_id JOIN hpo_trial_run USING (run_id) "
            "JOIN hpo_study USING (study_id) WHERE role = 'optimizer' ORDER BY arm, position"
        ).fetchall()
    chains = {(arm, position): name for arm, _, position, name, _, _ in found}
    assert chains == {
        ("lookahead(adamw)", 0): "builtin.lookahead",
        ("lookahead(adamw)", 1): "builtin.adamw",
        ("sam(sgd)", 0): "builtin.sam",
        ("sam(sgd)", 1): "builtin.sgd",
    }
    assert all(len(sha256) == 64 for *_, sha256 in found)
    sam = [json.loads(params) for arm, _, at, _, params, _ in found if (arm, at) == ("sam(sgd)", 0)]
    assert all(set(params) == {"rho"} for params in sam)


def test_a_study_of_wrappers_and_averages_goes_on_as_if_never_interrupted(
    study, url, host, tmp_path
):
    run(study, url, *WRAPPED, host=host)
    again = f"sqlite:///{tmp_path}/again.db"

    for epoch in (2, 3, 4):
        run(study, again, *WRAPPED, host=host, progress=At(epoch, interrupt))
    assert any(not row.status.is_final for row in rows_of(again))
    run(study, again, *WRAPPED, host=host)

    assert contents(again) == contents(url)


def test_one_study_compares_every_optimizer_there_is(study, url, host):
    settings = ['space.optimizer="all"', "search.trials=1", "training.epochs=2"]

    outcome = run(study, url, *settings, 'space.scheduler=["constant"]', host=host)

    expected = {c.label for c in host.catalog.candidates("optimizer")}
    assert {arm.arm for arm in outcome.ranking.arms} == expected
    assert {row.status for row in rows_of(url)} == {Status.COMPLETE}
