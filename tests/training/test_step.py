"""One step of training: each hook at its place, held against the step written out by hand."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from automl_opt.core.errors import PluginError, TaskError
from automl_opt.training.step import HOOKS, Step

from .examples import BUILTIN, blobs, mlp, recipe

X, Y = (part[:8] for part in blobs())
OTHER = Y.roll(3)
LR = 0.5


def made(*, optimizer="sgd", accumulate=1, **hooks):
    """A step on a small network, and a copy of the network to write the step out on."""
    torch.manual_seed(0)
    model = mlp().double()
    one = recipe(optimizer=optimizer)
    step = Step(
        model,
        torch.optim.SGD(model.parameters(), lr=LR),
        BUILTIN.whole("optimizer", one.optimizer.name),
        {hook: hooks.get(hook, []) for hook in HOOKS},
        functional.cross_entropy,
        accumulate=accumulate,
    )
    return step, copy.deepcopy(model)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def follow(model, loss):
    """A step of gradient descent by hand."""
    for param, grad in zip(
        model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
    ):
        param.data -= LR * grad


def assert_same(model, by_hand):
    for a, b in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_mixed_batch_belongs_to_both_targets_by_their_shares(accumulate):
    step, by_hand = made(mix=[lambda x, y, rng: (x + 1, OTHER, 0.75)], accumulate=accumulate)

    loss = step(X, Y, rng())

    outputs = by_hand(X + 1)
    expected = 0.75 * functional.cross_entropy(outputs, Y)
    expected = expected + 0.25 * functional.cross_entropy(outputs, OTHER)
    follow(by_hand, expected)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert_same(step.model, by_hand)


def test_of_several_ways_to_mix_a_batch_goes_one_by_chance():
    ways = [lambda x, y, rng: (x + 1, y, 1.0), lambda x, y, rng: (x + 2, y, 1.0)]
    seen = set()
    for seed in range(20):
        step, by_hand = made(mix=ways)
        before = {functional.cross_entropy(by_hand(X + by), Y).item(): by for by in (0, 1, 2, 3)}
        seen.add(before[step(X, Y, rng(seed)).item()])

    assert seen == {1, 2}


def test_loss_terms_see_each_target_of_a_mixed_batch():
    """A term of the weights counts once, a term of the target by its share."""

    def term(value, weights, outputs, y):
        return value + sum(w.square().sum() for w in weights) + y.double().mean()

    third = torch.zeros_like(Y)
    step, by_hand = made(mix=[lambda x, y, rng: (x, third, 0.75)], loss=[term])

    loss = step(X, Y, rng())

    expected = 0.75 * functional.cross_entropy(by_hand(X), Y)
    expected = expected + 0.25 * functional.cross_entropy(by_hand(X), third)
    expected = expected + sum(p.square().sum() for p in by_hand.parameters() if p.ndim == 2)
    expected = expected + 0.75 * Y.double().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)


def test_attacked_inputs_make_half_of_the_loss():
    step, by_hand = made(attack=[lambda x, slope: x + 0.1 * slope.sign()])

    loss = step(X, Y, rng())

    x = X.clone().requires_grad_()
    clean = functional.cross_entropy(by_hand(x), Y)
    (slope,) = torch.autograd.grad(clean, x, retain_graph=True)
    hard = functional.cross_entropy(by_hand((X + 0.1 * slope.sign()).detach()), Y)
    follow(by_hand, (clean + hard) / 2)
    assert hard > clean
    assert loss.item() == pytest.approx(((clean + hard) / 2).item(), rel=1e-12)
    assert_same(step.model, by_hand)


def test_inputs_that_have_no_gradient_cannot_be_attacked():
    step, _ = made(attack=[lambda x, slope: x])

    with pytest.raises(TaskError, match="one tensor of real numbers"):
        step(X.long(), Y, rng())


def test_gradients_are_shaped_with_the_parameters_they_belong_to():
    given = []

    def scaled(grads, parameters):
        given.append(
            [(grad.shape, param.shape) for grad, param in zip(grads, parameters, strict=True)]
        )
        return [2 * grad for grad in grads]

    step, by_hand = made(grads=[scaled])
    step(X, Y, rng())

    follow(by_hand, 2 * functional.cross_entropy(by_hand(X), Y))
    assert given == [[(p.shape, p.shape) for p in by_hand.parameters()]]
    assert_same(step.model, by_hand)


def test_a_weights_hook_knows_the_rate_of_the_step():
    rates = []
    step, _ = made(weights=[lambda weights, lr: rates.append((len(weights), lr))])

    step(X, Y, rng())
    step.optimizer.param_groups[0]["lr"] = 0.125
    step(X, Y, rng())

    assert rates == [(2, LR), (2, 0.125)]


def test_no_gradient_is_left_after_a_step():
    step, _ = made()

    step(X, Y, rng())

    assert all(p.grad is None for p in step.model.parameters())


class Quartic(nn.Module):
    """A loss whose Hessian is diagonal and known: ``sum(w ** 4) / 4`` has ``3 w ** 2``."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64))
        self.v = nn.Parameter(torch.tensor([0.5], dtype=torch.float64))

    def forward(self, x):
        return (self.w**4).sum() / 4 + (self.v**4).sum() / 4 + 0 * x.sum()


