"""The conformance kit, and what only we know: what sparse initialization leaves."""

import pytest
import torch
from automl_opt.testing import conformance

from automl_opt_acme import init

test_conformance = conformance("acme")


@pytest.mark.parametrize("shape", [(50, 200), (8, 3, 5, 5), (7, 2)])
def test_every_unit_hears_so_many_of_those_below_it_or_all(shape):
    weight = torch.empty(shape)

    init(weight, torch.Generator().manual_seed(0), connections=15, gain=1.0)

    heard = (weight.flatten(1) != 0).sum(1)
    assert heard.tolist() == [min(15, weight[0].numel())] * shape[0]


def test_no_input_is_preferred():
    weight = torch.empty(20_000, 10)

    init(weight, torch.Generator().manual_seed(0), connections=2, gain=1.0)

    share = (weight != 0).double().mean(0)
    torch.testing.assert_close(share, torch.full_like(share, 0.2), atol=0.01, rtol=0.0)
