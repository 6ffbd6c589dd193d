"""SciPy's minimisers behind torch's interface: where they go, and where they turn back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import torch

from automl_opt.builtin.optimizers.scipy_minimizer import NewtonCG, NonlinearCG

both = pytest.mark.parametrize("minimizer", [NonlinearCG, NewtonCG])


def rosenbrock(points):
    x = torch.cat([point.reshape(-1) for point in points])
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def valley(dtype=torch.float64):
    """Where the search for Rosenbrock's minimum begins: two tensors, five numbers."""
    starts = ([[1.2, 0.4], [0.7, 1.5]], [0.3])
    return [torch.nn.Parameter(torch.tensor(start, dtype=dtype)) for start in starts]


def descend(optimizer, points, loss, steps=1):
    """The losses before each step, and how often the closure was called."""
    calls, losses = [], []

    def closure():
        optimizer.zero_grad()
        value = loss(points)
        value.backward()
        calls.append(float(value.detach()))
        return value

    for _ in range(steps):
        losses.append(float(optimizer.step(closure)))
    return losses, len(calls)


def flat(points):
    return torch.cat([point.detach().reshape(-1) for point in points])


@both
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-2)], ids=str
)
def test_it_finds_the_minimum_of_a_curved_valley(minimizer, dtype, tolerance):
    points = valley(dtype)

    descend(minimizer(points, max_iter=20), points, rosenbrock, steps=10)

    assert flat(points).dtype == dtype
    torch.testing.assert_close(flat(points), torch.ones(5, dtype=dtype), rtol=0, atol=tolerance)


@both
def test_no_step_makes_the_loss_rise(minimizer):
    points = valley()

    losses, _ = descend(minimizer(points, max_iter=2), points, rosenbrock, steps=30)

    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("iterations", [1, 2, 5, 9])
def test_nonlinear_cg_goes_where_scipy_goes(iterations):
    points = valley()
    start = flat(points).numpy()

    descend(NonlinearCG(points, max_iter=iterations), points, rosenbrock)

    theirs = scipy.optimize.minimize(
        scipy.optimize.rosen,
        start,
        jac=scipy.optimize.rosen_der,
        method="CG",
        options={"maxiter": iterations, "gtol": 1e-7},
    )
    np.testing.assert_allclose(flat(points).numpy(), theirs.x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_newton_cg_goes_where_scipy_goes_with_the_exact_hessian(iterations):
    points = valley()
    start = flat(points).numpy()

    descend(NewtonCG(points, max_iter=iterations, max_products=99), points, rosenbrock)

    theirs = scipy.optimize.minimize(
        scipy.optimize.rosen,
        start,
        jac=scipy.optimize.rosen_der,
        hessp=scipy.optimize.rosen_hess_prod,
        method="Newton-CG",
        options={"maxiter": iterations, "xtol": 1e-9},
    )
    np.testing.assert_allclose(flat(points).numpy(), theirs.x, rtol=0, atol=1e-5)


def test_newton_cg_spends_no_more_products_than_it_may():
    """A quadratic with every curvature different, whose equations take many products to solve."""
    steep = torch.logspace(0, 5, 40, dtype=torch.float64)

    def loss(points):
        return (steep * points[0] ** 2).sum() / 2

    spent = {}
    for most in (1, 3, 10):
        points = [torch.nn.Parameter(1 / steep)]
        optimizer = NewtonCG(points, max_iter=1, max_products=most)
        losses, spent[most] = descend(optimizer, points, loss)
        assert float(loss(points).detach()) < losses[0]

    # two gradients a product, one at the start, and one where the line search stops
    assert spent == {1: 4, 3: 8, 10: 22}


@both
def test_a_learning_rate_is_the_share_of_the_way_that_a_group_goes(minimizer):
    def end(rates):
        points = valley()
        groups = [
            {"params": [point], "lr": rate} for point, rate in zip(points, rates, strict=True)
        ]
        descend(minimizer(groups), points, rosenbrock)
        return [point.detach() for point in points]

    start, whole, part = [p.detach() for p in valley()], end((1.0, 1.0)), end((0.25, 0.0))

    torch.testing.assert_close(part[0], start[0].lerp(whole[0], 0.25), rtol=0, atol=1e-12)
    assert torch.equal(part[1], start[1])
    assert (whole[1] != start[1]).all()


@both
def test_the_same_start_gives_the_same_bits_and_the_state_counts_evaluations(minimizer):
    ends, counts = [], []
    for _ in range(2):
        points = valley(torch.float32)
        optimizer = minimizer(points)
        counts.append(descend(optimizer, points, rosenbrock, steps=3)[1])
        assert optimizer.state_dict()["state"] == {0: {"evaluations": counts[-1]}}
        ends.append(flat(points))

    assert torch.equal(*ends)
    assert counts[0] == counts[1]


@both
@pytest.mark.parametrize("beyond", [math.nan, math.inf])
def test_a_search_turns_back_from_where_the_loss_is_no_number(minimizer, beyond):
    """Downhill leads over an edge at 1, behind which there is no loss."""

    def loss(points):
        if (points[0] > 1).any():
            return beyond * points[0].sum()
        return (points[0] ** 2).sum() - 3 * points[0].sum()

    points = [torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))]

    losses, _ = descend(minimizer(points), points, loss, steps=5)

    assert flat(points).isfinite().all()
    assert all(map(math.isfinite, losses))
    assert losses[-1] <= losses[0]


@both
def test_weights_become_nan_where_the_gradient_is_no_number_to_begin_with(minimizer):
    points = valley()

    descend(minimizer(points), points, lambda points: rosenbrock(points) * math.nan)

    assert flat(points).isnan().all()


@both
def test_weights_without_a_gradient_stay_where_they_are(minimizer):
    points = valley()
    points.append(torch.nn.Parameter(torch.full((2, 2), 7.0)))

    descend(minimizer(points), points, lambda points: rosenbrock(points[:2]), steps=3)

    assert torch.equal(points[2].detach(), torch.full((2, 2), 7.0))
    assert (flat(points[:2]) != flat(valley())).any()
