"""Every random number's origin: one seed a purpose, derived by name and never shared."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


def derive(*path: int | str) -> int:
    """A seed in ``[0, 2**32)`` for the purpose that *path* spells out.

    SHA-256 of the path: the same on every machine and in every Python, and unrelated for paths
    that differ in any part. 32 bits because NumPy's legacy seeding, which Optuna uses, takes no
    more.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in path)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The seeds of one trial, separately named.

    ``split`` is common to a study, so that every trial is measured on the same examples and no
    test example of one trial is a training example of another; the others are the trial's own.
    """

    split: int
    initialisation: int
    order: int
    noise: int

    @classmethod
    def of_trial(cls, study_seed: int, arm: str, number: int) -> Seeds:
        return cls(
            split=derive(study_seed, "split"),
            initialisation=derive(study_seed, arm, number, "initialisation"),
            order=derive(study_seed, arm, number, "order"),
            noise=derive(study_seed, arm, number, "noise"),
        )
