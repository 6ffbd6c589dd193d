"""Every rule against torch.optim or its paper in float64, and what lets it train K at once."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits

from automl_opt.core.recipe import Part
from automl_opt.plugin.host import load_host
from automl_opt.training.build import TorchBuilder

from . import references

CATALOG = load_host(allow=()).catalog
OPTIMIZERS = CATALOG.components("optimizer")
RULES = [c for c in OPTIMIZERS if c.spec.rule is not None]
WITH_TWIN = [c for c in RULES if c.spec.twin is not None]
WITH_COEFFICIENTS = [c for c in RULES if c.spec.rule.coefficients is not None]
ELEMENTWISE = [c for c in RULES if c.spec.rule.elementwise]
REFERENCES = {
    "builtin.adahessian": references.adahessian,
    "builtin.adan": references.adan,
    "builtin.ftrl": references.ftrl,
    "builtin.lamb": references.lamb,
    "builtin.lars": references.lars,
    "builtin.lion": references.lion,
    "builtin.muon": references.muon,
    "builtin.sophia": references.sophia,
}
WITH_REFERENCE = [c for c in RULES if c.id in REFERENCES]

STEPS = 200
SCHEDULES = {
    "fixed": lambda _step: 1.0,
    "changing": lambda step: (1 + math.cos(math.pi * step / 49)) / 2,  # exactly 0 at some steps
}

of_rules = pytest.mark.parametrize("optimizer", RULES, ids=lambda c: c.id)


@pytest.fixture(autouse=True)
def _float64():
    """Whatever is compared to 1e-12: torch's NAdam keeps one number in the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def numbers(component, t, params):
    """What the engine hands to ``update`` at step *t*."""
    rule = component.spec.rule
    if rule.coefficients is None:
        return params
    return component.code(rule.coefficients)(t, **params)


def start(component, tensors):
    return [component.code(component.spec.rule.init)(tensor) for tensor in tensors]


def curvature(grad):
    """Made up: of either sign, of the gradient's size, each element a function of its gradient."""
    return grad * (1.5 + (40 * grad).sin()) * (9 * grad).cos().sign()


def with_curvature(component, grad):
    return {"curvature": curvature(grad)} if component.spec.create_graph else {}


def one_step(component, t, params, tensors, grads, states):
    update = component.code(component.spec.rule.update)
    given = numbers(component, t, params)
    pairs = [
        update(tensor, grad, state, **given, **with_curvature(component, grad))
        for tensor, grad, state in zip(tensors, grads, states, strict=True)
    ]
    return [tensor for tensor, _ in pairs], [state for _, state in pairs]


def run(component, params, tensors, grads_of_steps):
    states = start(component, tensors)
    for t, grads in enumerate(grads_of_steps, start=1):
        tensors, states = one_step(component, t, params, tensors, grads, states)
    return tensors


def some_tensors(seed=0, dtype=None):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 5), (5,), (5, 2), (), (3, 2, 2)]
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]


def some_grads(steps, seed=1, dtype=None):
    """Several orders of magnitude, and a row that never gets a gradient."""
    generator = torch.Generator().manual_seed(seed)
    of_steps = []
    for _ in range(steps):
        grads = [
            torch.randn(tensor.shape, generator=generator, dtype=dtype) * 10.0**-k
            for k, tensor in enumerate(some_tensors(dtype=dtype))
        ]
        grads[0][0] = 0.0
        of_steps.append(grads)
    return of_steps


