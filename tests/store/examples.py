"""Trials, parts and reports for the tests of the store, and for the processes they start."""

from __future__ import annotations

import pytest

from automl_opt.api import Float, OptimizerSpec, RegularizerSpec, Rule
from automl_opt.core.recipe import Part, Recipe
from automl_opt.core.result import EpochReport, Measurement, Status, Trial, TrialResult
from automl_opt.core.seeds import Seeds
from automl_opt.plugin.catalog import Component
from automl_opt.store import Store, VerdictRun

sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def _component(spec) -> Component:
    return Component(
        spec=spec,
        plugin="acme",
        distribution="automl-opt-acme",
        distribution_version="1.2",
        module=__name__,
    )


RULE = Rule("acme.sgd:init", "acme.sgd:update")  # never resolved here
OPTIMIZER = _component(OptimizerSpec(name="sgd", rule=RULE, params={"lr": Float(0.01, 1.0)}))
REGULARIZER = _component(RegularizerSpec(name="clip", grads=lambda grads: grads))
PARTS = [
    ("optimizer", OPTIMIZER, {"lr": 0.1}),
    ("regularizer", REGULARIZER, {"at": 1.0}),
    ("regularizer", REGULARIZER, {"at": 2.0}),
]


def trial(number: int = 0, *, arm: str = "sgd", trial_id: int | None = None) -> Trial:
    return Trial(
        arm=arm,
        number=number,
        trial_id=100 + number if trial_id is None else trial_id,
        recipe=Recipe(
            optimizer=Part("acme.sgd", {"lr": 0.1 + 0.2}),
            scheduler=Part("acme.constant"),
            initializer=Part("acme.default"),
            batch_size=32,
        ),
        seeds=Seeds.of_trial(0, arm, number),
    )


def report(of: Trial, epoch: int, *, loss: float | None = 0.5, seconds: float = 1.0) -> EpochReport:
    return EpochReport(
        trial=of,
        epoch=epoch,
        value=loss,
        measurements=(
            Measurement("train", "loss", loss),
            Measurement("valid", "accuracy", 0.25),
            Measurement("valid", "loss", loss),
        ),
        seconds=seconds,
    )


def result(of: Trial, epochs: int, status: Status = Status.COMPLETE, **changes) -> TrialResult:
    given = {"value": 0.5, "test": (Measurement("test", "loss", 0.75),), **changes}
    return TrialResult(trial=of, status=status, epochs=epochs, **given)


def verdict_run(recipe: str, seed: int, value: float | None = 0.5) -> VerdictRun:
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


def save(store: Store, study_id: int = 1, arm: str = "sgd", **changes) -> None:
    given = {"name": "digits", "spec_json": "{}", "space_json": "[]", "space_hash": "0", **changes}
    store.save_study(study_id=study_id, arm=arm, **given)


def start(
    store: Store, of: Trial, *, study_id: int = 1, lease_s: float = 60.0, **changes
) -> int | None:
    """Begin another attempt on the trial."""
    last = store.latest([of.trial_id]).get(of.trial_id)
    given = {
        "attempts": last.attempt if last else 0,
        "parts": PARTS,
        "environment": {"torch": "2.6"},
        "worker": "here:1",
        "device": "cpu",
        **changes,
    }
    return store.start_run(of, study_id=study_id, lease_s=lease_s, **given)
