from __future__ import annotations

import pytest

from automl_opt.core.recipe import Part, Recipe
from automl_opt.core.result import EpochReport, Status, Trial
from automl_opt.core.seeds import Seeds

TRIAL = Trial(
    arm="adamw",
    number=3,
    trial_id=17,
    recipe=Recipe(
        optimizer=Part("acme.lion"),
        scheduler=Part("builtin.constant"),
        initializer=Part("builtin.default"),
        batch_size=32,
    ),
    seeds=Seeds.of_trial(0, "adamw", 3),
)


@pytest.mark.parametrize(
    ("status", "is_final", "is_failure"),
    [
        (Status.RUNNING, False, False),
        (Status.STOPPED, False, False),
        (Status.PREEMPTED, False, False),
        (Status.COMPLETE, True, False),
        (Status.PRUNED, True, False),
        (Status.DIVERGED, True, True),
        (Status.OUT_OF_MEMORY, True, True),
        (Status.FAILED, True, True),
    ],
)
def test_a_status_says_whether_a_trial_is_over_and_whether_it_broke(status, is_final, is_failure):
    report = EpochReport(
        trial=TRIAL, epoch=1, value=None, measurements=(), seconds=0.1, status=status
    )

    assert (status.is_final, status.is_failure) == (is_final, is_failure)
    assert report.finished is is_final


def test_a_trial_is_called_by_its_arm_and_number():
    assert str(TRIAL) == "adamw #3"
