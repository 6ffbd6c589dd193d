"""Every initializer against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from automl_opt.builtin.initializers import (
    delta_orthogonal,
    he,
    lecun,
    orthogonal,
    truncated_normal,
    xavier,
)
from automl_opt.plugin.host import load_host

FILLING = [c for c in load_host(allow=()).catalog.components("initializer") if c.spec.init]
of_filling = pytest.mark.parametrize("initializer", FILLING, ids=lambda c: c.id)

# (tensor, fan_in, fan_out): with at least 18 000 numbers a variance is known to about 1 %
SHAPES = [((400, 300), 300, 400), ((64, 32, 3, 3), 288, 576)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@of_filling
@pytest.mark.parametrize("sample", range(4))
@pytest.mark.parametrize("shape", [(7, 5), (6, 4, 3, 3), (1, 9), (3, 8, 2), (2, 2, 3, 3, 3)])
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


@pytest.mark.parametrize("distribution", lecun.spec.params["distribution"].choices)
@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
def test_lecun_has_the_variance_of_its_formula(shape, fan_in, fan_out, distribution):
    tensor = torch.empty(shape, dtype=torch.float64)

    lecun.init(tensor, generator(), distribution=distribution)

    check_distribution(tensor, distribution, 1 / fan_in)


@pytest.mark.parametrize("std", [5e-3, 0.02, 0.5])
@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
def test_truncated_normal_ends_at_2_std_and_has_the_variance_that_the_cut_leaves(
    shape, fan_in, fan_out, std
):
    tensor = torch.empty(shape, dtype=torch.float64)
    # moments of the standard normal distribution within [-2, 2], by parts; c = 2 φ(2) / P(|x| < 2)
    c = 2 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))
    variance, fourth = 1 - 2 * c, 3 * (1 - 2 * c) - 8 * c

    truncated_normal.init(tensor, generator(), std=std)

    relative = tensor.flatten() / std
    assert 1.9 < relative.abs().max() <= 2
    assert abs(relative.mean().item()) < 5 / math.sqrt(relative.numel())
    assert variance == pytest.approx(0.7737, abs=1e-4)
    assert relative.var().item() == pytest.approx(variance, rel=0.03)
    assert (relative**4).mean().item() == pytest.approx(fourth, rel=0.05)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    ("shape", "convolve"),
    [
        ((9, 4, 5), torch.nn.functional.conv1d),
        ((6, 6, 3, 3), torch.nn.functional.conv2d),
        ((8, 3, 1, 5), torch.nn.functional.conv2d),
        ((5, 2, 3, 3, 3), torch.nn.functional.conv3d),
    ],
)
def test_a_delta_orthogonal_convolution_scales_every_signal_by_its_gain(shape, convolve, gain):
    kernel = torch.empty(shape, dtype=torch.float64)
    signal = torch.randn(
        1, shape[1], *(7 for _ in shape[2:]), dtype=torch.float64, generator=generator(3)
    )

    delta_orthogonal.init(kernel, generator(), gain=gain)

    convolved = convolve(signal, kernel, padding="same")
    assert convolved.norm().item() == pytest.approx(gain * signal.norm().item(), rel=1e-12)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_a_delta_orthogonal_matrix_is_an_orthogonal_one(shape):
    delta, plain = (torch.empty(shape, dtype=torch.float64) for _ in range(2))

    delta_orthogonal.init(delta, generator(), gain=1.5)
    orthogonal.init(plain, generator(), gain=1.5)

    assert torch.equal(delta, plain)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (6, 2, 3, 3)])
def test_orthogonal_has_rows_or_columns_at_right_angles(shape, gain):
    tensor = torch.empty(shape, dtype=torch.float64)

    orthogonal.init(tensor, generator(), gain=gain)

    matrix = tensor.flatten(1)
    product = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    expected = gain**2 * torch.eye(len(product), dtype=torch.float64)
    torch.testing.assert_close(product, expected, rtol=0, atol=1e-12)
