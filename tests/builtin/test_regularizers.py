"""Every regularizer against a closed form, torch's own function, or a case worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import polygamma
from scipy.stats import beta
from torch import nn
from torch.nn import functional

from automl_opt.api.regularizer import HOOKS
from automl_opt.builtin.regularizers import (
    adaptive_clipping,
    adversarial,
    batch_norm,
    clip_norm,
    clip_value,
    cutmix,
    dropout,
    early_stopping,
    elastic_net,
    ema,
    gradient_noise,
    l1,
    l2,
    label_smoothing,
    max_norm,
    mixup,
    proximal_l1,
    stochastic_depth,
    swa,
)
from automl_opt.builtin.regularizers.layers import BatchNormLast, DropPath
from automl_opt.builtin.regularizers.shares import symmetric_beta
from automl_opt.plugin.host import load_host

REGULARIZERS = load_host(allow=()).catalog.components("regularizer")
CLOSE = {"rtol": 1e-13, "atol": 1e-13}


def having(hook):
    found = [c for c in REGULARIZERS if getattr(c.spec, hook)]
    return pytest.mark.parametrize("regularizer", found, ids=lambda c: c.id)


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@having("loss")
@pytest.mark.parametrize("sample", range(4))
def test_a_loss_term_is_added_to_whatever_the_loss_already_is(regularizer, sample, draw):
    """So the order of loss terms in a recipe does not matter."""
    loss = regularizer.code(regularizer.spec.loss)
    params = draw(regularizer.spec, sample)
    given = [normal(3, 4)], normal(8, 5), torch.arange(8) % 5

    low, high = (loss(torch.tensor(v, dtype=torch.float64), *given, **params) for v in (1.0, 3.0))

    torch.testing.assert_close(high - low, torch.tensor(2.0, dtype=torch.float64), **CLOSE)


@having("loss")
def test_a_loss_term_of_k_models_together_is_that_of_each_alone(regularizer, draw):
    loss = regularizer.code(regularizer.spec.loss)
    params = draw(regularizer.spec, 0)
    values, weights, outputs = normal(3), normal(3, 4, 5, seed=1), normal(3, 8, 5, seed=2)
    y = torch.arange(8) % 5

    together = torch.vmap(lambda v, w, o: loss(v, [w], o, y, **params))(values, weights, outputs)

    alone = [loss(v, [w], o, y, **params) for v, w, o in zip(values, weights, outputs, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone), **CLOSE)


def same_bits(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@having("grads")
@pytest.mark.parametrize("sample", range(3))
def test_a_grads_hook_leaves_what_it_is_given_as_it_was(regularizer, sample, draw):
    grads = regularizer.code(regularizer.spec.grads)
    parameters = [normal(3, 4, seed=5).requires_grad_(), normal(3, seed=6).requires_grad_()]
    given = [10 * normal(3, 4), 10 * normal(3, seed=1)]
    kept = [tensor.clone() for tensor in given]

    torch.manual_seed(0)
    once = grads(given, parameters, **draw(regularizer.spec, sample))
    torch.manual_seed(0)
    again = grads(given, parameters, **draw(regularizer.spec, sample))

    assert same_bits(given, kept)
    assert same_bits(once, again)
    assert not same_bits(once, given)
    assert not any(grad.requires_grad for grad in once)


@having("grads")
def test_gradients_of_k_models_together_come_out_as_those_of_each_alone(regularizer, draw):
    grads, params = regularizer.code(regularizer.spec.grads), draw(regularizer.spec, 0)
    sizes = 10.0 ** torch.arange(-1, 2)
    first, second = sizes[:, None, None] * normal(3, 2, 4), sizes[:, None] * normal(3, 2, seed=1)
    owners = normal(3, 2, 4, seed=2), normal(3, 2, seed=3)

    torch.manual_seed(0)
    together = torch.vmap(lambda *t: grads(t[:2], t[2:], **params), randomness="same")(
        first, second, *owners
    )

    for k in range(3):
        torch.manual_seed(0)  # "same": each of the K draws what one alone would
        alone = grads([first[k], second[k]], [owner[k] for owner in owners], **params)
        torch.testing.assert_close([grad[k] for grad in together], alone, **CLOSE)


@having("weights")
def test_a_weights_hook_changes_k_models_together_as_it_does_each_alone(regularizer, draw):
    weights, params = regularizer.code(regularizer.spec.weights), draw(regularizer.spec, 0)
    together = 3 * normal(4, 3, 5)
    alone = together.clone()

    with torch.no_grad():
        torch.vmap(lambda w: (weights([w], 0.5, **params), w)[1])(together)
        for weight in alone:
            weights([weight], 0.5, **params)

    torch.testing.assert_close(together, alone, **CLOSE)
    assert not torch.equal(together, 3 * normal(4, 3, 5))


def used(hook, code, params):
    """What *hook* makes of some numbers, and what it was given of the same kind."""
    torch.manual_seed(0)
    if hook == "loss":
        given = torch.tensor(2.0, dtype=torch.float64), [normal(3, 4)], normal(8, 5)
        return [code(*given, torch.arange(8) % 5, **params)], [given[0]]
    if hook == "grads":
        given = [1e3 * normal(3, 4), 1e3 * normal(3, seed=1), torch.zeros(2, 2)]
        return code(given, [torch.zeros_like(g) for g in given], **params), given
    if hook == "weights":
        weights = [1e3 * normal(3, 4), torch.zeros(2, 2)]
        given = [weight.clone() for weight in weights]
        code(weights, 0.5, **params)
        return weights, given
    if hook == "attack":
        return [code(normal(3, 4), normal(3, 4, seed=1), **params)], [normal(3, 4)]
    if hook == "average":
        shares = [code(step, 100, **params) for step in range(100)]
        return shares, [None if share is None else 1.0 for share in shares]
    if hook == "stop":
        return [code([1.0] * 1000, **params)], [False]
    assert hook == "model"
    block = nn.Module()
    block.residual = nn.Linear(4, 4)
    block.forward = lambda x: x + block.residual(x)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), block, nn.Linear(4, 2)).double()
    plain = model(normal(6, 4))
    return [code(model, **params)(normal(6, 4))], [plain]


@pytest.mark.parametrize(
    "regularizer", [c for c in REGULARIZERS if c.spec.identity], ids=lambda c: c.id
)
def test_at_its_identity_a_regularizer_changes_nothing(regularizer, draw):
    spec = regularizer.spec
    params = draw(spec, 1) | dict(spec.identity)

    for hook, code in spec.hooks().items():
        made, given = used(hook, regularizer.code(code), params)
        for one, other in zip(made, given, strict=True):
            same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
            assert same, hook


@pytest.mark.parametrize(
    ("regularizer", "name"),
    [(c, name) for c in REGULARIZERS for name in c.spec.generalises],
    ids=lambda value: value if isinstance(value, str) else value.id,
)
def test_a_regularizer_does_exactly_what_those_it_generalises_do(regularizer, name, draw):
    spec = regularizer.spec
    other = next(c for c in REGULARIZERS if c.spec.name == name)
    params = draw(spec, 1)

    for hook, code in other.spec.hooks().items():
        mine = regularizer.code(getattr(spec, hook))
        theirs, _ = used(hook, other.code(code), {k: params[k] for k in other.spec.params})
        made, _ = used(hook, mine, params | dict(spec.generalises[name]))
        assert same_bits(made, theirs)


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

    clipped = clip_norm.grads(grads, parameters, max_norm=max_norm)

    for ours, parameter in zip(clipped, parameters, strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-14, atol=0)
    assert all(map(torch.equal, grads, kept))


def test_clip_norm_of_no_gradients_is_none():
    assert clip_norm.grads([], [], max_norm=1.0) == []


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


def test_elastic_net_adds_both_penalties_in_their_ratio():
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0]])]

    value = elastic_net.loss(torch.tensor(5.0), weights, None, None, strength=0.1, l1_ratio=0.25)

    assert value.item() == pytest.approx(5 + 0.1 * (0.25 * 6 + 0.75 / 2 * 14))


@pytest.mark.parametrize("strength", [1e-3, 0.1])
def test_proximal_l1_is_soft_shrinkage_and_leaves_exact_zeros(strength):
    weight = nn.Parameter(0.01 * normal(30, 20))
    before = weight.detach().clone()

    with torch.no_grad():
        proximal_l1.weights([weight], 0.5, strength=strength)

    torch.testing.assert_close(weight.data, functional.softshrink(before, 0.5 * strength), **CLOSE)
    assert torch.equal(weight == 0, before.abs() <= 0.5 * strength)
    assert (weight == 0).any()


def test_proximal_l1_finds_the_minimum_of_the_lasso():
    """Of half the squared distance to b plus s · |w|_1, known in closed form."""
    target, weight = normal(4, 5), nn.Parameter(torch.zeros(4, 5, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.3)

    for _ in range(200):
        optimizer.zero_grad()
        (0.5 * (weight - target) ** 2).sum().backward()
        optimizer.step()
        with torch.no_grad():
            proximal_l1.weights([weight], 0.3, strength=0.4)

    torch.testing.assert_close(weight.data, functional.softshrink(target, 0.4), **CLOSE)


@pytest.mark.parametrize("shape", [(6, 4), (5, 3, 3, 3), (4, 2, 3)])
@pytest.mark.parametrize("limit", [0.5, 2.0, 4.0])
def test_max_norm_equals_the_renorm_of_torch(shape, limit):
    weight = 2 * normal(*shape)
    expected = torch.renorm(weight, 2, 0, limit)
    short = weight.flatten(1).norm(dim=1) <= limit
    kept = weight[short].clone()

    max_norm.weights([weight], 0.1, max_norm=limit)

    torch.testing.assert_close(weight, expected, rtol=1e-6, atol=0)  # torch adds 1e-7 to the norm
    assert torch.equal(weight[short], kept)
    assert weight.flatten(1).norm(dim=1).max() <= limit * (1 + 1e-12)


def test_max_norm_leaves_a_unit_without_weights_at_0():
    weight = torch.zeros(2, 3)

    max_norm.weights([weight], 0.1, max_norm=1.0)

    assert torch.equal(weight, torch.zeros(2, 3))


@pytest.mark.parametrize("limit", [1e-3, 0.5, 100.0])
def test_clip_value_equals_that_of_torch(limit):
    parameter = nn.Parameter(normal(3, 4))
    parameter.grad = normal(3, 4, seed=1)
    given = [parameter.grad.clone()]
    nn.utils.clip_grad_value_([parameter], limit)

    (clipped,) = clip_value.grads(given, [parameter], max_value=limit)

    assert torch.equal(clipped, parameter.grad)


@pytest.mark.parametrize("clip", [clip_norm, clip_value, adaptive_clipping])
def test_clipping_does_not_hide_a_gradient_that_is_not_a_number(clip, draw):
    grad = torch.tensor([[1.0, math.nan]])

    (clipped,) = clip.grads([grad], [torch.ones(1, 2)], **draw(clip.spec, 0))

    assert clipped.isnan().any()


def test_adaptive_clipping_by_hand():
    """At 0.1 a unit's gradient may be a tenth as long as its weights, or as 1e-3."""
    weight = torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    grad = torch.tensor([[6.0, 8.0], [0.3, -0.4], [0.0, 1.0]], dtype=torch.float64)
    bias = torch.tensor([0.6, 0.8], dtype=torch.float64)

    clipped = adaptive_clipping.grads([grad, 5 * bias], [weight, bias], clipping=0.1)

    by_hand = [[0.3, 0.4], [0.3, -0.4], [0.0, 1e-4]]
    torch.testing.assert_close(clipped[0], torch.tensor(by_hand, dtype=torch.float64), **CLOSE)
    torch.testing.assert_close(clipped[1], 0.1 * bias, **CLOSE)


