"""Handwritten digits: scikit-learn's 1 797 images of 8x8 pixels, and a small MLP."""

from sklearn.datasets import load_digits
from torch import nn

from automl_opt import Task


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def digits() -> Task:
    pixels, labels = load_digits(return_X_y=True)
    return Task(
        model=mlp,
        data=(pixels / 16, labels),
        loss="cross_entropy",
        metrics=["accuracy"],
    )
