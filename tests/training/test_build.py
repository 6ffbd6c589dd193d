"""What the parts of a bound recipe build."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from automl_opt.core.errors import AutomlOptError, PluginError
from automl_opt.core.recipe import Recipe
from automl_opt.training.build import TorchBuilder

from .examples import BUILTIN, blobs, components, drawn, mlp, part, recipe, through_a_file

SCHEDULERS = components("scheduler", twin=True)
TOTAL = 97


def an_optimizer(lr=0.3):
    return torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=lr)


def rate(optimizer):
    return optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    "scheduler", [c for c in SCHEDULERS if c.spec.factor is not None], ids=lambda c: c.id
)
@pytest.mark.parametrize("sample", range(3))
def test_a_schedule_equals_its_torch_twin_at_every_step(scheduler, sample):
    params = drawn(scheduler.spec, sample)
    mine, theirs = an_optimizer(), an_optimizer()
    schedule = recipe(scheduler=part(BUILTIN, "scheduler", scheduler.id, **params)).scheduler(
        mine, TOTAL
    )
    twin = scheduler.code(scheduler.spec.twin)(theirs, TOTAL, **params)

    assert isinstance(schedule, LRScheduler)
    for _ in range(TOTAL):
        assert rate(mine) == pytest.approx(rate(theirs), rel=1e-10, abs=1e-15)
        for optimizer, changing in [(mine, schedule), (theirs, twin)]:
            optimizer.step()
            changing.step()


@pytest.mark.parametrize(
    "scheduler", [c for c in SCHEDULERS if c.spec.observe is not None], ids=lambda c: c.id
)
@pytest.mark.parametrize("sample", range(4))
def test_a_metric_schedule_equals_its_torch_twin_at_every_epoch(scheduler, sample):
    params = drawn(scheduler.spec, sample)
    mine, theirs = an_optimizer(), an_optimizer()
    schedule = recipe(scheduler=part(BUILTIN, "scheduler", scheduler.id, **params)).scheduler(
        mine, TOTAL
    )
    twin = scheduler.code(scheduler.spec.twin)(theirs, TOTAL, **params)
    metrics = torch.rand(60, generator=torch.Generator().manual_seed(sample)) + 0.5
    rates = []

    for epoch, metric in enumerate(metrics.tolist()):
        if epoch == 30:  # as a user's own checkpoint does
            state, schedule = (
                schedule.state_dict(),
                recipe(scheduler=part(BUILTIN, "scheduler", scheduler.id, **params)).scheduler(
                    mine, TOTAL
                ),
            )
            schedule.load_state_dict(through_a_file(state))
        schedule.step(metric)
        twin.step(metric)
        rates.append(rate(mine))
        assert rate(mine) == pytest.approx(rate(theirs), rel=1e-12)

    assert len(set(rates)) > 1


def test_a_metric_schedule_keeps_the_ratio_of_the_groups():
    optimizer = torch.optim.SGD(
        [
            {"params": [nn.Parameter(torch.ones(1))], "lr": 1.0},
            {"params": [nn.Parameter(torch.ones(1))], "lr": 0.1},
        ]
    )
    gentle = part(BUILTIN, "scheduler", "reduce_on_plateau", gamma=0.5, patience=1)
    schedule = recipe(scheduler=gentle).scheduler(optimizer, TOTAL)

    for _ in range(3):
        schedule.step(1.0)

    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]


def test_a_torch_optimizer_of_a_plugin_is_that_very_class(installed):
    catalog = installed.add("healthy").host(ours=True).catalog
    one = recipe(catalog, optimizer=part(catalog, "optimizer", "acme.radam", lr=0.01))
    model, same = mlp(), mlp()
    same.load_state_dict(model.state_dict())

    optimizer = one.optimizer(model.parameters())
    twin = torch.optim.RAdam(same.parameters(), lr=0.01, weight_decay=1e-4)

    assert type(optimizer) is torch.optim.RAdam
    x, y = blobs()
    for _ in range(20):
        for m, o in [(model, optimizer), (same, twin)]:
            o.zero_grad()
            nn.functional.cross_entropy(m(x.float()), y).backward()
            o.step()
    assert all(map(torch.equal, model.parameters(), same.parameters()))


def test_a_closure_optimizer_of_a_plugin_is_built_with_its_parameters(installed):
    catalog = installed.add("healthy").host(ours=True).catalog
    one = recipe(catalog, optimizer=part(catalog, "optimizer", "acme.lbfgs", max_iter=7))

    optimizer = one.optimizer(mlp().parameters())

    assert type(optimizer) is torch.optim.LBFGS
    assert optimizer.param_groups[0]["max_iter"] == 7


def test_a_recipe_read_from_json_and_bound_again_builds_the_same():
    one = recipe(optimizer="adamw", scheduler="cosine")

    again = Recipe.from_json(one.to_json()).bound(TorchBuilder(BUILTIN))

    first, second = (r.optimizer(mlp().parameters()) for r in (one, again))
    assert first.defaults == second.defaults


def test_a_part_of_an_unbound_recipe_says_how_to_bind_it():
    one = Recipe.from_json(recipe().to_json())

    with pytest.raises(AutomlOptError, match=r"automl_opt\.bind"):
        one.optimizer(mlp().parameters())


@pytest.mark.parametrize(
    ("kind", "name", "args"),
    [
        ("optimizer", "adam", ([nn.Parameter(torch.ones(1))],)),
        ("scheduler", "cosine", (an_optimizer(), 10)),
        ("regularizer", "l2", ()),
        ("initializer", "he", (mlp(), torch.Generator())),
    ],
)
def test_a_part_of_another_version_is_refused(kind, name, args):
    of_tomorrow = replace(part(BUILTIN, kind, name), version=99)
    builder = TorchBuilder(BUILTIN)

    with pytest.raises(PluginError, match=rf"{kind} builtin\.{name} version 99.*offers version 1"):
        builder.build(kind, of_tomorrow, *args)


def test_a_regularizer_is_its_hooks_with_the_parameters_filled_in():
    one = recipe(regularizers=(part(BUILTIN, "regularizer", "l2", strength=0.5), "clip_norm"))

    hooks = [built() for built in one.regularizers]

    assert [set(each) for each in hooks] == [{"loss"}, {"grads"}]
    weights = [torch.full((2, 2), 2.0)]
    assert hooks[0]["loss"](torch.tensor(1.0), weights, None, None) == 1 + 0.5 / 2 * 16


@pytest.mark.parametrize(
    "initializer", [c for c in components("initializer") if c.spec.init], ids=lambda c: c.id
)
def test_an_initializer_changes_weights_and_nothing_else(initializer):
    class Everything(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(8, 6)
            self.image = nn.Conv2d(3, 4, 3)
            self.frozen = nn.Linear(6, 6).requires_grad_(False)
            self.words = nn.Embedding(5, 6)
            self.tied = nn.Linear(6, 5, bias=False)
            self.tied.weight = self.words.weight
            self.rows = nn.LayerNorm([4, 6])
            self.batch = nn.BatchNorm1d(6)
            self.recurrent = nn.GRU(6, 6)

    model = Everything()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    part_ = part(BUILTIN, "initializer", initializer.id)

    recipe(initializer=part_).initializer(model, torch.Generator().manual_seed(0))

    changed = {name for name, v in model.state_dict().items() if not torch.equal(v, before[name])}
    weights = {"dense.weight", "image.weight", "recurrent.weight_ih_l0", "recurrent.weight_hh_l0"}
    assert changed == weights


def test_an_initializer_follows_its_generator():
    weights = []
    for seed in (0, 0, 1):
        model = mlp()
        recipe(initializer="xavier").initializer(model, torch.Generator().manual_seed(seed))
        weights.append(model[0].weight)

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_module_used_twice_is_initialised_once():
    calls = []
    shared = nn.Linear(3, 3)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    builder = TorchBuilder(BUILTIN)
    component = BUILTIN.find("initializer", "he")
    counting = replace(component.spec, init=lambda tensor, generator, **_: calls.append(tensor))
    builder.component = lambda kind, part: replace(component, spec=counting)

    builder.initializer(part(BUILTIN, "initializer", "he"), model, torch.Generator())

    assert len(calls) == 1