@pytest.mark.parametrize("shape", [(), (7,), (6, 4), (4, 2, 3), (5, 3, 3, 3)])
@pytest.mark.parametrize("clipping", [1e-3, 1e-2, 1.0])
def test_adaptive_clipping_bounds_each_unit_by_its_own_weights(shape, clipping):
    weight, grad = normal(*shape), 10.0 ** normal(*shape, seed=1) * normal(*shape, seed=2)

    (clipped,) = adaptive_clipping.grads([grad], [weight], clipping=clipping)

    units = shape[0] if len(shape) > 1 else 1
    for w, g, c in zip(*(t.reshape(units, -1) for t in (weight, grad, clipped)), strict=True):
        longest = clipping * max(w.norm().item(), 1e-3)
        expected = g if g.norm() <= longest else g * longest / g.norm()
        torch.testing.assert_close(c, expected, **CLOSE)


@pytest.mark.parametrize("std", [1e-4, 0.01, 1.0])
def test_gradient_noise_is_normal_with_its_standard_deviation_and_mean_0(std):
    torch.manual_seed(0)
    grad = normal(300, 200)

    (noisy,) = gradient_noise.grads([grad], [grad], std=std)

    noise = (noisy - grad).flatten() / std
    assert abs(noise.mean().item()) < 5 / math.sqrt(noise.numel())
    assert noise.std().item() == pytest.approx(1, rel=0.02)
    assert (noise**4).mean().item() == pytest.approx(3, rel=0.05)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 2.0])
