"""The ranking of a study that a database holds."""

from __future__ import annotations

import json

from automl_opt.core.errors import StoreError
from automl_opt.store import Store, StudyRow
from automl_opt.study.judge import Ranking, rank


def ranking_of(store: Store, name: str) -> Ranking:
    """The ranking of a study, finished or not; raises :class:`StoreError` where there is none."""
    studies = _studies(store, name)
    settings = json.loads(studies[0].spec_json)
    return rank(
        study=name,
        question=settings["question"],
        metric=settings["[objective] metric"],
        direction=settings["[objective] direction"],
        arms=[row.arm for row in studies],
        trials=store.trials(name),
        curves=store.curves(name, split="test"),
        budget=dict.fromkeys(settings["arms"], settings["[search] trials"]),
    )


def known_arms(store: Store, name: str) -> list[str]:
    """The arms of a study, in the order they began; raises :class:`StoreError`."""
    return [row.arm for row in _studies(store, name)]


def _studies(store: Store, name: str) -> list[StudyRow]:
    studies = store.studies(name)
    if not studies:
        known = sorted({row.name for row in store.studies()})
        holds = f"it holds: {', '.join(known)}" if known else "it holds none"
        raise StoreError(f"{store.shown_url} holds no study {name!r}; {holds}")
    return studies
