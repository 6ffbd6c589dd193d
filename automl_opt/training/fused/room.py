"""Memory: what a stack takes, and what there is for it."""

from __future__ import annotations

import gc
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from automl_opt.core.spec import StudySpec
from automl_opt.training.fused.stack import Stack
from automl_opt.training.live import EVALUATED_AT_ONCE, LiveTrial

SHARE = 0.8
"""Of what is free, what stacks may take: outputs for metrics and other models are not measured."""

STEPS = 2
SIZES = 2, 4
"""Rows of the stacks that are measured; what more rows take is a line through them."""


def needed(twin: Callable[[int], LiveTrial], device: torch.device) -> tuple[int, int]:
    """Bytes that each trial of a stack holds, and that it takes beside them in an epoch.

    Both are 0 where they cannot be measured.

    Args:
        twin: ``twin(number)`` makes a trial.
    """
    (few, most_few), (more, most_more) = (
        _allocated(partial(_trained, twin, size), device) for size in SIZES
    )
    rows = SIZES[1] - SIZES[0]
    held, most = (more - few) // rows, (most_more - most_few) // rows
    return max(0, held), max(0, most - held)


def _trained(twin: Callable[[int], LiveTrial], size: int) -> Stack:
    lives = [twin(number) for number in range(size)]
    for live in lives:
        few = torch.arange(min(len(live.splits.valid), EVALUATED_AT_ONCE * live.batch_size))
        live.splits = replace(live.splits, valid=live.splits.valid.subset(few))
    stack = Stack(lives)
    undo = stack.snapshot()
    stack.steps(STEPS)
    stack.evaluate("valid")
    del undo
    return stack


def _allocated(work: Callable[[], object], device: torch.device) -> tuple[int, int]:
    """Bytes that *work* allocates: those of what it returns, and the most at a time."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        made = work()
        level, most = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
        del made
        return level - before, most - before
    if device.type != "cpu" or torch.autograd._profiler_enabled():  # somebody else's
        return 0, 0
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler says that it starts and stops
    collects = gc.isenabled()
    gc.disable()  # torch warns of what was made before the profiler started and is freed now
    try:
        with torch.autograd.profiler.profile(profile_memory=True) as profile:
            made = work()
    finally:
        if collects:
            gc.enable()
    del made
    assert profile.kineto_results is not None
    level = most = 0
    for event in profile.kineto_results.events():
        if event.name() == "[memory]":
            level += event.nbytes()
            most = max(most, level)
    return level, most


def room_of(spec: StudySpec, device: torch.device) -> int | None:
    """Bytes that one worker's stacks may take on *device*; ``None`` where nobody knows."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        share = math.ceil(spec.workers / torch.cuda.device_count())
        return int(SHARE * (free + unused)) // share
    if device.type != "cpu":
        return None
    known = [free for free in (_system(), _process(), *_groups()) if free is not None]
    return int(SHARE * max(0, min(known))) // spec.workers if known else None


def _system(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that the machine could give."""
    try:
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):  # not Linux
        return None


def _process() -> int | None:
    """Bytes that the process may still ask for, where ``ulimit -v`` limits it."""
    if sys.platform != "linux":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return limit - pages * resource.getpagesize()


def _groups(
    mount: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """Bytes that are left to each of the control groups that the process is in.

    What the system keeps of files it gives back when it is asked to.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:  # not Linux
        return []
    found = []
    for _, controllers, path in lines:
        if controllers == "":
            root, limit, used, files = mount, "max", "current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, used = mount / "memory", "limit_in_bytes", "usage_in_bytes"
            files = "total_inactive_file"
        else:
            continue
        inside = root / path.lstrip("/")
        for group in (inside, *inside.parents):
            if not group.is_relative_to(root):
                break
            try:
                most = int((group / f"memory.{limit}").read_text())  # "max": none
                taken = int((group / f"memory.{used}").read_text())
                stat = (group / "memory.stat").read_text().splitlines()
            except (OSError, ValueError):
                continue
            kept = dict(line.split() for line in stat).get(files, "0")
            found.append(most - taken + int(kept))
    return found
