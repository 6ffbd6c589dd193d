"""Every initializer against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from automl_opt.builtin.initializers import he, orthogonal, xavier
from automl_opt.plugin.host import load_host

FILLING = [c for c in load_host(allow=()).catalog.components("initializer") if c.spec.init]
of_filling = pytest.mark.parametrize("initializer", FILLING, ids=lambda c: c.id)

# (tensor, fan_in, fan_out): with at least 18 000 numbers a variance is known to about 1 %
SHAPES = [((400, 300), 300, 400), ((64, 32, 3, 3), 288, 576)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@of_filling
@pytest.mark.parametrize("sample", range(4))
@pytest.mark.parametrize("shape", [(7, 5), (6, 4, 3, 3), (1, 9)])
def test_the_generator_alone_decides(initializer, sample, shape, draw):
    params = draw(initializer.spec, sample)
    init = initializer.code(initializer.spec.init)
    first, second, other = (torch.full(shape, math.nan) for _ in range(3))
    before = torch.random.get_rng_state()

    init(first, generator(1), **params)
    init(second, generator(1), **params)
    init(other, generator(2), **params)

    assert first.isfinite().all()
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@of_filling
def test_a_parameter_is_filled_in_place_and_keeps_wanting_a_gradient(initializer, draw):
    parameter = torch.nn.Parameter(torch.zeros(4, 3))

    initializer.code(initializer.spec.init)(parameter, generator(), **draw(initializer.spec, 0))

    assert parameter.detach().abs().sum() > 0
    assert parameter.requires_grad
    assert parameter.grad_fn is None


def check_distribution(tensor, distribution, variance):
    flat = tensor.flatten()
    assert flat.var().item() == pytest.approx(variance, rel=0.05)
    assert abs(flat.mean().item()) < 5 * math.sqrt(variance / flat.numel())
    # the fourth moment tells a uniform (1.8) from a normal distribution (3)
    kurtosis = (flat**4).mean().item() / variance**2
    assert kurtosis == pytest.approx({"uniform": 1.8, "normal": 3.0}[distribution], rel=0.15)


@pytest.mark.parametrize("distribution", xavier.spec.params["distribution"].choices)
@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
def test_xavier_has_the_variance_of_its_formula(shape, fan_in, fan_out, gain, distribution):
    tensor = torch.empty(shape, dtype=torch.float64)

    xavier.init(tensor, generator(), distribution=distribution, gain=gain)

    check_distribution(tensor, distribution, gain**2 * 2 / (fan_in + fan_out))


@pytest.mark.parametrize("distribution", he.spec.params["distribution"].choices)
@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
def test_he_has_the_variance_of_its_formula(shape, fan_in, fan_out, distribution):
    tensor = torch.empty(shape, dtype=torch.float64)

    he.init(tensor, generator(), distribution=distribution)

    check_distribution(tensor, distribution, 2 / fan_in)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (6, 2, 3, 3)])
def test_orthogonal_has_rows_or_columns_at_right_angles(shape, gain):
    tensor = torch.empty(shape, dtype=torch.float64)

    orthogonal.init(tensor, generator(), gain=gain)

    matrix = tensor.flatten(1)
    product = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    expected = gain**2 * torch.eye(len(product), dtype=torch.float64)
    torch.testing.assert_close(product, expected, rtol=0, atol=1e-12)
