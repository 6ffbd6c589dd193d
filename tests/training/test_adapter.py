"""The rules inside a ``torch.optim.Optimizer``, held against torch's own optimizers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from automl_opt.training.adapter import CPU_BLOCK, PureRule, RuleOptimizer

from .examples import BUILTIN, components, drawn, recipe, through_a_file
from .examples import part as make_part

STEPS = 200
RULES = components("optimizer", rule=True)
of_rules = pytest.mark.parametrize("optimizer", RULES, ids=lambda c: c.id)
of_twins = pytest.mark.parametrize(
    "optimizer", components("optimizer", rule=True, twin=True), ids=lambda c: c.id
)


class Branching(nn.Module):
    """A network of which a step trains one branch; the other then has no gradient."""

    def __init__(self, inside: int = 5) -> None:
        super().__init__()
        self.first = nn.Linear(4, inside)
        self.branches = nn.ModuleList([nn.Linear(inside, 2), nn.Linear(inside, 2)])
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x, branch):
        hidden = torch.tanh(self.first(x)) * (5 / self.first.out_features)
        return self.branches[branch](hidden) * self.scale


def network(inside: int = 5) -> Branching:
    torch.manual_seed(0)
    return Branching(inside)


def give_gradients(model: Branching, step: int, create_graph: bool = False) -> None:
    """Autograd gradients of a noisy regression; branch 1 has one at every third step."""
    source = torch.Generator().manual_seed(step)
    x, y = torch.randn(16, 4, generator=source), torch.randn(16, 2, generator=source)
    model.zero_grad()
    loss = ((model(x, int(step % 3 == 1)) - y) ** 2).mean()
    params = list(model.parameters())
    grads = torch.autograd.grad(loss, params, create_graph=create_graph, allow_unused=True)
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad


def copy_gradients(source: nn.Module, target: nn.Module) -> None:
    for mine, theirs in zip(target.parameters(), source.parameters(), strict=True):
        mine.grad = None if theirs.grad is None else theirs.grad.clone()


def run(optimizer, model, steps):
    for step in steps:
        torch.manual_seed(step)  # estimates of the curvature draw from it
        give_gradients(model, step, optimizer.rule.curvature)
        optimizer.step()


def distance(first: nn.Module, second: nn.Module) -> float:
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def build(optimizer, parameters, params):
    part = make_part(BUILTIN, "optimizer", optimizer.id, **params)
    return recipe(optimizer=part).optimizer(parameters)


def one_group(model):
    """As a group, because of plain tensors the vectors would go free of weight decay."""
    return [{"params": list(model.parameters())}]


def groups(model):
    """Of different learning rates, one of them the optimizer's own."""
    return [
        {"params": list(model.first.parameters()), "lr": 1e-3},
        {"params": list(model.branches.parameters())},
        {"params": [model.scale], "lr": 1e-2},
    ]


@of_twins
@pytest.mark.parametrize("layout", [one_group, groups], ids=lambda f: f.__name__)
@pytest.mark.parametrize("sample", range(3))
@pytest.mark.usefixtures("float64")
def test_an_optimizer_ends_where_its_torch_twin_ends(optimizer, sample, layout):
    """Both get the gradients at the twin's weights, so that chaos cannot enlarge rounding."""
    params = drawn(optimizer.spec, sample)
    ours, theirs = network(), network()
    mine = build(optimizer, layout(ours), params)
    twin = optimizer.code(optimizer.spec.twin)(layout(theirs), **params)

    for step in range(STEPS):
        give_gradients(theirs, step)
        copy_gradients(theirs, ours)
        twin.step()
        mine.step()

    assert distance(ours, network()) > 0
    assert distance(ours, theirs) <= 1e-12


