"""The allocator: the matrices of a trial are there for the next trial."""

from __future__ import annotations

import numpy as np


def keep_freed() -> None:
    """Have glibc keep up to 32 MiB of what is freed, which the next matrix is made of.

    A block of 16 MiB that nobody writes to is taken and given back: glibc takes the size of what
    was given back for what a program needs time and again ("Dynamic mmap threshold", mallopt(3)).
    Left alone it returns the matrices of 200 trials to the system and gets them back page by page,
    a fifth of the time of a trial. Elsewhere nothing happens. Training keeps far more
    (``training/memory.py``), which a study in somebody's own process must not decide.
    """
    np.empty(2**21)