CURVED = """
import torch
from automl_opt.api import *

SEEN = []

def init(param):
    return {}

def update(param, grad, state, *, lr, curvature):
    SEEN.append((grad.requires_grad, grad.clone(), curvature.clone()))
    return param - lr * grad, state

LR = {"lr": Float(1e-3, 1.0, default=0.5)}

class Watcher(torch.optim.SGD):
    def step(self, closure=None):
        SEEN.append([p.grad.requires_grad for g in self.param_groups for p in g["params"]])
        return super().step(closure)

class Failing(torch.optim.SGD):
    def step(self, closure=None):
        if closure is not None:
            closure()
        raise ZeroDivisionError("seven")

@hookimpl
def automl_opt_optimizers():
    yield OptimizerSpec(name="curved", rule=Rule(init, update), params=LR, create_graph=True)
    yield OptimizerSpec(name="watcher", torch="acme_plugin:Watcher", params=LR, create_graph=True)
    yield OptimizerSpec(name="failing", torch="acme_plugin:Failing", params=LR)
    yield OptimizerSpec(name="closing", torch="acme_plugin:Failing", params=LR, closure=True)
"""


@pytest.fixture
def acme(installed):
    return installed.write("acme", CURVED).host(ours=True).catalog


def step_of(catalog, name, model, loss, **hooks):
    one = recipe(catalog, optimizer=name)
    return Step(
        model,
        one.optimizer(model.parameters()),
        catalog.whole("optimizer", name),
        {hook: hooks.get(hook, []) for hook in HOOKS},
        loss,
    )


def seen():
    return sys.modules["acme_plugin"].SEEN


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_rule_that_asks_for_it_gets_the_diagonal_of_the_hessian(acme, accumulate):
    """Exactly, where the Hessian is diagonal; before the gradients are shaped."""
    model = Quartic()
    before = [p.detach().clone() for p in model.parameters()]
    step = step_of(
        acme, "acme.curved", model, lambda o, y: o, grads=[lambda gs, ps: [0 * g for g in gs]]
    )
    step.accumulate = accumulate

    step(X, Y, rng())

    assert [(bent, grad.abs().sum().item()) for bent, grad, _ in seen()] == [(False, 0.0)] * 2
    for param, (_, _, curvature) in zip(before, seen(), strict=True):
        torch.testing.assert_close(curvature, 3 * param**2)


def test_a_torch_optimizer_that_asks_for_it_gets_gradients_with_their_graph(acme):
    step_of(acme, "acme.watcher", Quartic(), lambda o, y: o)(X, Y, rng())

    assert seen() == [[True, True]]


def test_a_rule_of_ones_own_loop_needs_gradients_with_their_graph(acme):
    model = Quartic()
    optimizer = recipe(acme, optimizer="acme.curved").optimizer(model.parameters())

    model(X).backward()

    with pytest.raises(RuntimeError, match=r"loss\.backward\(create_graph=True\)"):
        optimizer.step()


@pytest.mark.parametrize("name", ["acme.failing", "acme.closing"])
def test_an_optimizer_that_raises_is_named(acme, name):
    step = step_of(acme, name, mlp().double(), functional.cross_entropy)

    with pytest.raises(
        PluginError,
        match=rf"^optimizer {name} version 1 \(acme-plugin 1\.0\): step raised "
        r"ZeroDivisionError: seven \(acme_plugin\.py:\d+\); see 'automl-opt plugins check acme'",
    ):
        step(X, Y, rng())


def test_a_model_that_raises_inside_a_closure_is_not_the_optimizers_fault(acme):
    step = step_of(acme, "acme.closing", mlp().double(), functional.cross_entropy)

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        step(torch.zeros(8, 9, dtype=torch.float64), Y, rng())


def test_memory_that_runs_out_stays_what_it_is(acme):
    def full(grads, parameters):
        raise MemoryError

    step = step_of(acme, "builtin.sgd", mlp().double(), functional.cross_entropy, grads=[full])

    with pytest.raises(MemoryError):
        step(X, Y, rng())
