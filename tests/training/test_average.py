"""Averages of weights, against the sums written out and against torch's own AveragedModel."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from automl_opt.training.average import Average
from automl_opt.training.data import TensorSource

from .examples import blobs, mlp, through_a_file

STEPS = 12
SOURCE = TensorSource(*blobs())


def walk(model, averages, steps=range(STEPS)):
    """Move the weights by chance, the same way every time, and tell *averages* of every step."""
    for step in steps:
        source = torch.Generator().manual_seed(step)
        with torch.no_grad():
            for param in model.parameters():
                param += torch.randn(param.shape, generator=source, dtype=param.dtype)
        for average in averages:
            average(step)


def weights(model):
    return [param.detach().clone() for param in model.parameters()]


def network():
    torch.manual_seed(0)
    return mlp().double()


def test_shares_of_one_over_n_are_the_mean_of_the_weights():
    model, seen = network(), []
    average = Average(model, [lambda step, total: 1 / (step + 1)], STEPS)

    walk(model, [average.update, lambda step: seen.append(weights(model))])

    for found, column in zip(
        average.model(SOURCE, 8).parameters(), zip(*seen, strict=True), strict=True
    ):
        torch.testing.assert_close(found.data, torch.stack(column).mean(0), rtol=0, atol=1e-12)


def test_a_fixed_share_is_torchs_exponential_moving_average():
    model = network()
    average = Average(model, [lambda step, total: 0.25], STEPS)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.75))

    walk(model, [average.update, lambda step: theirs.update_parameters(model)])

    for ours, other in zip(
        average.model(SOURCE, 8).parameters(), theirs.module.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-12)


def test_until_an_average_begins_the_model_itself_is_evaluated():
    model = network()
    average = Average(model, [lambda step, total: 0.5 if step >= total - 1 else None], STEPS)

    walk(model, [average.update], range(STEPS - 1))
    assert average.model(SOURCE, 8) is model
    walk(model, [average.update], [STEPS - 1])

    assert average.model(SOURCE, 8) is not model
    torch.testing.assert_close(weights(average.model(SOURCE, 8)), weights(model))


def test_a_second_average_averages_the_first():
    model, first = network(), []
    shares = [lambda step, total: 0.5, lambda step, total: 1 / (step + 1)]
    both, alone = Average(model, shares, STEPS), Average(model, shares[:1], STEPS)

    walk(
        model,
        [both.update, alone.update, lambda step: first.append(weights(alone.model(SOURCE, 8)))],
    )

    for found, column in zip(
        both.model(SOURCE, 8).parameters(), zip(*first, strict=True), strict=True
    ):
        torch.testing.assert_close(found.data, torch.stack(column).mean(0), rtol=0, atol=1e-12)


def test_evaluating_the_average_leaves_the_trained_model_alone():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).double()
    average = Average(model, [lambda step, total: 0.1], STEPS)
    walk(model, [average.update])
    before = copy.deepcopy(model.state_dict())

    average.model(SOURCE, 8)

    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_statistics_of_batch_normalisation_are_those_of_the_averaged_weights():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).double()
    average = Average(model, [lambda step, total: 1 / (step + 1)], STEPS)
    walk(model, [average.update])

    found = average.model(SOURCE, 6)

    theirs = copy.deepcopy(found)
    update_bn([x for x, _ in SOURCE.batches(6)], theirs)
    assert not found.training
    assert found[1].momentum == 0.1
    for ours, other in zip(found.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-12)


def test_other_buffers_are_those_of_the_model():
    model = network()
    model.register_buffer("seen", torch.zeros(()))
    average = Average(model, [lambda step, total: 0.5], STEPS)
    walk(model, [average.update, lambda step: model.seen.add_(1)])

    assert average.model(SOURCE, 8).seen == STEPS


@pytest.mark.parametrize("at", [0, 1, 7])
def test_an_average_goes_on_from_a_checkpoint_to_the_same_bits(at):
    def shares():
        return [lambda s, n: 0.25, lambda s, n: 1 / s if s > n / 2 else None]

    model, again = network(), network()
    undisturbed = Average(model, shares(), STEPS)
    walk(model, [undisturbed.update])
    first = Average(again, shares(), STEPS)
    walk(again, [first.update], range(at))

    second = Average(again, shares(), STEPS)
    second.load_state_dict(through_a_file(first.state_dict()))
    walk(again, [second.update], range(at, STEPS))

    found, expected = second.model(SOURCE, 8), undisturbed.model(SOURCE, 8)
    assert all(map(torch.equal, weights(found), weights(expected)))
