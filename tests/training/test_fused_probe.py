"""What the probe says of kinds of modules, losses, batches and components; and that it is right."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from automl_opt.training.build import TorchBuilder
from automl_opt.training.fused.probe import Probe

from .examples import BUILTIN, part, recipe, setup, task, trial
from .fused_examples import furthest, live

CHANNELS, SIZE = 2, 8


def flat(*layers):
    """Models of *layers*, each made anew, between one that makes 8 features and 3 classes."""

    def model():
        middle = [make() for make in layers]
        return nn.Sequential(nn.Flatten(), nn.Linear(128, 8), *middle, nn.Linear(8, 3))

    return model


def maps(*layers):
    """Models of *layers* on images, and a last one that makes 3 classes."""

    def model():
        body = nn.Sequential(*[make() for make in layers])
        with torch.no_grad():
            features = body.eval()(torch.zeros(1, CHANNELS, SIZE, SIZE)).numel()
        return nn.Sequential(body, nn.Flatten(), nn.Linear(features, 3))

    return model


def conv():
    return nn.Conv2d(CHANNELS, 4, 3)


class Over(nn.Module):
    """Images as sequences of rows, through *make* and back to classes."""

    def __init__(self, make):
        super().__init__()
        self.inner, self.out = make(), nn.Linear(8, 3)

    def forward(self, x):
        outputs = self.inner(x[:, 0])
        outputs = outputs[0] if isinstance(outputs, tuple) else outputs
        return self.out(outputs.mean(dim=1))


class Attention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x)


class Causal(nn.Module):
    def forward(self, x):
        p = 0.2 if self.training else 0.0
        return nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=p, is_causal=True)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch = nn.Linear(8, 8)

    def forward(self, x):
        return x + self.branch(x).relu()


class FunctionalDropout(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x, 0.3, self.training)


class Noise(nn.Module):
    def forward(self, x):
        return x + 0.1 * torch.randn_like(x) if self.training else x


class Asks(nn.Module):
    """Its control flow hangs on its input."""

    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


class Items(nn.Module):
    def forward(self, x):
        return x * x.mean().item()


class Reassigns(nn.Module):
    """Keeps a running mean by putting a new tensor into the buffer's place."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x - self.mean


class WritesAside(nn.Module):
    """Counts in a tensor that is no buffer."""

    def __init__(self):
        super().__init__()
        self.seen = torch.zeros(8)

    def forward(self, x):
        self.seen += x.detach().mean(0)
        return x - self.seen


class Nonzero(nn.Module):
    def forward(self, x):
        return x.clone().index_put_((torch.nonzero(x[0] > 0)[:, 0],), x.new_zeros(()))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(8, 8)

    def forward(self, x):
        return x


STACKS = {
    "Linear, ReLU": flat(nn.ReLU),
    "ReLU in place": flat(lambda: nn.ReLU(inplace=True)),
    "PReLU": flat(nn.PReLU),
    "GELU, Tanh, Sigmoid, SiLU": flat(nn.GELU, nn.Tanh, nn.Sigmoid, nn.SiLU),
    "a residual branch": flat(Residual),
    "Dropout": flat(lambda: nn.Dropout(0.3)),
    "functional dropout": flat(FunctionalDropout),
    "torch.randn_like": flat(Noise),
    "BatchNorm1d": flat(lambda: nn.BatchNorm1d(8)),
    "LayerNorm": flat(lambda: nn.LayerNorm(8)),
    "RMSNorm": flat(lambda: nn.RMSNorm(8)),
    "Conv2d": maps(conv),
    "Conv2d in groups": maps(lambda: nn.Conv2d(CHANNELS, 4, 3, groups=2)),
    "ConvTranspose2d": maps(lambda: nn.ConvTranspose2d(CHANNELS, 4, 3)),
    "BatchNorm2d": maps(lambda: nn.Conv2d(2, 4, 3, bias=False), lambda: nn.BatchNorm2d(4)),
    "GroupNorm": maps(conv, lambda: nn.GroupNorm(2, 4)),
    "InstanceNorm2d": maps(conv, lambda: nn.InstanceNorm2d(4, affine=True)),
    "MaxPool2d, AvgPool2d": maps(conv, lambda: nn.MaxPool2d(2), lambda: nn.AvgPool2d(2)),
    "AdaptiveAvgPool2d": maps(conv, lambda: nn.AdaptiveAvgPool2d(2)),
    "Upsample": maps(conv, lambda: nn.Upsample(scale_factor=2)),
    "MultiheadAttention": lambda: Over(lambda: Attention(8, 2, batch_first=True)),
    "scaled_dot_product_attention, causal, with dropout": lambda: Over(Causal),
    "TransformerEncoderLayer": lambda: Over(
        lambda: nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True)
    ),
}

