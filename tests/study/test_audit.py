"""A healthy study has no finding; each thing that can be wrong with one is found, and it alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from automl_opt.core.result import Status
from automl_opt.core.spec import parse_study
from automl_opt.core.verdict import Score
from automl_opt.search.space import arms_of
from automl_opt.store import StudyRow, TrialRow
from automl_opt.study.audit import audit

LOSS = Score(metric="loss", maximize=False, scale="log", margin=0.01)
NOW = datetime.now(UTC)
STUDY = {
    "name": "fixture",
    "task": "task.py:fixture",
    "space": {
        "optimizer": ["adamw", "adam"],
        "scheduler": ["constant", "cosine", "warmup(cosine)", "reduce_on_plateau"],
        "regularizer": ["l2"],
        "batch_size": {"low": 16, "high": 256, "log": True},
    },
    "search": {"trials": 20},
    "training": {"epochs": 10},
    "objective": {"direction": "minimize"},
}
MIDDLE = {
    "optimizer.lr": 1e-3,
    "optimizer.beta1": 0.9,
    "optimizer.beta2": 0.95,
    "optimizer.weight_decay": 1e-3,
    "batch_size": 64,
}
LOSSES = [0.9, 0.4, 0.6, *[0.5 + 0.01 * i for i in range(17)]]


@pytest.fixture
def spaces(catalog):
    spec = parse_study(STUDY, source="fixture")
    return {space.arm: space for space in arms_of(spec, catalog, model={})}


class Fixture:
    """A healthy study; tests spoil it in one place."""

    def __init__(self, spaces):
        spec = parse_study(STUDY, source="fixture")
        settings = json.dumps({**spec.settings(), "arms": list(spaces)})
        self.spaces = spaces
        self.studies = [
            StudyRow(
                study_id=i,
                name="fixture",
                arm=arm,
                spec_json=settings,
                space_json=space.space.to_json(),
                space_hash="",
                created_at=NOW,
            )
            for i, (arm, space) in enumerate(spaces.items())
        ]
        self.trials = {
            (arm, number): self._trial(arm, i, number, value)
            for i, arm in enumerate(spaces)
            for number, value in enumerate(LOSSES)
        }

    def _trial(self, arm, study_id, number, value):
        return TrialRow(
            study_id=study_id,
            arm=arm,
            trial_id=100 * study_id + number,
            number=number,
            run_id=0,
            attempt=1,
            status=Status.COMPLETE,
            reason=None,
            value=value,
            epochs=10,
            from_epoch=0,
            seconds=1.0,
            worker="here:1",
            device="cpu",
            lease_until=None,
            started_at=NOW,
            ended_at=NOW,
            checkpoint_uri=None,
            seeds_json="{}",
            recipe_json=self.recipe(arm),
        )

    def recipe(self, arm, **values):
        """The arm's recipe with numbers in the middle of their ranges, but for *values*."""
        space = self.spaces[arm]
        given = {**space.space.defaults(), **MIDDLE, **values}
        suggested = {
            entry.name: given.get(entry.name, entry.param.default) for entry in space.space.entries
        }
        return space.recipe(suggested).to_json()

    def change(self, arm, numbers, **values):
        for number in numbers:
            self.trials[arm, number] = replace(self.trials[arm, number], **values)

    def kinds(self, catalog):
        return [(finding.kind, finding.arm) for finding in self.audit(catalog)]

    def audit(self, catalog):
        return audit(self.studies, list(self.trials.values()), catalog, LOSS)


@pytest.fixture
def study(spaces):
    return Fixture(spaces)


def test_a_healthy_study_has_no_finding(study, catalog):
    assert study.audit(catalog) == []


def test_trials_that_are_to_come_make_it_preliminary(study, catalog):
    study.change("adam", [19], status=Status.RUNNING, value=None)

    [finding] = study.audit(catalog)

    assert (finding.kind, finding.arm) == ("preliminary", None)
    assert finding.evidence == "39 of 40 trials have ended"


def test_an_arm_with_few_complete_trials_is_named(study, catalog):
    study.change("adam", range(9, 20), status=Status.PRUNED)

    [finding] = study.audit(catalog)

    assert (finding.kind, finding.arm) == ("too_few_trials", "adam")
    assert "9 of 20 trials are complete" in finding.evidence


def test_an_arm_that_failed_often_is_named_with_the_reason(study, catalog):
    study.change("adamw", [18, 19], status=Status.DIVERGED, value=None, reason="the loss\nis NaN")

    [finding] = study.audit(catalog)

    assert (finding.kind, finding.arm) == ("failures", "adamw")
    assert "2 of 20 trials failed, the last with: the loss is NaN" in finding.evidence


