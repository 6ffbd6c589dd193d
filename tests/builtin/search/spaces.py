"""Random conditional spaces and random studies of them, as Hypothesis draws them."""

from __future__ import annotations

import math
import string

import optuna
from hypothesis import strategies as st
from optuna.trial import TrialState

from automl_opt.api import Float, Int, OneOf, Prior, SearchSpace
from automl_opt.core.space import Entry

RANGES = (
    Float(-5.0, 5.0),
    Float(1e-6, 10.0, log=True),
    Float(-1.0, 2.0, step=0.25),
    Float(0.1, 0.7, step=0.1),
    Float(3.0, 3.0),
    Int(-3, 7),
    Int(1, 300, log=True),
    Int(2, 20, step=3),
    Int(4, 4),
    Float(1e-6, 10.0, log=True, prior=Prior(1e-5, 2)),
    Int(2, 20, step=3, prior=Prior(5, 4)),
    OneOf((True, False)),
    OneOf(("one", 2, None, 0.5)),
    OneOf(("only",)),
)


@st.composite
def spaces(draw):
    """Up to twelve entries; each may hang from an earlier choice, or none does."""
    entries: list[Entry] = []
    flat = draw(st.booleans())
    for name in string.ascii_lowercase[: draw(st.integers(1, 12))]:
        choices = [e for e in entries if isinstance(e.param, OneOf) and not flat]
        when = ()
        if choices and draw(st.booleans()):
            parent = draw(st.sampled_from(choices))
            options = parent.param.choices
            when = (*parent.when, (parent.name, options[: draw(st.integers(1, len(options)))]))
        entries.append(Entry(name, draw(st.sampled_from(RANGES)), when))
    return SearchSpace(tuple(entries))


VALUES = st.one_of(
    st.floats(-10, 10), st.sampled_from([0.0, 1.0, math.inf, -math.inf, 1e300, -1e300])
)
ENDS = st.lists(
    st.tuples(
        st.sampled_from(["complete", "pruned", "silent", "failed", "running", "broken"]), VALUES
    ),
    max_size=20,
)


def study_of(space, ends, direction, seed=0):
    """A study whose trials, drawn at random, ended as *ends* say: ``[(state, value), …]``.

    ``pruned`` has reports, ``silent`` none; ``broken`` is complete and violates a constraint.
    """
    study = optuna.create_study(
        direction=direction, sampler=optuna.samplers.RandomSampler(seed=seed)
    )
    for end, value in ends:
        trial = study.ask()
        space.suggest_values(trial)
        if end == "pruned":
            trial.report(value, 1)
        if end == "broken":
            trial.set_constraint("memory", 1.0)
        if end in ("complete", "broken"):
            study.tell(trial, value)
        elif end in ("pruned", "silent"):
            study.tell(trial, state=TrialState.PRUNED)
        elif end == "failed":
            study.tell(trial, state=TrialState.FAIL)
    return study


def is_legal(space, values):
    """Exactly what is active, each in its range."""
    active = [e for e in space.entries if e.is_active(values)]
    return values.keys() == {e.name for e in active} and all(
        e.param.contains(values[e.name]) for e in active
    )
