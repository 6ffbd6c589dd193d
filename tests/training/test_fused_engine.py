"""Slots that refill: a trial's bits in any company, errors that stay with their trial, resuming."""

from __future__ import annotations

import random
from itertools import product

import pytest
import torch
from torch import nn

from automl_opt.core.result import Status
from automl_opt.training.fused import choose
from automl_opt.training.fused.stack import Stack
from automl_opt.training.plain import PlainEngine
from automl_opt.training.task import Metric

from .examples import (
    BUILTIN,
    Norms,
    assert_same,
    engine,
    finish,
    for_everything,
    part,
    recipe,
    same_bits,
    task,
    train,
    trial,
)
from .fused_examples import fused, train_all

NORMS = task(model=Norms)


def forty():
    """Trials of all kinds: optimizers, schedules that steps or metrics drive, regularizers.

    Their data are split in three ways.
    """
    kinds = product(
        ("sgd", "adam", "lars", "muon", "adamw"),
        ("cosine", "reduce_on_plateau"),
        ((), ("dropout", "clip_norm"), ("l2", "ema", "early_stopping"), ("gradient_noise",)),
    )
    return [
        trial(
            recipe(optimizer=optimizer, scheduler=scheduler, regularizers=regularizers),
            number=n,
            seed=n % 3,
        )
        for n, (optimizer, scheduler, regularizers) in enumerate(kinds)
    ]


def is_pruned(report):
    return report.epoch == 2 + report.trial.number % 3 and report.trial.number % 4 == 1


@pytest.fixture(scope="module")
def alone():
    """The forty trials one after the other, each in a stack of its own."""
    return train_all(fused(NORMS, 1, epochs=5), forty(), is_pruned)


def test_forty_trials_of_all_kinds_end_complete_or_pruned(alone):
    assert len(alone.results) == 40
    assert {how.mode for how in alone.how.values()} == {"fused"}
    assert set(alone.statuses.values()) == {Status.COMPLETE, Status.PRUNED}


@pytest.mark.parametrize("capacity", [5, 16, 64])
def test_a_trial_has_the_same_bits_in_any_company(alone, capacity):
    found = train_all(fused(NORMS, capacity, epochs=5), forty(), is_pruned)

    assert found.curves == alone.curves
    assert found.results.keys() == alone.results.keys()
    for number, result in found.results.items():
        assert result.test == alone.results[number].test


def test_a_trial_has_the_same_bits_in_any_place(alone):
    shuffled = forty()
    random.Random(0).shuffle(shuffled)

    found = train_all(fused(NORMS, 16, epochs=5), shuffled, is_pruned)

    assert found.curves == alone.curves


def test_a_trial_that_explodes_changes_no_other():
    huge = part(BUILTIN, "optimizer", "sgd", lr=1e30)
    trials = [trial(recipe(optimizer="sgd", regularizers=("l2",)), number=n) for n in range(6)]
    expected = train_all(fused(task(), 6), trials)
    exploding = trial(recipe(optimizer=huge, regularizers=("l2",)), number=9)

    found = train_all(fused(task(), 4), [*trials[:2], exploding, *trials[2:]])

    assert found.statuses.pop(9) is Status.DIVERGED
    assert "became" in found.results.pop(9).reason
    del found.curves[9]
    assert found.curves == expected.curves


def test_numbers_that_are_none_in_one_slot_stay_there():
    trials = [trial(recipe(optimizer=name), number=n) for n, name in enumerate(["sgd", "adam"] * 3)]
    expected = train_all(fused(task(), 6), trials)
    poisoned = fused(task(), 6)
    for one in trials:
        poisoned.admit(one)
    with torch.no_grad():
        next(poisoned._slots[2].live.model.parameters())[0, 0] = float("nan")

    found = train_all(poisoned, [])

    assert found.statuses.pop(2) is Status.DIVERGED
    assert found.curves.pop(2) != expected.curves.pop(2)
    assert found.curves == expected.curves


