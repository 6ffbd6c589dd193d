"""What the plain engine costs beside a hand-written torch loop of the same work.

Both shuffle, train, step a cosine learning rate every batch, keep the mean training loss, and
evaluate loss and accuracy on the validation split once an epoch. The peer uses ``torch.optim`` and
``CosineAnnealingLR`` as they come. One thread, interleaved (A B A B …), median of the ratios.

    python benchmarks/plain_loop.py [--repeats N] [--epochs N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from automl_opt import Task
from automl_opt.core.recipe import Part, Recipe
from automl_opt.core.result import Trial
from automl_opt.core.seeds import Seeds
from automl_opt.plugin.host import load_host
from automl_opt.training.build import TorchBuilder
from automl_opt.training.live import Setup
from automl_opt.training.plain import PlainEngine

BATCH_SIZE = 32
OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3),
}


def mlp() -> nn.Module:
    """A small MLP on the digits."""
    return nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def by_hand(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: tuple[Tensor, Tensor],
    valid: tuple[Tensor, Tensor],
    epochs: int,
) -> list[tuple[float, float, float]]:
    """Training loss, validation loss and accuracy of every epoch."""
    steps = -(-len(train[0]) // BATCH_SIZE)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * steps)
    curve = []
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(train[0]))
        x_epoch, y_epoch = train[0][order], train[1][order]
        total = torch.zeros(())
        batches = zip(x_epoch.split(BATCH_SIZE), y_epoch.split(BATCH_SIZE), strict=True)
        for x, y in batches:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.detach() * len(y)
        model.eval()
        with torch.no_grad():
            outputs = model(valid[0])
            valid_loss = functional.cross_entropy(outputs, valid[1])
            accuracy = (outputs.argmax(dim=1) == valid[1]).double().mean()
        curve.append((float(total) / len(train[0]), float(valid_loss), float(accuracy)))
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)

    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels)
    train, valid = (x[:1078], y[:1078]), (x[1078:1437], y[1078:1437])
    catalog = load_host(allow=()).catalog
    setup = Setup(
        epochs=options.epochs,
        device=torch.device("cpu"),
        dtype=torch.float32,
        autocast=None,
        metric="accuracy",
        maximize=True,
    )

    def defaults(kind: str, name: str) -> Part:
        component = catalog.find(kind, name)
        return Part(component.id, component.defaults(), component.spec.version)

    recipe = Recipe(
        optimizer=defaults("optimizer", "adam"),
        scheduler=defaults("scheduler", "cosine"),
        initializer=defaults("initializer", "default"),
        batch_size=BATCH_SIZE,
    )

    def engine_seconds(model: Callable[[], nn.Module], optimizer: str) -> float:
        task = Task(model=model, train=train, valid=valid, metrics=["accuracy"])
        engine = PlainEngine(task, setup, TorchBuilder(catalog))
        mine = replace(recipe, optimizer=defaults("optimizer", optimizer))
        seeds = Seeds.of_trial(0, optimizer, 0)
        engine.admit(Trial(arm=optimizer, number=0, trial_id=0, recipe=mine, seeds=seeds))
        started = time.perf_counter()
        reports = [report for _ in range(options.epochs) for report in engine.advance()]
        seconds = time.perf_counter() - started
        assert reports[-1].finished, reports[-1].reason
        return seconds

    def peer_seconds(model: Callable[[], nn.Module], optimizer: str) -> float:
        made = model()
        peer = OPTIMIZERS[optimizer](list(made.parameters()))
        started = time.perf_counter()
        by_hand(made, peer, train, valid, options.epochs)
        return time.perf_counter() - started

    steps = options.epochs * -(-len(train[0]) // BATCH_SIZE)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, torch {torch.__version__}, one thread, batches of "
        f"{BATCH_SIZE}, {options.repeats} interleaved pairs of {options.epochs} epochs"
    )
    print(f"{'model':<6}{'optimizer':<11}{'engine µs/step':>15}{'by hand':>10}{'ratio':>8}")
    for model in (mlp, cnn):
        for optimizer in OPTIMIZERS:
            pairs = [
                (engine_seconds(model, optimizer), peer_seconds(model, optimizer))
                for _ in range(options.repeats + 1)
            ][1:]  # the first pair warms caches
            ours, theirs = (
                statistics.median(side) / steps * 1e6 for side in zip(*pairs, strict=True)
            )
            ratio = statistics.median(a / b for a, b in pairs)
            print(f"{model.__name__:<6}{optimizer:<11}{ours:>15.0f}{theirs:>10.0f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
