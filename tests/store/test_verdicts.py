from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from automl_opt.core.errors import StoreError
from automl_opt.core.verdict import Finding, Score
from automl_opt.study.judge import judge

from .examples import report, trial, verdict_run

LOSS = Score(metric="loss", maximize=False, scale="log", margin=0.01)


def test_verdicts_are_numbered_by_study_and_kind(store):
    for name, kind in [("digits", "recipe"), ("digits", "recipe"), ("digits", "arm"), ("x", "arm")]:
        store.begin_verdict(name, kind, {"plan": name})

    assert [row.number for row in store.verdicts("digits", "recipe")] == [0, 1]
    assert [row.number for row in store.verdicts("digits", "arm")] == [0]
    assert json.loads(store.verdicts("x", "arm")[0].plan_json) == {"plan": "x"}
    assert store.verdicts("digits", "recipe")[0].outcome is None


def test_the_runs_of_a_verdict_come_back_as_they_were(store):
    row = store.begin_verdict("digits", "recipe", {})
    runs = [verdict_run("a #1", 0), verdict_run("a #1", 1, None), verdict_run("b #2", 0)]
    for each in runs:
        store.save_verdict_run(row, each, {"torch": "2.6"})

    assert store.verdict_runs(row) == runs


def test_a_run_is_written_once_and_whole_or_not_at_all(store, rows):
    row = store.begin_verdict("digits", "recipe", {})
    store.save_verdict_run(row, verdict_run("a #1", 0), {}, [report(trial(), 1)])

    with pytest.raises((StoreError, IntegrityError)):
        store.save_verdict_run(row, verdict_run("a #1", 0), {}, [report(trial(), 2)])
    with pytest.raises((StoreError, IntegrityError)):
        store.save_verdict_run(
            row, verdict_run("a #1", 1), {}, [report(trial(), 1), report(trial(), 1)]
        )
    assert store.verdict_runs(row) == [verdict_run("a #1", 0)]
    assert rows("SELECT seed, epoch FROM hpo_verdict_epoch GROUP BY seed, epoch") == [(0, 1)]


def test_the_curves_of_a_verdict_are_those_of_its_own_seeds(store, rows):
    other, row = (store.begin_verdict("digits", "recipe", {}) for _ in range(2))
    for of, stage, recipe, seed, losses in [
        (row, "confirm", "a #1", 0, [0.5, math.nan, 0.25]),
        (row, "confirm", "a #1", 1, [0.75]),
        (row, "confirm", "b #2", 0, []),
        (row, "screen", "a #1", 0, [9.0]),
        (other, "confirm", "a #1", 0, [9.0]),
    ]:
        reports = [report(trial(), n, loss=loss, seconds=n) for n, loss in enumerate(losses, 1)]
        store.save_verdict_run(of, replace(verdict_run(recipe, seed), stage=stage), {}, reports)

    assert store.confirmed_curves(row, "loss", "valid") == {
        "a #1": {0: [(1, 0.5), (3, 0.25)], 1: [(1, 0.75)]}
    }
    assert store.confirmed_curves(row, "accuracy", "train") == {}
    assert rows(
        "SELECT study, recipe, seed, epoch, value FROM hpo_v_confirmed_curve "
        "WHERE metric = 'loss' AND split = 'train' ORDER BY recipe, seed, epoch"
    ) == [
        ("digits", "a #1", 0, 1, 0.5),
        ("digits", "a #1", 0, 2, None),
        ("digits", "a #1", 0, 3, 0.25),
        ("digits", "a #1", 1, 1, 0.75),
    ]
    assert rows(
        "SELECT epoch, seconds FROM hpo_verdict_epoch WHERE stage = 'confirm' AND verdict_id = 2 "
        "AND seed = 0 AND split = 'train' ORDER BY epoch"
    ) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_verdict_replaces_what_it_said_before(store, rows):
    row = store.begin_verdict("digits", "recipe", {})
    values = {"a": [1.0, 1.1] * 5, "b": [1.05, 1.15] * 5, "c": [2.0, 2.4] * 5}
    found = judge(values, LOSS)
    for said in (["before"], ["first", "second"]):
        store.save_verdict(
            row,
            outcome=found.outcome.value,
            leader=found.leader,
            seeds=found.seeds,
            said=said,
            data=found.data(),
            looks=found.looks,
        )

    [saved] = store.verdicts("digits", "recipe")
    assert (saved.outcome, saved.leader, saved.seeds) == ("better", "a", 10)
    assert saved.said == "first\nsecond"
    assert json.loads(saved.verdict_json)["outcome"] == "better"
    assert rows("SELECT seeds, leader, other, wins, outcome FROM hpo_look ORDER BY other") == [
        (10, "a", "b", 10, "better"),
        (10, "a", "c", 10, "better"),
    ]
    [low] = rows("SELECT low FROM hpo_look WHERE other = 'b'")[0]
    assert low == pytest.approx(found.pairs[0].low)


def test_the_views_show_the_last_verdict_its_looks_and_runs(store, rows):
    values = {"a": [1.0, 1.1] * 5, "b": [1.05, 1.15] * 5}
    found = judge(values, LOSS)
    for outcome in ("undecided", "better"):
        row = store.begin_verdict("digits", "recipe", {})
        store.save_verdict(
            row,
            outcome=outcome,
            leader="a",
            seeds=10,
            said=[outcome],
            data={},
            looks=found.looks,
        )
        store.save_verdict_run(row, verdict_run("a", 0), {})
    store.save_findings("digits", [Finding(kind="edge", arm="a", evidence="seen", advice="do")])

    assert rows("SELECT study, kind, outcome, leader, said FROM hpo_v_verdict") == [
        ("digits", "recipe", "better", "a", "better")
    ]
    assert rows("SELECT study, number, seeds, leader, other FROM hpo_v_look ORDER BY number") == [
        ("digits", 0, 10, "a", "b"),
        ("digits", 1, 10, "a", "b"),
    ]
    assert rows("SELECT study, number, recipe, seed, value FROM hpo_v_verdict_run") == [
        ("digits", 0, "a", 0, 0.5),
        ("digits", 1, "a", 0, 0.5),
    ]
    assert rows("SELECT study, kind, arm FROM hpo_v_finding") == [("digits", "edge", "a")]


def test_findings_are_those_of_the_last_audit(store):
    def finding(kind: str, arm: str | None = None) -> Finding:
        return Finding(kind=kind, arm=arm, evidence="seen", advice="do")

    store.save_findings("digits", [finding("edge", "sgd"), finding("preliminary")])
    store.save_findings("other", [finding("edge", "sgd")])
    store.save_findings("digits", [finding("failures", "sgd")])

    assert store.findings("digits") == [finding("failures", "sgd")]
    assert len(store.findings("other")) == 1