REFUSED = {
    "if on a tensor": (flat(Asks), "control flow depends on the data"),
    ".item()": (flat(Items), "asks a tensor"),
    "a buffer put into another's place": (flat(Reassigns), "the buffers of stacked trials"),
    "writing into a tensor of all": (flat(WritesAside), "writes into a tensor"),
    "nonzero": (flat(Nonzero), "the shape of a result depends on the data"),
    "LSTM": (lambda: Over(lambda: nn.LSTM(8, 8, batch_first=True)), "no rule"),
    "GRU": (lambda: Over(lambda: nn.GRU(8, 8, batch_first=True)), "no rule"),
    "spectral norm": (
        flat(lambda: parametrizations.spectral_norm(nn.Linear(8, 8))),
        "no rule",
    ),
    "dropout within torch's attention": (
        lambda: Over(lambda: Attention(8, 2, dropout=0.2, batch_first=True)),
        "draws random numbers",
    ),
    "AlphaDropout": (flat(lambda: nn.AlphaDropout(0.2)), "draws random numbers"),
    "a layer that is not used": (flat(Unused), "not every parameter gets a gradient"),
}


def images(n=42):
    source = torch.Generator().manual_seed(6)
    y = torch.arange(n) % 3
    return torch.randn(n, CHANNELS, SIZE, SIZE, generator=source) + y[:, None, None, None], y


def said(task, **parts):
    one = live(task, trial(recipe(**parts)), setup())
    return Probe(task, one.splits, one.setup, TorchBuilder(BUILTIN)).refusal(one)


@pytest.mark.parametrize("kind", STACKS)
def test_models_that_can_be_stacked_are_and_end_where_they_end_alone(kind):
    made = task(model=STACKS[kind], data=images())

    assert said(made) is None
    slow = part(BUILTIN, "optimizer", "sgd", lr=0.01)
    trials = [trial(recipe(optimizer=slow), number=n) for n in range(2)]
    assert furthest(made, trials, 3) <= 1e-12


@pytest.mark.parametrize("kind", REFUSED)
def test_models_that_cannot_be_stacked_are_told_with_the_reason(kind):
    model, reason = REFUSED[kind]

    found = said(task(model=model, data=images()))

    assert found is not None
    assert re.search(reason, found)


def test_more_than_twenty_kinds_are_asked():
    assert len(STACKS) + len(REFUSED) > 20


def test_a_loss_that_is_no_mean_over_the_batch_is_no_obstacle():
    def total(outputs, y):
        return nn.functional.cross_entropy(outputs, y, reduction="sum")

    made = task(loss=total)

    assert said(made) is None
    assert furthest(made, [trial(recipe(), number=n) for n in range(2)], 3) < 1e-12


def test_a_loss_that_looks_at_its_value_is_told():
    def picky(outputs, y):
        loss = nn.functional.cross_entropy(outputs, y)
        return loss if loss.detach() > 0 else -loss

    assert "control flow depends on the data" in said(task(loss=picky))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"optimizer": "lbfgs", "batch_size": None}, "builtin.lbfgs evaluates the model by itself"),
        ({"optimizer": "sam(adamw)"}, "evaluates the model by itself"),
        ({"regularizers": ("adversarial",)}, "attacks the inputs"),
    ],
    ids=str,
)
def test_components_that_go_beyond_a_gradient_are_told(parts, reason):
    assert reason in said(task(), **parts)


def test_what_was_found_good_is_not_tried_again(monkeypatch):
    made = task()
    one = live(made, trial(recipe(optimizer="adam", regularizers=("l2",))), setup())
    probe = Probe(made, one.splits, one.setup, TorchBuilder(BUILTIN))
    assert probe.refusal(one) is None

    monkeypatch.setattr(probe, "_try", lambda trial: "tried again")
    other = live(made, trial(recipe(optimizer="adam"), number=3), setup())
    unknown = live(made, trial(recipe(optimizer="sgd"), number=3), setup())

    assert probe.refusal(other) is None
    assert probe.refusal(unknown) == "tried again"