@of_twins
@pytest.mark.usefixtures("float64")
def test_tensors_of_several_blocks_are_updated_as_the_twin_does(optimizer):
    ours, theirs = network(CPU_BLOCK // 4 + 77), network(CPU_BLOCK // 4 + 77)
    assert sum(p.numel() > CPU_BLOCK for p in ours.parameters()) >= 1
    mine = build(optimizer, one_group(ours), {})
    twin = optimizer.code(optimizer.spec.twin)(theirs.parameters(), **optimizer.defaults())

    for step in range(10):
        give_gradients(theirs, step)
        copy_gradients(theirs, ours)
        twin.step()
        mine.step()

    assert distance(ours, theirs) <= 1e-12


@of_rules
@pytest.mark.parametrize("half", [1, 7])
@pytest.mark.parametrize("inside", [5, CPU_BLOCK // 4 + 77], ids=["joined", "cut"])
def test_a_reloaded_optimizer_goes_on_to_the_same_bits(optimizer, half, inside):
    undisturbed, kept = network(inside), network(inside)
    run(build(optimizer, groups(undisturbed), {}), undisturbed, range(10))
    first = build(optimizer, groups(kept), {})
    run(first, kept, range(half))
    state, weights = through_a_file([first.state_dict(), kept.state_dict()])

    resumed = network(inside)
    resumed.load_state_dict(weights)
    second = build(optimizer, groups(resumed), {})
    second.load_state_dict(state)
    run(second, resumed, range(half, 10))

    assert distance(resumed, undisturbed) == 0


@of_rules
def test_a_state_dict_comes_back_as_it_was_loaded(optimizer):
    model = network()
    first = build(optimizer, model.parameters(), {})
    run(first, model, range(5))
    state = through_a_file(first.state_dict())

    second = build(optimizer, network().parameters(), {})
    second.load_state_dict(state)

    again = second.state_dict()
    assert again["param_groups"] == state["param_groups"]
    assert again["state"].keys() == state["state"].keys()
    for key, kept in state["state"].items():
        for name, value in kept.items():
            assert torch.equal(torch.as_tensor(again["state"][key][name]), torch.as_tensor(value))


def test_taking_a_state_dict_changes_nothing():
    quiet, watched = network(), network()
    first, second = (
        build(BUILTIN.find("optimizer", "adam"), m.parameters(), {}) for m in (quiet, watched)
    )

    for step in range(9):
        run(first, quiet, [step])
        run(second, watched, [step])
        second.state_dict()

    assert distance(quiet, watched) == 0


def test_a_parameter_without_gradient_stays_and_does_not_age():
    model = network()
    optimizer = build(BUILTIN.find("optimizer", "adam"), model.parameters(), {})
    before = model.branches[1].weight.clone()

    run(optimizer, model, [0, 2, 3])

    assert torch.equal(model.branches[1].weight, before)
    run(optimizer, model, [4])
    optimizer.state_dict()
    assert optimizer.state[model.branches[1].weight]["step"] == 1
    assert optimizer.state[model.first.weight]["step"] == 4


@pytest.mark.parametrize(
    "schedule",
    [
        lambda optimizer: lr_scheduler.StepLR(optimizer, 7, gamma=0.5),
        lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10),
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step)),
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, 60, cycle_momentum=False),
        lambda optimizer: lr_scheduler.SequentialLR(
            optimizer,
            [lr_scheduler.LinearLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.9)],
            milestones=[20],
        ),
    ],
    ids=["step", "warm restarts", "lambda", "one cycle", "sequential"],
)
@pytest.mark.parametrize("name", ["momentum", "adamw"])
@pytest.mark.usefixtures("float64")
def test_torch_schedulers_drive_our_optimizers(name, schedule):
    component = BUILTIN.find("optimizer", name)
    ours, theirs = network(), network()
    mine = build(component, groups(ours), {})
    twin = component.code(component.spec.twin)(groups(theirs), **component.defaults())

    schedules = [schedule(mine), schedule(twin)]
    for step in range(50):
        give_gradients(theirs, step)
        copy_gradients(theirs, ours)
        for optimizer, changing in zip([mine, twin], schedules, strict=True):
            optimizer.step()
            changing.step()

    assert [g["lr"] for g in mine.param_groups] == [g["lr"] for g in twin.param_groups]
    assert distance(ours, theirs) <= 1e-12


