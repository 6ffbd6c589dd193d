"""Every built-in component, at its defaults, trains a small network on real data."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from automl_opt.core.result import Status
from automl_opt.training.task import Task

from .examples import BUILTIN, Residual, components, engine, part, recipe, train, trial, whole

EPOCHS = 20
START = math.log(10)
"""The loss of a network that knows nothing of ten classes."""


def network() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), Residual(32), nn.Linear(32, 10)
    )


@pytest.fixture(scope="module")
def digits() -> Task:
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images[:400]).reshape(-1, 8, 8) / 16
    return Task(model=network, data=(x, torch.tensor(labels[:400])), metrics=["accuracy"])


def assert_trains(digits: Task, **parts) -> None:
    one = recipe(**{"optimizer": "nadam", "batch_size": 32, **parts})

    run = train(engine(digits, epochs=EPOCHS), trial(one))

    assert run.status is Status.COMPLETE, run.reason
    assert run.curve("valid", "loss")[-1] < 0.8 * START


@pytest.mark.parametrize("optimizer", whole("optimizer", "momentum"), ids=lambda c: c.label)
def test_every_optimizer_trains_digits(optimizer, digits):
    assert_trains(digits, optimizer=part(BUILTIN, "optimizer", optimizer.name))


@pytest.mark.parametrize("scheduler", whole("scheduler", "cosine"), ids=lambda c: c.label)
def test_every_scheduler_trains_digits(scheduler, digits):
    assert_trains(digits, scheduler=part(BUILTIN, "scheduler", scheduler.name))


@pytest.mark.parametrize("regularizer", components("regularizer"), ids=lambda c: c.id)
def test_every_regularizer_trains_digits(regularizer, digits):
    assert_trains(digits, regularizers=(part(BUILTIN, "regularizer", regularizer.id),))


@pytest.mark.parametrize("initializer", components("initializer"), ids=lambda c: c.id)
def test_every_initializer_trains_digits(initializer, digits):
    assert_trains(digits, initializer=part(BUILTIN, "initializer", initializer.id))
