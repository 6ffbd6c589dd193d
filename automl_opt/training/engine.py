"""The interface of every engine: slots for live trials, one epoch of all of them at a time."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from automl_opt.core.recipe import Recipe
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.seeds import Seeds
from automl_opt.core.spec import StudySpec
from automl_opt.training.build import TorchBuilder
from automl_opt.training.check import check
from automl_opt.training.checkpoint import Place
from automl_opt.training.fused.choose import Chooser
from automl_opt.training.fused.compiled import unable
from automl_opt.training.fused.engine import Answer, FusedEngine
from automl_opt.training.fused.room import room_of
from automl_opt.training.live import Setup
from automl_opt.training.memory import keep_freed
from automl_opt.training.plain import How, PlainEngine
from automl_opt.training.task import Task

SMALL_MODEL = 100_000
"""Trainable parameters below which one CPU thread is faster than several: at 26 k parameters a
second thread wins nothing, and two on busy cores collapse to a fraction."""


class Engine(Protocol):
    """Trains admitted trials, an epoch at a time; plain and fused training look the same."""

    @property
    def free(self) -> int:
        """How many more trials can be admitted."""

    @property
    def live(self) -> tuple[Trial, ...]:
        """The trials in the slots."""

    @property
    def resting(self) -> tuple[Trial, ...]:
        """Those of them that are between two epochs, and can be saved."""

    @property
    def device(self) -> str:
        """Where they train, for the records."""

    def admit(self, trial: Trial, checkpoint: Place | None = None) -> int:
        """Give *trial* a slot; the number of epochs it has behind it.

        That is 0, or where *checkpoint* left it; one that cannot be used is warned about. A model
        that cannot be built is no error here: the next report says so.
        """

    def how(self, trial: Trial) -> How:
        """How *trial* is trained; asked when all that train beside it in the next epoch are in."""

    def advance(self) -> list[EpochReport]:
        """Train one epoch of every live trial and evaluate it on the validation split.

        Trials of other processes may be reported by a later call.
        """

    def finish(self) -> list[EpochReport]:
        """Wait for the epochs under way, begin none."""

    def lost(self) -> list[Trial]:
        """The trials that have lost their slot since this was last asked: their worker died."""

    def save(self, trial: Trial, checkpoint: Place) -> bool:
        """Write everything needed to go on after the epoch that *trial* has finished.

        Returns:
            whether it was written: a trial that is lost leaves nothing.
        """

    def retire(self, trial: Trial, status: Status | None = None) -> TrialResult:
        """Free the slot; *status* where the trial is stopped from outside (pruned).

        A complete trial is evaluated on the test split on its way out.
        """

    def close(self) -> None:
        """Let go of everything; live trials are gone."""


def open_engine(
    task: Task,
    spec: StudySpec,
    builder: TorchBuilder,
    probe: Recipe,
    *,
    slots: int = 1,
    memory: Path | None = None,
) -> Engine:
    """The engine for a study.

    Args:
        spec: with its direction settled.
        probe: a recipe to try the task with: model, loss and metrics are run once.
        slots: how many trials it is to take at a time; several may be trained as one model.
        memory: a file that keeps what the engine measures, for a run that goes on with the study.

    Raises:
        SpecError: the device is not there, or the compiler that the study asks for; model, output,
            loss and metrics do not fit; or a component of the study cannot train this task.
    """
    task = replace(task, params=task.ranges(spec))
    device = find_device(spec)
    dtype = torch.float64 if spec.precision == "float64" else torch.float32
    setup = Setup(
        epochs=spec.epochs,
        device=device,
        dtype=dtype,
        autocast=torch.bfloat16 if spec.precision == "bf16" else None,
        metric=spec.metric,
        maximize=spec.direction == "maximize",
    )
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.cuda.init()  # a source that starts inside a seeded block would miss its seed
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    size = check(task, spec, setup, builder, probe)
    threads = spec.threads
    if threads is None and device.type == "cpu" and size < SMALL_MODEL:
        threads = 1
    if threads is not None:
        torch.set_num_threads(threads)
    if device.type == "cpu":
        keep_freed()
    if slots == 1:
        return PlainEngine(task, setup, builder)
    if spec.compile is True and (said := unable(device)) is not None:
        raise spec.error("[training] compile", said)
    return FusedEngine(
        task,
        setup,
        builder,
        slots,
        Chooser(slots, memory, room=room_of(spec, device)),
        compile=spec.compile,
    )


def answers(
    task: Task, spec: StudySpec, builder: TorchBuilder, recipes: Sequence[Recipe], *, slots: int
) -> list[Answer]:
    """What the probe says of *recipes*, of which the first is tried as :func:`open_engine` does.

    Args:
        slots: how many trials there would be at a time, at least 2.

    Raises:
        SpecError: as there.
    """
    engine = open_engine(task, spec, builder, recipes[0], slots=slots)
    assert isinstance(engine, FusedEngine)
    seeds = Seeds.of_trial(spec.seed, "probe", 0)
    return [
        engine.answer(Trial(arm="probe", number=number, trial_id=-1, recipe=recipe, seeds=seeds))
        for number, recipe in enumerate(recipes)
    ]


def find_device(spec: StudySpec) -> torch.device:
    """The device that *spec* names, or the best there is for ``auto``; raises ``SpecError``."""
    name = spec.device
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("cpu")
    kind, _, index = name.partition(":")
    if kind == "cuda" and not torch.cuda.is_available():
        raise spec.error("[training] device", f"{name!r} asked for, but torch sees no CUDA device")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise spec.error(
            "[training] device",
            f"{name!r} asked for, but there are {torch.cuda.device_count()} CUDA devices",
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise spec.error("[training] device", "'mps' asked for, but torch sees no Apple GPU")
    if kind == "mps" and spec.precision == "float64":
        raise spec.error("[training] precision", "'float64' is not to be had on mps")
    return torch.device(name)


def environment(device: str) -> Mapping[str, Any]:
    """What a result depends on beside recipe and seed, as plain data."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": device,
        "threads": torch.get_num_threads(),
    }
