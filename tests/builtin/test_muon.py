"""Muon against torch's, which rounds to bfloat16, and what its orthogonalisation does."""

from __future__ import annotations

import pytest
import torch

from automl_opt.builtin.optimizers import adamw, muon

DEFAULTS = {name: param.default for name, param in muon.spec.params.items()}


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (1, 7)], ids=str)
def test_muon_stays_as_near_to_torchs_as_bfloat16_allows(shape):
    """The gradients follow a random walk that both see; rounding takes 0.3 to 0.9 % of the way."""
    generator = torch.Generator().manual_seed(0)
    start = ours = torch.randn(shape, generator=generator, dtype=torch.float64)
    theirs = torch.nn.Parameter(start.clone())
    twin = torch.optim.Muon(
        [theirs],
        lr=DEFAULTS["lr"],
        momentum=DEFAULTS["momentum"],
        weight_decay=DEFAULTS["weight_decay"],
        nesterov=True,
        adjust_lr_fn="original",
    )
    state = muon.init(ours)

    grad = torch.zeros_like(start)
    for t in range(1, 201):
        grad = 0.9 * grad + torch.randn(shape, generator=generator, dtype=torch.float64)
        theirs.grad = grad.clone()
        twin.step()
        ours, state = muon.update(ours, grad, state, **muon.coefficients(t, **DEFAULTS))

    assert (ours - theirs.detach()).norm() <= 0.02 * (ours - start).norm()


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (16, 16)], ids=str)
def test_orthogonalising_brings_singular_values_near_one_and_keeps_directions(shape):
    generator = torch.Generator().manual_seed(1)
    matrix = 1e-3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    well_above_0 = values / matrix.norm() > 0.01

    inside = left.mT @ muon.orthogonalise(matrix) @ right.mT

    torch.testing.assert_close(inside, torch.diag(inside.diag()), rtol=0, atol=1e-12)
    assert (inside.diag()[well_above_0] > 0.68).all()
    assert (inside.diag() < 1.14).all()


def test_a_convolution_moves_as_the_matrix_of_its_filters():
    generator = torch.Generator().manual_seed(2)
    param, grad = torch.randn(2, 6, 3, 2, 2, generator=generator, dtype=torch.float64)
    numbers = muon.coefficients(1, **DEFAULTS)

    tensor, _ = muon.update(param, grad, muon.init(param), **numbers)
    matrix = param.reshape(6, 12)
    moved, _ = muon.update(matrix, grad.reshape(6, 12), muon.init(matrix), **numbers)

    assert torch.equal(tensor.reshape(6, 12), moved)


def test_a_vector_moves_by_adamw_at_a_fraction_of_the_scheduled_rate():
    param, grad = torch.tensor([[1.0, -2.0], [0.5, 0.1]], dtype=torch.float64)

    moved, _ = muon.update(param, grad, muon.init(param), **muon.coefficients(1, **DEFAULTS))
    as_adamw = adamw.coefficients(
        1,
        lr=DEFAULTS["lr"] * DEFAULTS["fallback_ratio"],
        beta1=0.9,
        beta2=0.95,
        weight_decay=DEFAULTS["weight_decay"],
        eps=1e-8,
    )

    assert torch.equal(moved, adamw.update(param, grad, adamw.init(param), **as_adamw)[0])
