"""Trials whose weights differ in size share a stack, where the task pads a hyperparameter."""

from __future__ import annotations

import random
from itertools import product

import pytest
import torch
from torch import nn

from automl_opt.core.errors import TaskError
from automl_opt.core.params import Float, Int, OneOf
from automl_opt.core.result import Status
from automl_opt.training.fused.alike import signature
from automl_opt.training.fused.stack import Stack

from .examples import (
    BUILTIN,
    components,
    part,
    recipe,
    setup,
    task,
    trial,
)
from .fused_examples import distances, furthest, fused, live, train_all

with torch.random.fork_rng():
    torch.manual_seed(0)
    BASE = nn.Linear(4, 6)
RANKS = (1, 2, 4, 8)


class Adapted(nn.Module):
    """A frozen layer that all models share, and a product of two thin matrices that learns."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.base = BASE.requires_grad_(False)
        self.down = nn.Linear(4, rank, bias=False)
        self.up = nn.Parameter(torch.zeros(6, rank))
        self.register_buffer("scale", torch.tensor(2.0 / rank))

    def forward(self, x):
        return self.base(x) + self.scale * (self.down(x) @ self.up.T)


class Scaled(Adapted):
    """Its code depends on the rank: in a stack it would be that of the largest."""

    def __init__(self, rank: int) -> None:
        super().__init__(rank)
        self.factor = 2.0 / rank

    def forward(self, x):
        return self.base(x) + self.factor * (self.down(x) @ self.up.T)


class Asking(Adapted):
    def forward(self, x):
        return super().forward(x if x.sum().item() < 1e9 else x + 1)


def padding(layer=Adapted, activation=nn.ReLU):
    def model(rank=2):
        return nn.Sequential(layer(rank), activation(), nn.Linear(6, 3))

    return task(model=model, params={"rank": OneOf(RANKS)}, padded=["rank"])


@pytest.fixture(autouse=True)
def _the_base_of_a_study():
    BASE.float()


def one_stack(own, trials):
    assert len({signature(live(own, one, setup())) for one in trials}) == 1
    return trials


def test_ranks_share_a_stack_whose_rows_end_where_they_end_alone():
    trials = [
        trial(
            recipe(
                optimizer=rule.id,
                scheduler="cosine",
                regularizers=(part(BUILTIN, "regularizer", "l2", strength=0.01),),
                rank=RANKS[number % 4],
            ),
            number=number,
        )
        for number, rule in enumerate(components("optimizer", rule=True))
        if not rule.has("full_batch") and not rule.has("create_graph")
    ]

    apart = distances(padding(), one_stack(padding(), trials), epochs=67)

    far = zip(trials, apart, strict=True)
    assert {one.recipe.optimizer.id: d for one, d in far if not d <= 1e-12} == {}


@pytest.mark.parametrize("optimizer", ["sophia", "lookahead(adamw)"])
def test_optimizers_with_more_than_gradients_see_every_rank_as_it_is(optimizer):
    trials = [
        trial(recipe(optimizer=optimizer, rank=rank), number=n) for n, rank in enumerate(RANKS)
    ]

    assert furthest(padding(), one_stack(padding(), trials), epochs=20) <= 1e-12


def test_regularizers_see_every_rank_as_it_is():
    """Sums, means, norms and noise: what a hook computes goes by the shapes that it sees."""
    names = [
        component.id
        for component in components("regularizer")
        if component.spec.hooks().keys() & {"loss", "grads", "weights", "average"}
    ]
    trials = [
        trial(recipe(optimizer="adam", regularizers=(name, "mixup"), rank=rank), number=n)
        for n, (name, rank) in enumerate(product(names, (2, 8)))
    ]

    apart = distances(padding(), one_stack(padding(), trials), epochs=10)

    assert len(names) > 10
    far = zip(trials, apart, strict=True)
    assert [one.recipe.regularizers[0].id for one, d in far if not d <= 1e-12] == []


def test_widths_of_a_hidden_layer_can_be_padded_as_well():
    def model(width=4):
        return nn.Sequential(
            nn.Linear(4, width, bias=False),
            nn.BatchNorm1d(width),
            nn.Sigmoid(),
            nn.Linear(width, 3),
        )

    own = task(model=model, params={"width": Int(2, 70)}, padded=["width"])
    trials = [
        trial(recipe(optimizer=optimizer, width=width), number=n)
        for n, (optimizer, width) in enumerate(product(("adam", "muon"), (2, 33, 70)))
    ]

    assert furthest(own, one_stack(own, trials), epochs=20) <= 1e-12


def test_what_a_rule_leaves_in_the_padding_is_taken_away():
    """Adam without eps divides 0 by 0 there, and nowhere else: no gradient of tanh is 0."""
    optimizer = part(BUILTIN, "optimizer", "adam", eps=0.0)
    made = recipe(optimizer=optimizer, initializer="xavier", rank=1)
    own = padding(activation=nn.Tanh)
    lives = [live(own, trial(made, number=n), setup()) for n in range(2)]
    stack = Stack(lives)

    stack.train_epoch()

    assert stack.arena.padding[0].any()
    assert not stack.arena.theta[stack.arena.padding].any()
    assert all(stack.arena.finite())


def forty():
    """Trials of all ranks, with optimizers that look at shapes and that do not."""
    kinds = product(
        ("adam", "muon", "adafactor", "adamw"),
        ((), ("clip_norm", "dropout"), ("l2", "ema"), ("gradient_noise", "max_norm")),
    )
    return [
        trial(recipe(optimizer=optimizer, regularizers=own, rank=RANKS[(n + n // 4) % 4]), number=n)
        for n, (optimizer, own) in enumerate(list(kinds) * 2)
    ]


def is_pruned(report):
    return report.epoch == 2 + report.trial.number % 3 and report.trial.number % 4 == 1


@pytest.fixture(scope="module")
def alone():
    return train_all(fused(padding(), 1, epochs=4), forty(), is_pruned)


def test_trials_of_all_ranks_end_complete_or_pruned(alone):
    assert {how.mode for how in alone.how.values()} == {"fused"}
    assert set(alone.statuses.values()) == {Status.COMPLETE, Status.PRUNED}


@pytest.mark.parametrize("capacity", [5, 64])
def test_a_trial_has_the_same_bits_among_other_ranks(alone, capacity):
    trials = forty()
    random.Random(capacity).shuffle(trials)

    found = train_all(fused(padding(), capacity, epochs=4), trials, is_pruned)

    assert found.curves == alone.curves


def test_numbers_that_are_none_in_a_row_stay_there_among_other_ranks():
    trials = [trial(recipe(optimizer="adam", rank=rank), number=n) for n, rank in enumerate(RANKS)]
    expected = train_all(fused(padding(), 4), trials)
    poisoned = fused(padding(), 4)
    for one in trials:
        poisoned.admit(one)
    with torch.no_grad():
        poisoned._slots[1].live.model[0].up[0, 0] = float("nan")

    found = train_all(poisoned, [])

    assert found.statuses.pop(1) is Status.DIVERGED
    assert found.curves.pop(1) != expected.curves.pop(1)
    assert found.curves == expected.curves


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "lookahead(adamw)"])
def test_a_trial_resumes_to_the_bit_among_other_ranks(tmp_path, optimizer):
    def of(number):
        return trial(
            recipe(optimizer=optimizer, regularizers=("ema",), rank=RANKS[number]), number=number
        )

    one = of(1)
    undisturbed = train_all(fused(padding(), 1), [one])
    first = fused(padding(), 3)
    for each in (of(0), one, of(3)):
        first.admit(each)
    before = [next(r for r in first.advance() if r.trial is one) for _ in range(2)]
    first.save(one, tmp_path / "c.pt")
    written = torch.load(tmp_path / "c.pt", weights_only=True)["model"]

    second = fused(padding(), 2)
    second.admit(of(2))
    assert second.admit(one, tmp_path / "c.pt") == 2
    found = train_all(second, [])

    assert written["0.up"].shape == (6, 2)
    curve = [(r.epoch, r.value, r.measurements, r.status, r.reason) for r in before]
    assert curve + found.curves[1] == undisturbed.curves[1]


def test_code_that_depends_on_what_is_padded_is_refused():
    trials = [trial(recipe(rank=rank), number=n) for n, rank in enumerate((8, 2))]
    one_stack(padding(Scaled), trials)

    largest, smaller = (fused(padding(Scaled), 2).answer(one).refusal for one in trials)

    assert largest is None
    assert smaller.startswith("padded to rank = 8, the gradients of stacked trials are not those")


def test_what_the_largest_does_not_contain_has_stacks_of_its_own():
    """A value outside of the range, and models of other parts."""

    def model(rank=2):
        return nn.Sequential(Adapted(rank), nn.Linear(6, 3)) if rank > 1 else nn.Linear(4, 3)

    own = task(model=model, params={"rank": OneOf(RANKS)}, padded=["rank"])
    signatures = [signature(live(own, trial(recipe(rank=n)), setup())) for n in (1, 2, 8, 9)]

    assert signatures[1] == signatures[2]
    assert len(set(signatures)) == 3


def test_a_probe_that_refuses_leaves_frozen_weights_what_they_are():
    trials = [trial(recipe(rank=2), number=n) for n in range(2)]

    found = train_all(fused(padding(Asking), 2), trials)

    assert "asks a tensor for its value" in found.how[0].because
    assert set(found.statuses.values()) == {Status.COMPLETE}
    assert BASE.weight.dtype is torch.float32


@pytest.mark.parametrize(
    ("params", "padded", "said"),
    [
        ({"rank": Int(1, 8)}, ["rnk"], "padded: no hyperparameter 'rnk'; did you mean 'rank'"),
        ({"rank": Float(1, 8)}, ["rank"], "'rank' must be of whole numbers, not Float"),
        ({"rank": OneOf((1, "all"))}, ["rank"], "'rank' must be of whole numbers, not OneOf"),
        ({"rank": Int(1, 8)}, "rank", "padded must be a list of names, not 'rank'"),
    ],
)
def test_what_cannot_be_padded_is_an_error(params, padded, said):
    with pytest.raises(TaskError, match=said):
        task(params=params, padded=padded)
