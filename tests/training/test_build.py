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

    TorchBuilder(BUILTIN).fill(part_, model, torch.Generator().manual_seed(0))

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


def plain_lookahead(optimizer, weights, k, alpha):
    """Zhang et al. 2019, Algorithm 1, around a step of *optimizer*."""
    slow = [w.detach().clone() for w in weights]
    count = 0

    def step():
        nonlocal count
        optimizer.step()
        count += 1
        if count % k == 0:
            for w, s in zip(weights, slow, strict=True):
                s += alpha * (w.detach() - s)
                w.data.copy_(s)

    return step


def test_a_wrapper_is_built_around_what_it_wraps():
    ours, theirs = mlp().double(), mlp().double()
    theirs.load_state_dict(ours.state_dict())
    one = recipe(optimizer=part(BUILTIN, "optimizer", "lookahead(momentum)", k=5, alpha=0.5))
    mine = one.optimizer(ours.parameters())
    values = one.optimizer.base.params
    plain = torch.optim.SGD(theirs.parameters(), lr=values["lr"], momentum=values["momentum"])
    step = plain_lookahead(plain, list(theirs.parameters()), 5, 0.5)

    x, y = blobs()
    for _ in range(12):
        for model, do in [(ours, mine.step), (theirs, step)]:
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            do()

    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["adamw", "lookahead(adamw)"])
def test_biases_go_free_of_weight_decay_where_tensors_are_given(name):
    model = mlp()

    groups = recipe(optimizer=name).optimizer(model.parameters()).param_groups

    assert [(group["weight_decay"], [p.ndim for p in group["params"]]) for group in groups] == [
        (0.01, [2, 2]),
        (0.0, [1, 1]),
    ]


def test_groups_decay_as_they_say():
    model = mlp()

    own = [{"params": list(model.parameters()), "weight_decay": 0.5}]

    assert [g["weight_decay"] for g in recipe(optimizer="adamw").optimizer(own).param_groups] == [
        0.5
    ]


@pytest.mark.parametrize("name", ["sgd", "adamw", "lookahead(sgd)"])
def test_the_learning_rate_of_a_recipe_is_scaled_with_its_batch(name):
    plain = recipe(optimizer=name, batch_size=128)
    scaled = replace(plain, lr_scaling="linear").bound(TorchBuilder(BUILTIN))

    rates = [one.optimizer(mlp().parameters()).param_groups[0]["lr"] for one in (plain, scaled)]

    assert rates[1] == pytest.approx(4 * rates[0], rel=1e-12)


def test_a_warmup_before_a_metric_driven_schedule_follows_both():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    base = part(BUILTIN, "scheduler", "reduce_on_plateau", gamma=0.5, patience=1)
    warm = replace(
        part(BUILTIN, "scheduler", "warmup(reduce_on_plateau)", fraction=0.5, start=0.1), base=base
    )
    schedule = recipe(scheduler=warm).scheduler(optimizer, 20)

    rates = [optimizer.param_groups[0]["lr"]]
    for epoch in range(4):
        for _ in range(5):
            schedule.step()
            rates.append(optimizer.param_groups[0]["lr"])
        schedule.step(1.0 + epoch)

    assert rates[:11] == pytest.approx([0.1 + 0.9 * step / 10 for step in range(11)])
    assert rates[11:16] == [1.0] * 5
    assert rates[16:] == [0.5] * 5


FITTING = """
from automl_opt.api import *

def fit(model, x, *, size):
    for weight in model.parameters():
        weight.data.fill_(size * float(x.mean()))

def negative(step, total):
    return 3.0 - step

@hookimpl
def automl_opt_initializers():
    yield InitializerSpec(name="fitted", fit=fit, params={"size": Float(0.0, 9.0, default=2.0)})

@hookimpl
def automl_opt_schedulers():
    yield SchedulerSpec(name="negative", factor=negative)
"""


@pytest.fixture
def acme(installed):
    return installed.write("acme", FITTING).host(ours=True).catalog


def test_an_initializer_may_fit_weights_to_a_batch(acme):
    model = mlp()

    recipe(acme, initializer="acme.fitted").initializer(model, torch.Generator(), torch.ones(8, 4))

    assert all((p == 2.0).all() for p in model.parameters())


def test_an_initializer_that_fits_says_when_it_has_no_batch(acme):
    with pytest.raises(PluginError, match=r"acme\.fitted version 1 .*hand it inputs, x="):
        recipe(acme, initializer="acme.fitted").initializer(mlp(), torch.Generator())


def test_a_schedule_that_leaves_what_a_rate_may_be_is_named(acme):
    factor, _ = TorchBuilder(acme).schedule(part(acme, "scheduler", "acme.negative"))

    assert factor(3, 10) == 0.0
    with pytest.raises(PluginError, match=r"acme\.negative version 1 .*gave -1\.0 at step 4 of 10"):
        factor(4, 10)


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        ("(param[:1], state)", r"update gave shape \[1, 4\] float32 for .* shape \[6, 4\] float32"),
        ("(param.double(), state)", "update gave shape .* float64 for a parameter of .* float32"),
        ("param", "update gave shape .*it must give"),
        ("(param.sub_(lr * grad), state)", "update changed its param or grad in place"),
        ("(param - lr * grad.mul_(2), state)", "update changed its param or grad in place"),
        ("(None, state)", "update gave a NoneType for a parameter"),
        ("(param + lr[0], state)", "the rule raised TypeError: 'float' object is not"),
    ],
)
def test_a_rule_that_gives_what_it_must_not_is_named(installed, gives, message):
    source = f"""
from automl_opt.api import *

def update(param, grad, state, *, lr):
    return {gives}

@hookimpl
def automl_opt_optimizers():
    yield OptimizerSpec(name="bad", rule=Rule(lambda param: {{}}, update), version=3,
                        params={{"lr": Float(1e-3, 1.0)}})
"""
    catalog = installed.write("acme", source, version="2.5").host(ours=True).catalog
    model = mlp()
    optimizer = recipe(catalog, optimizer="acme.bad").optimizer(model.parameters())
    model(torch.ones(2, 4)).sum().backward()

    with pytest.raises(PluginError, match=message) as caught:
        optimizer.step()

    assert str(caught.value).startswith("optimizer acme.bad version 3 (acme-plugin 2.5): ")
    assert "automl-opt plugins check acme" in str(caught.value)
