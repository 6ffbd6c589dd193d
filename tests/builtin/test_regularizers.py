"""Every regularizer against a closed form, torch's own function, or a case worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from automl_opt.builtin.regularizers import (
    clip_norm,
    dropout,
    early_stopping,
    l1,
    l2,
    label_smoothing,
)
from automl_opt.plugin.host import load_host

REGULARIZERS = load_host(allow=()).catalog.components("regularizer")
CLOSE = {"rtol": 1e-13, "atol": 1e-13}


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    "regularizer", [c for c in REGULARIZERS if c.spec.loss], ids=lambda c: c.id
)
@pytest.mark.parametrize("sample", range(4))
def test_a_loss_term_is_added_to_whatever_the_loss_already_is(regularizer, sample, draw):
    """So the order of loss terms in a recipe does not matter."""
    loss = regularizer.code(regularizer.spec.loss)
    params = draw(regularizer.spec, sample)
    given = [normal(3, 4)], normal(8, 5), torch.arange(8) % 5

    low, high = (loss(torch.tensor(v, dtype=torch.float64), *given, **params) for v in (1.0, 3.0))

    torch.testing.assert_close(high - low, torch.tensor(2.0, dtype=torch.float64), **CLOSE)


@pytest.mark.parametrize(
    "regularizer", [c for c in REGULARIZERS if c.spec.loss], ids=lambda c: c.id
)
def test_a_loss_term_of_k_models_together_is_that_of_each_alone(regularizer, draw):
    loss = regularizer.code(regularizer.spec.loss)
    params = draw(regularizer.spec, 0)
    values, weights, outputs = normal(3), normal(3, 4, 5, seed=1), normal(3, 8, 5, seed=2)
    y = torch.arange(8) % 5

    together = torch.vmap(lambda v, w, o: loss(v, [w], o, y, **params))(values, weights, outputs)

    alone = [loss(v, [w], o, y, **params) for v, w, o in zip(values, weights, outputs, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone), **CLOSE)


@pytest.mark.parametrize("strength", [1e-6, 1e-3, 1.0])
def test_the_gradient_of_l1_is_the_sign_of_the_weight(strength):
    weights = [normal(3, 4).requires_grad_(), normal(4, 2, seed=1).requires_grad_()]
    weights[0].data[0, 0] = 0.0

    l1.loss(torch.zeros(()), weights, None, None, strength=strength).backward()

    for weight in weights:
        torch.testing.assert_close(weight.grad, strength * weight.detach().sign(), **CLOSE)


@pytest.mark.parametrize("strength", [1e-6, 1e-3, 0.1])
def test_l2_trains_like_the_weight_decay_of_torch_sgd(strength):
    x, y = normal(16, 4), normal(16, 2, seed=1)
    ours, theirs = (normal(4, 2, seed=2).requires_grad_() for _ in range(2))
    plain = torch.optim.SGD([ours], lr=0.1, momentum=0.9)
    decaying = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, weight_decay=strength)

    for _ in range(50):
        plain.zero_grad()
        value = ((x @ ours - y) ** 2).mean()
        l2.loss(value, [ours], None, None, strength=strength).backward()
        plain.step()
        decaying.zero_grad()
        ((x @ theirs - y) ** 2).mean().backward()
        decaying.step()

    torch.testing.assert_close(ours, theirs, **CLOSE)


def test_l2_adds_half_the_sum_of_squares():
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0]])]

    value = l2.loss(torch.tensor(5.0), weights, None, None, strength=0.1)

    assert value.item() == pytest.approx(5 + 0.1 / 2 * 14)


@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.1, 0.3])
@pytest.mark.parametrize(
    ("outputs", "y"),
    [
        (normal(8, 5), torch.arange(8) % 5),
        (1e3 * normal(8, 5), torch.arange(8) % 5),
        (normal(2, 5, 3, 4), torch.arange(24).reshape(2, 3, 4) % 5),
        (normal(5), torch.tensor(2)),
        (normal(8, 5), normal(8, 5, seed=1).softmax(1)),
    ],
    ids=["batch", "large logits", "images", "one example", "probabilities"],
)
def test_label_smoothing_equals_that_of_torch(outputs, y, epsilon):
    value = functional.cross_entropy(outputs, y)

    smoothed = label_smoothing.loss(value, [], outputs, y, epsilon=epsilon)

    expected = functional.cross_entropy(outputs, y, label_smoothing=epsilon)
    torch.testing.assert_close(smoothed, expected, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_label_smoothing_equals_that_of_torch():
    outputs, y = normal(8, 5).requires_grad_(), torch.arange(8) % 5
    value = functional.cross_entropy(outputs, y)

    smoothed = label_smoothing.loss(value, [], outputs, y, epsilon=0.1)

    (ours,) = torch.autograd.grad(smoothed, outputs)
    expected = functional.cross_entropy(outputs, y, label_smoothing=0.1)
    (theirs,) = torch.autograd.grad(expected, outputs)
    torch.testing.assert_close(ours, theirs, **CLOSE)


def test_label_smoothing_is_for_cross_entropy_only():
    assert label_smoothing.spec.losses == ("cross_entropy",)


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 10.0, 1000.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_clip_norm_equals_that_of_torch(max_norm, size):
    parameters = [nn.Parameter(normal(3, 4)), nn.Parameter(normal(4)), nn.Parameter(normal())]
    grads = [size * normal(*p.shape, seed=seed) for seed, p in enumerate(parameters)]
    kept = [grad.clone() for grad in grads]
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = grad.clone()
    nn.utils.clip_grad_norm_(parameters, max_norm)

    clipped = clip_norm.grads(grads, max_norm=max_norm)

    for ours, parameter in zip(clipped, parameters, strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-14, atol=0)
    assert all(map(torch.equal, grads, kept))


def test_clip_norm_of_k_models_together_is_that_of_each_alone():
    first, second = 10.0 ** torch.arange(-1, 2)[:, None] * normal(3, 4), normal(3, 2, 2, seed=1)

    together = torch.vmap(lambda a, b: clip_norm.grads([a, b], max_norm=1.0))(first, second)

    for k in range(3):
        alone = clip_norm.grads([first[k], second[k]], max_norm=1.0)
        torch.testing.assert_close([grads[k] for grads in together], alone, **CLOSE)


def test_clip_norm_of_no_gradients_is_none():
    assert clip_norm.grads([], max_norm=1.0) == []


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout])
def test_dropout_sets_p_in_every_dropout_a_model_has_and_adds_none(kind):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Sequential(kind(0.9), nn.ReLU()), kind())
    names = [name for name, _ in model.named_modules()]

    changed = dropout.model(model, p=0.3)

    assert [m.p for m in changed.modules() if isinstance(m, kind)] == [0.3, 0.3]
    assert [name for name, _ in changed.named_modules()] == names


@pytest.mark.parametrize(
    "activation",
    [nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.PReLU],
)
def test_dropout_follows_every_hidden_activation_of_a_model_without_any(activation):
    model = nn.Sequential(
        nn.Linear(4, 8),
        activation(),
        nn.ModuleDict({"inner": nn.Sequential(nn.Linear(8, 8), activation())})["inner"],
        nn.Linear(8, 3),
    )
    plain = model.eval()(torch.ones(2, 4))

    changed = dropout.model(model.train(), p=0.4)

    pairs = [m for m in changed.modules() if isinstance(m, nn.Sequential) and len(m) == 2]
    pairs = [m for m in pairs if isinstance(m[0], activation)]
    assert [(type(m[1]), m[1].p) for m in pairs] == [(nn.Dropout, 0.4)] * 2
    assert all(m.training for m in changed.modules())
    torch.testing.assert_close(changed.eval()(torch.ones(2, 4)), plain)


def test_dropout_is_felt_in_training_and_not_in_evaluation():
    model = dropout.model(nn.Sequential(nn.Linear(4, 64), nn.Sigmoid(), nn.Flatten()), p=0.5)
    x = torch.ones(8, 4)

    dropped = (model.train()(x) == 0).float().mean().item()

    assert 0.3 < dropped < 0.7
    assert (model.eval()(x) != 0).all()


def test_dropout_put_into_a_model_in_evaluation_mode_is_in_evaluation_mode():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)).eval()

    changed = dropout.model(model, p=0.4)

    assert not any(module.training for module in changed.modules())


def test_dropout_follows_a_shared_activation_at_each_of_its_places():
    shared = nn.PReLU()
    model = nn.Sequential(nn.Linear(4, 4), shared, nn.Linear(4, 4), shared, nn.Linear(4, 4))

    changed = dropout.model(model, p=0.4)

    assert changed[1] is changed[3]
    assert [type(m) for m in changed[1]] == [nn.PReLU, nn.Dropout]
    assert changed[1][0] is shared
    assert sum(isinstance(m, nn.Dropout) for m in changed.modules()) == 1


def test_dropout_reaches_a_block_that_is_used_twice_only_once():
    block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    model = nn.Sequential(block, block, nn.Linear(4, 2))

    changed = dropout.model(model, p=0.4)

    assert [type(m) for m in changed[0][1]] == [nn.ReLU, nn.Dropout]
    assert changed[0] is changed[1]


def test_dropout_leaves_the_activation_that_makes_the_prediction_alone():
    head = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    model = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), head)

    changed = dropout.model(model, p=0.4)

    assert type(changed[2][1]) is nn.Sigmoid
    assert type(changed[1]) is nn.Sequential


class HandWritten(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 2)
        self.activation = nn.GELU()

    def forward(self, x):
        return self.second(self.activation(self.first(self.activation(x))))


def test_dropout_follows_the_activation_of_a_module_written_by_hand():
    changed = dropout.model(HandWritten(), p=0.4)

    assert [type(m) for m in changed.activation] == [nn.GELU, nn.Dropout]
    assert changed(torch.ones(2, 4)).shape == (2, 2)


def test_dropout_leaves_the_trained_parameters_the_very_same():
    model = nn.Sequential(nn.Linear(4, 4), nn.PReLU(), nn.Linear(4, 4))
    before = list(model.parameters())

    after = list(dropout.model(model, p=0.4).parameters())

    assert all(a is b for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "model",
    [nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), nn.ReLU()],
    ids=["no activation", "only the prediction's", "nothing else"],
)
def test_dropout_says_what_to_do_when_it_finds_no_place(model):
    with pytest.raises(ValueError, match=r"neither a dropout module nor an activation .*give it"):
        dropout.model(model, p=0.4)


@pytest.mark.parametrize(
    ("history", "stops"),
    [
        ([], False),
        ([1.0], False),
        ([1.0, 0.9, 0.8, 0.7], False),
        ([1.0, 1.1, 1.2], False),
        ([1.0, 1.1, 1.2, 1.3], True),
        ([1.0, 1.0, 1.0, 1.0], True),
        ([1.0, 1.1, 1.2, 0.5], False),
        ([1.0, 1.1, 1.2, 0.5, 0.6, 0.6, 0.6], True),
        ([1.0, 0.95, 0.94, 0.93], True),  # never a tenth better than 1.0
        ([1.0, 0.95, 0.94, 0.89], False),  # slow, but now it is
        ([1.0, math.nan, math.nan, math.nan], True),
        ([math.nan, math.nan, 1.0], False),
    ],
)
def test_early_stopping_stops_after_three_epochs_without_a_tenth_gained(history, stops):
    assert early_stopping.stop(history, patience=3, min_delta=0.1) is stops
