"""Randomness that depends on a trial's seeds and the epoch only: no state to save."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from automl_opt.core.seeds import derive


def generator(*path: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own for the purpose that *path* spells out."""
    return torch.Generator(device=device).manual_seed(derive(*path))


@contextmanager
def seeded(*path: int | str) -> Iterator[None]:
    """Inside, every global source (torch on all devices, NumPy, ``random``) starts from *path*.

    Afterwards the sources are as they were, so training never disturbs the program around it. A
    run is seeded anew for every epoch: a resumed epoch draws what the undisturbed one drew.
    """
    seed = derive(*path)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        # not torch.manual_seed: it would leave CUDA seeded for whoever starts it later
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed_all(seed)
        if torch.backends.mps.is_available():
            torch.mps.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