class NoisyNetwork:
    """A two-layer network on random data; its gradients carry noise, one input is always 0."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(16, 4, generator=self.generator)
        self.x[:, 0] = 0.0
        self.y = torch.randn(16, 2, generator=self.generator)

    def grads(self, tensors):
        first, bias, second, scale, offset = (t.detach().requires_grad_() for t in tensors)
        hidden = torch.tanh(self.x @ first + bias)
        error = torch.tanh(hidden @ second * scale + offset.sum()) - self.y
        grads = torch.autograd.grad((error**2).mean(), (first, bias, second, scale, offset))
        noise = [torch.randn(g.shape, generator=self.generator) for g in grads]
        noise[0][0] = 0.0  # the weights of the dead input
        return [g + 0.01 * n for g, n in zip(grads, noise, strict=True)]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sample", range(5))
@pytest.mark.parametrize("optimizer", WITH_TWIN, ids=lambda c: c.id)
def test_a_rule_ends_where_its_torch_twin_ends(optimizer, sample, schedule, draw):
    """Both are given the gradients at the twin's weights, so that chaos cannot enlarge rounding."""
    params = draw(optimizer.spec, sample)
    problem = NoisyNetwork()
    ours = some_tensors()
    states = start(optimizer, ours)
    theirs = [torch.nn.Parameter(tensor.clone()) for tensor in ours]
    twin = optimizer.code(optimizer.spec.twin)(theirs, **params)

    for t in range(1, STEPS + 1):
        lr = params["lr"] * SCHEDULES[schedule](t - 1)
        grads = problem.grads(theirs)
        for parameter, grad in zip(theirs, grads, strict=True):
            parameter.grad = grad.clone()
        twin.param_groups[0]["lr"] = lr
        twin.step()
        ours, states = one_step(optimizer, t, {**params, "lr": lr}, ours, grads, states)

    for mine, their in zip(ours, theirs, strict=True):
        assert mine.isfinite().all()
        assert (mine - their.detach()).abs().max() <= 1e-12


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sample", range(5))
@pytest.mark.parametrize("optimizer", WITH_REFERENCE, ids=lambda c: c.id)
def test_a_rule_ends_where_its_paper_says(optimizer, sample, schedule, draw):
    """The reference replays the gradients at our weights, so that chaos cannot enlarge rounding."""
    params = draw(optimizer.spec, sample)
    problem = NoisyNetwork()
    begin = ours = some_tensors()
    states = start(optimizer, ours)

    steps = []
    for t in range(1, STEPS + 1):
        lr = params["lr"] * SCHEDULES[schedule](t - 1)
        grads = problem.grads(ours)
        steps.append((lr, grads))
        ours, states = one_step(optimizer, t, {**params, "lr": lr}, ours, grads, states)

    others = {name: value for name, value in params.items() if name != "lr"}
    for i, mine in enumerate(ours):
        replay = [(lr, grads[i].numpy()) for lr, grads in steps]
        if optimizer.spec.create_graph:
            replay = [(lr, grad, curvature(torch.as_tensor(grad)).numpy()) for lr, grad in replay]
        theirs = REFERENCES[optimizer.id](begin[i].numpy(), replay, **others)
        assert mine.isfinite().all()
        assert (mine - torch.as_tensor(theirs)).abs().max() <= 1e-12


@of_rules
def test_a_rule_is_held_against_something_independent(optimizer):
    assert optimizer.spec.twin is not None or optimizer.id in REFERENCES


@of_rules
def test_a_rule_moves_the_weights_down_the_slope(optimizer, draw):
    params = draw(optimizer.spec, 0)
    tensors = some_tensors()
    states = start(optimizer, tensors)
    before = sum((tensor**2).sum() for tensor in tensors)

    for t in range(1, 21):
        grads = [2 * tensor for tensor in tensors]
        tensors, states = one_step(optimizer, t, params, tensors, grads, states)

    assert sum((tensor**2).sum() for tensor in tensors) < before


@of_rules
def test_an_update_leaves_its_inputs_as_they_were(optimizer, draw):
    params = draw(optimizer.spec, 1)
    tensors, grads = some_tensors(), some_grads(3)
    states = start(optimizer, tensors)
    for t in (1, 2):
        tensors, states = one_step(optimizer, t, params, tensors, grads[t - 1], states)
    kept = [tensor.clone() for tensor in tensors]
    kept_grads = [grad.clone() for grad in grads[2]]
    kept_states = [{key: value.clone() for key, value in state.items()} for state in states]

    one_step(optimizer, 3, params, tensors, grads[2], states)

    assert all(map(torch.equal, tensors, kept))
    assert all(map(torch.equal, grads[2], kept_grads))
    for state, copy in zip(states, kept_states, strict=True):
        assert state.keys() == copy.keys()
        assert all(torch.equal(state[key], copy[key]) for key in copy)


@of_rules
def test_the_same_inputs_give_the_same_bits(optimizer, draw):
    params = draw(optimizer.spec, 1)

    once = run(optimizer, params, some_tensors(), some_grads(20))
    again = run(optimizer, params, some_tensors(), some_grads(20))

    assert all(map(torch.equal, once, again))