def test_step_runs_a_closure_with_gradients_and_hands_back_its_loss():
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = build(BUILTIN.find("optimizer", "sgd"), [weight], {"lr": 0.5})

    def closure():
        optimizer.zero_grad()
        loss = (weight**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0
    assert weight.item() == 0.0


def test_a_group_added_later_is_trained():
    old, new = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    optimizer = build(BUILTIN.find("optimizer", "sgd"), [old], {"lr": 1.0})
    old.grad = torch.ones(2)
    optimizer.step()

    optimizer.add_param_group({"params": [new], "lr": 0.25})
    new.grad = torch.ones(3)
    optimizer.step()

    assert old.tolist() == [-1.0, -1.0]
    assert new.tolist() == [0.75, 0.75, 0.75]


def test_a_copy_goes_on_by_itself_and_alike():
    model = network()
    optimizer = build(BUILTIN.find("optimizer", "adam"), model.parameters(), {})
    run(optimizer, model, range(5))

    other_model, other = copy.deepcopy((model, optimizer))
    run(optimizer, model, range(5, 9))
    halfway = distance(model, other_model)
    run(other, other_model, range(5, 9))

    assert halfway > 0
    assert distance(model, other_model) == 0


def test_weights_put_in_place_by_others_are_what_is_trained():
    weight = nn.Parameter(torch.ones(2))
    optimizer = build(BUILTIN.find("optimizer", "sgd"), [weight], {"lr": 1.0})
    weight.grad = torch.ones(2)
    optimizer.step()

    weight.data = torch.tensor([10.0, 20.0])
    optimizer.step()

    assert weight.tolist() == [9.0, 19.0]


@of_twins
@pytest.mark.usefixtures("float64")
def test_odd_shapes_and_layouts_are_trained_like_any_other(optimizer):
    def odd():
        source = torch.Generator().manual_seed(3)
        plain = torch.randn(3, 5, generator=source)
        image = torch.randn(2, 3, 4, 4, generator=source)
        return [
            nn.Parameter(plain.t()),  # not contiguous
            nn.Parameter(image.to(memory_format=torch.channels_last)),
            nn.Parameter(torch.randn((), generator=source)),
        ]

    ours, theirs = odd(), odd()
    mine = build(optimizer, [{"params": ours}], {})
    twin = optimizer.code(optimizer.spec.twin)(theirs, **optimizer.defaults())

    for step in range(20):
        source = torch.Generator().manual_seed(step)
        for a, b in zip(ours, theirs, strict=True):
            b.grad = torch.randn(b.shape, generator=source)
            a.grad = b.grad.clone()
        mine.step()
        twin.step()

    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_an_empty_tensor_among_others_is_no_obstacle():
    empty, weight = nn.Parameter(torch.empty(0, 4)), nn.Parameter(torch.ones(2))
    optimizer = build(BUILTIN.find("optimizer", "adam"), [empty, weight], {})
    empty.grad, weight.grad = torch.empty(0, 4), torch.ones(2)

    optimizer.step()
    optimizer.load_state_dict(through_a_file(optimizer.state_dict()))
    optimizer.step()

    assert (weight < 1).all()


def counting_rows() -> PureRule:
    """A rule that needs whole matrices, and whose state has shapes and types of its own."""

    def init(param):
        return {
            "seen": torch.zeros((), dtype=torch.int64),
            "rows": param.new_zeros(param.shape[0], dtype=torch.float64),
        }

    def update(param, grad, state, *, lr):
        rows = state["rows"] + grad.double().flatten(1).norm(dim=1)
        size = (1 + rows).to(param.dtype).view(-1, *[1] * (param.ndim - 1))
        return param - lr * grad / size, {"seen": state["seen"] + 1, "rows": rows}

    return PureRule(init, update, None, elementwise=False)


def test_state_of_another_shape_and_dtype_survives_a_checkpoint_to_the_bit():
    def start():
        torch.manual_seed(0)
        return nn.Linear(4, 3, bias=False)

    def some_steps(model, optimizer, steps):
        for step in steps:
            source = torch.Generator().manual_seed(step)
            model.weight.grad = torch.randn(3, 4, generator=source)
            optimizer.step()

    undisturbed, resumed = start(), start()
    some_steps(
        undisturbed, RuleOptimizer(undisturbed.parameters(), counting_rows(), {"lr": 0.1}), range(6)
    )
    first = RuleOptimizer(resumed.parameters(), counting_rows(), {"lr": 0.1})
    some_steps(resumed, first, range(3))
    state = through_a_file(first.state_dict())

    second = RuleOptimizer(resumed.parameters(), counting_rows(), {"lr": 0.1})
    second.load_state_dict(state)
    some_steps(resumed, second, range(3, 6))

    assert torch.equal(resumed.weight, undisturbed.weight)
    kept = second.state_dict()["state"][0]
    assert (kept["seen"].dtype, kept["seen"].item()) == (torch.int64, 6)
    assert kept["rows"].dtype is torch.float64


def test_coefficients_are_asked_once_a_step_for_blocks_of_one_age():
    asked = []

    def coefficients(t, *, lr):
        asked.append(t)
        return {"lr": lr}

    rule = PureRule(
        lambda param: {},
        lambda param, grad, state, *, lr: (param - lr * grad, state),
        coefficients,
        elementwise=True,
    )
    weight = nn.Parameter(torch.zeros(3 * CPU_BLOCK))
    optimizer = RuleOptimizer([weight], rule, {"lr": 1.0})
    weight.grad = torch.ones_like(weight)

    optimizer.step()
    optimizer.step()

    assert asked == [1, 2]
    assert (weight == -2).all()
