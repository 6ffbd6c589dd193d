"""Wrappers of optimizers against loops written by hand, and all that an optimizer must survive."""

from __future__ import annotations

import copy
import io
import itertools
import pickle
from dataclasses import replace

import pytest
import torch

from automl_opt.builtin.optimizers.wrapper import Lookahead, Sam, Wrapper
from automl_opt.plugin.host import load_host
from automl_opt.training.build import TorchBuilder

CATALOG = load_host(allow=()).catalog
OPTIMIZERS = CATALOG.components("optimizer")
WRAPPERS = [c for c in OPTIMIZERS if c.wraps]
BASES = [c for c in OPTIMIZERS if not c.wraps and not c.spec.create_graph]
EXAMPLES = [CATALOG.find("optimizer", name) for name in ("adamw", "momentum", "lbfgs")]

CHAINS = [
    *[(wrapper, base) for wrapper in WRAPPERS for base in BASES],
    *[(*two, base) for two in itertools.permutations(WRAPPERS, 2) for base in EXAMPLES],
]

of_chains = pytest.mark.parametrize(
    "chain", CHAINS, ids=lambda chain: "-".join(c.spec.name for c in chain)
)


class Problem:
    """A small network on random data, another batch at every step; in float64."""

    def __init__(self, seed=0):
        generator = torch.Generator().manual_seed(seed)
        random = [torch.randn(s, generator=generator).double() for s in ((4, 5), (5,), (5, 2))]
        self.weights = [torch.nn.Parameter(tensor) for tensor in random]
        self.x = torch.randn(64, 4, generator=generator).double()
        self.y = torch.randn(64, 2, generator=generator).double()

    def loss(self, step):
        rows = slice(8 * (step % 8), 8 * (step % 8) + 8)
        first, bias, second = self.weights
        return ((torch.tanh(self.x[rows] @ first + bias) @ second - self.y[rows]) ** 2).mean()

    def grads(self, step):
        return torch.autograd.grad(self.loss(step), self.weights)

    def set_grads(self, step):
        for weight, grad in zip(self.weights, self.grads(step), strict=True):
            weight.grad = grad

    def train(self, optimizer, steps):
        """As the engine does it: a closure zeroes the gradients, fills them, gives the loss."""
        losses = []
        for step in steps:

            def closure(step=step):
                optimizer.zero_grad()
                loss = self.loss(step)
                loss.backward()
                return loss.detach()

            losses.append(optimizer.step(closure))
        return losses

    @property
    def values(self):
        return torch.cat([weight.detach().reshape(-1) for weight in self.weights])


def build(chain, weights):
    part = None
    for component in reversed(chain):
        part = replace(component.part(), base=part)
    return TorchBuilder(CATALOG).optimizer(part, weights)


def torchs(name, weights):
    if name == "adamw":
        return torch.optim.AdamW(weights, lr=1e-2)
    return torch.optim.SGD(weights, lr=0.1, momentum=0.9)


