"""The conformance kit, and what only we know: what soft orthogonality computes."""

import torch
from automl_opt.testing import conformance

from automl_opt_acme import loss

test_conformance = conformance("acme")


def penalty(weight):
    nothing = torch.zeros(())
    return float(loss(nothing, [weight], nothing, nothing, strength=1.0))


def test_weights_at_right_angles_and_of_length_1_are_free():
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))

    for weight in (rotation, rotation[:2], rotation[:, :3], rotation.view(4, 2, 1, 2)):
        assert penalty(weight) < 1e-20


def test_two_rows_along_each_other_cost_what_the_formula_says():
    # by hand: W W^T - I is [[3, 2], [2, 0]]
    assert penalty(torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]])) == 9 + 4 + 4
