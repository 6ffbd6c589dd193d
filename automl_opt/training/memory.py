"""The allocator: what a step frees is there for the next step."""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of glibc's ``malloc.h``."""

LARGEST = 2**25
"""Bytes: more than that, glibc always takes from the system."""

OTHERS = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")


def keep_freed() -> None:
    """Have glibc keep what is freed for the rest of the process.

    Left alone it gives back much of what a step of a stack has used, and the next step gets it page
    by page: a transformer with adapters spent a fifth of its time on that (12 rows, 2026-11).
    Nothing happens where there is no glibc, or where the environment says what allocates.
    """
    if sys.platform != "linux" or any(name.startswith(OTHERS) for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