@of_rules
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_an_update_keeps_shapes_dtypes_and_state_names(optimizer, dtype, draw):
    tensors = some_tensors(dtype=dtype)
    before = start(optimizer, tensors)

    after, states = one_step(
        optimizer,
        1,
        draw(optimizer.spec, 1),
        tensors,
        some_grads(1, dtype=dtype)[0],
        before,
    )

    for old, new in zip(tensors, after, strict=True):
        assert (old.shape, old.dtype) == (new.shape, new.dtype)
    for old, new in zip(before, states, strict=True):
        assert {key: (value.shape, value.dtype) for key, value in old.items()} == {
            key: (value.shape, value.dtype) for key, value in new.items()
        }


@of_rules
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_gradient_of_zero_from_the_start_makes_no_nan(optimizer, dtype, draw):
    tensors = some_tensors(dtype=dtype)
    zeros = [[torch.zeros_like(tensor) for tensor in tensors]] * 3

    after = run(optimizer, draw(optimizer.spec, 0), tensors, zeros)

    assert all(tensor.isfinite().all() for tensor in after)


@of_rules
@pytest.mark.parametrize("gradient", [1.0, 0.0])
def test_weights_of_zero_move_where_there_is_a_gradient(optimizer, gradient, draw):
    tensors = [torch.zeros_like(tensor) for tensor in some_tensors()]
    grads = [[torch.full_like(tensor, gradient) for tensor in tensors]] * 3

    after = run(optimizer, draw(optimizer.spec, 0), tensors, grads)

    for tensor in after:
        assert tensor.isfinite().all()
        assert ((tensor < 0) == (gradient > 0)).all()


@pytest.mark.parametrize("optimizer", WITH_COEFFICIENTS, ids=lambda c: c.id)
@pytest.mark.parametrize("sample", range(3))
def test_coefficients_depend_on_their_arguments_and_not_on_earlier_calls(optimizer, sample, draw):
    params = draw(optimizer.spec, sample)
    moments = [1, 2, 3, 50, 1000, 1001, 10**6]

    forwards = {t: numbers(optimizer, t, params) for t in moments}
    backwards = {t: numbers(optimizer, t, params) for t in reversed(moments)}

    assert forwards == backwards
    for given in forwards.values():
        assert all(type(number) is float and math.isfinite(number) for number in given.values())


@pytest.mark.parametrize("optimizer", ELEMENTWISE, ids=lambda c: c.id)
@pytest.mark.parametrize("sample", range(3))
def test_an_elementwise_rule_treats_joined_tensors_like_separate_ones(optimizer, sample, draw):
    params = draw(optimizer.spec, sample)
    tensors, grads = some_tensors(), some_grads(30)

    apart = run(optimizer, params, tensors, grads)
    joined = run(optimizer, params, [flat(tensors)], [[flat(step)] for step in grads])

    torch.testing.assert_close(joined[0], flat(apart), rtol=1e-13, atol=1e-13)


@of_rules
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str
)
def test_k_recipes_under_vmap_end_where_k_single_runs_end(optimizer, dtype, tolerance, draw):
    recipes, tensors, grads = k_problems(optimizer, dtype, draw)
    alone = [run(optimizer, *each) for each in zip(recipes, tensors, grads, strict=True)]

    stacks = [torch.stack(of_k) for of_k in zip(*tensors, strict=True)]
    states = [
        {name: torch.stack([state[name] for state in of_k]) for name in of_k[0]}
        for of_k in zip(*(start(optimizer, each) for each in tensors), strict=True)
    ]
    update = optimizer.code(optimizer.spec.rule.update)
    together = torch.vmap(lambda p, g, s, n: update(p, g, s, **n, **with_curvature(optimizer, g)))
    for t in range(1, len(grads[0]) + 1):
        columns = stacked_numbers(optimizer, t, recipes, dtype)
        now = [torch.stack(of_k) for of_k in zip(*(each[t - 1] for each in grads), strict=True)]
        pairs = [together(*each, columns) for each in zip(stacks, now, states, strict=True)]
        stacks, states = [stack for stack, _ in pairs], [state for _, state in pairs]

    for stack, of_k in zip(stacks, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(stack, torch.stack(of_k), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("optimizer", ELEMENTWISE, ids=lambda c: c.id)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)], ids=str
)
def test_k_recipes_broadcast_end_where_k_single_runs_end(optimizer, dtype, tolerance, draw):
    recipes, tensors, grads = k_problems(optimizer, dtype, draw)
    tensors = [flat(each) for each in tensors]
    grads = [[[flat(step)] for step in each] for each in grads]
    alone = [
        run(optimizer, *each)[0]
        for each in zip(recipes, [[t] for t in tensors], grads, strict=True)
    ]

    stack = torch.stack(tensors)
    state = start(optimizer, [stack])[0]
    update = optimizer.code(optimizer.spec.rule.update)
    for t in range(1, len(grads[0]) + 1):
        columns = stacked_numbers(optimizer, t, recipes, dtype)
        columns = {key: column[:, None] for key, column in columns.items()}
        now = torch.stack([of_recipe[t - 1][0] for of_recipe in grads])
        stack, state = update(stack, now, state, **columns, **with_curvature(optimizer, now))

    torch.testing.assert_close(stack, torch.stack(alone), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda c: c.id)
