"""What one trial does, step by step, held against loops written by hand."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from automl_opt.core.result import Status
from automl_opt.training.build import TorchBuilder
from automl_opt.training.randomness import generator
from automl_opt.training.task import Metric

from .examples import (
    BUILTIN,
    blobs,
    components,
    engine,
    mlp,
    part,
    recipe,
    same_bits,
    task,
    train,
    trial,
)

X, Y = blobs()
FIXED = {"train": (X[:26], Y[:26]), "valid": (X[26:36], Y[26:36]), "test": (X[36:], Y[36:])}


def run(recipe, the_task=None, catalog=BUILTIN, **changes):
    return train(engine(the_task or task(**FIXED), catalog, **changes), trial(recipe))


def starting_weights(one):
    """A model with the weights that the trial of *one* starts from."""
    slot = engine(task(**FIXED), dtype=torch.float64)
    slot.admit(trial(one))
    return slot._slots[0].live.model


@pytest.mark.parametrize("name", ["momentum", "adamw"])
def test_training_is_the_loop_one_would_write_by_hand(name):
    one = recipe(
        optimizer=name,
        scheduler="cosine",
        regularizers=(
            part(BUILTIN, "regularizer", "l2", strength=0.1),
            part(BUILTIN, "regularizer", "clip_norm", max_norm=0.5),
        ),
    )
    component = BUILTIN.find("optimizer", name)
    model = starting_weights(one)
    groups = [{"params": [p for p in model.parameters() if p.ndim == 2]}]
    groups.append({"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0})
    optimizer = component.code(component.spec.twin)(groups, **component.defaults())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3 * 4)
    losses, accuracies = [], []
    for epoch in range(3):
        order = torch.randperm(26, generator=generator(trial(one).seeds.order, "epoch", epoch))
        total = 0.0
        for chosen in order.split(8):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(X[chosen]), Y[chosen])
            loss = loss + 0.1 / 2 * sum(
                w.square().sum() for w in (model[0].weight, model[2].weight)
            )
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        losses.append(total / 26)
        with torch.no_grad():
            right = model(X[26:36]).argmax(1) == Y[26:36]
        accuracies.append(float(right.double().mean()))

    found = run(one, epochs=3, dtype=torch.float64)

    assert found.curve("train", "loss") == pytest.approx(losses, rel=1e-10)
    assert found.curve("valid", "accuracy") == accuracies
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found.weights[name], value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pieces", [2, 3, 5, 8, 50])
def test_a_batch_in_pieces_trains_like_the_whole_batch(pieces):
    """26 examples: the last batch has 2, and batches of 8 do not divide by 3 or 5."""
    regularizers = ("l2", "label_smoothing", "clip_norm")
    whole = run(recipe(regularizers=regularizers), dtype=torch.float64)

    parts = run(recipe(regularizers=regularizers, accumulate=pieces), dtype=torch.float64)

    assert parts.curve("train", "loss") == pytest.approx(whole.curve("train", "loss"), rel=1e-12)
    for name, value in whole.weights.items():
        torch.testing.assert_close(parts.weights[name], value, rtol=1e-11, atol=1e-11)


SPY = """
import torch
from automl_opt.api import *

SEEN = []

class Spy(torch.optim.SGD):
    def step(self, closure=None):
        SEEN.append([group["lr"] for group in self.param_groups][0])
        return super().step(closure)

class Modes(torch.optim.SGD):
    def train(self):
        SEEN.append("train")
    def eval(self):
        SEEN.append("eval")
    def step(self, closure=None):
        SEEN.append("step")

class Silent(torch.optim.SGD):
    def step(self, closure):
        closure()
        closure()

def noisy(x, y, rng, *, size):
    SEEN.append(("batch", len(x), torch.rand((), generator=rng).item()))
    return x + size, y

def shrink(weights, lr, *, size):
    SEEN.append(("weights", len(weights), torch.is_grad_enabled()))
    for weight in weights:
        weight.fill_(size)

def never(history, *, size):
    SEEN.append(("stop", list(history)))
    return False

LR = {"lr": Float(1e-3, 1.0, default=0.5)}