def test_the_share_of_a_mixture_has_a_beta_distribution(alpha):
    generator = rng()
    drawn = torch.stack([symmetric_beta(alpha, generator) for _ in range(4000)]).double()

    assert drawn.isfinite().all()
    for at in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        expected = beta.cdf(at, alpha, alpha)
        error = 5 * math.sqrt(expected * (1 - expected) / len(drawn)) + 1e-3
        assert (drawn <= at).double().mean().item() == pytest.approx(expected, abs=error)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_the_logit_of_a_share_has_twice_the_variance_of_a_log_gamma_variable(alpha):
    """As the share is X / (X + Y) of two gamma variables; it tells alphas apart sharply."""
    generator = rng()
    drawn = torch.stack([symmetric_beta(alpha, generator) for _ in range(10_000)]).double()

    variance = drawn.logit().var().item()

    assert variance == pytest.approx(2 * polygamma(1, alpha), rel=0.05)


@having("mix")
@pytest.mark.parametrize("sample", range(4))
def test_a_mixture_is_decided_by_the_generator_and_changes_no_input(regularizer, sample, draw):
    mix, params = regularizer.code(regularizer.spec.mix), draw(regularizer.spec, sample)
    x, y = normal(16, 3, 8, 8), torch.arange(16)
    before = torch.random.get_rng_state()

    first, again, other = (mix(x, y, rng(seed), **params) for seed in (1, 1, 2))

    assert same_bits(first, again)
    assert not torch.equal(first[1], other[1])
    assert torch.equal(x, normal(16, 3, 8, 8))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert sorted(first[1].tolist()) == list(range(16))
    assert 0 <= first[2] <= 1