@pytest.mark.parametrize(
    ("optimizer", "regularizers"),
    [
        ("adamw", ("dropout", "ema")),
        ("muon", ("l2",)),
        ("lookahead(adamw)", ("mixup",)),
        ("sgd", ("gradient_noise", "swa")),
    ],
)
def test_a_trial_resumes_to_the_bit_in_other_company(tmp_path, optimizer, regularizers):
    def of(number):
        made = recipe(
            optimizer=part(BUILTIN, "optimizer", optimizer),
            scheduler="reduce_on_plateau",
            regularizers=regularizers,
        )
        return trial(made, number=number)

    one = of(0)
    undisturbed = train_all(fused(NORMS, 1), [one])
    for at in (1, 2, 3):
        first = fused(NORMS, 3)
        for each in (of(1), one, of(2)):
            first.admit(each)
        before = [next(r for r in first.advance() if r.trial is one) for _ in range(at)]
        first.save(one, tmp_path / "c.pt")

        second = fused(NORMS, 2)
        second.admit(of(5))
        assert second.admit(one, tmp_path / "c.pt") == at
        found = train_all(second, [])

        curve = [(r.epoch, r.value, r.measurements, r.status, r.reason) for r in before]
        assert curve + found.curves[0] == undisturbed.curves[0]
        assert found.results[0].test == undisturbed.results[0].test


def test_how_a_trial_is_trained_goes_with_its_checkpoint(tmp_path):
    """In float32 the last bits depend on it: a trial goes on as it began."""
    one = trial(recipe(optimizer="adam"))
    undisturbed = train(engine(task()), one)
    first = fused(task(), 4, smallest=3)
    first.admit(one)
    [before] = first.advance()
    assert first.how(one).mode == "plain"
    first.save(one, tmp_path / "c.pt")

    second = fused(task(), 4, smallest=1)
    second.admit(one, tmp_path / "c.pt")

    assert second.how(one).mode == "plain"
    assert "pays from 3 trials on" in second.how(one).because
    run = finish(second, one)
    run.reports.insert(0, before)
    assert_same(run, undisturbed)


def test_a_checkpoint_holds_one_trial_not_its_stack(tmp_path):
    sizes = []
    for trials in (1, 30):
        slots = fused(task(), trials)
        for number in range(trials):
            slots.admit(trial(recipe(optimizer="adam"), number=number))
        slots.advance()
        slots.save(slots.live[0], tmp_path / "c.pt")
        sizes.append((tmp_path / "c.pt").stat().st_size)

    assert sizes[1] < 1.1 * sizes[0]


def test_a_stack_begins_where_enough_trials_of_one_kind_are_there():
    slots = fused(task(), 8, smallest=3)
    for number in range(2):
        slots.admit(trial(recipe(batch_size=4), number=number))
    for number in range(2, 5):
        slots.admit(trial(recipe(batch_size=8), number=number))

    modes = [slots.how(one).mode for one in slots.live]
    slots.advance()
    slots.admit(later := trial(recipe(batch_size=8), number=6))
    slots.admit(alone := trial(recipe(batch_size=4), number=7))

    assert modes == ["plain", "plain", "fused", "fused", "fused"]
    assert slots.how(later).mode == "fused"
    assert slots.how(alone).mode == "plain"


def test_what_is_measured_is_remembered_for_the_study(tmp_path, monkeypatch):
    memory = tmp_path / "deep" / "engine.json"
    live = engine(task())
    live.admit(trial(recipe()))
    model = live._slots[0].live
    monkeypatch.setattr(choose, "measured", lambda twin, most, *_: choose.Sizes(7, most))

    first = choose.Chooser(12, memory).sizes(model, None)
    monkeypatch.setattr(choose, "measured", lambda *_: choose.Sizes(99))

    assert (first, choose.Chooser(64, memory).sizes(model, None)) == (choose.Sizes(7, 12),) * 2
    assert choose.Chooser(64, tmp_path / "other.json").sizes(model, None) == choose.Sizes(99)


def test_measuring_trains_no_trial():
    one = trial(recipe(optimizer="adam"))
    slots = fused(task(), 4, smallest=None)
    slots.admit(one)
    before = {k: v.clone() for k, v in slots._slots[0].live.model.state_dict().items()}

    slots.how(one)

    assert same_bits(slots._slots[0].live.model.state_dict(), before)