def test_one_failure_is_no_finding(study, catalog):
    study.change("adamw", [19], status=Status.FAILED, value=None)

    assert study.audit(catalog) == []


def test_an_arm_of_which_every_trial_failed_is_named_and_breaks_nothing(study, catalog):
    study.change("adam", range(20), status=Status.FAILED, value=None)

    assert study.kinds(catalog) == [("too_few_trials", "adam"), ("failures", "adam")]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("optimizer.lr", 0.028, "optimizer.lr = 0.028, near the high end of 0.0001 … 0.03, log"),
        ("optimizer.lr", 1.1e-4, "optimizer.lr = 0.00011, near the low end"),
        ("optimizer.beta1", 0.985, "near the high end of 0.8 … 0.99"),
        ("batch_size", 240, "batch_size = 240, near the high end of 16 … 256, log"),
    ],
)
def test_a_best_value_at_the_edge_of_its_range_is_found_on_its_scale(
    study, catalog, name, value, says
):
    study.change("adamw", [1], recipe_json=study.recipe("adamw", **{name: value}))

    [finding] = study.audit(catalog)

    assert (finding.kind, finding.arm) == ("edge", "adamw")
    assert says in finding.evidence


def test_a_value_at_the_edge_of_a_trial_that_was_not_the_best_is_no_finding(study, catalog):
    study.change("adamw", [2], recipe_json=study.recipe("adamw", **{"optimizer.lr": 0.028}))

    assert study.audit(catalog) == []


def test_edges_are_found_in_schedules_and_their_wrappers_too(study, catalog):
    wrapped = {
        "scheduler": "warmup(cosine)",
        "scheduler.warmup(cosine).floor": 0.199,
    }
    known = {entry.name for entry in study.spaces["adamw"].space.entries}
    assert {name for name in wrapped if "floor" in name} <= known
    study.change("adamw", [1], recipe_json=study.recipe("adamw", **wrapped))

    found = [finding.evidence for finding in study.audit(catalog)]

    assert any("scheduler.warmup(cosine).floor = 0.199" in evidence for evidence in found)


def test_a_special_case_that_beats_what_generalises_it_is_found(study, catalog):
    study.change("adam", [1], value=0.3)

    [finding] = study.audit(catalog)

    assert (finding.kind, finding.arm) == ("special_case", "adamw")
    assert "adam, a special case of adamw, reached 0.3 and adamw 0.4" in finding.evidence


def test_a_special_case_that_is_ahead_by_less_than_the_margin_is_no_finding(study, catalog):
    study.change("adam", [1], value=0.399)

    assert study.audit(catalog) == []


def test_a_general_one_may_be_ahead(study, catalog):
    study.change("adamw", [1], value=0.3)

    assert study.audit(catalog) == []


def test_an_arm_that_still_improves_is_found(study, catalog):
    study.change("adamw", [16], value=0.35)

    [finding] = study.audit(catalog)

    assert (finding.kind, finding.arm) == ("still_improving", "adamw")
    assert "still gained 14.3 % of loss" in finding.evidence  # .4 / .35


def test_arms_that_had_more_trials_are_found(study, catalog):
    for number in range(17, 20):
        del study.trials["adam", number]

    assert study.kinds(catalog) == [("preliminary", None), ("unequal_spend", None)]


def test_arms_that_took_more_time_are_found(study, catalog):
    study.change("adam", range(20), seconds=2.1)

    [finding] = study.audit(catalog)

    assert (finding.kind, finding.arm) == ("unequal_spend", None)
    assert finding.evidence == "adam had 42 seconds of training, adamw 20"


def prune(study, values, numbers=(17, 18)):
    recipe = study.recipe("adam", **values)
    study.change("adam", numbers, status=Status.PRUNED, epochs=5, recipe_json=recipe)


@pytest.mark.parametrize("scheduler", ["cosine", "warmup(cosine)"])
def test_trials_pruned_in_the_middle_of_a_schedule_are_found(study, catalog, scheduler):
    prune(study, {"scheduler": scheduler})

    [finding] = study.audit(catalog)

    assert (finding.kind, finding.arm) == ("mid_schedule", "adam")
    assert "2 of 20 trials were pruned" in finding.evidence


@pytest.mark.parametrize("scheduler", ["constant", "reduce_on_plateau"])
def test_trials_pruned_at_a_rate_that_no_step_changes_are_no_finding(study, catalog, scheduler):
    prune(study, {"scheduler": scheduler})

    assert study.audit(catalog) == []


def test_a_finding_is_plain_data(study, catalog):
    study.change("adamw", [16], value=0.35)

    assert study.audit(catalog)[0].data()["kind"] == "still_improving"