@pytest.mark.parametrize("seed", range(5))
def test_mixup_adds_inputs_in_the_shares_of_their_targets(seed):
    x, y = normal(16, 5), torch.arange(16)

    mixed, other, share = mixup.mix(x, y, rng(seed), alpha=1.0)

    expected = share.item() * x + (1 - share.item()) * x[other]
    torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-6)  # the share is a float32
    assert mixed.dtype == x.dtype


@pytest.mark.parametrize("x", [torch.arange(6), {"a": torch.ones(3)}], ids=["tokens", "a dict"])
def test_mixup_says_what_to_do_about_inputs_without_a_mean(x):
    with pytest.raises(ValueError, match=r"mixup: .*real numbers, not (torch.int64|dict); turn x"):
        mixup.mix(x, torch.arange(6), rng(), alpha=0.2)


@pytest.mark.parametrize("shape", [(32, 3, 9, 12), (32, 8, 8)])
@pytest.mark.parametrize("seed", range(8))
def test_cutmix_pastes_one_box_and_shares_by_the_area_left(shape, seed):
    x, y = torch.arange(32.0)[(...,) + (None,) * (len(shape) - 1)].expand(shape), torch.arange(32)

    mixed, other, share = cutmix.mix(x, y, rng(seed), alpha=1.0)

    moved = next(i for i in range(32) if other[i] != i)
    pasted = mixed[moved] != x[moved]
    inside = pasted.reshape(-1, *shape[-2:])[0]
    assert torch.equal(pasted, inside.expand(pasted.shape))
    rows, columns = inside.any(1), inside.any(0)
    assert torch.equal(inside, rows[:, None] & columns)
    for line in (rows, columns):  # without a gap
        assert (line.int().diff() == 1).sum() + line[0] <= 1
    assert share.item() == pytest.approx(1 - inside.double().mean().item(), abs=1e-6)
    for image, own, theirs in zip(mixed, y, other, strict=True):
        assert torch.equal(image, torch.where(inside, theirs.float(), own.float()).expand_as(image))


