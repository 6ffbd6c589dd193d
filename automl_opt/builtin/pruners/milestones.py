"""Milestones: judge a trial late and seldom, among those under the same schedule at that epoch.

A learning rate that decays sooner shows its gain sooner, so that curves under different schedules
cross: what leads half-way may lose in the end (no paper; Bouthillier et al. 2021, arXiv:2103.03098,
on comparing like with like). A pruner is told how long a full trial is and which scheduler was
chosen, not how far its decay has come. So it compares only what stands at the same place: full
trials of one study are equally long, and those under one scheduler decay alike but for the
parameters of the schedule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, Int, OneOf, PrunerSpec

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


def pruner(
    *,
    epochs: int,
    first: float,
    milestones: int,
    keep: float,
    n_startup_trials: int,
    across_schedules: bool,
) -> BasePruner:
    """A pruner that judges after a few epochs only.

    Args:
        first: the share of *epochs* after which a trial is judged first.
        milestones: how often it is judged, in equal distances from *first* to before the end.
        keep: the share of trials that goes on at a milestone.
        n_startup_trials: others that must have passed a milestone before one is judged there.
        across_schedules: rank all trials together, whatever their scheduler.
    """
    from automl_opt.builtin.pruners.alike import AlikePruner

    places = {first + (1 - first) * k / milestones for k in range(milestones)}
    return AlikePruner(
        epochs={max(1, round(place * epochs)) for place in places} - {epochs},
        keep=keep,
        n_startup_trials=n_startup_trials,
        choice=None if across_schedules else "scheduler",
    )


spec = PrunerSpec(
    name="milestones",
    summary="judges late and seldom, among trials under the same schedule",
    paper="none: ranks at equal epochs of equally long trials",
    pruner=pruner,
    params={
        "first": Float(0.05, 0.95, default=0.5),
        "milestones": Int(1, 10, default=2),
        "keep": Float(0.1, 0.9, default=0.5),
        "n_startup_trials": Int(1, 50, default=5),
        "across_schedules": OneOf((False, True)),
    },
)