def test_an_optimizer_at_its_defaults_learns_digits(optimizer, draw):
    torch.manual_seed(0)
    x, y = digits()
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    trained = build(optimizer, model.parameters(), draw(optimizer.spec, 0))

    def closure():
        trained.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        parameters = list(model.parameters())
        grads = torch.autograd.grad(loss, parameters, create_graph=optimizer.spec.create_graph)
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        return loss.detach()

    losses = []
    for _ in range(5 if optimizer.spec.full_batch and optimizer.spec.closure else 150):
        if optimizer.spec.closure:
            losses.append(trained.step(closure))
        else:
            losses.append(closure())
            trained.step()
    trained.zero_grad()

    assert losses[-1] < 0.7 * losses[0]


def build(optimizer, parameters, params):
    """The optimizer, or the wrapper around SGD with momentum."""
    part = Part(optimizer.id, params, optimizer.spec.version)
    if optimizer.spec.wrap is not None:
        part = replace(part, base=CATALOG.find("optimizer", "builtin.momentum").part())
    return TorchBuilder(CATALOG).optimizer(part, parameters)


DECAYING = [c for c in OPTIMIZERS if c.spec.decay is not None]


def test_a_parameter_called_weight_decay_is_declared_as_the_decay():
    named = [c for c in OPTIMIZERS if "weight_decay" in c.spec.params]

    assert [c.id for c in DECAYING] == [c.id for c in named]


@pytest.mark.parametrize("optimizer", DECAYING, ids=lambda c: c.id)
def test_vectors_go_free_of_the_decay_unless_groups_say_otherwise(optimizer, draw):
    """A gradient of 0 leaves nothing but the decay to move a weight."""
    params = draw(optimizer.spec, 0) | {optimizer.spec.decay: 0.1}

    def moved(grouped):
        weights = [torch.nn.Parameter(torch.ones(shape)) for shape in ((3, 2), (3,), ())]
        trained = build(optimizer, [{"params": weights}] if grouped else weights, params)
        # the graph of a loss that is flat and bends nowhere
        loss = sum((0.0 * weight**2).sum() for weight in weights)
        grads = torch.autograd.grad(loss, weights, create_graph=optimizer.spec.create_graph)
        for weight, grad in zip(weights, grads, strict=True):
            weight.grad = grad
        trained.step()
        trained.zero_grad()
        return [bool((weight < 1).all()) for weight in weights]

    assert moved(grouped=False) == [True, False, False]
    assert moved(grouped=True) == [True, True, True]


@functools.cache
def digits():
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images[:200] / 16), torch.tensor(labels[:200])


def k_problems(optimizer, dtype, draw, k=4, steps=30):
    """The recipes, weights and gradients of *k* trainings."""
    recipes = [draw(optimizer.spec, sample) for sample in range(k)]
    tensors = [some_tensors(seed, dtype) for seed in range(k)]
    return recipes, tensors, [some_grads(steps, seed, dtype) for seed in range(k)]


def stacked_numbers(optimizer, t, recipes, dtype):
    given = [numbers(optimizer, t, params) for params in recipes]
    return {key: torch.tensor([each[key] for each in given], dtype=dtype) for key in given[0]}


def flat(tensors):
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