def test_cutmix_cuts_the_share_that_it_drew_where_the_box_fits():
    """The share that comes back is never below the drawn one: the edge only takes away."""
    x, y = normal(4, 64, 64), torch.arange(4)

    for seed in range(30):
        drawn = symmetric_beta(1.0, rng(seed)).item()
        share = cutmix.mix(x, y, rng(seed), alpha=1.0)[2].item()
        assert share >= drawn - 1e-6


@pytest.mark.parametrize("shape", [(8, 5), (8,), (2, 3, 4, 4, 4)])
def test_cutmix_says_what_to_do_about_what_is_no_image(shape):
    with pytest.raises(ValueError, match=r"cutmix: x must be images.*give the images this shape"):
        cutmix.mix(normal(*shape), torch.arange(shape[0]), rng(), alpha=1.0)


def test_the_attack_is_the_fast_gradient_sign_method():
    x, slope = normal(4, 3), normal(4, 3, seed=1)
    slope[0, 0] = 0.0

    attacked = adversarial.attack(x, slope, epsilon=0.1)

    torch.testing.assert_close(attacked, x + 0.1 * torch.sign(slope), **CLOSE)
    assert attacked[0, 0] == x[0, 0]


def test_the_attack_raises_a_linear_loss_as_far_as_any_step_of_its_size_can():
    x, slope = normal(6), normal(6, seed=1)

    attacked = adversarial.attack(x, slope, epsilon=0.1)

    gained = slope @ (attacked - x)
    torch.testing.assert_close(gained, 0.1 * slope.abs().sum(), **CLOSE)


def averaged(average, values, **params):
    mean = None
    for step, value in enumerate(values):
        share = average(step, len(values), **params)
        if share is not None:
            mean = value if mean is None else mean + share * (value - mean)
    return mean


@pytest.mark.parametrize("start", [0.5, 0.75, 0.95])
@pytest.mark.parametrize("steps", [1, 7, 40])
def test_swa_gives_the_mean_of_the_last_weights(start, steps):
    values = normal(steps)

    mean = averaged(swa.average, values, start=start)

    torch.testing.assert_close(mean, values[int(start * steps) :].mean(), **CLOSE)


def test_swa_before_its_start_changes_nothing():
    assert [swa.average(step, 8, start=0.5) for step in range(8)] == [
        *(None,) * 4,
        *(1, 1 / 2, 1 / 3, 1 / 4),
    ]