class Moody(nn.Linear):
    """Raises *error* in the forward pass of its n-th batch of one mode, counted over all."""

    left = 0
    mode = True  # training
    error: Exception = KeyError("moody")

    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        if self.training == Moody.mode:
            Moody.left -= 1
            if Moody.left == 0:
                raise Moody.error
        return super().forward(x)


def test_where_a_stack_fails_its_trials_go_on_alone_from_the_epochs_start():
    Moody.left = 10**9
    trials = [trial(recipe(optimizer="adam", regularizers=("ema",)), number=n) for n in range(3)]
    expected = [train(engine(task(model=Moody)), one) for one in trials]
    slots = fused(task(model=Moody), 3)
    for one in trials:
        slots.admit(one)
        slots.how(one)

    Moody.left, Moody.error = 2, KeyError("moody")
    found = train_all(slots, [])

    assert set(found.statuses.values()) == {Status.COMPLETE}
    assert [run.curves for run in expected] == [found.curves[n] for n in range(3)]
    assert "its stack failed: KeyError: 'moody'" in found.last_how[0].because


def test_where_a_stack_cannot_be_measured_each_trial_is_by_itself(monkeypatch):
    monkeypatch.setattr(Moody, "mode", False)
    Moody.left = 10**9
    trials = [trial(recipe(optimizer="adam"), number=n) for n in range(3)]
    expected = train_all(fused(task(model=Moody), 3), trials)
    slots = fused(task(model=Moody), 3)
    for one in trials:
        slots.admit(one)
        slots.how(one)

    Moody.left, Moody.error = 1, KeyError("moody")
    found = train_all(slots, [])

    assert {how.mode for how in found.last_how.values()} == {"fused"}
    assert "measured by itself: KeyError: 'moody'" in found.last_how[0].because
    for n in range(3):
        values = [value for _, value, *_ in expected.curves[n]]
        assert [value for _, value, *_ in found.curves[n]] == pytest.approx(values, rel=1e-6)


def test_a_stack_that_does_not_fit_is_halved(monkeypatch):
    trials = [trial(recipe(optimizer="adam"), number=n) for n in range(5)]
    expected = train_all(fused(task(), 5), trials)
    whole, sizes = Stack.train_epoch, []

    def limited(stack):
        if len(stack.lives) > 2:
            raise torch.OutOfMemoryError("out of memory")
        sizes.append(len(stack.lives))
        return whole(stack)

    monkeypatch.setattr(Stack, "train_epoch", limited)
    found = train_all(fused(task(), 5), trials)

    assert found.curves == expected.curves
    assert set(sizes) == {1, 2}


def test_a_trial_that_fits_nowhere_is_out_of_memory_and_no_other():
    def model(width=6):
        return nn.Linear(4, 3 if width == 6 else width)

    trials = [trial(recipe(width=width), number=n) for n, width in enumerate([6, 2**50, 6])]

    found = train_all(fused(task(model=model), 3), trials)

    assert found.statuses == {
        0: Status.COMPLETE,
        1: Status.OUT_OF_MEMORY,
        2: Status.COMPLETE,
    }


def test_an_error_in_a_metric_fails_every_trial_of_a_stack_for_itself():
    def metric(outputs, y):
        if float(outputs.sum()) > 0:
            raise KeyError("positive")
        return 1.0

    metrics = [Metric("own", metric, "minimize")]
    trials = [trial(recipe(), number=n) for n in range(6)]
    expected = {n: train(engine(task(metrics=metrics)), one) for n, one in enumerate(trials)}

    found = train_all(fused(task(metrics=metrics), 6), trials)

    assert {n: run.status for n, run in expected.items()} == found.statuses
    assert {Status.FAILED, Status.COMPLETE} == set(found.statuses.values())


def test_slots_that_train_one_after_the_other_are_an_engine_as_well():
    """The plain engine with several slots: what a stack is compared with."""
    trials = [
        trial(recipe(optimizer="adam", regularizers=("dropout",)), number=n) for n in range(4)
    ]
    made = engine(for_everything())
    slots = PlainEngine(made._task, made._setup, made._builder, capacity=3)

    found = train_all(slots, trials)

    for one in trials:
        assert found.curves[one.number] == train(engine(for_everything()), one).curves
