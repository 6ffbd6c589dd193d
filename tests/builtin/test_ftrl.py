"""What FTRL-Proximal promises beyond its formula: exact zeros, and schedules that reach 0."""

from __future__ import annotations

import pytest
import torch

from automl_opt.builtin.optimizers import ftrl


def walk(param, grads, *, l1, lrs):
    state = ftrl.init(param)
    for t, (grad, lr) in enumerate(zip(grads, lrs, strict=True), start=1):
        numbers = ftrl.coefficients(t, lr=lr, beta=1.0, l1=l1)
        param, state = ftrl.update(param, grad, state, **numbers)
    return param


def test_from_zero_a_weight_moves_once_its_gradients_add_up_to_more_than_l1():
    grads = torch.tensor([[0.3, -0.3], [0.3, 0.3], [0.3, -0.3]], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)

    after_two = walk(zero, grads[:2], l1=0.7, lrs=[0.5, 0.5])
    after_three = walk(zero, grads, l1=0.7, lrs=[0.5] * 3)

    assert after_two.tolist() == [0.0, 0.0]
    # z = 0.9, of which 0.7 is clipped, at the rate 0.5 / (1 + sqrt(0.27))
    assert after_three[0] == pytest.approx(-0.2 * 0.5 / (1 + 0.27**0.5), rel=1e-14)
    assert after_three[1] == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_larger_l1_makes_more_weights_exactly_zero(dtype):
    generator = torch.Generator().manual_seed(0)
    start = 0.1 * torch.randn(1000, generator=generator, dtype=dtype)
    grads = 0.1 * torch.randn(50, 1000, generator=generator, dtype=dtype)

    zeros = [
        int((walk(start, grads, l1=l1, lrs=[0.3] * 50) == 0).sum()) for l1 in (1e-6, 0.1, 0.5, 50)
    ]

    assert zeros[0] == 0
    assert zeros[0] < zeros[1] < zeros[2] < zeros[3] == 1000


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_learning_rate_of_zero_moves_nothing_and_is_survived(dtype):
    start = torch.tensor([0.0, 0.5, -2.0, 1e-8], dtype=dtype)
    grads = torch.tensor([[0.5, 0.2, 0.1, 3.0]] * 4, dtype=dtype)

    still = walk(start, grads[:3], l1=1e-3, lrs=[0.0] * 3)
    moved = walk(start, grads, l1=1e-3, lrs=[0.0, 0.0, 0.0, 0.1])

    torch.testing.assert_close(still, start, rtol=0, atol=1e-18)
    assert moved.isfinite().all()
    assert (moved != start).all()