def test_ema_follows_its_warm_up_and_then_its_decay():
    shares = [ema.average(step, 1000, decay=0.9) for step in range(1000)]

    assert shares[:2] == pytest.approx([1 - 1 / 10, 1 - 2 / 11])
    assert shares[80:] == pytest.approx([0.1] * 920)  # 81 / 90 is 0.9
    assert all(share > 0.1 for share in shares[:80])


def test_ema_equals_the_average_of_torch_once_warm():
    values = normal(50)
    theirs = values[0].clone()
    update = torch.optim.swa_utils.get_ema_avg_fn(0.9)

    ours = values[0]
    for step, value in enumerate(values[1:], 1000):
        theirs = update(theirs, value, None)
        ours = ours + ema.average(step, 2000, decay=0.9) * (value - ours)

    torch.testing.assert_close(ours, theirs, **CLOSE)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.Linear(4, 6), BatchNormLast, (32, 4)),
        (nn.Linear(4, 6), BatchNormLast, (8, 6, 4)),  # [batch, time, features], 6 of each
        (nn.Conv1d(4, 6, 3), nn.BatchNorm1d, (8, 4, 9)),
        (nn.Conv2d(4, 6, 3), nn.BatchNorm2d, (8, 4, 9, 9)),
        (nn.ConvTranspose2d(4, 6, 3), nn.BatchNorm2d, (8, 4, 5, 5)),
        (nn.Conv3d(4, 6, 2), nn.BatchNorm3d, (4, 4, 5, 5, 5)),
    ],
    ids=str,
)
def test_batch_norm_gives_every_feature_mean_0_and_variance_1(layer, norm, shape):
    model = nn.Sequential(layer, nn.Tanh(), nn.Flatten()).double()

    changed = batch_norm.model(model)

    assert [type(m) for m in changed[0]] == [type(layer), norm]
    out = changed[0](3 + 2 * normal(*shape))
    out = out.movedim(1 if "Conv" in type(layer).__name__ else -1, 0).flatten(1)
    torch.testing.assert_close(out.mean(1), torch.zeros(6).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(out.var(1, correction=0), torch.ones(6).double(), rtol=0, atol=0.01)


def test_the_layer_before_a_batch_norm_loses_its_bias_and_no_other_does():
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))

    changed = batch_norm.model(model)

    assert [type(m) for m in changed[1]] == [nn.Linear, BatchNormLast]
    assert changed[1][0].bias is None
    assert changed[0].bias is not None
    assert changed[3].bias is not None


def test_batch_norm_goes_into_sequences_within_sequences_and_modules_of_ones_own():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.GELU()))
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.body(x))

    changed = batch_norm.model(nn.Sequential(Own()).eval())

    assert [type(m) for m in changed[0].body[0][0]] == [nn.Linear, BatchNormLast]
    assert not any(module.training for module in changed.modules())
    assert changed(torch.ones(2, 4)).shape == (2, 2)


def test_batch_norm_leaves_the_layer_that_makes_the_prediction_alone():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Sequential(nn.Linear(4, 1), nn.Tanh()))

    changed = batch_norm.model(model)

    assert type(changed[2][0]) is nn.Linear
    assert sum(isinstance(m, BatchNormLast) for m in changed.modules()) == 1


def test_a_layer_used_twice_gets_one_batch_norm():
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(4, 2))

    changed = batch_norm.model(model)

    assert changed[0] is changed[2]
    assert sum(isinstance(m, BatchNormLast) for m in changed.modules()) == 1