@pytest.mark.parametrize("rho", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("base", ["adamw", "sgd"])
def test_sam_ends_where_a_loop_written_by_hand_ends(base, rho):
    ours, theirs = Problem(), Problem()
    losses = ours.train(Sam(torchs(base, ours.weights), rho=rho), range(50))

    optimizer = torchs(base, theirs.weights)
    expected = []
    for step in range(50):
        expected.append(theirs.loss(step).detach())
        grads = theirs.grads(step)
        norm = torch.cat([grad.reshape(-1) for grad in grads]).norm()
        before = [weight.detach().clone() for weight in theirs.weights]
        for weight, grad in zip(theirs.weights, grads, strict=True):
            weight.data = weight.data + rho * grad / norm
        theirs.set_grads(step)
        for weight, value in zip(theirs.weights, before, strict=True):
            weight.data = value
        optimizer.step()

    torch.testing.assert_close(ours.values, theirs.values, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.stack(losses), torch.stack(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("k", "alpha"), [(5, 0.5), (6, 0.8), (10, 0.5)])
@pytest.mark.parametrize("base", ["adamw", "sgd"])
def test_lookahead_ends_where_a_loop_written_by_hand_ends(base, k, alpha):
    ours, theirs = Problem(), Problem()
    lookahead = Lookahead(torchs(base, ours.weights), k=k, alpha=alpha)
    for step in range(50):
        ours.set_grads(step)
        lookahead.step()

    optimizer = torchs(base, theirs.weights)
    slow = [weight.detach().clone() for weight in theirs.weights]
    for step in range(50):
        theirs.set_grads(step)
        optimizer.step()
        if step % k == k - 1:
            slow = [s + alpha * (w.data - s) for s, w in zip(slow, theirs.weights, strict=True)]
            for weight, value in zip(theirs.weights, slow, strict=True):
                weight.data = value.clone()

    torch.testing.assert_close(ours.values, theirs.values, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "wrap",
    [lambda base: Sam(base, rho=0.0), lambda base: Lookahead(base, k=5, alpha=1.0), Wrapper],
    ids=["sam at rho 0", "lookahead at alpha 1", "the bare wrapper"],
)
@pytest.mark.parametrize("base", ["adamw", "sgd"])
def test_a_wrapper_that_changes_nothing_leaves_every_bit_to_its_base(base, wrap):
    if wrap is Wrapper:

        class Plain(Wrapper):
            def step(self, closure=None):
                return self.base.step(closure)

        wrap = Plain
    wrapped, bare = Problem(), Problem()

    wrapped.train(wrap(torchs(base, wrapped.weights)), range(20))
    bare.train(torchs(base, bare.weights), range(20))

    assert torch.equal(wrapped.values, bare.values)


@of_chains
def test_a_wrapped_optimizer_resumes_from_its_stored_state_bit_for_bit(chain):
    straight = Problem()
    optimizer = build(chain, straight.weights)
    straight.train(optimizer, range(7))
    file = io.BytesIO()
    torch.save([optimizer.state_dict(), [w.detach() for w in straight.weights]], file)
    straight.train(optimizer, range(7, 16))

    file.seek(0)
    state, weights = torch.load(file, weights_only=True)
    resumed = Problem()
    resumed.weights = [torch.nn.Parameter(tensor) for tensor in weights]
    again = build(chain, resumed.weights)
    again.load_state_dict(state)
    resumed.train(again, range(7, 16))

    assert resumed.values.isfinite().all()
    assert torch.equal(straight.values, resumed.values)


@of_chains
def test_a_state_dict_taken_earlier_does_not_change_with_later_steps_of_a_wrapper(chain):
    problem = Problem()
    optimizer = build(chain, problem.weights)
    problem.train(optimizer, range(6))
    own = {key: value for key, value in optimizer.state_dict().items() if key != "base"}
    kept = copy.deepcopy(own)

    problem.train(optimizer, range(6, 12))

    assert str(own) == str(kept)


TORCHS = [
    lambda weights: Sam(torchs("adamw", weights), rho=0.1),
    lambda weights: Lookahead(torchs("sgd", weights), k=3, alpha=0.7),
    lambda weights: Sam(Lookahead(torchs("adamw", weights), k=3, alpha=0.7), rho=0.1),
]


@pytest.mark.parametrize("make", TORCHS, ids=["sam", "lookahead", "sam of lookahead"])
@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["deepcopy", "pickle"],
)
def test_a_copied_wrapper_goes_on_like_the_original_and_apart_from_it(make, copied):
    problem = Problem()
    optimizer = make(problem.weights)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)  # it puts a step in its place
    problem.train(optimizer, range(5))
    other, its_optimizer = copied((problem, optimizer))
    before = other.values.clone()

    problem.train(optimizer, range(5, 12))
    assert torch.equal(other.values, before)

    other.train(its_optimizer, range(5, 12))
    assert torch.equal(other.values, problem.values)


@pytest.mark.parametrize("make", TORCHS, ids=["sam", "lookahead", "sam of lookahead"])
def test_a_scheduler_on_a_wrapper_moves_the_rate_of_its_base(make):
    problem = Problem()
    optimizer = make(problem.weights)
    base = optimizer
    while isinstance(base, Wrapper):
        base = base.base
    lr = base.param_groups[0]["lr"]
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)

    for step in range(4):
        assert base.param_groups[0]["lr"] == lr * 0.5**step
        problem.train(optimizer, [step])
        scheduler.step()

    optimizer.load_state_dict(optimizer.state_dict())  # the base makes its groups anew
    assert optimizer.param_groups is base.param_groups


def test_a_group_added_to_a_wrapper_is_trained_by_its_base():
    problem = Problem()
    optimizer = Lookahead(torchs("sgd", problem.weights[:2]), k=2, alpha=0.5)
    problem.train(optimizer, range(3))
    before = problem.weights[2].detach().clone()

    optimizer.add_param_group({"params": problem.weights[2:]})
    problem.train(optimizer, range(3, 6))

    assert len(optimizer.base.param_groups) == 2
    assert (problem.weights[2] != before).all()


def test_sam_comes_back_to_its_weights_when_the_second_evaluation_fails():
    problem = Problem()
    optimizer = Sam(torchs("sgd", problem.weights), rho=0.5)
    before, calls = problem.values, []

    def closure():
        calls.append(problem.values)
        if len(calls) == 2:
            raise MemoryError
        problem.set_grads(0)
        return problem.loss(0)

    with pytest.raises(MemoryError):
        optimizer.step(closure)

    assert (calls[1] - before).norm() == pytest.approx(0.5, rel=1e-12)
    assert torch.equal(problem.values, before)


def test_sam_stays_where_the_gradient_is_0_and_skips_weights_without_one():
    weights = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))]
    optimizer = Sam(torch.optim.SGD(weights, lr=0.1), rho=0.5)

    def closure():
        optimizer.zero_grad()
        weights[0].grad = torch.zeros(3)
        return torch.tensor(1.0)

    optimizer.step(closure)

    assert all(torch.equal(weight, torch.ones_like(weight)) for weight in weights)


def test_methods_that_only_the_base_has_are_reached_through_its_wrappers():
    class ScheduleFree(torch.optim.SGD):
        mode = "none"

        def train(self):
            self.mode = "train"

    base = ScheduleFree(Problem().weights, lr=0.1)
    outer = Sam(Lookahead(base, k=5, alpha=0.5), rho=0.1)

    outer.train()

    assert base.mode == "train"
    assert not hasattr(outer, "eval")
