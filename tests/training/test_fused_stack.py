"""A stack computes for every slot what the trial computes alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from automl_opt.core.result import Trial
from automl_opt.training.data import TensorSource
from automl_opt.training.fused.alike import refusal, signature
from automl_opt.training.fused.kernels import loss_of
from automl_opt.training.fused.stack import Stack

from .examples import (
    BUILTIN,
    Norms,
    blobs,
    components,
    drawn,
    for_everything,
    mlp,
    part,
    recipe,
    setup,
    task,
    trial,
    whole,
)
from .fused_examples import (
    Reader,
    cnn,
    cnn_with_norms,
    distances,
    furthest,
    images,
    live,
    sequences,
)

TOLERANCE = 1e-12
MODELS = {
    "mlp": task(),
    "cnn": task(model=cnn, data=images()),
    "cnn with norms": task(model=cnn_with_norms, data=images()),
    "transformer": task(model=Reader, data=sequences()),
    "tied": task(model=lambda: Reader(tied=True), data=sequences()),
}
STEPS_AN_EPOCH = 4  # 25 examples for training in batches of 8: 3 and one of one more
EPOCHS = 67

RULES = components("optimizer", rule=True)


def some(component, n=2, **changes):
    """Trials of one optimizer with different numbers, schedules, seeds and splits of the data.

    The l2 penalty and falling schedules keep the runs from where a change of one in the last place
    at the start grows by itself: gradients near 0 that a rule blows up, large steps at a minimum.
    """
    schedules = ["cosine", "exponential", "one_cycle"]
    return [
        trial(
            recipe(
                optimizer=part(BUILTIN, "optimizer", component.id, **drawn(component.spec, number)),
                scheduler=schedules[number % 3],
                regularizers=(part(BUILTIN, "regularizer", "l2", strength=0.01),),
                **changes,
            ),
            number=number,
            seed=number,
        )
        for number in range(n)
    ]


def test_an_epoch_has_the_steps_that_make_200():
    one = live(MODELS["mlp"], trial(recipe()), setup())

    assert one.steps * EPOCHS >= 200


@pytest.mark.parametrize("model", MODELS)
def test_200_steps_of_any_rule_end_where_they_end_alone(model):
    """The rules of one signature in one stack: few evaluate whole epochs or differentiate twice."""
    each = 2 if model == "mlp" else 1  # elsewhere a rule's company are the other rules
    stacks: dict[str, dict[str, Trial]] = {}
    for rule in RULES:
        for number, one in enumerate(some(rule, each)):
            key = signature(live(MODELS[model], one, setup()))
            stacks.setdefault(key, {})[f"{rule.label} {number}"] = one

    far = {}
    for trials in stacks.values():
        apart = distances(MODELS[model], list(trials.values()), EPOCHS)
        far |= dict(zip(trials, apart, strict=True))

    assert len(far) == each * len(RULES)
    assert {name: distance for name, distance in far.items() if not distance <= TOLERANCE} == {}


@pytest.mark.parametrize("wrapped", whole("optimizer", "adamw"), ids=lambda c: c.label)
def test_optimizers_that_are_no_rules_step_on_the_stacks_rows_or_are_refused(wrapped):
    trials = [
        trial(recipe(optimizer=part(BUILTIN, "optimizer", wrapped.name)), number=number)
        for number in range(3)
    ]
    said = refusal(live(task(), trials[0], setup()))

    if wrapped.has("closure"):
        assert "evaluates the model by itself" in said
    else:
        assert said is None
        assert furthest(task(), trials, 20) <= TOLERANCE


@pytest.mark.parametrize("regularizer", components("regularizer"), ids=lambda c: c.label)
def test_any_regularizer_does_in_a_stack_what_it_does_alone(regularizer):
    if regularizer.spec.attack is not None:
        one = trial(recipe(regularizers=(regularizer.id,)))
        assert "attacks the inputs" in refusal(live(for_everything(), one, setup()))
        return
    trials = [
        trial(
            recipe(
                optimizer="adam",
                regularizers=(
                    part(BUILTIN, "regularizer", regularizer.id, **drawn(regularizer.spec, n)),
                ),
            ),
            number=n,
        )
        for n in range(4)
    ]
    of_one_kind = [
        t
        for t in trials
        if signature(live(for_everything(), t, setup()))
        == signature(live(for_everything(), trials[0], setup()))
    ]

    assert furthest(for_everything(), of_one_kind, 20) <= TOLERANCE


def test_every_slot_has_its_own_optimizer_schedule_and_regularizers():
    mixtures = [
        ("sgd", "constant", ()),
        ("adam", "cosine", ("l2", "clip_norm")),
        ("lars", "reduce_on_plateau", ("l1", "label_smoothing")),
        ("adam", "one_cycle", ("mixup", "ema")),
        ("muon", "cosine", ("gradient_noise", "max_norm")),
        ("lookahead(adamw)", "constant", ("clip_value", "l2")),
        ("sgd", "exponential", ("mixup", "cutmix", "swa")),
        ("adamw", "cosine", ("adaptive_clipping", "early_stopping", "ema", "swa")),
    ]
    trials = [
        trial(
            recipe(
                optimizer=part(BUILTIN, "optimizer", optimizer),
                scheduler=scheduler,
                regularizers=regularizers,
            ),
            number=number,
        )
        for number, (optimizer, scheduler, regularizers) in enumerate(mixtures)
    ]

    assert furthest(for_everything(), trials, 20) <= TOLERANCE


def test_what_a_schedule_observed_counts_with_all_its_digits():
    lives = [live(task(), trial(recipe(scheduler="reduce_on_plateau")), setup()) for _ in range(2)]
    for each, factor in zip(lives, (0.5, 0.50001), strict=True):
        each.schedule_state = {"factor": torch.tensor(factor, dtype=torch.float64)}

    stack = Stack(lives)
    stack.train_epoch()
    for each in lives:
        stack.sync(each)

    one, other = ([*each.model.parameters()] for each in lives)
    assert not any(map(torch.equal, one, other))


@pytest.mark.parametrize("rates", [(0.0, 0.2, 0.6), (0.5, 0.5, 0.5)])
def test_dropout_has_every_slots_own_rate_and_what_it_draws_alone(rates):
    trials = [
        trial(recipe(regularizers=(part(BUILTIN, "regularizer", "dropout", p=p),)), number=n)
        for n, p in enumerate(rates)
    ]

    assert furthest(task(model=Norms), trials, 20) <= TOLERANCE


@pytest.mark.parametrize("first", [0, 1])
def test_trials_with_dropout_share_a_stack_with_trials_without(first):
    """The last activation has weights, whose names are others where a dropout follows it."""

    def model():
        activations = nn.ReLU(), nn.PReLU()
        return nn.Sequential(
            nn.Linear(4, 6), activations[0], nn.Linear(6, 6), activations[1], nn.Linear(6, 3)
        )

    regularizers = [("dropout",), (), (part(BUILTIN, "regularizer", "dropout", p=0.5),), ("l2",)]
    trials = [
        trial(recipe(optimizer="adam", regularizers=own), number=n)
        for n, own in enumerate(regularizers[first:])
    ]

    assert len({signature(live(task(model=model), one, setup())) for one in trials}) == 1
    assert furthest(task(model=model), trials, 20) <= TOLERANCE


def test_dropout_in_other_places_makes_another_signature():
    def model(drop=True):
        last = [nn.Dropout(0.1)] if drop else []
        return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), *last)

    one, other = (
        live(task(model=own), trial(recipe()), setup()) for own in (model, lambda: model(False))
    )

    assert signature(one) != signature(other)


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4), (5, 70), (5, 70, 2)], ids=str)
def test_cross_entropy_that_batches_is_torchs(shape):
    source = torch.Generator().manual_seed(0)
    outputs = torch.randn(shape, generator=source, dtype=torch.float64).requires_grad_()
    y = torch.randint(shape[1], (shape[0], *shape[2:]), generator=source)
    expected = nn.functional.cross_entropy(outputs, y)

    found = loss_of(nn.functional.cross_entropy, TensorSource(outputs.detach(), y))(outputs, y)

    assert found.item() == pytest.approx(expected.item(), rel=1e-14)
    slopes = [torch.autograd.grad(value, outputs)[0] for value in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-13, atol=1e-15)


def test_a_batch_in_pieces_is_a_batch_in_pieces():
    def dropping():
        return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 3))

    trials = [
        trial(recipe(optimizer="adam", accumulate=3, regularizers=regularizers), number=n)
        for n, regularizers in enumerate([(), ("mixup",), ("l2",)])
    ]

    assert furthest(task(model=dropping), trials, 20) <= TOLERANCE


def test_examples_of_a_dataset_are_stacked():
    class Rows(torch.utils.data.Dataset):
        def __init__(self):
            self.x, self.y = blobs()

        def __len__(self):
            return len(self.x)

        def __getitem__(self, at):
            return {"features": self.x[at]}, self.y[at]

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = mlp()

        def forward(self, x):
            return self.layers(x["features"])

    trials = [trial(recipe(optimizer="adam"), number=n) for n in range(3)]

    assert furthest(task(model=Named, data=Rows()), trials, 5) <= TOLERANCE


def test_frozen_weights_stay_what_they_are_in_every_slot():
    def half_frozen():
        model = mlp()
        model[0].weight.requires_grad_(False)
        return model

    trials = [trial(recipe(optimizer="adamw"), number=n) for n in range(3)]

    assert furthest(task(model=half_frozen), trials, 20) <= TOLERANCE


class Adapted(nn.Module):
    """A frozen layer, the same object in every model, and a low-rank product that learns."""

    base = nn.Linear(4, 6, dtype=torch.float64).requires_grad_(False)

    def __init__(self):
        super().__init__()
        self.base = Adapted.base
        self.down = nn.Parameter(torch.randn(2, 4))
        self.up = nn.Parameter(torch.zeros(6, 2))
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        return self.out((self.base(x) + x @ self.down.T @ self.up.T).relu())


def test_adapters_of_many_trials_share_one_frozen_base():
    trials = [trial(recipe(optimizer="adamw"), number=n) for n in range(4)]
    before = Adapted.base.weight.clone()
    stack = Stack([live(task(model=Adapted), one, setup(dtype=torch.float64)) for one in trials])

    assert {own.model.base.weight.data_ptr() for own in stack.lives} == {
        Adapted.base.weight.data_ptr()
    }
    assert furthest(task(model=Adapted), trials, 20) <= TOLERANCE
    assert torch.equal(Adapted.base.weight, before)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 4},
        {"accumulate": 2},
        {"width": 7},
        {"regularizers": ("batch_norm",)},
        {"optimizer": "sophia"},
    ],
    ids=str,
)
def test_what_makes_another_computation_makes_another_signature(changes):
    one, other = (
        live(task(), trial(recipe(**given)), setup()) for given in ({"width": 6}, changes)
    )

    assert signature(one) != signature(other)


def test_numbers_that_a_stack_keeps_by_slot_leave_the_signature_alone():
    first = recipe(optimizer="sgd", regularizers=(part(BUILTIN, "regularizer", "dropout", p=0.1),))
    other = recipe(
        optimizer=part(BUILTIN, "optimizer", "adam", lr=1e-4),
        regularizers=(part(BUILTIN, "regularizer", "dropout", p=0.6), "l2", "ema"),
        scheduler="cosine",
    )

    one, two = (live(task(), trial(given), setup()) for given in (first, other))

    assert signature(one) == signature(two)


def test_a_trial_can_go_on_alone_where_its_stack_left_it():
    trials = [trial(recipe(optimizer="adamw", scheduler="cosine"), number=n) for n in range(3)]
    exact = setup(dtype=torch.float64)
    alone = live(task(), trials[1], exact)
    expected = [alone.train_epoch() for _ in range(4)]
    stack = Stack([live(task(), one, exact) for one in trials])
    for _ in range(2):
        losses, sizes, finite = stack.train_epoch()
        for row, own in enumerate(stack.lives):
            own.close_training(losses[:, row], sizes, finite[row])
    [left] = [own for own in stack.lives if own.trial is trials[1]]

    stack.sync(left)

    assert [left.train_epoch() for _ in range(2)] == pytest.approx(expected[2:], rel=1e-12)
