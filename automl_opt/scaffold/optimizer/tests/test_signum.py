"""The conformance kit, and what only we know: what Signum computes."""

import torch
from automl_opt.testing import conformance

from automl_opt_acme import init, update

test_conformance = conformance("acme")


def test_the_second_step_follows_the_sign_of_the_mean_of_two_gradients():
    param = torch.tensor([1.0, -2.0, 3.0])
    state = init(param)
    numbers = {"lr": 0.1, "beta": 0.5, "weight_decay": 0.0}

    param, state = update(param, torch.tensor([4.0, -1.0, 0.0]), state, **numbers)
    param, state = update(param, torch.tensor([-1.0, -1.0, 0.0]), state, **numbers)

    # by hand: the mean is (2, -0.5, 0), then (0.5, -0.75, 0)
    torch.testing.assert_close(state["mean"], torch.tensor([0.5, -0.75, 0.0]))
    torch.testing.assert_close(param, torch.tensor([0.8, -1.8, 3.0]))


def test_weights_decay_by_the_learning_rate_times_the_decay():
    param = torch.tensor([2.0])

    moved, _ = update(param, torch.zeros(1), init(param), lr=0.1, beta=0.9, weight_decay=0.5)

    torch.testing.assert_close(moved, torch.tensor([1.9]))
