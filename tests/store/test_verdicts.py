from __future__ import annotations

import json

import pytest
from sqlalchemy.exc import IntegrityError

from automl_opt.core.errors import StoreError
from automl_opt.core.result import Status
from automl_opt.core.seeds import Seeds
from automl_opt.core.verdict import Finding, Score
from automl_opt.store import VerdictRun
from automl_opt.study.judge import judge

LOSS = Score(metric="loss", maximize=False, scale="log", margin=0.01)


def run(recipe: str, seed: int, value: float | None = 0.5) -> VerdictRun:
    return VerdictRun(
        stage="confirm",
        recipe=recipe,
        seed=seed,
        seeds=Seeds.of_trial(0, "confirm", seed),
        status=Status.FAILED if value is None else Status.COMPLETE,
        reason="it broke" if value is None else None,
        value=value,
        metrics={"loss": value, "accuracy": None},
        epochs=3,
        seconds=1.5,
        worker="here:1",
        device="cpu",
    )


def test_verdicts_are_numbered_by_study_and_kind(store):
    for name, kind in [("digits", "recipe"), ("digits", "recipe"), ("digits", "arm"), ("x", "arm")]:
        store.begin_verdict(name, kind, {"plan": name})

    assert [row.number for row in store.verdicts("digits", "recipe")] == [0, 1]
    assert [row.number for row in store.verdicts("digits", "arm")] == [0]
    assert json.loads(store.verdicts("x", "arm")[0].plan_json) == {"plan": "x"}
    assert store.verdicts("digits", "recipe")[0].outcome is None


def test_the_runs_of_a_verdict_come_back_as_they_were(store):
    row = store.begin_verdict("digits", "recipe", {})
    runs = [run("a #1", 0), run("a #1", 1, None), run("b #2", 0)]
    for each in runs:
        store.save_verdict_run(row, each, {"torch": "2.6"})

    assert store.verdict_runs(row) == runs


def test_a_run_is_written_once(store):
    row = store.begin_verdict("digits", "recipe", {})
    store.save_verdict_run(row, run("a #1", 0), {})

    with pytest.raises((StoreError, IntegrityError)):
        store.save_verdict_run(row, run("a #1", 0), {})


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
        store.save_verdict_run(row, run("a", 0), {})
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