@pytest.mark.parametrize("order", [(batch_norm, dropout), (dropout, batch_norm)], ids=["bd", "db"])
def test_batch_norm_and_dropout_give_one_model_in_either_order(order):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))

    for regularizer in order:
        model = regularizer.model(model, **({"p": 0.3} if regularizer is dropout else {}))

    leaves = [type(m) for m in model.modules() if not isinstance(m, nn.Sequential)]
    assert leaves == 2 * [nn.Linear, BatchNormLast, nn.ReLU, nn.Dropout] + [nn.Linear]


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()),
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)),
        HandWritten(),
    ],
    ids=["only the prediction's", "there already", "order not seen"],
)
def test_batch_norm_says_what_to_do_when_it_finds_no_place(model):
    with pytest.raises(
        ValueError, match=r"batch_norm: .* has no linear layer .*; write such pairs"
    ):
        batch_norm.model(model)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.residual = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, x):
        return x + self.residual(x)


def test_stochastic_depth_drops_deep_residuals_more_often():
    model = nn.Sequential(nn.Linear(4, 4), *(Block() for _ in range(4)), nn.Linear(4, 2))
    plain = model.eval()(torch.ones(2, 4))

    changed = stochastic_depth.model(model.train(), p=0.4)

    paths = [m for m in changed.modules() if isinstance(m, DropPath)]
    assert [path.drop_prob for path in paths] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert all(m.training for m in changed.modules())
    torch.testing.assert_close(changed.eval()(torch.ones(2, 4)), plain)


def test_a_block_is_skipped_for_whole_examples_and_made_up_for_in_the_others():
    torch.manual_seed(0)
    block = stochastic_depth.model(Block().double(), p=0.25)
    x = normal(4000, 4)
    added = block.eval()(x) - x

    difference = block.train()(x) - x

    dropped = (difference == 0).all(1)
    assert dropped.double().mean().item() == pytest.approx(0.25, abs=0.035)
    torch.testing.assert_close(difference[~dropped], added[~dropped] / 0.75, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch_first", [True, False])
def test_stochastic_depth_drops_branches_of_transformers_for_whole_examples(batch_first):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=batch_first)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    x = torch.randn((50, 3, 4) if batch_first else (3, 50, 4))

    changed = stochastic_depth.model(encoder, p=0.5)

    paths = [m for m in changed.modules() if isinstance(m, DropPath)]
    assert [path.drop_prob for path in paths] == [0.25, 0.25, 0.5, 0.5]
    dropped = paths[-1].train()(x).movedim(0 if batch_first else 1, 0).flatten(1) == 0
    assert torch.equal(dropped.all(1), dropped.any(1))
    assert 5 < dropped.all(1).sum() < 45
    assert changed(x).shape == x.shape


@pytest.mark.parametrize(
    ("name", "attribute"), [("DropPath", "drop_prob"), ("StochasticDepth", "p")]
)
def test_stochastic_depth_sets_the_paths_that_a_model_brings(name, attribute):
    """As timm and torchvision have them, neither of which the tests need."""
    kind = type(name, (nn.Module,), {})
    model = nn.Sequential(kind(), nn.Linear(4, 4), kind())
    for path in (model[0], model[2]):
        setattr(path, attribute, 0.0)

    changed = stochastic_depth.model(model, p=0.3)

    assert [getattr(changed[i], attribute) for i in (0, 2)] == [0.15, 0.3]
    assert len(list(changed.modules())) == 4


def test_stochastic_depth_says_what_to_do_when_it_finds_no_place():
    with pytest.raises(
        ValueError, match=r"stochastic_depth: Sequential has no residual .*name the"
    ):
        stochastic_depth.model(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), p=0.2)


def test_dropped_paths_of_k_models_together_are_those_of_each_alone():
    path, x = DropPath(0.5), normal(3, 16, 4)

    torch.manual_seed(0)
    together = torch.vmap(path, randomness="same")(x)

    for k in range(3):
        torch.manual_seed(0)
        torch.testing.assert_close(together[k], path(x[k]), **CLOSE)


def test_there_are_at_least_18_regularizers_and_every_hook_but_batch_has_one():
    hooks = {hook for c in REGULARIZERS for hook in c.spec.hooks()}

    assert len(REGULARIZERS) >= 18
    assert hooks == set(HOOKS) - {"batch"}
