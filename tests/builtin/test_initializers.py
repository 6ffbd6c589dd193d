"""Every initializer against its formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from automl_opt.builtin.initializers import (
    delta_orthogonal,
    he,
    lecun,
    lsuv,
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


@pytest.mark.parametrize("initializer", [c for c in FILLING if c.spec.variance], ids=lambda c: c.id)
@pytest.mark.parametrize("sample", range(4))
@pytest.mark.parametrize(
    "shape", [(400, 300), (300, 400), (200, 200), (64, 32, 3, 3), (32, 64, 5), (300, 8, 3, 3)]
)
def test_the_measured_variance_is_the_declared_one(initializer, sample, shape, draw):
    params = draw(initializer.spec, sample)
    tensor = torch.empty(shape, dtype=torch.float64)

    initializer.code(initializer.spec.init)(tensor, generator(), **params)

    declared = initializer.code(initializer.spec.variance)(shape, **params)
    assert tensor.square().mean().item() == pytest.approx(declared, rel=0.05)


@of_filling
def test_every_initializer_that_fills_declares_its_variance(initializer):
    assert initializer.spec.variance is not None


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


def filled(model, seed=0):
    """As a study does it: weights by *init*; biases keep what the layers chose."""
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            lsuv.init(parameter, generator(seed))
    return model


def outputs_of(model, x, kinds=(nn.Linear, nn.Conv2d)):
    """What every layer puts out in evaluation mode."""
    seen, mode = {}, model.training
    hooks = [
        m.register_forward_hook(lambda m, _, out, name=name: seen.setdefault(name, out))
        for name, m in model.named_modules()
        if isinstance(m, kinds)
    ]
    with torch.no_grad():
        model.eval()(x)
    model.train(mode)
    for hook in hooks:
        hook.remove()
    return seen


def deep_mlp():
    hidden = [m for _ in range(8) for m in (nn.Linear(20, 20), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(20, 3)), (64, 20)


def convolutions():
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3),
        nn.BatchNorm2d(8),
        nn.Tanh(),
        nn.Dropout(0.5),
        nn.Conv2d(8, 4, 3, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 6 * 5, 3),
    )
    return model, (16, 2, 10, 9)


def transformer():
    return nn.TransformerEncoderLayer(20, 2, 40, batch_first=True), (16, 5, 20)


@pytest.mark.parametrize("make", [deep_mlp, convolutions, transformer])
@pytest.mark.parametrize("size", [1e-2, 1.0, 1e3])
def test_lsuv_gives_the_outputs_of_every_layer_variance_1(make, size):
    torch.manual_seed(0)
    model, shape = make()
    filled(model)
    x = size * torch.randn(shape, generator=generator(3))

    lsuv.fit(model, x)

    found = outputs_of(model, x)
    assert len(found) >= 2
    for out in found.values():
        assert out.var(correction=0).item() == pytest.approx(1, abs=0.05)


def test_lsuv_of_a_layer_without_bias_divides_by_the_spread_of_its_outputs():
    layer = nn.Linear(5, 4, bias=False).double()
    x = torch.randn(30, 5, generator=generator(), dtype=torch.float64)
    before = layer.weight.detach().clone()

    lsuv.fit(layer, 7 * x)

    spread = (7 * x @ before.T).std(correction=0)
    torch.testing.assert_close(layer.weight.detach(), before / spread)


def test_lsuv_scales_layers_in_the_order_in_which_they_run():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(30, 30), nn.Linear(30, 30)

        def forward(self, x):
            return self.last(torch.relu(self.first(x)))

    torch.manual_seed(0)
    model, x = filled(Backwards()), 100 * torch.randn(64, 30, generator=generator())

    lsuv.fit(model, x)

    for out in outputs_of(model, x).values():
        assert out.var(correction=0).item() == pytest.approx(1, abs=0.05)


def test_lsuv_leaves_all_but_weights_as_it_was():
    model, shape = convolutions()
    filled(model)[1].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    source = torch.random.get_rng_state()

    lsuv.fit(model, torch.randn(shape, generator=generator()))

    changed = {name for name, value in model.state_dict().items() if not value.equal(state[name])}
    assert changed <= {"0.weight", "4.weight", "7.weight"}
    assert changed
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), source)
    assert not any(m._forward_hooks for m in model.modules())
    assert all(p.requires_grad and p.is_leaf and p.grad is None for p in model.parameters())


def test_lsuv_keeps_frozen_and_dead_layers():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 4))
    model[0].weight.requires_grad_(False)
    with torch.no_grad():
        model[0].bias.fill_(-1e6)  # nothing gets through the ReLU
    before = [model[i].weight.detach().clone() for i in (0, 2)]

    lsuv.fit(model, torch.randn(16, 4, generator=generator()))

    assert torch.equal(model[0].weight, before[0])
    assert torch.equal(model[2].weight, before[1])


def test_lsuv_puts_the_model_back_when_it_cannot_run():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    with pytest.raises(RuntimeError):
        lsuv.fit(model, torch.ones(2, 5))

    assert model.training
    assert not any(m._forward_hooks for m in model.modules())


def test_lsuv_says_what_to_do_without_a_layer_that_it_can_scale():
    with pytest.raises(ValueError, match=r"lsuv: ReLU runs no trainable nn\.Linear .*; build the"):
        lsuv.fit(nn.ReLU(), torch.ones(2, 4))


def test_lsuv_says_what_to_do_about_biases_that_no_weight_can_make_up_for():
    model = nn.Sequential(nn.Linear(4, 2))
    with torch.no_grad():
        model[0].bias[0] = 9.0

    with pytest.raises(
        ValueError, match=r"lsuv: the biases of layer '0' alone .*start them nearer"
    ):
        lsuv.fit(model, torch.ones(3, 4))


def test_lsuv_says_what_to_do_about_inputs_that_are_not_finite():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))

    with pytest.raises(
        ValueError, match=r"lsuv: the outputs of layer '0' have variance nan .*look"
    ):
        lsuv.fit(model, torch.full((3, 4), math.inf))
