"""The plain engine: what it reports, and failures that stay with their trial."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from automl_opt.core.result import Status
from automl_opt.training.task import Metric

from .examples import (
    BUILTIN,
    Norms,
    assert_same,
    engine,
    mlp,
    part,
    recipe,
    resumed,
    task,
    train,
    trial,
)


@pytest.mark.parametrize(
    "optimizer", ["acme.radam", "acme.lbfgs", "acme.lion", "sgd", "momentum", "adam"]
)
def test_the_training_loss_falls(installed, optimizer):
    catalog = installed.add("healthy").host(ours=True).catalog
    batch_size = None if optimizer == "acme.lbfgs" else 8

    run = train(
        engine(task(), catalog, epochs=20),
        trial(recipe(catalog, optimizer=optimizer, batch_size=batch_size)),
    )

    losses = run.curve("train", "loss")
    assert losses[-1] < losses[0]


def test_stopping_at_the_very_last_epoch_is_not_early():
    patient = part(BUILTIN, "regularizer", "early_stopping", patience=3, min_delta=1e-2)
    one = trial(
        recipe(optimizer=part(BUILTIN, "optimizer", "sgd", lr=1e-9), regularizers=(patient,))
    )

    run = train(engine(task(), epochs=4), one)

    assert (run.status, run.reason) == (Status.COMPLETE, "")


def test_the_same_recipe_and_seeds_give_the_same_bits_whatever_was_before():
    one = trial(recipe(optimizer="adam", regularizers=("dropout",), initializer="he"))
    first = train(engine(task()), one)

    torch.rand(7), np.random.rand(3), random.random()
    busy = engine(task())
    train(busy, trial(recipe(optimizer="momentum"), number=8))
    second = train(busy, one)

    assert_same(second, first)


def test_another_seed_gives_another_trial():
    one = recipe()

    first, second = (train(engine(task()), trial(one, number=n)) for n in (0, 1))

    assert first.curves != second.curves


def test_training_leaves_the_random_sources_around_it_alone(tmp_path):
    def state():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()

    one = trial(recipe(regularizers=("dropout",), initializer="orthogonal"))
    before = state()

    for at in (1, 2):
        resumed(lambda: engine(task(model=Norms)), one, tmp_path / "c.pt", at)

    assert state() == before


@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_a_trial_that_explodes_is_diverged_with_its_reason(optimizer):
    huge = part(BUILTIN, "optimizer", optimizer, lr=1e30)

    run = train(engine(task()), trial(recipe(optimizer=huge)))

    assert run.status is Status.DIVERGED
    assert "became" in run.reason
    assert "epoch" in run.reason
    assert (run.result.value, run.result.test) == (None, ())


def test_a_weight_that_explodes_unseen_by_the_loss_is_diverged():
    class Hidden(nn.Linear):
        def __init__(self):
            super().__init__(4, 3)
            self.unseen = nn.Parameter(torch.tensor(3e38))

        def forward(self, x):
            return super().forward(x) + 0 * self.unseen.clamp(max=1)

    def loss(outputs, y):
        return nn.functional.cross_entropy(outputs, y)

    one = recipe(optimizer=part(BUILTIN, "optimizer", "sgd", lr=1e-3))
    run_task = task(model=Hidden, loss=loss)
    slot = engine(run_task)
    slot.admit(trial(one))
    slot._slots[0].live.model.unseen.data.fill_(float("inf"))

    [report] = slot.advance()

    assert report.status is Status.DIVERGED
    assert report.reason in (
        "a weight became infinite or NaN in epoch 1",
        "the training loss became nan in epoch 1",
    )


def test_a_study_metric_that_is_no_number_is_diverged():
    odd = Metric("odd", lambda o, y: float("inf"), "minimize")

    run = train(engine(task(metrics=[odd]), metric="odd"), trial(recipe()))

    assert run.status is Status.DIVERGED
    assert run.reason == "the validation odd is not finite in epoch 1"
    assert run.curve("train", "loss") != []


class Later:
    """Counts its calls and raises *error* at the *n*-th."""

    def __init__(self, n, error):
        self.left, self.error = n, error

    def __call__(self):
        self.left -= 1
        if self.left == 0:
            raise self.error


def breaks_in_model(later):
    def model():
        later()
        return mlp()

    return task(model=model)


def breaks_in_forward(later):
    class Breaking(nn.Linear):
        def forward(self, x):
            later()
            return super().forward(x)

    return task(model=lambda: Breaking(4, 3))


def breaks_in_loss(later):
    def loss(outputs, y):
        later()
        return nn.functional.cross_entropy(outputs, y)

    return task(loss=loss)


def breaks_in_metric(later):
    def metric(outputs, y):
        later()
        return 1.0

    return task(metrics=[Metric("own", metric, "minimize")])


BREAKS = [
    (breaks_in_model, 1),
    (breaks_in_forward, 1),
    (breaks_in_forward, 7),
    (breaks_in_loss, 1),
    (breaks_in_loss, 7),
    (breaks_in_metric, 1),
    (breaks_in_metric, 3),
]


@pytest.mark.parametrize(("breaks", "at"), BREAKS)
def test_an_error_in_the_users_code_fails_its_trial_and_no_other(breaks, at):
    slot = engine(breaks(Later(at, KeyError("no such thing"))))

    broken = train(slot, trial(recipe()))
    sound = train(slot, trial(recipe(), number=1))

    assert broken.status is Status.FAILED
    line = Later.__call__.__code__.co_firstlineno + 3
    assert broken.reason == f"KeyError: 'no such thing' (test_plain.py:{line})"
    assert (broken.result.value, broken.result.test) == (None, ())
    assert sound.status is Status.COMPLETE


@pytest.mark.parametrize(("breaks", "at"), BREAKS)
def test_running_out_of_memory_is_a_status_of_its_own(breaks, at):
    slot = engine(breaks(Later(at, MemoryError("too much"))))

    broken = train(slot, trial(recipe()))
    sound = train(slot, trial(recipe(), number=1))

    assert (broken.status, sound.status) == (Status.OUT_OF_MEMORY, Status.COMPLETE)
    assert "too much" in broken.reason


def test_a_tensor_too_large_for_the_machine_is_out_of_memory():
    def model(width=6):
        return mlp(width)

    run = train(engine(task(model=model)), trial(recipe(width=2**50)))

    assert run.status is Status.OUT_OF_MEMORY, run.reason


def test_a_model_that_is_none_fails_its_trial():
    slot = engine(task(model=lambda: "model"))

    assert slot.admit(trial(recipe())) == 0
    [report] = slot.advance()

    assert (report.status, report.epoch, report.measurements) == (Status.FAILED, 0, ())
    assert "returned 'model', which is no torch.nn.Module" in report.reason


def test_a_failing_test_evaluation_fails_the_trial():
    class Trap(nn.Linear):
        def forward(self, x):
            if len(x) == 3:
                raise KeyError("the test split")
            return super().forward(x)

    x, y = torch.zeros(12, 4), torch.zeros(12, dtype=torch.int64)
    parts = {"train": (x, y), "valid": (x, y), "test": (x[:3], y[:3])}

    run = train(engine(task(model=lambda: Trap(4, 3), **parts)), trial(recipe(batch_size=4)))

    assert run.status is Status.FAILED
    assert run.result.value is None


def test_a_complete_trial_has_test_numbers_and_a_pruned_one_has_none():
    complete = train(engine(task()), trial(recipe()))
    slot = engine(task())
    slot.admit(one := trial(recipe()))
    [report] = slot.advance()
    pruned = slot.retire(one, Status.PRUNED)

    assert [(m.split, m.metric) for m in complete.result.test] == [
        ("test", "loss"),
        ("test", "accuracy"),
    ]
    assert (pruned.status, pruned.value, pruned.epochs) == (Status.PRUNED, report.value, 1)
    assert pruned.test == ()
    assert slot.free == 1


def test_every_epoch_is_reported_with_its_numbers():
    run = train(engine(task(), metric="accuracy", maximize=True), trial(recipe()))

    assert [r.epoch for r in run.reports] == [1, 2, 3, 4]
    assert [r.status for r in run.reports] == [Status.RUNNING] * 3 + [Status.COMPLETE]
    for report in run.reports:
        names = [(m.split, m.metric) for m in report.measurements]
        assert names == [("train", "loss"), ("valid", "loss"), ("valid", "accuracy")]
        assert report.value == report.measurements[2].value
        assert report.seconds > 0