@hookimpl
def automl_opt_optimizers():
    yield OptimizerSpec(name="spy", torch="acme_plugin:Spy", params=LR)
    yield OptimizerSpec(name="modes", torch="acme_plugin:Modes", params=LR)
    yield OptimizerSpec(name="silent", torch="acme_plugin:Silent", params=LR, closure=True)

@hookimpl
def automl_opt_regularizers():
    size = {"size": Float(0.0, 1.0, default=0.25)}
    yield RegularizerSpec(name="noisy", batch=noisy, params=size)
    yield RegularizerSpec(name="shrink", weights=shrink, params=size)
    yield RegularizerSpec(name="never", stop=never, params=size)
"""


@pytest.fixture
def acme(installed):
    """A catalogue with optimizers and regularizers that write down what happens to them."""
    return installed.write("acme", SPY).host(ours=True).catalog


def seen():
    return sys.modules["acme_plugin"].SEEN


@pytest.mark.parametrize(
    "scheduler",
    [c for c in components("scheduler") if c.spec.factor is not None],
    ids=lambda c: c.id,
)
def test_every_step_runs_at_the_rate_of_the_schedule(acme, scheduler):
    one = recipe(acme, optimizer="acme.spy", scheduler=part(acme, "scheduler", scheduler.id))

    run(one, catalog=acme, epochs=5)

    factor, _ = TorchBuilder(acme).schedule(one.scheduler)
    assert seen() == [0.5 * factor(step, 5 * 4) for step in range(5 * 4)]


def test_a_metric_driven_schedule_lowers_the_rate_from_the_next_epoch_on(acme):
    plateau = part(acme, "scheduler", "reduce_on_plateau", patience=1, gamma=0.5, threshold=0.01)
    still = task(**FIXED, loss=lambda o, y: o.sum() * 0 + 1.0)

    run(recipe(acme, optimizer="acme.spy", scheduler=plateau), still, catalog=acme, epochs=6)

    assert seen()[::4] == [0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_optimizers_that_keep_two_weights_are_told_of_training_and_evaluation(acme):
    run(recipe(acme, optimizer="acme.modes", batch_size=13), catalog=acme, epochs=2)

    assert seen() == ["train", "step", "step", "eval"] * 2 + ["eval"]  # the last for the test


def test_a_closure_optimizer_that_returns_nothing_has_the_loss_of_its_first_evaluation(acme):
    found = run(recipe(acme, optimizer="acme.silent", batch_size=None), catalog=acme, epochs=1)

    with torch.no_grad():
        model = starting_weights(recipe(acme)).float()
        loss = functional.cross_entropy(model(X[:26].float()), Y[:26])
    assert found.curve("train", "loss") == [pytest.approx(float(loss))]


def test_a_batch_hook_changes_every_training_batch_and_no_other(acme):
    one = recipe(acme, regularizers=("acme.noisy",))
    inputs = []

    class Watched(nn.Linear):
        def forward(self, x):
            inputs.append((self.training, x.detach().clone()))
            return super().forward(x)

    run(one, task(**FIXED, model=lambda: Watched(4, 3)), catalog=acme, epochs=1)

    assert [entry[1] for entry in seen()] == [8, 8, 8, 2]
    assert len({entry[2] for entry in seen()}) == 4
    trained = torch.cat([x for training, x in inputs if training])
    assert torch.allclose(trained.sum(0), X[:26].float().sum(0) + 26 * 0.25, atol=1e-4)
    assert torch.equal(inputs[4][1], X[26:36].float())


def test_a_weights_hook_has_the_last_word_of_every_step(acme):
    found = run(recipe(acme, regularizers=("acme.shrink",)), catalog=acme, epochs=1)

    assert seen() == [("weights", 2, False)] * 4
    assert (found.weights["0.weight"] == 0.25).all()
    assert not (found.weights["0.bias"] == 0.25).any()


@pytest.mark.parametrize("maximize", [True, False])
def test_a_stop_hook_sees_the_metric_so_that_lower_is_better(acme, maximize):
    one = recipe(acme, regularizers=("acme.never",))

    found = run(one, catalog=acme, epochs=3, metric="accuracy", maximize=maximize)

    sign = -1 if maximize else 1
    values = [sign * report.value for report in found.reports]
    assert seen() == [("stop", values[:n]) for n in (1, 2, 3)]


@pytest.mark.parametrize("optimizer", ["gd", "sgd"])
def test_the_whole_training_set_is_one_step_an_epoch(optimizer, monkeypatch):
    sizes = []

    class Watched(nn.Linear):
        def forward(self, x):
            sizes.append((self.training, len(x)))
            return super().forward(x)

    run(recipe(optimizer=optimizer, batch_size=None), task(**FIXED, model=lambda: Watched(4, 3)))

    assert [n for training, n in sizes if training] == [26] * 4


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_dataset_trains_to_the_bits_of_its_tensors(optimizer):
    one = recipe(optimizer=optimizer, regularizers=("dropout",))
    as_datasets = {name: TensorDataset(*pair) for name, pair in FIXED.items()}

    of_tensors, of_datasets = run(one), run(one, task(**as_datasets))

    assert of_datasets.curves == of_tensors.curves
    assert of_datasets.result.test == of_tensors.result.test
    assert same_bits(of_datasets.weights, of_tensors.weights)


def test_numbers_are_those_of_the_whole_split_however_it_is_batched():
    spread = Metric("spread", lambda o, y: o.max() - o.min(), "minimize")
    x = torch.cat([X] * 3)
    parts = {"train": (X[:5], Y[:5]), "valid": (x, torch.cat([Y] * 3)), "test": (X, Y)}

    found = run(
        recipe(batch_size=2),
        task(**parts, metrics=["accuracy", spread]),
        epochs=1,
        dtype=torch.float64,
    )

    model = mlp().double()
    model.load_state_dict(found.weights)
    with torch.no_grad():
        outputs = model(x)
    assert found.curve("valid", "spread") == [float(outputs.max() - outputs.min())]
    loss = float(functional.cross_entropy(outputs, parts["valid"][1]))
    assert found.curve("valid", "loss") == [pytest.approx(loss, rel=1e-12)]


def test_a_metric_that_is_no_number_is_missing_and_harms_nothing_else():
    odd = Metric("odd", lambda o, y: float("nan"), "minimize")

    found = run(recipe(), task(**FIXED, metrics=[odd]))

    assert found.curve("valid", "odd") == [None] * 4
    assert found.status is Status.COMPLETE


def test_frozen_weights_stay_and_tied_weights_stay_tied():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.frozen = nn.Linear(4, 4).requires_grad_(False)
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.second.weight = self.first.weight
            self.last = nn.Linear(4, 3)

        def forward(self, x):
            return self.last(self.second(self.first(self.frozen(x))))

    one = recipe(optimizer="adamw", initializer="he", regularizers=("l2",))
    slot = engine(task(**FIXED, model=Tied))
    slot.admit(trial(one))
    live = slot._slots[0].live
    frozen = live.model.frozen.weight.clone()

    assert len(live.step.weights) == 2
    slot.advance()

    assert torch.equal(live.model.frozen.weight, frozen)
    assert live.model.first.weight is live.model.second.weight


@pytest.mark.parametrize(
    ("initializer", "loss"), [("default", "cross_entropy"), ("he", functional.cross_entropy)]
)
def test_names_and_functions_do_the_same(initializer, loss):
    by_name = run(recipe(initializer=initializer), task(**FIXED, loss="cross_entropy"))

    by_function = run(recipe(initializer=initializer), task(**FIXED, loss=loss))

    assert by_function.curves == by_name.curves


def test_every_epoch_drops_other_values():
    masks = []

    class Watched(nn.Dropout):
        def forward(self, x):
            if self.training:
                masks.append(tuple(super().forward(torch.ones(40)).tolist()))
            return x

    run(
        recipe(batch_size=None),
        task(**FIXED, model=lambda: nn.Sequential(nn.Linear(4, 3), Watched(0.5))),
    )

    assert len(set(masks)) == 4


def test_the_models_hyperparameters_come_from_the_recipe():
    found = run(recipe(width=17), task(**FIXED, model=mlp))

    assert found.weights["0.weight"].shape == (17, 4)
